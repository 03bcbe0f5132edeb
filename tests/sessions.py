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


def in_a_thread(act: Callable[[], Any]) -> Any:
    """Return what comes of an act, without leaving the connection that its thread opened."""
    try:
        return act()
    finally:
        connection.close()


@contextmanager
def holding(job: Any) -> Iterator[None]:
    """Let another session hold a job's row meanwhile."""
    with another_session() as session:
        session.execute("SELECT 1 FROM ingestion_job WHERE id = %s FOR UPDATE", [job.pk])
        yield


@contextmanager
def settling(about: str) -> Iterator[None]:
    """Let another session choose meanwhile what is scheduled about something."""
    with another_session() as session:
        session.execute("SELECT pg_advisory_xact_lock(8, hashtext(%s))", [about])
        yield


def at_once(act: Callable[[], Any], about: str, times: int = 2) -> list[Any]:
    """Return what some threads come to, of which each waits for `schedules.settle` before one goes on."""
    with ThreadPoolExecutor(times) as pool:
        with settling(about):
            acts = [pool.submit(in_a_thread, act) for _ in range(times)]
            until(lambda: waiting_for_locks() == times, 20, "all at the choice")
        return [act.result(30) for act in acts]
