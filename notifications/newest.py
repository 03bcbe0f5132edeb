"""What the streams say of inboxes: counts and the newest rows, in one frame.

A part of `user:<pk>` depends on what moves that stream, so it knows no broadcasts, only what the user did
with them. Shown is `unread` plus the broadcasts of the stream `broadcast` that were published after the user
joined and are not in `done_with`.
"""

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from config.statements import execute
from notifications import broadcasts
from notifications.entries import COLUMNS, Entry, json_of, of_broadcast, of_row
from notifications.models import Broadcast, BroadcastReceipt, Inbox, Notification
from notifications.telling import unread

MOST = 6  # rows of the bell: the unread ones first
MAX_TEXT = 300  # characters of a text in a stream

# The second list is read only for those who have fewer unread rows than are shown: it would walk past them.
_NEWEST = f"""
    SELECT wanted.user_id, coalesce(inbox.unread, 0), n.* FROM unnest(%s::int[]) AS wanted(user_id)
    LEFT JOIN {Inbox._meta.db_table} inbox USING (user_id)
    LEFT JOIN LATERAL (
        (SELECT {COLUMNS}, 0 AS place FROM {Notification._meta.db_table} n
         WHERE n.recipient_id = wanted.user_id AND {unread("n")}
         ORDER BY n.updated_at DESC, n.id DESC LIMIT {MOST})
        UNION ALL
        (SELECT {COLUMNS}, 1 FROM {Notification._meta.db_table} n
         WHERE n.recipient_id = wanted.user_id AND n.read_at IS NOT NULL AND n.archived_at IS NULL
            AND n.snoozed_at IS NULL
         ORDER BY n.updated_at DESC, n.id DESC LIMIT greatest(0, {MOST} - coalesce(inbox.unread, 0)))
    ) n ON true
    ORDER BY wanted.user_id, n.place, n.updated_at DESC, n.id DESC
"""  # nosec B608  # names of our own tables


# Twice as many as show: when one is withdrawn an older one shows again, and that moves no user's stream.
_DONE_WITH = f"""
    SELECT receipt.user_id, receipt.broadcast_id FROM (
        SELECT id FROM {Broadcast._meta.db_table} WHERE withdrawn_at IS NULL
        ORDER BY published_at DESC LIMIT {2 * broadcasts.MOST_LIVE}
    ) live JOIN {BroadcastReceipt._meta.db_table} receipt ON receipt.broadcast_id = live.id
    WHERE receipt.user_id = ANY(%s::int[])
        AND (receipt.read_at IS NOT NULL OR receipt.archived_at IS NOT NULL OR receipt.deleted_at IS NOT NULL)
    ORDER BY receipt.broadcast_id DESC
"""  # nosec B608  # names of our own tables


def inboxes(users: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return for each user `unread`, the `newest` own rows (unread first), and the broadcasts `done_with`."""
    unread_of: dict[int, int] = {}
    rows: dict[int, list[Any]] = defaultdict(list)
    for user_id, count, *row, _ in execute(_NEWEST, [sorted(users)]):
        unread_of[user_id] = count
        if row[0] is not None:
            rows[user_id].append(_short(of_row(row, json.loads(row[8]))))
    done_with = _done_with(users)
    return {
        user: {
            "unread": unread_of.get(user, 0),
            "newest": rows[user],
            "done_with": done_with.get(user, []),
        }
        for user in users
    }


def _done_with(users: Collection[int]) -> dict[int, list[int]]:
    """Return the broadcasts, by the ids of entries, that are not unread for these users any more."""
    rows = execute(_DONE_WITH, [sorted(users)])
    found: dict[int, list[int]] = defaultdict(list)
    for user_id, broadcast_id in rows:
        found[user_id].append(-broadcast_id)
    return found


def broadcasts_for_all() -> dict[str, Any]:
    """Return what the stream `broadcast` says: what is live, alike for all."""
    return {"live": [_short(of_broadcast(one, None)) for one in broadcasts.live()]}


def _short(entry: Entry) -> dict[str, Any]:
    return json_of(replace(entry, text=entry.text[:MAX_TEXT]))
