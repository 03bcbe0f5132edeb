"""The contract for authors: declare a source here, and the engine does everything around it."""

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

from config import texts
from ingestion.errors import SourceError as SourceError  # a part of the contract

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet

    from ingestion.run import Run

KIND = re.compile(r"[a-z][a-z0-9_]{1,49}")
QUEUES = ("default", "analytics", "light")


class SourceParams(BaseModel):
    """What a source is asked to do. Form, command and OpenAPI are made from its fields."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_plain(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse control characters in texts and lists of text; a text of which nothing shows is empty."""
        chosen = texts.is_word(cls.model_fields[info.field_name or ""].annotation)
        return value if chosen else texts.judged(value)


class NoParams(SourceParams):
    """For sources that need none."""


# A file given before the job: the id of an `Upload` of the person who starts the job.
# In a form it is a file field, on the command line a path.
UploadId = Annotated[UUID, Field(json_schema_extra={"format": "upload"})]


@dataclass(frozen=True)
class Step:
    """A named phase of a job.

    name: short identifier. label: for people. weight: its share of the whole job's progress, any unit.
    """

    name: str
    label: str
    weight: float = 1.0


@dataclass(frozen=True)
class Retry:
    """How often and when a failed attempt is made again (failures outside items).

    times: further attempts. backoff: seconds before the first, doubled each time, with full jitter.
    most: longest wait in seconds.
    """

    times: int = 3
    backoff: float = 5.0
    most: float = 900.0


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    text: one sentence for the user. url: where the result is. data: JSON kept with the job.
    partial: something of what was given could not be used, though every item is done; no retry is offered.
    quiet: nothing is new; where a schedule started the job, its end is kept in the inbox as read.
    """

    text: str = ""
    url: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    partial: bool = False
    quiet: bool = False


class Source:
    """A kind of ingestion. Subclass, declare, write `run`, decorate with `@register`."""

    kind: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str] = ""
    params: ClassVar[type[SourceParams]] = NoParams
    steps: ClassVar[list[Step]] = []
    item_noun: ClassVar[str] = "items"  # what an item is called, plural: "filings"
    # What the job's page shows of an item's result, by its name: then its items are a table, however few.
    item_columns: ClassVar[Mapping[str, str]] = {}
    title: ClassVar[str] = ""  # a format over the params; default: the label
    subject: ClassVar[str] = ""  # a format over the params: "{ticker}"
    unique: ClassVar[str | None] = None  # a format over the params; override `unique_key` for more
    shared: ClassVar[bool] = False  # one open job per key for everybody, not per owner
    limit: ClassVar[int] = 3  # running at once, all users together
    limit_key: ClassVar[str] = ""  # a format over the params: `key_limit` at once for each value
    key_limit: ClassVar[int] = 1
    retry: ClassVar[Retry] = Retry()
    item_waits: ClassVar[tuple[float, ...]] = (1.0, 5.0)  # seconds before an item's second and third try
    partial_at: ClassVar[float] = 1.0  # failed share of the items from which the job counts as failed
    queue: ClassVar[str] = "default"
    offered: ClassVar[bool] = True  # False: the pages do not offer it; the system starts it
    fork: ClassVar[bool] = True  # False: short work, run inside the `light` worker without a fork
    time_limit: ClassVar[float | None] = None  # seconds an attempt may take; None: no limit
    # Small params that make a good run, of a file its content: the contract test runs each source with them.
    example: ClassVar[Mapping[str, Any]] = {}

    def run(self, job: "Run", p: Any) -> Outcome | None:
        """Do the ingestion. `p` is an instance of `params`."""
        raise NotImplementedError

    def unique_key(self, p: Any) -> str | None:
        """Return what makes two jobs the same work (local look-up only), or None."""
        return None if self.unique is None else self.unique.format(**_plain(p))

    def describe(self, p: Any) -> tuple[str, str]:
        """Return (title, subject) of a job with these params."""
        values = _plain(p)
        return (self.title or self.label).format(**values), self.subject.format(**values)

    def choices(self, name: str) -> list[tuple[str, str]] | None:
        """Return what a form offers for a param as (value, label), or None where it is typed."""
        return None

    def limit_key_of(self, p: Any) -> str:
        """Return the key whose jobs share `key_limit` slots, or an empty text."""
        return self.limit_key.format(**_plain(p)) if self.limit_key else ""

    def stored_params(self, params: Mapping[str, Any]) -> Any:
        """Return the params of a job that was made earlier. Raises SourceError when they no longer fit."""
        try:
            return self.params.model_validate(params)
        except ValidationError as error:
            text = f"The parameters no longer fit this source: {error.errors()[0]['msg']}"
            raise SourceError("validation_failed", text) from error

    def can_start(self, user: Any, p: Any) -> None:
        """Raise SourceError when this user may not start this job. Uploads are checked by the engine."""

    def can_retry(self, job: Any) -> None:
        """Raise SourceError when nothing can go on with what this ended job left."""

    def asks_first(self, p: Any) -> tuple[str, str] | None:
        """Return (kind, text) of what a person must give before anything starts, or None."""
        return None

    def created(self, job: Any, p: Any) -> None:
        """Set what the row should say from the first moment, in the creating transaction."""

    def may_answer(self, job: Any, kind: str, user: Any) -> bool:
        """Say whether somebody who may act on the job may answer a question of this kind."""
        return True

    def reviewers(self) -> "QuerySet[User] | None":
        """Return who is told, beside a job's own people, when one waits for review; None for nobody more.

        They are led to `review_url`, a page that they may see, and their rows follow the job from then on.
        Both are asked in the transaction of each move: short, and of this database alone.
        """
        return None

    def review_url(self, job: Any) -> str:
        """Return the path of the page on which a job is reviewed, or an empty text for the job's own."""
        return ""

    def answered(
        self, job: Any, kind: str, answer: str, data: Mapping[str, Any], by: Any
    ) -> Mapping[str, Any]:
        """Check what a person answers, in the transaction that takes it; return the data to keep.

        kind: of the question. Raises SourceError with a code of the catalogue; then nothing was answered.
        """
        return data

    def ended(self, job: Any) -> None:
        """Follow a job's end in the transaction that ends it. Short: it holds the job's row."""


