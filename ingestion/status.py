"""What the status page says: is the data stable, what works on it, and who does the work.

What is read here is there anyway, but for the few rows of `sightings`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.utils import timezone

from config.statements import execute
from ingestion import details, last_day, pauses, queues, stability
from ingestion.access import can_operate, visible_jobs
from ingestion.clock import read_clock
from ingestion.models import ACTIVE, Job, JobAttempt, Pause, PendingReason, Process, State, System
from ingestion.source import QUEUES, registry

ALIVE = 15.0  # seconds since its last beat in which a process counts as answering, ...
GONE = 60.0  # ... and from which on it is lost
SHOWN = timedelta(days=1)  # a lost process is shown this long
CACHED_SECONDS = 30  # what is counted over a day
EVENTS = 8
ENDED_WELL = "ended well"
MOST_WORKERS = 50


@dataclass(frozen=True)
class Component:
    """A part of the system. `status` is of the CSS vocabulary."""

    name: str
    said: str
    status: str
    word: str
    day: last_day.Tally
    counted: str = "answered"  # what the day counts as good

    @property
    def bars(self) -> list[dict[str, Any]]:
        """Return the blocks of the strip as rectangles; bad ones are taller."""
        heights = {"down": 22, "degraded": 18, "complete": 14, "unknown": 6}
        return [
            {"status": block, "x": 10 * n, "y": 22 - heights[block], "height": heights[block]}
            for n, block in enumerate(self.day.blocks())
        ]


def context(user: Any) -> dict[str, Any]:
    """Return everything that the page shows to a user."""
    now = read_clock()
    processes = seen(now)
    answering = [one for one in processes if age_of(one, now) < ALIVE]
    held = list(pauses.current().select_related("by"))
    day: Any = cache.get_or_set("day-by-half-hour", last_day.count, CACHED_SECONDS)
    row = System.objects.first()
    found = details.read(user)
    return {
        "now": now,
        "system": row,
        "version": stability.position(),
        "headline": _headline(row, answering, held),
        "components": _components(answering, processes, day, now),
        "queues": _queues(day),
        "workers": workers_of(user, processes, now),
        "more_workers": more_workers(processes),
        "pauses": held,
        "scopes": _scopes(held),
        "operates": can_operate(user),
        "events": _events(),
        "others": found["others"],
        "refresh": True,
    }


# ---- the sentence -----------------------------------------------------------------------------------------


def _headline(row: System | None, answering: list[Process], held: list[Pause]) -> dict[str, str]:
    """Return the sentence with which the page begins: {status, icon, strong, text}."""
    state = stability.said(row)["state"]
    roles = {one.role for one in answering}
    if "keeper" not in roles or state == "unknown":
        text = "No keeper is alive, so nobody can tell whether data changes."
        return {"status": "unknown", "icon": "help", "strong": "Status unknown.", "text": text}
    if "worker" not in roles:
        text = "No worker is alive. Jobs wait, nothing is lost; they start when one is back."
        return {"status": "degraded", "icon": "warn", "strong": "Degraded.", "text": text}
    paused = [one.scope for one in held if one.scope != "all" and not one.scope.startswith("host:")]
    if any(one.scope == "all" for one in held):
        text = "Everything is paused: what runs goes on, and nothing else starts."
        return {"status": "degraded", "icon": "pause", "strong": "Paused.", "text": text}
    more = f" Paused: {', '.join(map(pauses.named, paused))}." if paused else ""
    if state == "stable":
        text = f"All data processing is complete.{more}"
        return {"status": "complete", "icon": "done", "strong": "System Stable.", "text": text}
    text = f"{amount()}{more}"
    return {"status": "partial", "icon": "half", "strong": "Processing Data.", "text": text}


def amount() -> str:
    """Return how many jobs are active, and until when figures may change."""
    active = Job.objects.filter(ACTIVE)
    running = active.filter(state=State.RUNNING).count()
    waiting = active.count() - running
    runs = "1 job is running" if running == 1 else f"{running:,} jobs are running"
    return f"{runs}{f' and {waiting:,} waiting' if waiting else ''}. {_until()}"


def _until() -> str:
    """Return until when figures may change, where every active job says how long it will take."""
    etas = list(Job.objects.filter(ACTIVE).values_list("eta_seconds", flat=True)[:100])
    known = [eta for eta in etas if eta is not None]
    if not known or len(known) < len(etas) or len(etas) == 100:
        return "Figures may change."
    end = timezone.localtime(timezone.now() + timedelta(seconds=max(known)))
    return f"Figures may change until about {end:%H:%M}."


# ---- parts ------------------------------------------------------------------------------------------------


def _components(
    answering: list[Process], processes: list[Process], day: last_day.Day, now: datetime
) -> list[Component]:
    keepers = [one for one in answering if one.role == "keeper"]
    workers = [one for one in answering if one.role == "worker"]
    known = [one for one in processes if one.role == "worker"]
    redis = queues.trouble()
    missing = sorted(set(QUEUES) - {one.queue for one in workers})
    seen = defaultdict(last_day.Tally, day.seen)
    parts = [
        Component("Web and API", "answered this page", *_good(True), seen["web"]),
        Component("Keeper", _beats(keepers, now), *_good(bool(keepers)), seen["keeper"]),
        Component(
            "Workers",
            f"{len(workers)} of {len(known)} answering"
            + (f", none for {', '.join(missing)}" if missing else ""),
            *(_good(bool(workers)) if not (workers and missing) else ("degraded", "Degraded")),
            day.workers,
            counted=ENDED_WELL,
        ),
        Component("Database", "answered this page", *_good(True), seen["database"]),
        Component(
            "Redis",
            "wakes and hints" if not redis else "does not answer; work goes on",
            *_good(not redis),
            seen["redis"],
        ),
    ]
    for kind, source in registry().items():
        tally = day.sources.get(kind)
        if tally is not None:
            status = ("degraded", "Degraded") if tally.blocks()[-1] in ("down", "degraded") else _good(True)
            said = f"{sum(tally.good.values()):,} ended well, {sum(tally.bad.values()):,} failed"
            parts.append(Component(source.label, said, *status, tally, counted=ENDED_WELL))
    return parts


def _good(good: bool) -> tuple[str, str]:
    return ("complete", "Working") if good else ("down", "Down")


def _beats(keepers: list[Process], now: datetime) -> str:
    if not keepers:
        return "none is alive"
    return f"last heartbeat {min(age_of(one, now) for one in keepers):.0f} s ago"


def age_of(process: Process, now: datetime) -> float:
    """Return the seconds since a process last beat."""
    return max(0.0, (now - process.beat_at).total_seconds())


def waiting() -> dict[str, tuple[int, float]]:
    """Return by queue how many jobs wait there, and the seconds that the oldest has waited."""
    rows = execute(
        """
        SELECT queue, count(*),
            max(extract(epoch FROM clock_timestamp() - coalesce(run_after, created_at)))::float
        FROM ingestion_job WHERE state = 'pending' AND pending_reason IN ('queue', 'slot', 'retry')
        GROUP BY queue
        """
    )
    return {queue: (count, max(0.0, oldest)) for queue, count, oldest in rows}


def _queues(day: last_day.Day) -> list[dict[str, Any]]:
    found = waiting()
    return [
        {
            "name": name,
            "waiting": found.get(name, (0, None))[0],
            "oldest": found.get(name, (0, None))[1],
            **day.queues.get(name, {"per_minute": 0, "failed": 0}),
        }
        for name in QUEUES
    ]


def seen(now: datetime) -> list[Process]:
    """Return the processes of ours that beat within a day."""
    return list(Process.objects.filter(beat_at__gt=now - SHOWN).order_by("role", "queue", "name"))


def more_workers(processes: list[Process]) -> int:
    """Count the workers that `workers_of` leaves out."""
    return max(0, len(_workers(processes)) - MOST_WORKERS)


def _workers(processes: list[Process]) -> list[Process]:
    return [one for one in processes if one.role == "worker"]


def workers_of(user: Any, processes: list[Process], now: datetime) -> list[dict[str, Any]]:
    """Return the workers as a user may see them, those that live first: what each does, when it beat."""
    workers = sorted(_workers(processes), key=lambda one: age_of(one, now) >= ALIVE)[:MOST_WORKERS]
    running = Job.objects.filter(state=State.RUNNING)
    names = [one.name for one in workers]
    current = dict(
        JobAttempt.objects.filter(worker__in=names, ended_at=None, job__in=running).values_list(
            "worker", "job"
        )
    )
    seen = visible_jobs(user).filter(pk__in=current.values()).in_bulk()
    rows = []
    for one in workers:
        age = age_of(one, now)
        job = current.get(one.name)
        status, word = ("running", "Busy") if job else ("complete", "Idle")
        if age >= ALIVE:
            status, word = ("down", "Lost") if age >= GONE else ("stale", "Silent")
        rows.append(
            {
                "name": f"{one.queue} {one.pid}",
                "host": one.host,
                "status": status,
                "word": word,
                "job": seen.get(job) if job else None,
                "busy": job is not None,
                "age": age,
            }
        )
    return rows


def _scopes(held: Iterable[Pause]) -> list[tuple[str, str]]:
    """Return what can be paused and is not, with its name for people."""
    all_of = [("all", "Everything"), *((f"queue:{name}", f"Queue {name}") for name in QUEUES)]
    all_of += [(f"source:{kind}", f"Source {one.label}") for kind, one in registry().items()]
    paused = {one.scope for one in held}
    return [(scope, name) for scope, name in all_of if scope not in paused]


def _events() -> list[dict[str, Any]]:
    """Return what happened to the system lately, newest first."""
    lost = JobAttempt.objects.filter(outcome__in=("lost", "crashed")).exclude(ended_at=None)
    return [
        {
            "at": attempt.ended_at,
            "title": f"Worker {attempt.worker} was lost",
            "text": f"{_after(attempt.job)}",
            "open": attempt.job.state in (State.PENDING, State.RUNNING),
        }
        for attempt in lost.select_related("job").order_by("-ended_at")[:EVENTS]
    ]


def _after(job: Job) -> str:
    if job.state == State.PENDING:
        waits = job.pending_reason == PendingReason.RETRY
        return "Its job is tried again soon." if waits else "Its job was put back into the queue."
    words = {
        State.RUNNING: "goes on with another one",
        State.FAILED: "failed",
        State.CANCELLED: "was cancelled",
    }
    return f"Its job {words.get(State(job.state), 'ended well')}."
