"""The shapes of the API, for its documentation and its readers; `serializers.py` makes what fills them."""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Union, cast
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, Field, TypeAdapter, create_model
from pydantic_core import PydanticCustomError

from config.http import ClosedModel, Limit, Moment, RowId, StrictModel
from config.paging import DEFAULT_LIMIT
from ingestion.models import ItemState, Priority, State
from ingestion.source import registry

MAX_DEPENDS_ON = 50
MAX_QUERY = 200
MAX_KEYS = 1_000  # items of one retry
_OBJECT = r"^[a-z][a-z_]{0,49}:[^\s\x00]{1,149}$"


def _states(value: str | None) -> str | None:
    if value is not None and not set(value.split(",")) <= set(State.values):
        raise PydanticCustomError("states", "Must be of: " + ", ".join(State.values) + ".")
    return value


# ---- what is asked ----------------------------------------------------------------------------------------


class JobFilter(Schema):
    """Which jobs to list."""

    state: Annotated[
        str | None,
        AfterValidator(_states),
        Field(
            json_schema_extra={"pattern": f"^({'|'.join(State.values)})(,({'|'.join(State.values)}))*$"},
            description="One or more states, separated by commas",
        ),
    ] = None
    source: Annotated[str | None, Field(min_length=1, max_length=50, description="A kind of ingestion")] = (
        None
    )
    object: Annotated[str | None, Field(pattern=_OBJECT, description="What they are about")] = None
    q: Annotated[str | None, Field(min_length=1, max_length=MAX_QUERY, description="In title or subject")] = (
        None
    )
    after: Annotated[Moment | None, Field(description="Made at or after this time")] = None
    before: Annotated[Moment | None, Field(description="Made before this time")] = None
    ordering: Annotated[Literal["-created_at", "created_at"], Field(description="Newest or oldest first")] = (
        "-created_at"
    )
    limit: Limit = DEFAULT_LIMIT
    cursor: Annotated[str | None, Field(max_length=5_000, description="`next` of the last answer")] = None


class SinceFilter(Schema):
    """Where the caller stands in the job's stream; a place that does not exist is no error."""

    since: Annotated[
        str | None, Field(max_length=100, description="A version you know: `events` after it are added")
    ] = None
    epoch: Annotated[str | None, Field(max_length=100, description="The epoch of that version")] = None


class ItemFilter(Schema):
    """Which items to list."""

    state: Literal[tuple(ItemState.values)] | None = None  # type: ignore[valid-type]
    limit: Limit = DEFAULT_LIMIT
    cursor: Annotated[str | None, Field(max_length=5_000)] = None


class PageFilter(Schema):
    """Which page of a list."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Annotated[str | None, Field(max_length=5_000)] = None


class WaitFilter(Schema):
    """How long to wait, and for what."""

    timeout: Annotated[float, Field(ge=0, le=60, description="Seconds")] = 30.0
    version: Annotated[
        int | None,
        Field(
            ge=0,
            lt=2**63,
            description="Answer as soon as the job's version is above; without it, when it ends",
        ),
    ] = None


class ReadyFilter(Schema):
    """About what to ask, and how long to wait for a yes."""

    object: Annotated[str, Field(pattern=_OBJECT, description="For example company:12")]
    timeout: Annotated[float, Field(ge=0, le=60, description="Seconds to wait for a yes")] = 0.0


class RetryIn(StrictModel):
    """Which failed items to try again; without a word, everything not done."""

    AS_IS: ClassVar = frozenset({"keys"})
    keys: Annotated[
        list[Annotated[str, Field(max_length=300)]] | None, Field(min_length=1, max_length=MAX_KEYS)
    ] = None
    error_code: Annotated[str | None, Field(min_length=1, max_length=50)] = None


class AnswerIn(StrictModel):
    """What a waiting job is told."""

    answer: Annotated[str, Field(pattern="^[a-z][a-z_]{0,29}$", examples=["approve", "reject"])]
    data: dict[str, Any] = {}


class StartIn(ClosedModel):
    """What every source's request has in common."""

    priority: Literal["high", "normal", "low"] = "normal"
    run_after: Annotated[Moment | None, Field(description="Not before this time, with its zone")] = None
    depends_on: Annotated[
        list[RowId],
        Field(max_length=MAX_DEPENDS_ON, description="Jobs you may see that must have ended well before"),
    ] = []
    strict: Annotated[
        bool, Field(description="Whether these must have completed; else `partial` is well enough")
    ] = False

    @property
    def priority_value(self) -> int:
        """Return the priority as the row has it."""
        return int(Priority[self.priority.upper()])


def start_adapter() -> TypeAdapter[Any]:
    """Return the reader of POST /api/jobs: one shape a registered source, told apart by `source`."""
    return _adapter(tuple(sorted(registry())))


@lru_cache(maxsize=8)
def _adapter(kinds: tuple[str, ...]) -> TypeAdapter[Any]:
    shapes = [_start_shape(kind) for kind in kinds]
    if len(shapes) == 1:
        return TypeAdapter(shapes[0])
    union: Any = Union[tuple(shapes)]  # noqa: UP007  # made at run time
    return TypeAdapter(Annotated[union, Field(discriminator="source")])


def _start_shape(kind: str) -> type[StartIn]:
    params = registry()[kind].params
    needed = any(field.is_required() for field in params.model_fields.values())
    name = f"Start{params.__name__.removesuffix('Params')}"
    fields: dict[str, Any] = {
        "source": (Literal[kind], ...),
        "params": (params, ...) if needed else (params, Field(default_factory=params)),
    }
    return cast(type[StartIn], create_model(name, __base__=StartIn, **fields))


# ---- what is answered -------------------------------------------------------------------------------------


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
