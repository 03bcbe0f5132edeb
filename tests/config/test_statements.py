"""What every job's statements are: prepared by the server, and whole again after a rollback."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from config.statements import execute

SQL = "SELECT %s::int + 40002"


def prepared() -> list[tuple[int, int]]:
    """Return how often what was prepared ran with the one plan, and with a plan of its own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE %s",
            ["%40002"],
        )
        return list(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_a_statement_is_prepared_and_planned_once_from_its_second_use_on() -> None:
    connection.close()  # what other tests prepared
    assert execute(SQL, [1]) == [(40003,)]
    assert prepared() == []
    for n in (2, 3):
        assert execute(SQL, [n]) == [(40002 + n,)]
    assert prepared() == [(2, 0)]


@pytest.mark.django_db(transaction=True)
def test_a_statement_outlives_a_rollback_that_drops_what_was_prepared() -> None:
    for _ in range(2):
        execute(SQL, [1])
    with pytest.raises(RuntimeError), transaction.atomic():
        execute(SQL, [1])
        raise RuntimeError
    assert execute(SQL, [1]) == [(40003,)]


@pytest.mark.django_db(transaction=True)
def test_a_statement_whose_columns_a_release_changed_fails_once_at_most() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE shifting (a varchar(10))")
    try:
        for _ in range(2):
            execute("SELECT a FROM shifting")
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("ALTER TABLE shifting ALTER a TYPE int USING a::int")
        finally:
            other.close()
        with pytest.raises(Exception, match="cached plan"), transaction.atomic():
            execute("SELECT a FROM shifting")
        assert execute("SELECT a FROM shifting") == []
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE shifting")


@pytest.mark.django_db
def test_what_is_logged_has_its_text_however_often_it_was_used() -> None:
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            execute(SQL, [1])
    assert [one["sql"] for one in queries.captured_queries] == ["SELECT $1::int + 40002"] * 3


@pytest.mark.django_db
def test_times_are_what_djangos_own_cursor_reads() -> None:
    asked = "SELECT '2026-10-25 00:30:00.00001+02'::timestamptz, '1900-01-01'::timestamptz, NULL::timestamptz"
    with connection.cursor() as cursor:
        cursor.execute(asked)
        expected = cursor.fetchall()
    ours = [execute(asked) for _ in range(3)]  # prepared, too
    assert ours == [expected] * 3
    assert [at.utcoffset() for (row,) in ours for at in row[:2]] == [timedelta(0)] * 6
