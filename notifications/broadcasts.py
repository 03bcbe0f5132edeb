"""Telling everybody: one row for all, whatever their number, and a receipt where somebody acts (S2.102)."""

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models.functions import Now

from config import audit
from config.statements import execute
from notifications import links, types
from notifications.models import Broadcast, BroadcastReceipt, Broadcasts
from notifications.telling import MAX_TEXT, MAX_TITLE
from realtime.publish import publish

Row = TypeVar("Row", Broadcast, BroadcastReceipt)

MOST_LIVE = 50  # broadcasts that anybody sees; older ones are in the admin

_MOVE = f"""
    INSERT INTO {Broadcasts._meta.db_table} AS row (id, version) VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET version = row.version + 1 RETURNING version
"""  # nosec B608  # the name of our own table


def broadcast(
    title: str,
    *,
    text: str = "",
    url: str = "",
    type: str = "system",
    level: str = "",
    by: Any = None,
    key: UUID | None = None,
) -> Broadcast:
    """Tell everybody who has joined by now. Raises UnknownType, ValueError.

    title: 1-200 characters. text: 2,000 at most. by: the user who says it. key: a second call with the same
    one says nothing, and returns what the first said.
    """
    kind = types.known(type)
    if not title or len(title) > MAX_TITLE or len(text) > MAX_TEXT:
        raise ValueError(f"a title of 1-{MAX_TITLE} characters, and a text of {MAX_TEXT} at most")
    with transaction.atomic():
        told = {
            "type": type,
            "level": level or kind.level,
            "title": title,
            "text": text,
            "url": links.check(url),
            "published_by": None if by is None else by.pk,
        }
        if key is None:
            made, is_new = Broadcast.objects.create(**told), True
        else:
            made, is_new = Broadcast.objects.get_or_create(key=key, defaults=told)
        if is_new:
            audit.write("broadcast.send", f"broadcast:{made.pk}", by, title=title)
            _move()
    return Broadcast.objects.get(pk=made.pk)


def withdraw(broadcast_id: int) -> bool:
    """Take a broadcast out of all inboxes; False when it was not in them."""
    with transaction.atomic():
        gone = Broadcast.objects.filter(pk=broadcast_id, withdrawn_at=None).update(withdrawn_at=Now())
        if gone:
            audit.write("broadcast.withdraw", f"broadcast:{broadcast_id}")
            _move()
    return bool(gone)


def _move() -> None:
    ((version,),) = execute(_MOVE)
    publish("broadcast", version, urgent=True)


def live() -> list[Broadcast]:
    """Return the broadcasts that are in inboxes, newest first."""
    return _objects(Broadcast, "withdrawn_at IS NULL ORDER BY published_at DESC LIMIT %s", [MOST_LIVE])


# For each of these users the number of live broadcasts that they have not read; none is left out.
UNREAD = f"""
    SELECT u.id, count(*) FROM {get_user_model()._meta.db_table} u CROSS JOIN (
        SELECT id, published_at FROM {Broadcast._meta.db_table} WHERE withdrawn_at IS NULL
        ORDER BY published_at DESC LIMIT {MOST_LIVE}
    ) live
    WHERE u.id = ANY(%s::int[]) AND live.published_at >= u.date_joined AND NOT EXISTS (
        SELECT 1 FROM {BroadcastReceipt._meta.db_table} receipt
        WHERE receipt.broadcast_id = live.id AND receipt.user_id = u.id
            AND (read_at IS NOT NULL OR archived_at IS NOT NULL OR deleted_at IS NOT NULL)
    ) GROUP BY u.id
"""  # nosec B608  # names of our own tables


def unread_of(user_ids: Iterable[int]) -> dict[int, int]:
    """Return for each of these users how many live broadcasts they have not read; none is left out."""
    return dict(execute(UNREAD, [sorted(user_ids)]))


def receipts_of(user_id: int, broadcast_ids: Iterable[int]) -> dict[int, BroadcastReceipt]:
    """Return what a user did with these broadcasts, by the broadcast's id."""
    found = _objects(
        BroadcastReceipt, "user_id = %s AND broadcast_id = ANY(%s)", [user_id, list(broadcast_ids)]
    )
    return {row.broadcast_id: row for row in found}


def _objects(model: type[Row], where: str, values: list[Any]) -> list[Row]:
    """Return rows as objects, without composing the query anew: every list of an inbox asks for these."""
    columns = [field.attname for field in model._meta.concrete_fields]
    sql = f"SELECT {', '.join(columns)} FROM {model._meta.db_table} WHERE {where}"  # nosec B608
    return [model.from_db(connection.alias, columns, row) for row in execute(sql, values)]


def write_receipts(user_id: int, broadcast_ids: list[int], column: str, value: Any) -> list[int]:
    """Write one time of a user's receipts; return the broadcasts where that changed anything.

    column: of the receipt, a constant of the caller.
    """
    table = BroadcastReceipt._meta.db_table
    if value is None:
        sql = f"""
            UPDATE {table} SET {column} = NULL
            WHERE user_id = %s AND broadcast_id = ANY(%s) AND {column} IS NOT NULL RETURNING broadcast_id
        """  # nosec B608  # names of our own columns
        return [pk for (pk,) in execute(sql, [user_id, broadcast_ids])]
    sql = f"""
        INSERT INTO {table} AS receipt (broadcast_id, user_id, {column})
        SELECT id, %s, %s::timestamptz FROM unnest(%s::bigint[]) AS broadcast(id) ORDER BY id
        ON CONFLICT (broadcast_id, user_id) DO UPDATE SET {column} = EXCLUDED.{column}
        WHERE receipt.{column} IS NULL RETURNING broadcast_id
    """  # nosec B608  # names of our own columns
    return [pk for (pk,) in execute(sql, [user_id, value, broadcast_ids])]
