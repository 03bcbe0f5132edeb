"""Telling users: rows, unread counts and streams in one statement, last in the caller's transaction.

A user's `Inbox` row is the lock of all their notifications, and inbox rows are locked in ascending user id,
here and everywhere: so nothing here waits in a circle, and `Inbox.unread` changes by exactly what the
statement changed.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core.serializers.json import DjangoJSONEncoder

from config.statements import execute
from notifications import links, types
from notifications.models import Channel, Follow, Inbox, Mute, Notification, Preference
from realtime.publish import publish

MAX_TITLE = 200  # characters
MAX_TEXT = 2000


@dataclass(frozen=True, kw_only=True)
class News:
    """Something that users are told.

    about: `job:<uuid>` or an object; its followers are told too when `followers` says so. group_key: what
    updates one row in place; version: of what it speaks of, an older or equal one changes nothing.
    by: the user who did it; they are not told, but a row that they have stays true. muted: names under which
    a user may have muted it, beside `about`. quiet: not unread and not moved up. update_only: for those who
    have the row already.
    """

    type: str
    title: str
    text: str = ""
    url: str = ""
    about: str | None = None
    group_key: str | None = None
    version: int = 1
    level: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    users: Collection[int] = ()
    followers: bool = False
    by: int | None = None
    muted: Collection[str] = ()
    quiet: bool = False
    update_only: bool = False


class Told(NamedTuple):
    """A row that was written: what a channel needs to know of it. fresh: it is unread now."""

    id: int
    user_id: int
    type: str
    version: int
    fresh: bool


Listener = Callable[[Sequence[Told]], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Have `listener` called with the rows that were written, in the transaction that writes them."""
    if listener not in _listeners:
        _listeners.append(listener)


def unread(row: str) -> str:
    """Return the SQL condition that says whether a row counts in `Inbox.unread`."""
    return f"({row}.read_at IS NULL AND {row}.archived_at IS NULL AND {row}.snoozed_at IS NULL)"


