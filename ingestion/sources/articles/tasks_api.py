"""S2's HTTP edge: background tasks at the seed's own addresses. What one may not see is not there."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from config.http import JsonBody, RowId, StrictModel, StrictQuery, answer
from config.problems import Problem, invalid
from ingestion import access, bulk, idempotency, lifecycle
from ingestion.clock import ClockTimestamp
from ingestion.models import FINAL, Job
from ingestion.sources.articles import tasks, topics
from ingestion.sources.articles.api_shapes import LARGEST_ID
from ingestion.sources.articles.saving import BulkSave
from ingestion.sources.articles.source import MOST_URLS, BulkAnalysis

READ = ["GET", "HEAD"]
MOST_TASKS = 200  # of one answer, the newest first
MOST_CLEANED = 1_000  # of one call
KEEP_HOURS = 24  # how long a cleanup leaves what has ended
router = Router(tags=["background tasks"])
Status = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]


class BulkPagesIn(StrictModel):
    """Pages to read, judge and keep. topic: its number, or its name."""

    urls: list[str] = Field([], description=f"Addresses of pages, {MOST_URLS:,} at most")
    feed: str = Field("", description="Address of a feed whose entries are read, too")
    topic: (
        Annotated[int, Field(strict=True, ge=1, le=LARGEST_ID)]
        | Annotated[str, Field(min_length=1, max_length=100)]
    ) = Field(description="Its number or its name")


class BackgroundTaskFilter(Schema):
    """Which tasks to list."""

    status: Status | None = None


class CleanupIn(StrictModel):
    """What to forget."""

    max_age_hours: int = Field(
        KEEP_HOURS, ge=0, le=24 * 365, strict=True, description="What ended within them stays"
    )


class BackgroundTaskOut(Schema):
    """A task, in the seed's words."""

    id: UUID
    name: str
    status: Status
    progress: float
    processed_items: int
    total_items: int
    current_item: str
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    error: str | None


class BackgroundTaskAnswerOut(Schema):
    """One task."""

    success: bool
    task: BackgroundTaskOut


class BackgroundTaskStartedOut(BackgroundTaskAnswerOut):
    """A task that was started."""

    task_id: UUID
    job_id: UUID


class BackgroundTasksOut(Schema):
    """Tasks, the newest first."""

    success: bool
    tasks: list[BackgroundTaskOut]


class TaskCountsOut(Schema):
    """How many tasks stand where."""

    total: int
    pending: int
    running: int
    completed: int
    failed: int
    cancelled: int


class TaskSummaryOut(Schema):
    """The counts of all tasks."""

    success: bool
    summary: TaskCountsOut


class CleanedOut(Schema):
    """How many ended tasks were removed."""

    success: bool
    removed: int


@router.post(
    "/background-tasks/bulk-analysis",
    response={201: BackgroundTaskStartedOut},
    operation_id="start_bulk_analysis",
)
def bulk_analysis(request: HttpRequest, body: Annotated[BulkPagesIn, JsonBody(...)]) -> HttpResponse:
    """Read pages, judge them for a topic and keep what is relevant. (S2.31)"""
    return _started(request, BulkAnalysis.kind, body)


@router.post(
    "/background-tasks/bulk-save", response={201: BackgroundTaskStartedOut}, operation_id="start_bulk_save"
)
def bulk_save(request: HttpRequest, body: Annotated[BulkPagesIn, JsonBody(...)]) -> HttpResponse:
    """Keep pages with a topic, whatever they are judged. (S2.32)"""
    return _started(request, BulkSave.kind, body)


@router.api_operation(
    READ, "/background-tasks/tasks", response=BackgroundTasksOut, operation_id="list_background_tasks"
)
def list_tasks(
    request: HttpRequest, asked: Annotated[BackgroundTaskFilter, StrictQuery(...)]
) -> HttpResponse:
    """List the caller's tasks and those of their topics. (S2.34)"""
    rows = tasks.of(request.user).order_by("-pk")
    if asked.status is not None:
        rows = rows.filter(state__in=tasks.STATES[asked.status])
    return answer({"success": True, "tasks": [tasks.task_of(job) for job in rows[:MOST_TASKS]]})


@router.api_operation(
    READ, "/background-tasks/summary", response=TaskSummaryOut, operation_id="get_task_summary"
)
def get_summary(request: HttpRequest) -> HttpResponse:
    """Count the caller's tasks by their state. (S2.35)"""
    return answer({"success": True, "summary": tasks.summary(tasks.of(request.user))})


@router.post("/background-tasks/cleanup", response=CleanedOut, operation_id="clean_up_tasks")
def clean_up(request: HttpRequest, body: Annotated[CleanupIn, JsonBody(CleanupIn())]) -> HttpResponse:
    """Remove the caller's own tasks that ended a while ago. (S2.37)"""
    old = Job.objects.filter(
        owner=request.user.pk,
        source__in=tasks.KINDS,
        state__in=FINAL,
        finished_at__lte=ClockTimestamp() - timedelta(hours=body.max_age_hours),
    )
    done = bulk.in_a_request()
    for job in old.order_by("pk")[:MOST_CLEANED]:
        done.one(partial(lifecycle.delete, job, request.user))
    return answer({"success": True, "removed": done.count})


@router.api_operation(
    READ,
    "/background-tasks/task/{task_id}",
    response=BackgroundTaskAnswerOut,
    operation_id="get_background_task",
)
def get_task(request: HttpRequest, task_id: RowId) -> HttpResponse:
    """Return a task. (S2.33)"""
    return answer({"success": True, "task": tasks.task_of(_task(request, task_id))})


@router.delete(
    "/background-tasks/task/{task_id}",
    response=BackgroundTaskAnswerOut,
    operation_id="cancel_background_task",
)
def cancel_task(request: HttpRequest, task_id: RowId) -> HttpResponse:
    """Cancel a task that waits or runs. (S2.36, S2.49)"""
    job = _task(request, task_id)
    if not access.can_act(request.user, job):
        raise Problem("permission_denied")
    return answer({"success": True, "task": tasks.task_of(lifecycle.cancel(job, request.user))})


def _started(request: HttpRequest, kind: str, body: BulkPagesIn) -> HttpResponse:
    def do() -> tuple[int, dict[str, Any]]:
        topic = topics.named(request.user, body.topic)
        if topic is None:
            raise invalid("topic", "There is no such topic.")
        params = {"topic": topic.pk, "urls": body.urls, "feed": body.feed}
        job = lifecycle.create(kind, params, owner=request.user).job
        told = {"success": True, "task_id": str(job.pk), "job_id": str(job.pk), "task": tasks.task_of(job)}
        return 201, told

    return idempotency.once(request, do)


def _task(request: HttpRequest, pk: UUID) -> Job:
    found = tasks.of(request.user).filter(pk=pk).first()
    if found is None:
        raise Problem("not_found")
    return found
