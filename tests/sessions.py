"""Sessions of the database beside ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


@contextmanager
def holding(job: Any) -> Iterator[None]:
    """Let another session hold a job's row meanwhile."""
    with another_session() as session:
        session.execute("SELECT 1 FROM ingestion_job WHERE id = %s FOR UPDATE", [job.pk])
        yield
