"""The registry of stream kinds: who may watch one, where it stands, what it says.

A stream is a row with a version; its name is `<kind>:<key>`. An app registers a kind with three
batch functions, so that a tick costs a fixed number of queries whatever the number of viewers.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection, models, transaction

from config.statements import execute

JsonObject = dict[str, Any]

_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class Reading(NamedTuple):
    """What a stream says: its version, all of its data, and its events after the asked version."""

    version: int
    data: JsonObject
    events: list[JsonObject]  # each with its own `version`, ascending, none above `version`
    final: bool = False  # the stream has ended; nothing will follow
    cut: bool = False  # events after the asked version were too many: these are the last 50


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of stream.

    name: the part before the colon.
    visible: of these keys (text after the colon), those that this user may watch. Total: a malformed key is
        left out, never an error.
    versions: where each key stands; absent keys have no row.
    read: what each key says, with events after the given version (None: the last 50), all as of one moment:
        one statement, or `snapshot()`.
    """

    name: str
    visible: Callable[[Any, Iterable[str]], set[str]]
    versions: Callable[[Iterable[str]], dict[str, int]]
    read: Callable[[Mapping[str, int | None]], dict[str, Reading]]


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind of stream known. Called from `AppConfig.ready`."""
    _kinds[kind.name] = kind


def kind_of(stream: str) -> tuple[Kind, str] | None:
    """Return the kind and the key of a stream's name, or None for a name that no kind knows."""
    name, colon, key = stream.partition(":")
    kind = _kinds.get(name)
    if kind is None:
        return None
    return kind, key if colon else ""


def kinds() -> dict[str, Kind]:
    """Return the registered kinds by name."""
    return dict(_kinds)


def visible(user: Any, names: Collection[str]) -> set[str]:
    """Return those of these streams that this user may watch: one question a kind."""
    keys: dict[str, set[str]] = defaultdict(set)
    for name in names:
        known = kind_of(name)
        if known is not None:
            keys[known[0].name].add(known[1])
    seen = {name: _kinds[name].visible(user, wanted) for name, wanted in keys.items()}
    return {
        name for name in names if (known := kind_of(name)) is not None and known[1] in seen[known[0].name]
    }


def seen_by_each(users: Sequence[Any], asked: Sequence[Collection[str]]) -> list[set[str]]:
    """Return for each of these users which of these streams they may watch."""
    return [visible(user, names) for user, names in zip(users, asked, strict=True)]


def numbers(keys: Iterable[str]) -> list[int]:
    """Return the keys that are primary keys in their one form: "7", not "07" or "7 ". Others are nobody's."""
    return [int(key) for key in keys if _NUMBER.fullmatch(key)]


@contextmanager
def snapshot() -> Iterator[None]:
    """Read everything inside as of one moment, so that data and events fit the version read with them."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


class Versioned(models.Model):
    """A row that is a stream: whoever changes what viewers see adds one to `version` in the same UPDATE."""

    version = models.PositiveBigIntegerField(default=1, editable=False)

    class Meta:
        abstract = True

    @classmethod
    def moved(cls, pk: Any) -> int:
        """Add one to the version of a row; return where its stream stands then, for the hint."""
        table, key = cls._meta.db_table, cls._meta.pk.column
        sql = f'UPDATE "{table}" SET version = version + 1 WHERE "{key}" = %s RETURNING version'  # nosec B608  # our own names
        [(version,)] = execute(sql, [pk])
        return int(version)
