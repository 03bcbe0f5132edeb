"""What the keeper does for inboxes: snoozes that end, rows kept long enough, counts that must be right."""

import time
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Now

from config import patience
from config.statements import execute
from notifications import outbox
from notifications.models import Broadcast, Delivery, DeliveryState, Inbox, Notification
from notifications.telling import unread
from realtime.publish import publish

log = structlog.get_logger(__name__)

BATCH = 1000  # rows or users that one transaction looks at
PER_TICK = 200  # users whose snoozes end in one tick
COMPARE_EVERY = 24 * 3600.0  # seconds

_ROWS = Notification._meta.db_table
_INBOX = Inbox._meta.db_table

_SLEEPERS = f"""
    SELECT DISTINCT recipient_id FROM (
        SELECT recipient_id FROM {_ROWS} WHERE snoozed_at IS NOT NULL AND snoozed_until <= clock_timestamp()
        ORDER BY snoozed_until LIMIT %s
    ) due ORDER BY 1
"""  # nosec B608  # names of our own tables
_LOCK = f"SELECT 1 FROM {_INBOX} WHERE user_id = %s FOR UPDATE"  # nosec B608
# Their own condition once more, after the lock: another keeper may have ended them, or the user. What came
# while they slept and nobody read has left neither by mail nor by webhook.
_END = f"""
    WITH due AS MATERIALIZED (
        SELECT id, updated_at > snoozed_at AND read_at IS NULL AS is_news FROM {_ROWS}
        WHERE recipient_id = %(user)s AND snoozed_at IS NOT NULL AND snoozed_until <= clock_timestamp()
    ), woken AS (
        UPDATE {_ROWS} n SET was_unread = {unread("n")}, snoozed_at = NULL, snoozed_until = NULL,
            read_at = NULL, seen_at = NULL, updated_at = clock_timestamp(),
            data = n.data || jsonb_build_object('snoozed_since', n.snoozed_at)
        FROM due WHERE n.id = due.id
        RETURNING n.id, due.is_news, {unread("n")}::int - was_unread::int AS change
    ) UPDATE {_INBOX} SET version = version + 1, unread = unread + (SELECT sum(change) FROM woken)
      WHERE user_id = %(user)s AND EXISTS (SELECT 1 FROM woken)
      RETURNING version, (SELECT count(*) FROM woken), ARRAY(SELECT id FROM woken WHERE is_news)
"""  # nosec B608  # names of our own tables


def end_snoozes() -> int:
    """Bring back what was snoozed until now: on top, unread, once. Return how many rows.

    What came while they slept goes out by mail and webhook now.
    """
    return patience.each([(user_id, user_id) for (user_id,) in execute(_SLEEPERS, [PER_TICK])], _wake_up)


def _wake_up(user_id: int) -> int:
    execute(_LOCK, [user_id])
    for version, count, news in execute(_END, {"user": user_id}):
        publish(f"user:{user_id}", version, urgent=True)
        outbox.add(news)
        return int(count)
    return 0


# Of those users in whose inboxes something is old: each looks at their own end of the index, so that no index
# over all rows is needed for what is looked for once an hour.
_OLD = f"""
    SELECT old.id, old.recipient_id, {unread("old")} FROM {_INBOX} inbox CROSS JOIN LATERAL (
        SELECT * FROM {_ROWS} n WHERE n.recipient_id = inbox.user_id AND n.updated_at < now() - %(read)s
            AND n.archived_at IS NULL AND n.snoozed_at IS NULL
            AND (n.read_at < now() - %(read)s OR (n.read_at IS NULL AND n.updated_at < now() - %(unread)s))
        ORDER BY n.updated_at, n.id LIMIT %(most)s
    ) old WHERE inbox.user_id > %(after)s ORDER BY inbox.user_id LIMIT %(most)s
"""  # nosec B608  # names of our own tables
_REMOVE = f"""
    WITH gone AS (
        DELETE FROM {_ROWS} n WHERE n.recipient_id = %(user)s AND n.id = ANY(%(ids)s)
            AND n.archived_at IS NULL AND n.snoozed_at IS NULL AND n.updated_at < now() - %(read)s
            AND (n.read_at < now() - %(read)s OR (n.read_at IS NULL AND n.updated_at < now() - %(unread)s))
        RETURNING {unread("n")}::int AS was
    ) UPDATE {_INBOX} SET version = version + 1, unread = unread - (SELECT sum(was) FROM gone)
      WHERE user_id = %(user)s AND EXISTS (SELECT 1 FROM gone)
      RETURNING version, (SELECT count(*) FROM gone)
"""  # nosec B608  # names of our own tables


def prune(batches: int = 1000) -> int:
    """Delete rows that were read long ago, or are older still; archived and snoozed ones are kept.

    batches: at most so many of 1,000 rows. Return how many went.
    """
    kept = {
        "read": timedelta(days=settings.RETENTION_INBOX_READ_DAYS),
        "unread": timedelta(days=settings.RETENTION_INBOX_UNREAD_DAYS),
    }
    gone = 0
    after = 0
    for _ in range(batches):
        old = execute(_OLD, {**kept, "most": BATCH, "after": after})
        by_user: dict[int, list[int]] = {}
        for row_id, user_id, _was in old:
            by_user.setdefault(user_id, []).append(row_id)
        rows = [((user_id, ids), user_id) for user_id, ids in by_user.items()]
        gone += patience.each(rows, lambda row: _remove(*row, kept))
        if len(old) < BATCH:
            break
        after = max(by_user) - 1  # the last one's rows may have been cut off
    return gone + _prune_broadcasts(kept["unread"])


