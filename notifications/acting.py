"""What users do with their notifications: by ids, by a filter, or undoing what was done at a time.

Each verb locks the user's inbox, makes one statement, and changes `Inbox.unread` by what that changed. Doing
a thing twice, or too late, changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import transaction

from config.statements import execute
from notifications import broadcasts, listing
from notifications.listing import Filter
from notifications.models import Inbox, Notification
from notifications.telling import unread
from realtime.publish import publish

_ROWS = Notification._meta.db_table
_INBOX = Inbox._meta.db_table

Chosen = Iterable[int] | Filter | datetime


@dataclass(frozen=True)
class Touched:
    """What a verb has changed: the entries' ids, and the time that says so for undoing it.

    until: of snoozes that were ended, until when they would have lasted.
    """

    ids: list[int]
    at: datetime | None = None
    until: Mapping[int, datetime | None] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Return how many."""
        return len(self.ids)


@dataclass(frozen=True)
class _Verb:
    """How a verb writes a row that is to change. undoes: the column whose time an undo names."""

    sets: str
    where: str
    receipt: str = ""
    clears: bool = False
    undoes: str = ""


# Of the times that are given, that of this row.
_ITS_TIME = "(%(until)s::timestamptz[])[array_position(%(ids)s::bigint[], n.id)]"
_VERBS = {
    "see": _Verb("seen_at = %(at)s", "n.seen_at IS NULL", "seen_at"),
    "read": _Verb("read_at = %(at)s, seen_at = coalesce(n.seen_at, %(at)s)", "n.read_at IS NULL", "read_at"),
    "unread": _Verb("read_at = NULL", "n.read_at IS NOT NULL", "read_at", clears=True, undoes="read_at"),
    "archive": _Verb(
        "archived_at = %(at)s, snoozed_at = NULL, snoozed_until = NULL",
        "n.archived_at IS NULL",
        "archived_at",
    ),
    "restore": _Verb(
        "archived_at = NULL", "n.archived_at IS NOT NULL", "archived_at", clears=True, undoes="archived_at"
    ),
    "snooze": _Verb(
        "snoozed_at = %(at)s, snoozed_until = %(until)s, archived_at = NULL",
        "(n.snoozed_at IS NULL OR n.snoozed_until IS DISTINCT FROM %(until)s)"
        # Until it finishes: only what will speak again. Otherwise it would never come back.
        " AND (%(until)s::timestamptz IS NOT NULL OR n.data->>'open' = 'true')",
    ),
    "snooze_again": _Verb(
        f"snoozed_at = %(at)s, snoozed_until = {_ITS_TIME}",
        "n.snoozed_at IS NULL AND n.archived_at IS NULL"
        f" AND ({_ITS_TIME} IS NOT NULL OR n.data->>'open' = 'true')",
    ),
    "wake": _Verb("snoozed_at = NULL, snoozed_until = NULL", "n.snoozed_at IS NOT NULL", undoes="snoozed_at"),
}


def see(user: Any, chosen: Chosen) -> Touched:
    """Note that the user had them before their eyes; they stay unread."""
    return _act(user, "see", chosen)


def read(user: Any, chosen: Chosen) -> Touched:
    """Mark them read."""
    return _act(user, "read", chosen)


def unread_again(user: Any, chosen: Chosen) -> Touched:
    """Mark them unread."""
    return _act(user, "unread", chosen)


def archive(user: Any, chosen: Chosen) -> Touched:
    """Put them away; news of the same thing brings them back."""
    return _act(user, "archive", chosen)


def restore(user: Any, chosen: Chosen) -> Touched:
    """Bring archived ones back to where they were."""
    return _act(user, "restore", chosen)


def snooze(user: Any, chosen: Chosen, until: datetime | None) -> Touched:
    """Put them away until a time, or (None) until what they are about has ended or needs the user.

    Broadcasts are not snoozed.
    """
    return _act(user, "snooze", chosen, until)


def wake(user: Any, chosen: Chosen) -> Touched:
    """End snoozes now; the rows are where and as they were."""
    with transaction.atomic():
        _lock(user.pk)
        condition, values = _own(chosen, _VERBS["wake"])
        until = execute(
            f"""
            SELECT n.id, n.snoozed_until FROM {_ROWS} n
            WHERE n.recipient_id = %(user)s AND n.snoozed_at IS NOT NULL AND {condition}
            """,  # nosec B608  # conditions of ours, values as parameters
            values | {"user": user.pk},
        )
        return replace(_act(user, "wake", chosen), until=dict(until))


