"""What the API answers, as it is documented; `serializers.py` makes what fills these shapes."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field


class ErrorOut(Schema):
    """What went wrong, for people; a program reads the code."""

    code: str
    text: str


class CountsOut(Schema):
    """Items by outcome."""

    total: int
    done: int
    failed: int
    skipped: int


class WaitingOut(Schema):
    """What a waiting job needs from a person."""

    kind: str
    since: str | None
    text: str


class StepOut(Schema):
    """A named phase."""

    label: str
    state: str | None
    weight: float | None
    started_at: str | None
    finished_at: str | None
    done: int | None
    total: int | None


class ItemShortOut(Schema):
    """An item as the job itself tells it."""

    label: str
    state: str
    error_code: str | None
    url: str | None


class JobOut(Schema):
    """A job."""

    id: UUID
    source: str
    title: str
    subject: str
    object: str | None
    state: str
    display: str
    pending_reason: str | None
    run_after: datetime | None
    waiting_for: WaitingOut | None
    message: str
    error: ErrorOut | None
    progress: float
    items: CountsOut
    items_total: int
    items_done: int
    items_failed: int
    rate: float | None
    eta_seconds: float | None
    steps: dict[str, StepOut]
    attempt: int
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result_url: str | None
    retry_of: UUID | None
    retried_by: UUID | None
    version: int
    links: dict[str, str]
    items_by_key: dict[str, ItemShortOut] | None = None
    created: bool
    owner: str | None
    mine: bool
    worker_seen_at: datetime | None
    can: list[Literal["cancel", "retry", "answer"]]
    params: dict[str, Any] | None = None
    why: Literal["behind", "gap", "epoch", "too_old"] | None = None
    events: list["EventOut"] | None = None


class WhyOut(Schema):
    """Why a job waits."""

    reason: Literal["dependency", "retry", "schedule", "paused", "no_worker", "slot", "queue"] | None
    text: str | None
    before: int | None


class JobsOut(Schema):
    """A page of jobs."""

    jobs: list[JobOut]
    next: str | None


class ItemOut(Schema):
    """An item with its outcome."""

    step: str
    key: str
    label: str
    ordinal: int
    state: str
    display: str
    error: ErrorOut | None
    tries: int
    result: Any
    url: str | None
    started_at: datetime | None
    finished_at: datetime | None
    version: int


class ItemsOut(Schema):
    """A page of items."""

    items: list[ItemOut]
    next: str | None


class EventOut(Schema):
    """A line of a job's history."""

    version: int
    at: datetime
    level: str
    kind: str
    message: str
    data: dict[str, Any]


class EventsOut(Schema):
    """A page of events, oldest first."""

    events: list[EventOut]
    next: str | None


class ReadyOut(Schema):
    """Whether nothing works on an object. `open` counts what waits too."""

    object: str
    ready: bool
    open: int


class ImportInProgressOut(Schema):
    """An import that is active."""

    id: UUID
    slug: str
    state: str
    total_rows: int
    imported_rows: int
    progress_pct: int


class TaskInProgressOut(Schema):
    """A job of the queue `analytics` that is active."""

    id: UUID
    command: str
    state: Literal["pending", "processing"]
    created_at: datetime
    duration_ms: int


class StatusDetailsOut(Schema):
    """What is being processed."""

    system_stable: bool
    import_jobs: list[ImportInProgressOut]
    analytics_tasks: list[TaskInProgressOut]
    others: Annotated[int, Field(description="Active jobs that are not in a list, or not yours to see")]


class SystemStableOut(Schema):
    """One message of the event stream."""

    stable: Annotated[bool | None, Field(description="null: nobody knows")]


class SourceStepOut(Schema):
    """A declared step."""

    name: str
    label: str
    weight: float


class SourceOut(Schema):
    """A kind of ingestion."""

    kind: str
    label: str
    description: str
    item_noun: str
    steps: list[SourceStepOut]
    params: dict[str, Any]


class SourcesOut(Schema):
    """All kinds of ingestion."""

    sources: list[SourceOut]


class UploadOut(Schema):
    """A stored file."""

    id: UUID
    name: str
    size: int
    sha256: str
    type: str
    expires_at: datetime | None


class FieldErrorOut(Schema):
    """What is wrong with one field."""

    field: str
    code: str
    message: str


class ProblemOut(Schema):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldErrorOut] = []