def _remove(user_id: int, ids: list[int], kept: dict[str, Any]) -> int:
    execute(_LOCK, [user_id])
    for version, count in execute(_REMOVE, {**kept, "user": user_id, "ids": ids}):
        publish(f"user:{user_id}", version)
        return int(count)
    return 0


def _prune_broadcasts(age: timedelta) -> int:
    _, per_model = Broadcast.objects.filter(published_at__lt=Now() - age).delete()
    return per_model.get(Broadcast._meta.label, 0)


def prune_deliveries(batches: int = 1000) -> int:
    """Delete deliveries of long ago that came to an end, however they did. Return how many.

    No index goes by age: what is older than the first that is not old is looked through. What is still due
    stays, as all mail does that was queued before the mail server was taken away.
    """
    old = Now() - timedelta(days=settings.RETENTION_DELIVERIES_DAYS)
    young = Delivery.objects.filter(created_at__gte=old).order_by("pk").values_list("pk", flat=True).first()
    aged = Delivery.objects.filter(created_at__lt=old).exclude(state=DeliveryState.DUE)
    if young is not None:
        aged = aged.filter(pk__lt=young)
    gone = 0
    for _ in range(batches):
        chosen = list(aged.order_by("pk").values_list("pk", flat=True)[:BATCH])
        count, _models = aged.filter(pk__in=chosen).delete()
        gone += count
        if len(chosen) < BATCH:
            break
    return gone


# From id to id: all are read once.
_ARCHIVED = f"""
    SELECT id, recipient_id FROM {_ROWS} WHERE archived_at < now() - %(age)s AND id > %(after)s
    ORDER BY id LIMIT %(most)s
"""  # nosec B608  # names of our own tables
_LOCK_ALL = f"SELECT 1 FROM {_INBOX} WHERE user_id = ANY(%s) ORDER BY user_id FOR UPDATE"  # nosec B608
# They count in no inbox, but an open archive shows them.
_DELETE_ARCHIVED = f"""
    WITH gone AS (
        DELETE FROM {_ROWS} WHERE id = ANY(%(ids)s) AND archived_at < now() - %(age)s RETURNING recipient_id
    ), moved AS (
        UPDATE {_INBOX} SET version = version + 1 WHERE user_id IN (SELECT recipient_id FROM gone)
        RETURNING user_id, version
    ) SELECT moved.*, (SELECT count(*) FROM gone) FROM moved
"""  # nosec B608  # names of our own tables


def delete_archived(age: timedelta) -> int:
    """Delete what was archived so long ago, which nothing but a request does. Return how many rows."""
    gone = after = 0
    while old := execute(_ARCHIVED, {"age": age, "after": after, "most": BATCH}):
        after = old[-1][0]
        with transaction.atomic():
            execute(_LOCK_ALL, [sorted({user_id for _, user_id in old})])
            moved = execute(_DELETE_ARCHIVED, {"age": age, "ids": [pk for pk, _ in old]})
            for user_id, version, _ in moved:
                publish(f"user:{user_id}", version)
            gone += moved[0][2] if moved else 0
    return gone


# Both sides of one moment: what differs here was never the same.
_WRONG = f"""
    SELECT inbox.user_id FROM (
        SELECT * FROM {_INBOX} WHERE user_id > %(after)s ORDER BY user_id LIMIT %(most)s
    ) inbox LEFT JOIN LATERAL (
        SELECT count(*) AS count FROM {_ROWS} n WHERE n.recipient_id = inbox.user_id AND {unread("n")}
    ) rows ON true WHERE inbox.unread <> rows.count
"""  # nosec B608  # names of our own tables
_REPAIR = f"""
    UPDATE {_INBOX} inbox SET version = version + 1, repairs = repairs + 1, unread = rows.count
    FROM (SELECT count(*) AS count FROM {_ROWS} n WHERE n.recipient_id = %(user)s AND {unread("n")}) rows
    WHERE inbox.user_id = %(user)s AND inbox.unread <> rows.count RETURNING version, unread
"""  # nosec B608  # names of our own tables


def repair_counts(after: int = 0) -> tuple[list[int], int | None]:
    """Compare the counts of the next 1,000 users with their rows, and repair what differs.

    Return whose was wrong, and after whom to go on (None: that was all). A repair is a bug report.
    """
    last = Inbox.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[BATCH - 1 : BATCH]
    wrong = [user_id for (user_id,) in execute(_WRONG, {"after": after, "most": BATCH})]
    for user_id in wrong:
        with transaction.atomic():
            execute(_LOCK, [user_id])  # its own statement: the count must be newer than the lock
            for version, count in execute(_REPAIR, {"user": user_id}):
                publish(f"user:{user_id}", version, urgent=True)
                log.error("unread_count_repaired", user=user_id, unread=count)
    return wrong, next(iter(last), None)


def repairs() -> int:
    """Return how many wrong counts were ever found, of the users that there still are."""
    return int(Inbox.objects.aggregate(found=Sum("repairs", default=0))["found"])


class Comparison:
    """The daily comparison as a keeper does it: in small pieces."""

    def __init__(self) -> None:
        self._compared = float("-inf")
        self._after: int | None = 0

    def go_on(self) -> None:
        """Compare the counts once a day, 1,000 users a tick: a long look would be an outage of ours."""
        if self._after is None:
            if time.monotonic() - self._compared < COMPARE_EVERY:
                return
            self._after = 0
        _, self._after = repair_counts(self._after)
        if self._after is None:
            self._compared = time.monotonic()
