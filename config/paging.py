"""Keyset paging: a cursor says where the last page ended, for one user and one set of filters only."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core import signing
from django.db.models import QuerySet

from config.problems import Problem

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR = 3500  # characters; ours are about 150, of the longest identifiers of units 3,300


@dataclass(frozen=True)
class Scope:
    """What a cursor is bound to: an address, who asks, and the filters they ask with."""

    name: str
    user: int
    filters: Mapping[str, Any]

    def salt(self) -> str:
        """Return the text that makes signatures of other scopes invalid here."""
        filters = json.dumps(self.filters, sort_keys=True, default=str)
        return f"paging:{self.name}:{self.user}:{hashlib.sha256(filters.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class Order:
    """An order of rows in which a page is found by where the one before ended.

    by: for `order_by`. key: the fields that say where a row stands, of no two rows alike. after: keeps the
    rows behind a key.
    """

    by: Sequence[Any]
    key: Sequence[str]
    after: Callable[[QuerySet[Any], Sequence[Any]], QuerySet[Any]]


NEWEST = Order(["-pk"], ["pk"], lambda rows, key: rows.filter(pk__lt=key[0]))


def read_cursor(scope: Scope, cursor: str | None) -> Any:
    """Return the key after which the page starts, or None for the first page. Raises Problem bad_cursor."""
    if cursor is None:
        return None
    if len(cursor) <= MAX_CURSOR:
        try:
            return signing.loads(cursor, salt=scope.salt())
        except (signing.BadSignature, ValueError):
            pass
    raise Problem("bad_cursor", name="cursor", reason="start again without it")


def make_cursor(scope: Scope, key: Any) -> str:
    """Return the cursor of the page after the row with this key (JSON)."""
    return signing.dumps(key, salt=scope.salt())


def page(rows: Sequence[T], limit: int, scope: Scope, key: Callable[[T], Any]) -> tuple[list[T], str | None]:
    """Cut `limit` + 1 fetched rows to a page. Return them and the next cursor, None on the last page."""
    if len(rows) <= limit:
        return list(rows), None
    shown = list(rows[:limit])
    return shown, make_cursor(scope, key(shown[-1]))