# Names of tables and columns of our own models alone.
_TELL = f"""
    WITH note AS MATERIALIZED (
        SELECT * FROM unnest(
            %(types)s::text[], %(levels)s::text[], %(titles)s::text[], %(texts)s::text[], %(urls)s::text[],
            %(abouts)s::text[], %(keys)s::text[], %(versions)s::bigint[], %(data)s::jsonb[],
            %(followed)s::bool[], %(bys)s::int[], %(quiet)s::bool[], %(update_only)s::bool[],
            %(opt_in)s::bool[]
        ) WITH ORDINALITY AS note(type, level, title, text, url, about, group_key, version, data,
                                  followed, by, quiet, update_only, opt_in, n)
    ), addressed AS MATERIALIZED (  -- a person once a key, by the first note
        SELECT DISTINCT ON (user_id, group_key, CASE WHEN group_key IS NULL THEN n END) n, user_id
        FROM (
            SELECT n, user_id FROM unnest(%(ns)s::int[], %(users)s::int[]) AS pair(n, user_id)
            UNION SELECT n, user_id FROM note JOIN {Follow._meta.db_table} USING (about) WHERE followed
        ) anybody JOIN note USING (n)
        ORDER BY user_id, group_key, CASE WHEN group_key IS NULL THEN n END, n
    ), moving AS MATERIALIZED (
        SELECT user_id FROM unnest(%(moving)s::int[]) AS moving(user_id)
        UNION SELECT user_id FROM {Follow._meta.db_table} WHERE about = ANY(%(moving_abouts)s::text[])
    ), person AS MATERIALIZED (
        SELECT id, is_active FROM {get_user_model()._meta.db_table}
        WHERE id IN (SELECT user_id FROM addressed UNION SELECT user_id FROM moving)
        ORDER BY id FOR KEY SHARE
    ), missing AS MATERIALIZED (
        SELECT id FROM person WHERE id NOT IN (SELECT user_id FROM {Inbox._meta.db_table}
            WHERE user_id IN (SELECT id FROM person))
    ), held AS MATERIALIZED (  -- all or none: see `_OPEN`
        SELECT user_id FROM {Inbox._meta.db_table} WHERE user_id IN (SELECT id FROM person)
            AND NOT EXISTS (SELECT 1 FROM missing)
        ORDER BY user_id FOR UPDATE
    ), wanted AS (
        SELECT note.*, addressed.user_id,
            note.update_only OR NOT person.is_active OR note.by IS NOT DISTINCT FROM addressed.user_id
            OR EXISTS (SELECT 1 FROM {Mute._meta.db_table} m WHERE m.user_id = addressed.user_id AND (
                m.about = note.about OR m.about IN (
                    SELECT name FROM unnest(%(mute_ns)s::int[], %(mutes)s::text[]) AS mute(n, name)
                    WHERE mute.n = note.n)))
            OR EXISTS (SELECT 1 FROM {Preference._meta.db_table} p WHERE p.user_id = addressed.user_id
                AND p.type = note.type AND p.channel = 'inbox' AND p."when" = 'off')
            OR note.opt_in AND NOT EXISTS (SELECT 1 FROM {Preference._meta.db_table} p
                WHERE p.user_id = addressed.user_id
                AND p.type = note.type AND p.channel = 'inbox' AND p."when" <> 'off') AS hushed
        FROM addressed JOIN note USING (n) JOIN person ON person.id = addressed.user_id
        -- Nothing is written before the inboxes are locked.
        WHERE (SELECT count(*) FROM held) = (SELECT count(*) FROM person)
    ), told AS (
        INSERT INTO {Notification._meta.db_table} AS row (recipient_id, type, level, title, text, url, about,
            group_key, version, data, created_at, updated_at, read_at, was_unread)
        SELECT user_id, type, level, title, text, url, about, group_key, version, data,
            clock_timestamp(), clock_timestamp(),
            CASE WHEN quiet OR hushed THEN clock_timestamp() END, false
        FROM wanted WHERE NOT hushed OR EXISTS (
            SELECT 1 FROM {Notification._meta.db_table} known
            WHERE known.recipient_id = wanted.user_id AND known.group_key = wanted.group_key)
        ORDER BY user_id, n
        ON CONFLICT (recipient_id, group_key) WHERE group_key IS NOT NULL DO UPDATE SET
            type = EXCLUDED.type, level = EXCLUDED.level, title = EXCLUDED.title, text = EXCLUDED.text,
            url = EXCLUDED.url, about = EXCLUDED.about, version = EXCLUDED.version, data = EXCLUDED.data,
            was_unread = {unread("row")},
            updated_at = CASE WHEN EXCLUDED.read_at IS NULL THEN EXCLUDED.updated_at ELSE row.updated_at END,
            read_at = CASE WHEN EXCLUDED.read_at IS NULL THEN NULL
                ELSE coalesce(row.read_at, EXCLUDED.read_at) END,
            seen_at = CASE WHEN EXCLUDED.read_at IS NULL THEN NULL ELSE row.seen_at END,
            archived_at = CASE WHEN EXCLUDED.read_at IS NULL THEN NULL ELSE row.archived_at END,
            -- "Until the job finishes" ends with whatever is news; a time that the user chose is kept.
            snoozed_at = CASE WHEN EXCLUDED.read_at IS NULL AND row.snoozed_until IS NULL THEN NULL
                ELSE row.snoozed_at END
        WHERE row.version < EXCLUDED.version
        RETURNING id, recipient_id, type, version, was_unread, {unread("row")} AS is_unread
    ), change AS MATERIALIZED (
        SELECT recipient_id AS user_id, sum(is_unread::int - was_unread::int) AS unread FROM told GROUP BY 1
    ), moved AS (
        INSERT INTO {Inbox._meta.db_table} AS inbox (user_id, version, unread)
        SELECT person.id, 1, greatest(coalesce(change.unread, 0), 0)
        FROM person LEFT JOIN change ON change.user_id = person.id
        WHERE (change.user_id IS NOT NULL OR person.id IN (SELECT user_id FROM moving))
            AND (SELECT count(*) FROM held) = (SELECT count(*) FROM person)
        ORDER BY person.id
        ON CONFLICT (user_id) DO UPDATE SET version = inbox.version + 1, unread = inbox.unread + coalesce(
            (SELECT change.unread FROM change WHERE change.user_id = inbox.user_id), 0)
        RETURNING user_id, version
    ) SELECT moved.user_id, moved.version, told.id, told.type, told.version, told.is_unread
      FROM moved LEFT JOIN told ON told.recipient_id = moved.user_id
      UNION ALL SELECT id, NULL, NULL, NULL, NULL, NULL FROM missing
      ORDER BY 1, 3
"""  # nosec B608
# Inboxes that are not there, or not seen yet, cannot be locked. Who went on without them would hold rows that
# somebody with the lock waits for, and then wait for the lock. So they are made first, while none is locked.
_OPEN = f"""
    INSERT INTO {Inbox._meta.db_table} (user_id, version, unread)
    SELECT id, 0, 0 FROM {get_user_model()._meta.db_table} WHERE id = ANY(%s::int[])
    ORDER BY id FOR KEY SHARE ON CONFLICT DO NOTHING
"""  # nosec B608


