"""Sessions of the database beside ours."""

import psycopg
from django.db import connection


def another_session() -> psycopg.Connection:
    """Open a session beside ours, in a transaction that ends with it."""
    return psycopg.connect(**connection.get_connection_params())


def waiting_for_locks() -> int:
    """Count the sessions that wait for what another's transaction holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction looks once, and keeps what it saw
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])
