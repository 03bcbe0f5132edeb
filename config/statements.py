"""Statements that every job makes, written out, and prepared once a connection.

Composing one anew costs Django half a millisecond and PostgreSQL a plan; a worker makes the same few.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import connection
from psycopg.types.datetime import TimestamptzLoader


class _Cursor(psycopg.Cursor[Any]):
    """Reads times as psycopg does, in the session's zone, which is UTC.

    Django's own way is in Python, and most of what reading a page of rows cost.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.adapters.register_loader("timestamptz", TimestamptzLoader)


class _Logged(_Cursor):
    """Prepares nothing: of a prepared statement psycopg does not tell the text, which Django's log shows."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> "_Logged":
        return super().execute(query, params, prepare=False)


def execute(sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection and return its rows, JSON columns as text.

    The server keeps it from its second use on a connection (`prepare_threshold` in the settings), so who
    makes it once pays no round trip for that. A rollback drops what is kept: a plan that a new release's
    columns have spoilt fails once.

    sql: with `%s` or `%(name)s` for each of `params`; a constant or one of a few variants, the server keeps
    each. Raises Django's database errors.
    """
    connection.ensure_connection()
    # Django's own cursors bind on the client and never prepare; its wrappers give its errors and its log.
    kind = _Logged if connection.queries_logged else _Cursor
    raw: Any = kind(connection.connection)
    wrapped = connection.make_debug_cursor(raw) if connection.queries_logged else connection.make_cursor(raw)
    with wrapped as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []
