"""Sessions of the database beside ours."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from tests.waiting import until


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


def at_once(act: Callable[[], Any], row: Any, times: int = 2) -> list[Any]:
    """Return what some threads come to, of which each waits for a row of a model before one goes on."""

    def one() -> Any:
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        with another_session() as session:
            session.execute(f"SELECT 1 FROM {row._meta.db_table} WHERE id = %s FOR UPDATE", [row.pk])
            acts = [pool.submit(one) for _ in range(times)]
            until(lambda: waiting_for_locks() == times, 20, "all at the row")
        return [act.result(30) for act in acts]
