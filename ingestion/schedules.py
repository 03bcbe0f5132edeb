"""Schedules: when the next run is, and starting what is due."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from croniter import CroniterBadDateError, croniter
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet

from config import audit, patience, texts
from config.statements import execute
from ingestion import lifecycle
from ingestion.access import can_operate, can_view_all
from ingestion.admission import Refused, validated
from ingestion.clock import ClockTimestamp, read_clock
from ingestion.items import described
from ingestion.models import Schedule
from ingestion.source import find, upload_fields

log = structlog.get_logger(__name__)

DUE_PER_TICK = 100
_LOCK = 8  # first key of the advisory lock; 1 to 3 and 7 are the engine's, 4 to 6 those of sources


def next_time(cron: str, zone: str, after: datetime) -> datetime:
    """Return the first time of a cron expression after `after`, in UTC.

    A local time that does not exist runs at the next valid minute, one that exists twice runs once.
    Raises ValueError for an expression or a zone that does not exist.
    """
    try:
        local = ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"There is no time zone called {zone!r}.") from error
    if len(cron.split()) != 5 or not croniter.is_valid(cron):
        raise ValueError(f"{cron!r} is not a cron expression, for example 0 6 * * *.")
    # Walked in wall-clock time, then placed into the zone: fold=0 takes the first of two equal times.
    wall = after.astimezone(local).replace(tzinfo=None)
    for _ in range(3):
        try:
            wall = croniter(cron, wall).get_next(datetime)
        except CroniterBadDateError as error:
            raise ValueError(f"{cron!r} never comes.") from error
        at = wall.replace(tzinfo=local).astimezone(ZoneInfo("UTC"))
        if at.astimezone(local).replace(tzinfo=None) != wall:  # skipped by a change of clocks
            at = _first_valid(wall, local)
        if at > after:
            return at
    return at


def next_times(cron: str, zone: str, after: datetime, count: int = 5) -> list[datetime]:
    """Return the next times of a cron expression. Raises ValueError, as `next_time` does."""
    times: list[datetime] = []
    while len(times) < count:
        times.append(next_time(cron, zone, times[-1] if times else after))
    return times


def _first_valid(wall: datetime, zone: ZoneInfo) -> datetime:
    for minutes in range(24 * 60):
        later = wall + timedelta(minutes=minutes)
        at = later.replace(tzinfo=zone).astimezone(ZoneInfo("UTC"))
        if at.astimezone(zone).replace(tzinfo=None) == later:
            return at
    raise ValueError("this zone skips a whole day")


def plan(schedule: Schedule, now: datetime) -> None:
    """Set when the schedule runs next. Raises ValueError."""
    schedule.next_at = None if schedule.paused else next_time(schedule.cron, schedule.zone, now)


def start_due() -> int:
    """Start what is due. Return how many jobs were made or joined.

    A slot that was missed while everything was down runs once, late, when less than one period has passed.
    """
    due = Schedule.objects.filter(paused=False, next_at__lte=ClockTimestamp())
    return patience.each(list(due.values_list("pk", "owner_id")[:DUE_PER_TICK]), _start)


def _start(pk: int) -> bool:
    schedule = (
        Schedule.objects.select_for_update(skip_locked=True)
        .filter(pk=pk, paused=False, next_at__lte=ClockTimestamp())
        .annotate(clock=ClockTimestamp())
        .first()
    )
    if schedule is None or schedule.next_at is None:
        return False
    started = False
    try:
        late = next_time(schedule.cron, schedule.zone, schedule.next_at) <= schedule.clock
        plan(schedule, schedule.clock)
    except ValueError as error:  # this machine no longer knows its zone
        schedule.next_at, schedule.last_error = None, str(error)[:300]
        late = True
    if not late:
        started = run_now(schedule)
    schedule.last_at = schedule.clock
    schedule.save(update_fields=["next_at", "last_at", "last_job", "last_error"])
    return started


def run_now(schedule: Schedule) -> bool:
    """Start a schedule's job; one that is still open is joined. A refusal is kept as `last_error`."""
    try:
        with transaction.atomic():
            created = lifecycle.create(schedule.source, schedule.params, owner=schedule.owner)
    except Refused as refused:
        schedule.last_error = _told(refused)[:300]
        log.warning("schedule_refused", schedule=schedule.pk, code=refused.code)
        return False
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # a source's own code: the other schedules must start all the same
        schedule.last_error = described(error)[1][:300]
        log.exception("schedule_failed", schedule=schedule.pk)
        return False
    schedule.last_job, schedule.last_error = created.job, ""
    return True


