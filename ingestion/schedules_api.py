"""The API of schedules: see, run, pause, resume and edit what starts by itself."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from config import paging
from config.http import JsonBody, StrictModel, StrictQuery, answer
from config.problems import Problem
from ingestion import schedules, serializers
from ingestion.api_requests import PageFilter
from ingestion.clock import read_clock
from ingestion.models import Schedule
from ingestion.requested import for_others
from ingestion.schedules_page import UNSHOWN

READ = ["GET", "HEAD"]
router = Router(tags=["schedules"])


class ScheduleChange(StrictModel):
    """What to change; what is not given stays."""

    name: Annotated[str | None, Field(min_length=1, max_length=200, pattern=r"\S")] = None
    cron: Annotated[str | None, Field(max_length=100, examples=["0 6 * * *"])] = None
    zone: Annotated[str | None, Field(max_length=64, examples=["Europe/Oslo"])] = None


class ScheduleJobOut(Schema):
    """The job that a schedule started last."""

    id: UUID
    state: str
    display: str


class ScheduleOut(Schema):
    """A schedule. `next_times`: the next five, empty while it is paused and in lists."""

    id: int
    name: str
    source: str
    params: dict[str, Any]
    cron: str
    zone: str
    owner: str
    paused: bool
    next_at: datetime | None
    last_at: datetime | None
    last_job: ScheduleJobOut | None
    last_error: str | None
    next_times: list[datetime]
    can: list[str]


class SchedulesOut(Schema):
    """A page of schedules."""

    schedules: list[ScheduleOut]
    next: str | None


@router.api_operation(READ, "/schedules", response=SchedulesOut, operation_id="list_schedules")
def list_schedules(request: HttpRequest, asked: Annotated[PageFilter, StrictQuery(...)]) -> HttpResponse:
    """List the schedules you may see, newest first."""
    scope = paging.Scope("schedules", int(request.user.pk or 0), {})
    after = paging.read_cursor(scope, asked.cursor)
    rows = _rows(request) if after is None else _rows(request).filter(pk__lt=after)
    found = list(rows.order_by("-pk")[: asked.limit + 1])
    shown, following = paging.page(found, asked.limit, scope, lambda one: one.pk)
    return answer({"schedules": [_json(request, one) for one in shown], "next": following})


@router.api_operation(READ, "/schedules/{int:schedule_id}", response=ScheduleOut, operation_id="get_schedule")
def get_schedule(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Return a schedule with its next five times."""
    return _answer(request, schedule_id)


@router.patch("/schedules/{int:schedule_id}", response=ScheduleOut, operation_id="change_schedule")
def change_schedule(
    request: HttpRequest, schedule_id: int, body: Annotated[ScheduleChange, JsonBody(...)]
) -> HttpResponse:
    """Change its name, cron or zone."""
    schedules.edit(_acting(request, schedule_id).pk, **body.model_dump(exclude_none=True))
    return _answer(request, schedule_id)


@router.post("/schedules/{int:schedule_id}/run", response=ScheduleOut, operation_id="run_schedule")
def run_schedule(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Start its job now, or join the open one; its times stay."""
    schedules.start_once(_acting(request, schedule_id).pk)
    return _answer(request, schedule_id)


@router.post("/schedules/{int:schedule_id}/pause", response=ScheduleOut, operation_id="pause_schedule")
def pause_schedule(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Let it start nothing until it is resumed."""
    schedules.set_paused(_acting(request, schedule_id).pk, True)
    return _answer(request, schedule_id)


@router.post("/schedules/{int:schedule_id}/resume", response=ScheduleOut, operation_id="resume_schedule")
def resume_schedule(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Let it go on from now."""
    schedules.set_paused(_acting(request, schedule_id).pk, False)
    return _answer(request, schedule_id)


def _rows(request: HttpRequest) -> Any:
    return schedules.visible(request.user).select_related("owner", "last_job").defer(*UNSHOWN)


def _found(request: HttpRequest, pk: int) -> Schedule:
    found: Schedule | None = _rows(request).filter(pk=pk).first()
    if found is None:
        raise Problem("not_found")
    return found


def _may(request: HttpRequest, schedule: Schedule) -> bool:
    if schedule.owner_id != request.user.pk and not for_others(request):
        return False
    return schedules.can_change(request.user, schedule)


def _acting(request: HttpRequest, pk: int) -> Schedule:
    """Return a schedule that this user, with this token, may change. Raises Problem."""
    schedule = _found(request, pk)
    if not _may(request, schedule):
        raise Problem("permission_denied")
    return schedule


def _answer(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = _found(request, pk)
    try:
        times = schedules.next_times(schedule.cron, schedule.zone, read_clock())
    except ValueError:  # its zone is no longer known here: last_error says so
        times = []
    return answer(_json(request, schedule) | {"next_times": [] if schedule.paused else times})


def _json(request: HttpRequest, one: Schedule) -> dict[str, Any]:
    job, now = one.last_job, timezone.now()
    return {
        **{name: getattr(one, name) for name in ("id", "name", "source", "params", "cron", "zone", "paused")},
        "owner": one.owner.get_username(),
        "next_at": one.next_at,
        "last_at": one.last_at,
        "last_job": job and {"id": job.pk, "state": job.state, "display": serializers.display(job, now)},
        "last_error": one.last_error or None,
        "next_times": [],
        "can": ["run", "resume" if one.paused else "pause", "edit"] if _may(request, one) else [],
    }
