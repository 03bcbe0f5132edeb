"""Statements that every job makes, written out, and prepared once a connection.

Composing one anew costs Django half a millisecond and PostgreSQL a plan; a worker makes the same few.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import connection


def execute(sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
    """Run a prepared statement on Django's connection and return its rows, JSON columns as text.

    sql: with `%s` or `%(name)s` for each of `params`; a constant or one of a few variants, the server keeps
    each. Raises Django's database errors.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(sql, params, prepare=True)
        return cursor.fetchall() if cursor.description else []
