"""What the API is asked, as it is documented; `api_answers.py` has what it answers."""

from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Union, cast

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
