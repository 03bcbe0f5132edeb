"""The lifelog services that we know. Another one is a file like `limitless.py`, imported in `apps.py`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

from ingestion.source import SourceError

if TYPE_CHECKING:
    from ingestion.run import Run


@dataclass(frozen=True)
class Recording:
    """An item as a service tells it."""

    source_id: str
    title: str
    markdown: str
    contents: list[Any]
    started_at: datetime
    ended_at: datetime
    starred: bool = False
    updated_at: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Some of a day's items, ascending. following: the cursor of the next page, empty at the end."""

    items: list[Recording] = field(default_factory=list)
    following: str = ""


class KeyRefused(SourceError):
    """The service does not take the key (any more)."""


class Client(Protocol):
    """A service as one job and one account see it. Its methods may be called by several threads."""

    refusal: KeyRefused | None  # set once the key was not taken: nothing more is asked

    def clock(self) -> datetime:
        """Return what time it is for this account."""

    def page(self, day: date, zone: ZoneInfo, cursor: str = "") -> Page:
        """Return a page of what began on a local day. Raises SourceError."""

    def listed(self, day: date, zone: ZoneInfo) -> dict[str, datetime | None] | None:
        """Return by id when each item of a day was last changed, in one request; None: too many for that."""

    def began(self, source_id: str) -> datetime | None:
        """Return when an item began, None when it is there no more. Raises SourceError."""


@dataclass(frozen=True)
class Service:
    """A kind of account.

    name: in the database, in frames, and as the namespace of its items. label: for people.
    open: makes a client of (job, key, account's fingerprint, sample's birth or None).
    """

    name: str
    label: str
    open: Callable[["Run", str, str, datetime | None], AbstractContextManager[Client]]


_services: dict[str, Service] = {}


def register(service: Service) -> None:
    """Make a service known."""
    _services[service.name] = service


def get(name: str) -> Service:
    """Return a service. Raises KeyError."""
    return _services[name]


def known() -> list[Service]:
    """Return all services."""
    return list(_services.values())