def tell(news: Sequence[News], moving: Iterable[int] = (), moving_abouts: Iterable[str] = ()) -> list[Told]:
    """Tell users, and move the streams of those told in the current transaction; return the rows written.

    moving, moving_abouts: users, and those whose followers' streams move too, told or not. Users that are
    gone are left out; who is told two news of one group key has the first. Call it last in a transaction: it
    locks inboxes. Raises UnknownType, ValueError.
    """
    parameters = _columns(news)
    parameters |= {"moving": sorted(set(moving)), "moving_abouts": sorted(set(moving_abouts))}
    if not news and not parameters["moving"] and not parameters["moving_abouts"]:
        return []
    rows = execute(_TELL, parameters)
    while missing := [user_id for user_id, version, *_ in rows if version is None]:
        execute(_OPEN, [missing])
        rows = execute(_TELL, parameters)
    told, versions = [], {}
    for user_id, version, row_id, kind, row_version, fresh in rows:
        versions[user_id] = version
        if row_id is not None:
            told.append(Told(row_id, user_id, kind, row_version, fresh))
    for user_id, version in versions.items():
        publish(f"user:{user_id}", version, urgent=True)
    if told:
        for listener in _listeners:
            listener(told)
    return told


def _columns(news: Sequence[News]) -> dict[str, Any]:
    kinds = [types.known(one.type) for one in news]
    for one in news:
        if not one.title or len(one.title) > MAX_TITLE or len(one.text) > MAX_TEXT:
            raise ValueError(f"a title of 1-{MAX_TITLE} characters, and a text of {MAX_TEXT} at most")
    pairs = [(n, user) for n, one in enumerate(news, 1) for user in sorted(set(one.users))]
    mutes = [(n, name) for n, one in enumerate(news, 1) for name in one.muted]
    return {
        "types": [one.type for one in news],
        "levels": [str(one.level or kind.level) for one, kind in zip(news, kinds, strict=True)],
        "titles": [one.title for one in news],
        "texts": [one.text for one in news],
        "urls": [links.check(one.url) for one in news],
        "abouts": [one.about for one in news],
        "keys": [one.group_key for one in news],
        "versions": [one.version for one in news],
        "data": [json.dumps(one.data, cls=DjangoJSONEncoder) for one in news],
        "followed": [one.followers and one.about is not None for one in news],
        "bys": [one.by for one in news],
        "quiet": [one.quiet for one in news],
        "update_only": [one.update_only for one in news],
        "opt_in": [Channel.INBOX not in kind.channels for kind in kinds],
        "ns": [n for n, _ in pairs],
        "users": [user for _, user in pairs],
        "mute_ns": [n for n, _ in mutes],
        "mutes": [name for _, name in mutes],
    }