def snooze_again(user: Any, until: Mapping[int, datetime | None]) -> Touched:
    """Put off again what was woken, each until its own time; what has been archived since stays so."""
    ids = sorted(until)
    return _act(user, "snooze_again", ids, [until[pk] for pk in ids])


def delete(user: Any, chosen: Chosen) -> Touched:
    """Remove them for good."""
    with transaction.atomic():
        at = _lock(user.pk)
        condition, values = _own(chosen, None)
        rows = execute(
            f"""
            DELETE FROM {_ROWS} n WHERE n.recipient_id = %(user)s AND {condition}
            RETURNING n.id, {unread("n")}::int
            """,  # nosec B608  # conditions of ours, values as parameters
            values | {"user": user.pk},
        )
        shared = broadcasts.write_receipts(user.pk, _shared(user, chosen), "deleted_at", at)
        return _close(user.pk, at, [(pk, -was) for pk, was in rows], shared)


def _act(
    user: Any, name: str, chosen: Chosen, until: datetime | list[datetime | None] | None = None
) -> Touched:
    verb = _VERBS[name]
    with transaction.atomic():
        at = _lock(user.pk)
        condition, values = _own(chosen, verb)
        rows = execute(
            f"""
            UPDATE {_ROWS} n SET was_unread = {unread("n")}, {verb.sets}
            WHERE n.recipient_id = %(user)s AND {verb.where} AND {condition}
            RETURNING n.id, {unread("n")}::int - n.was_unread::int
            """,  # nosec B608  # conditions of ours, values as parameters
            values | {"user": user.pk, "at": at, "until": until},
        )
        shared = []
        if verb.receipt:
            value = None if verb.clears else at
            shared = broadcasts.write_receipts(user.pk, _shared(user, chosen, verb), verb.receipt, value)
        return _close(user.pk, at, rows, shared)


def _lock(user_id: int) -> datetime:
    """Lock a user's inbox, making it when there is none yet; return the time of what follows."""
    rows: list[tuple[datetime]] = execute(
        f"""
        INSERT INTO {_INBOX} AS inbox (user_id, version, unread) VALUES (%s, 0, 0)
        ON CONFLICT (user_id) DO UPDATE SET version = inbox.version RETURNING clock_timestamp()
        """,  # nosec B608  # the name of our own table
        [user_id],
    )
    return rows[0][0]


def _own(chosen: Chosen, verb: _Verb | None) -> tuple[str, dict[str, Any]]:
    """Return the SQL condition on the user's own rows and its parameters."""
    if isinstance(chosen, Filter):
        return chosen.condition()
    if isinstance(chosen, datetime):
        if verb is None or not verb.undoes:
            raise ValueError("only what undoes something can be chosen by a time")
        return f"n.{verb.undoes} = %(done_at)s", {"done_at": chosen}
    return "n.id = ANY(%(ids)s)", {"ids": sorted(pk for pk in set(chosen) if pk > 0)}


def _shared(user: Any, chosen: Chosen, verb: _Verb | None = None) -> list[int]:
    """Return the broadcasts that are meant."""
    if not isinstance(chosen, Filter | datetime):
        wanted = {pk for pk in chosen if pk < 0}
        return [-entry.id for entry in listing.live(user) if entry.id in wanted] if wanted else []
    if isinstance(chosen, datetime):
        column = verb.undoes if verb else ""
        return [-entry.id for entry in listing.live(user) if getattr(entry, column) == chosen]
    return [-entry.id for entry in listing.live(user) if chosen.matches(entry)]


def _close(user_id: int, at: datetime, rows: Iterable[tuple[int, int]], shared: list[int]) -> Touched:
    """Write the count, move the stream once, and say what was touched."""
    rows = list(rows)
    ids = [pk for pk, _ in rows] + [-pk for pk in shared]
    if ids:
        ((version,),) = execute(
            f"""
            UPDATE {_INBOX} SET version = version + 1, unread = unread + %s WHERE user_id = %s
            RETURNING version
            """,  # nosec B608  # the name of our own table
            [sum(change for _, change in rows), user_id],
        )
        publish(f"user:{user_id}", version, urgent=True)
    return Touched(ids, at)