# ---- by a person ------------------------------------------------------------------------------------------


def settle(about: str) -> None:
    """Let one choice at a time be made of what is scheduled about something, until the transaction ends.

    Of two clicks the second then sees what the first made. It is taken before a schedule and before the row
    that it is for: the keeper, which does not take it, holds the one when it comes to the other.

    about: the name of its stream.
    """
    execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, about])


def visible(user: Any) -> QuerySet[Schedule]:
    """Return the schedules that a user may see: their own, and all of them for who may view all jobs."""
    return Schedule.objects.all() if can_view_all(user) else Schedule.objects.filter(owner=user.pk)


def can_change(user: Any, schedule: Schedule) -> bool:
    """Say whether this user may run, pause and edit a schedule that they see."""
    return schedule.owner_id == user.pk or can_operate(user)


def check(schedule: Schedule) -> dict[str, str]:
    """Return what is wrong with a schedule, by field."""
    problems = {}
    for name in ("name", "cron", "zone"):
        if position := texts.odd_at(getattr(schedule, name)):
            problems[name] = texts.ODD.format(n=position)
    if problems:
        return problems
    try:
        next_time(schedule.cron, schedule.zone, read_clock())
    except ValueError as error:
        problems["zone" if "zone" in str(error) else "cron"] = str(error)
    source = find(schedule.source)
    if source is None:
        return {**problems, "source": f"There is no source called {schedule.source!r}."}
    if upload_fields(source.params):
        return {**problems, "source": "This source takes a file, which can be used once only."}
    if not isinstance(schedule.params, dict):
        return {**problems, "params": "Must be an object."}
    try:
        validated(schedule.source, schedule.params)
    except Refused as refused:
        problems["params"] = _told(refused)
    return problems


def _told(refused: Refused) -> str:
    """Return a refusal as one text: nobody sees marked fields here."""
    return " ".join(f"{one['field']}: {one['message']}" for one in refused.errors) or refused.message


def put(schedule: Schedule) -> Schedule:
    """Keep a new or edited schedule and set when it runs next. Raises ValueError."""
    plan(schedule, read_clock())
    with transaction.atomic():
        if schedule.pk is None:
            schedule.save(force_insert=True)
        else:  # what the keeper writes is left to it
            fields = ["name", "source", "params", "cron", "zone", "owner", "paused", "next_at"]
            schedule.save(update_fields=fields)
        told = {name: getattr(schedule, name) for name in ("source", "cron", "zone", "paused")}
        audit.write("schedule.change", f"schedule:{schedule.pk}", **told, owner=schedule.owner_id)
    return schedule


def _locked(pk: int) -> Schedule:
    schedule = Schedule.objects.select_for_update().filter(pk=pk).first()
    if schedule is None:
        raise Refused("not_found", "Not found.")
    return schedule


def edit(pk: int, **values: Any) -> Schedule:
    """Change a schedule's name, cron or zone; the rest stays. Raises Refused."""
    with transaction.atomic():
        schedule = _locked(pk)
        for name, value in values.items():
            setattr(schedule, name, value)
        if problems := check(schedule):
            errors = [{"field": name, "code": "invalid", "message": text} for name, text in problems.items()]
            raise Refused("validation_failed", "Please correct the marked fields.", errors=errors)
        return put(schedule)


def set_paused(pk: int, paused: bool) -> Schedule:
    """Stop a schedule, or let it go on from now. Raises Refused."""
    with transaction.atomic():
        schedule = _locked(pk)
        schedule.paused = paused
        try:
            plan(schedule, read_clock())
        except ValueError as error:  # this machine does not know its zone
            raise Refused("schedule_refused", str(error)) from error
        schedule.save(update_fields=["paused", "next_at"])
        audit.write("schedule.pause" if paused else "schedule.resume", f"schedule:{pk}")
    return schedule


def start_once(pk: int) -> Schedule:
    """Start a schedule's job now, whatever its times are. Raises Refused."""
    with transaction.atomic():
        schedule = _locked(pk)
        started = run_now(schedule)
        schedule.save(update_fields=["last_job", "last_error"])
        if started:
            audit.write("schedule.run", f"schedule:{pk}", job=schedule.last_job_id)
    if not started:
        raise Refused("schedule_refused", schedule.last_error)
    return schedule
