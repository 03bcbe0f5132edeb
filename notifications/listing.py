"""Lists of a user's notifications: views, type filter, search, pages by key, broadcasts among them."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from config.statements import execute
from notifications import broadcasts, types
from notifications.entries import COLUMNS, Entry, of_broadcast, of_row
from notifications.models import Inbox, Notification
from notifications.telling import unread

MAX_SEARCH = 200  # characters
MOST_AT_ONCE = 1000  # entries of a file that are read together
MOST_COUNTED = 10_000  # rows that a page looks at to say how many there are

# What anybody may ask for by name; "read" is for deleting alone.
View = Literal["inbox", "unread", "snoozed", "archived", "all"]
SHOWN: tuple[str, ...] = get_args(View)

_ROWS = Notification._meta.db_table
# What each view shows, as a condition on the table `n`, written as the partial indexes are.
VIEWS: Mapping[str, str] = {
    "inbox": "n.archived_at IS NULL AND n.snoozed_at IS NULL",
    "unread": unread("n"),
    "snoozed": "n.snoozed_at IS NOT NULL",
    "archived": "n.archived_at IS NOT NULL",
    "all": "true",
    # Read and in the inbox: what is put away for later or for good is no part of "all read".
    "read": "n.read_at IS NOT NULL AND n.archived_at IS NULL AND n.snoozed_at IS NULL",
}
# The same for broadcasts, which are not snoozed.
_BROADCAST_VIEWS: Mapping[str, Callable[[Entry], bool]] = {
    "inbox": lambda entry: entry.archived_at is None,
    "unread": lambda entry: entry.is_unread,
    "snoozed": lambda entry: False,
    "archived": lambda entry: entry.archived_at is not None,
    "all": lambda entry: True,
    "read": lambda entry: entry.read_at is not None and entry.archived_at is None,
}


_OWN = f"coalesce((SELECT unread FROM {Inbox._meta.db_table} WHERE user_id = %s), 0)"  # nosec B608
_SHARED = f"SELECT count FROM ({broadcasts.UNREAD}) shared(user_id, count)"  # nosec B608


@dataclass(frozen=True)
class Filter:
    """Which notifications: a view, a group of types, words in title or text, last changed by a time.

    until: what came later is not meant; the time at which a page was made, for what is done from it.
    """

    view: str = "inbox"
    group: str = ""
    search: str = ""
    until: datetime | None = None

    def condition(self) -> tuple[str, dict[str, Any]]:
        """Return the SQL condition on `n` and its parameters. Raises KeyError for no view."""
        texts, values = [VIEWS[self.view]], dict[str, Any]()
        if self.group == types.OTHER:
            # Also what nobody declares any more.
            texts.append("n.type <> ALL(%(of_types)s)")
            values["of_types"] = types.names_beside(types.OTHER)
        elif self.group:
            texts.append("n.type = ANY(%(of_types)s)")
            values["of_types"] = types.names_of(self.group)
        if self.search:
            texts.append("(n.title ILIKE %(sought)s OR n.text ILIKE %(sought)s)")
            values["sought"] = self._pattern()
        if self.until is not None:
            texts.append("n.updated_at <= %(not_after)s")
            values["not_after"] = self.until
        return " AND ".join(texts), values

    def matches(self, entry: Entry) -> bool:
        """Say whether a broadcast is meant."""
        sought = self.search[:MAX_SEARCH].lower()
        return (
            _BROADCAST_VIEWS[self.view](entry)
            and (not self.group or entry.group == self.group)
            and (not sought or sought in entry.title.lower() or sought in entry.text.lower())
            and (self.until is None or entry.updated_at <= self.until)
        )

    def _pattern(self) -> str:
        text = self.search[:MAX_SEARCH]
        for special in ("\\", "%", "_"):
            text = text.replace(special, "\\" + special)
        return f"%{text}%"


def entries(
    user: Any,
    wanted: Filter,
    *,
    limit: int,
    after: tuple[datetime, int] | None = None,
    shared: Sequence[Entry] | None = None,
) -> list[Entry]:
    """Return the newest entries of a user that match, after a place (`Entry.key`).

    shared: what `live` returns, when the caller knows it.
    """
    condition, values = wanted.condition()
    place = ""
    if after is not None:
        place = "AND (n.updated_at, n.id) < (%(after)s, %(after_id)s)"
        values |= {"after": after[0], "after_id": after[1]}
    rows = execute(
        f"""
        SELECT {COLUMNS} FROM {_ROWS} n WHERE n.recipient_id = %(user)s AND {condition} {place}
        ORDER BY n.updated_at DESC, n.id DESC LIMIT %(limit)s
        """,  # nosec B608  # conditions of ours, values as parameters
        values | {"user": user.pk, "limit": limit},
    )
    own = [of_row(row, json.loads(row[8])) for row in rows]
    among = [
        entry
        for entry in (live(user) if shared is None else shared)
        if wanted.matches(entry) and (after is None or entry.key < tuple(after))
    ]
    if not among:
        return own
    return sorted(own + among, key=lambda entry: entry.key, reverse=True)[:limit]


def pages(user: Any, wanted: Filter) -> Iterator[list[Entry]]:
    """Yield all entries of a user that match, the newest first, some at a time."""
    after = None
    while some := entries(user, wanted, limit=MOST_AT_ONCE, after=after):
        yield some
        after = some[-1].key


def bell(user: Any, most: int, shared: Sequence[Entry] | None = None) -> list[Entry]:
    """Return the newest entries of a user, the unread ones first. shared: as of `entries`."""
    found = entries(user, Filter("unread"), limit=most, shared=shared)
    if len(found) < most:
        # Fewer than `most` are unread, so that twice as many hold enough that are read.
        newest = entries(user, Filter("inbox"), limit=2 * most, shared=shared)
        known = {entry.id for entry in found}  # one may have been read meanwhile
        found += [one for one in newest if not one.is_unread and one.id not in known][: most - len(found)]
    return found


def place_of(entry: Entry) -> list[Any]:
    """Return an entry's place as a cursor keeps it."""
    return [entry.updated_at.isoformat(), entry.id]


def read_place(kept: Sequence[Any]) -> tuple[datetime, int]:
    """Return the place that a cursor kept."""
    return datetime.fromisoformat(kept[0]), kept[1]


def live(user: Any) -> list[Entry]:
    """Return the broadcasts that this user has and has not deleted, newest first."""
    found = [one for one in broadcasts.live() if one.published_at >= user.date_joined]
    if not found:
        return []
    receipts = broadcasts.receipts_of(user.pk, [one.pk for one in found])
    return [
        of_broadcast(one, receipts.get(one.pk))
        for one in found
        if one.pk not in receipts or receipts[one.pk].deleted_at is None
    ]


def latest(user: Any) -> tuple[datetime, list[Entry]]:
    """Return when something last came to a user's lists, and what `live` returns.

    What a list that is read after this, with these broadcasts, lacks came later.

    Exact for own rows: their times are taken under the lock of the inbox, so they are committed in order.
    A time of a clock would be later than rows that are written but not committed yet.
    """
    rows: list[tuple[datetime]] = execute(
        f"""
        SELECT n.updated_at FROM {_ROWS} n WHERE n.recipient_id = %s
        ORDER BY n.updated_at DESC, n.id DESC LIMIT 1
        """,  # nosec B608  # the name of our own table
        [user.pk],
    )
    shared = live(user)
    times = [at for (at,) in rows] + [entry.updated_at for entry in shared[:1]]
    joined: datetime = user.date_joined
    return max(times, default=joined), shared


def one(user: Any, entry_id: int) -> Entry | None:
    """Return one entry of a user's; None for somebody else's as for none at all."""
    if entry_id < 0:
        return next((entry for entry in live(user) if entry.id == entry_id), None)
    rows = execute(
        f"SELECT {COLUMNS} FROM {_ROWS} n WHERE n.recipient_id = %s AND n.id = %s",  # nosec B608
        [user.pk, entry_id],
    )
    return of_row(rows[0], json.loads(rows[0][8])) if rows else None


def unread_count(user: Any) -> int:
    """Return the number that bell, menu and title show: own rows and broadcasts."""
    return int(execute(f"SELECT {_OWN} + coalesce(({_SHARED}), 0)", [user.pk, [user.pk]])[0][0])  # nosec B608


def version(user: Any) -> int:
    """Return where the user's stream stands, so that a page knows what it has painted."""
    return Inbox.objects.filter(user=user.pk).values_list("version", flat=True).first() or 0


def _own_unread(user: Any) -> int:
    return int(execute(f"SELECT {_OWN}", [user.pk])[0][0])  # nosec B608


def count_own(user: Any, wanted: Filter) -> int:
    """Return how many of a user's own rows match, which is what a verb that spares broadcasts means."""
    condition, values = wanted.condition()
    sql = f"SELECT count(*) FROM {_ROWS} n WHERE n.recipient_id = %(user)s AND {condition}"  # nosec B608
    return int(execute(sql, values | {"user": user.pk})[0][0])


@dataclass(frozen=True)
class Counts:
    """How many entries there are. views: by view; groups: of the filter's own view, by the group of the type.

    is_all: False when MOST_COUNTED rows were looked at, and older ones not.
    """

    views: Mapping[str, int]
    groups: Counter[str]
    is_all: bool


def counts(user: Any, wanted: Filter, views: Sequence[str], shared: Sequence[Entry]) -> Counts:
    """Return how many entries match in each of these views, whatever group the filter names.

    views: with the filter's own. shared: what `live` returns. One statement looks at the newest MOST_COUNTED
    rows; how many are unread, if nothing is sought, the inbox knows exactly.
    """
    ours = [Filter(name, "", wanted.search, wanted.until) for name in views]
    # The piles that no view asks for are not looked at.
    piles = " OR ".join(f"({VIEWS[name]})" for name in views)
    condition, values = Filter("all", "", wanted.search, wanted.until).condition()
    sums = ", ".join(f"count(*) FILTER (WHERE {VIEWS[name]})" for name in views)
    rows = execute(
        f"""
        SELECT n.type, count(*), {sums} FROM (
            SELECT n.type, n.read_at, n.archived_at, n.snoozed_at FROM {_ROWS} n
            WHERE n.recipient_id = %(user)s AND ({piles}) AND {condition}
            ORDER BY n.updated_at DESC, n.id DESC LIMIT %(most)s
        ) n GROUP BY 1
        """,  # nosec B608  # conditions of ours, values as parameters
        values | {"user": user.pk, "most": MOST_COUNTED},
    )
    by_view = {one.view: sum(map(one.matches, shared)) for one in ours}
    groups = Counter(entry.group for entry in shared if ours[views.index(wanted.view)].matches(entry))
    for kind, _, *found in rows:
        for name, count in zip(views, found, strict=True):
            by_view[name] += count
            if name == wanted.view and count:
                groups[types.group_of(kind)] += count
    if "unread" in views and not wanted.search and wanted.until is None:
        by_view["unread"] = _own_unread(user) + sum(entry.is_unread for entry in shared)
    return Counts(by_view, groups, sum(looked_at for _, looked_at, *_ in rows) < MOST_COUNTED)
