"""What a list of notifications shows: an entry a row, alike for a user's own rows and for broadcasts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from notifications import links, types
from notifications.models import Broadcast, BroadcastReceipt

FOLD_WITHIN = timedelta(minutes=10)
FOLD_FROM = 3  # so many of one type are drawn as one

# The columns of `of_row`, of the table `notification` under the name `n`.
COLUMNS = """n.id, n.type, n.level, n.title, n.text, n.url, n.about, n.version, n.data, n.created_at,
    n.updated_at, n.seen_at, n.read_at, n.archived_at, n.snoozed_at, n.snoozed_until"""


@dataclass(frozen=True)
class Entry:
    """One line of an inbox. The id of a broadcast is negative, so that each line has one id of one kind."""

    id: int
    type: str
    level: str
    title: str
    text: str
    url: str
    about: str | None
    version: int
    data: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    seen_at: datetime | None
    read_at: datetime | None
    archived_at: datetime | None
    snoozed_at: datetime | None
    snoozed_until: datetime | None

    @property
    def is_unread(self) -> bool:
        """Say whether it counts as unread."""
        return self.read_at is None and self.archived_at is None and self.snoozed_at is None

    @property
    def is_broadcast(self) -> bool:
        """Say whether everybody has it."""
        return self.id < 0

    @property
    def group(self) -> str:
        """Return the word of the type filter."""
        return types.group_of(self.type)

    @property
    def key(self) -> tuple[datetime, int]:
        """Return its place in a list, newest first."""
        return self.updated_at, self.id


def of_row(row: Sequence[Any], data: dict[str, Any]) -> Entry:
    """Return the entry of a row of `COLUMNS`; data: its JSON, read."""
    values: list[Any] = [*row[:8], data, *row[9:]]
    return Entry(*values)


def of_broadcast(broadcast: Broadcast, receipt: BroadcastReceipt | None) -> Entry:
    """Return the entry of a broadcast for a user with this receipt."""
    return Entry(
        id=-broadcast.pk,
        type=broadcast.type,
        level=broadcast.level,
        title=broadcast.title,
        text=broadcast.text,
        url=broadcast.url,
        about=None,
        version=1,
        data={},
        created_at=broadcast.published_at,
        updated_at=broadcast.published_at,
        seen_at=receipt.seen_at if receipt else None,
        read_at=receipt.read_at if receipt else None,
        archived_at=receipt.archived_at if receipt else None,
        snoozed_at=None,
        snoozed_until=None,
    )


def json_of(entry: Entry) -> dict[str, Any]:
    """Return what the API and the streams say of an entry. link: as stored; href: what a page may link to."""
    return {
        "id": entry.id,
        "type": entry.type,
        "group": entry.group,
        "level": entry.level,
        "title": entry.title,
        "message": entry.text,
        "link": entry.url or None,
        "href": links.href(entry.url) or None,
        "about": entry.about,
        "version": entry.version,
        "unread": entry.is_unread,
        "broadcast": entry.is_broadcast,
        "created_at": _time(entry.created_at),
        "updated_at": _time(entry.updated_at),
        "seen_at": _time(entry.seen_at),
        "read_at": _time(entry.read_at),
        "archived_at": _time(entry.archived_at),
        "snoozed_at": _time(entry.snoozed_at),
        "snoozed_until": _time(entry.snoozed_until),
    }


def _time(value: datetime | None) -> str | None:
    # All six digits: what is given back as `before` must not leave out the row it was read from.
    return None if value is None else value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


@dataclass
class Fold:
    """Entries that are drawn as one, newest first; mostly one alone."""

    entries: list[Entry] = field(default_factory=list)

    @property
    def first(self) -> Entry:
        """Return the newest."""
        return self.entries[0]

    @property
    def folded(self) -> bool:
        """Say whether it stands for several."""
        return len(self.entries) > 1

    @property
    def title(self) -> str:
        """Return the line that stands for all."""
        if not self.folded:
            return self.first.title
        return types.known(self.first.type).many.format(n=f"{len(self.entries):,}")

    @property
    def is_unread(self) -> bool:
        """Say whether any of them is unread."""
        return any(entry.is_unread for entry in self.entries)


def fold(entries: Iterable[Entry]) -> list[Fold]:
    """Draw bursts of one type as one, each at the place of its newest; counts go on counting rows.

    entries: newest first. A burst is three or more of a type that has words for it, within 10 minutes.
    """
    folds: list[Fold] = []
    open_ones: dict[str, Fold] = {}
    for entry in entries:
        kind = types.declared().get(entry.type)
        burst = open_ones.get(entry.type)
        if kind is None or not kind.many:
            folds.append(Fold([entry]))
        elif burst is not None and burst.first.updated_at - entry.updated_at <= FOLD_WITHIN:
            burst.entries.append(entry)
        else:
            open_ones[entry.type] = Fold([entry])
            folds.append(open_ones[entry.type])
    drawn = []
    for one in folds:
        drawn += [one] if len(one.entries) >= FOLD_FROM else [Fold([entry]) for entry in one.entries]
    return sorted(drawn, key=lambda one: one.first.key, reverse=True)