S = TypeVar("S", bound=type[Source])
_registry: dict[str, Source] = {}


def register(cls: S) -> S:
    """Make a source known under its `kind`.

    Raises ValueError for a declaration that cannot work; the process does not start with one.
    """
    kind = getattr(cls, "kind", "")
    if not KIND.fullmatch(kind):
        raise ValueError(f"{cls.__name__}.kind must be lower-case letters, digits and _: {kind!r}")
    if kind in _registry and type(_registry[kind]).__qualname__ != cls.__qualname__:
        raise ValueError(f"Two sources are called {kind!r}")
    if not getattr(cls, "label", ""):
        raise ValueError(f"{cls.__name__}.label is missing")
    names = [step.name for step in cls.steps]
    if len(set(names)) != len(names):
        raise ValueError(f"{cls.__name__}.steps has a name twice")
    if not cls.fork:
        cls.queue = "light"
    if cls.queue not in QUEUES:
        raise ValueError(f"{cls.__name__}.queue must be one of {', '.join(QUEUES)}")
    for template in (cls.unique, cls.limit_key, cls.title, cls.subject):
        for _, name, _, _ in string.Formatter().parse(template or ""):
            if name and name.split(".")[0] not in cls.params.model_fields:
                raise ValueError(f"{cls.__name__}: {{{name}}} is not one of its params")
    # django-ninja lets two classes of one name share one OpenAPI component, silently.
    cls.params = create_model(
        "".join(part.title() for part in kind.split("_")) + "Params",
        __base__=cls.params,
        __module__=cls.__module__,
    )
    _registry[kind] = cls()
    return cls


def source(kind: str, **declared: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function a source: `@source("ping") def ping(job): ...`.

    Its second argument, when it has one, is annotated with its params class. `declared` are attributes of
    Source, for example `label=` or `steps=`.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        annotations = [a for name, a in function.__annotations__.items() if name != "return"]
        params = next((a for a in annotations if isinstance(a, type) and issubclass(a, SourceParams)), None)
        takes_params = function.__code__.co_argcount > 1

        def run(self: Source, job: "Run", p: Any) -> Outcome | None:
            result = function(job, p) if takes_params else function(job)
            return result if isinstance(result, Outcome) else None

        body = {
            "kind": kind,
            "label": kind.replace("_", " ").capitalize(),
            "description": (function.__doc__ or "").strip().split("\n")[0],
            "params": params or NoParams,
            "run": run,
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            **declared,
        }
        register(type(function.__name__, (Source,), body))
        return function

    return decorate


def get(kind: str) -> Source:
    """Return the source called `kind`. Raises KeyError when there is none."""
    return _registry[kind]


def find(kind: str) -> Source | None:
    """Return the source called `kind`, or None."""
    return _registry.get(kind)


def registry() -> dict[str, Source]:
    """Return every registered source by kind, in the order of their labels."""
    return dict(sorted(_registry.items(), key=lambda pair: pair[1].label.lower()))


def upload_fields(params: type[BaseModel]) -> list[str]:
    """Return the names of the fields that hold the id of an upload."""
    return [
        name
        for name, info in params.model_fields.items()
        if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("format") == "upload"
    ]


def _plain(p: BaseModel) -> dict[str, Any]:
    return {name: getattr(p, name) for name in type(p).model_fields}
