"""Statements that every job makes, written out, and prepared once a connection.

Composing one anew costs Django half a millisecond and PostgreSQL a plan; a worker makes the same few.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import connection


class _Prepared(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Any = None, **_: Any) -> "_Prepared":
        return super().execute(query, params, prepare=True)


def execute(sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
    """Run a prepared statement on Django's connection and return its rows, JSON columns as text.

    sql: with `%s` or `%(name)s` for each of `params`; a constant or one of a few variants, the server keeps
    each. Raises Django's database errors.
    """
    connection.ensure_connection()
    raw: Any = _Prepared(connection.connection)
    # Django's own wrapper: its errors, its wrappers, its log of queries.
    wrapped = connection.make_debug_cursor(raw) if connection.queries_logged else connection.make_cursor(raw)
    with wrapped as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []
