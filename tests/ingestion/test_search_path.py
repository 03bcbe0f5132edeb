"""What the database itself tells of stability: of an emptied table too, whatever a session names first."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection

from ingestion import stability
from ingestion.listener import Listener
from ingestion.models import Job
from tests.realtime.rows import make_job
from tests.stability import Told, listening, row
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

# Each of these says nothing, or lies, to who finds it before the system's own.
SHADOWS = """
    CREATE SCHEMA shadows;
    CREATE FUNCTION shadows.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
    CREATE FUNCTION shadows.never(varchar, varchar) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
    CREATE FUNCTION shadows.never(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
    CREATE OPERATOR shadows.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = shadows.never);
    CREATE OPERATOR shadows.= (LEFTARG = text, RIGHTARG = text, FUNCTION = shadows.never);
    CREATE TABLE shadows.ingestion_job (LIKE public.ingestion_job);
"""
PATHS = ["pg_temp", "shadows, pg_catalog, public"]  # without our tables, and with others before them
MOVE = (
    "UPDATE public.ingestion_job SET state = %s, pending_reason = %s, lease_token = NULL, lease_until = NULL"
)


def sql(text: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, params or None)
        return list(cursor.fetchall()) if cursor.description else []


def test_a_table_that_was_emptied_is_told(alice: User) -> None:
    """TRUNCATE runs no trigger of rows or of DELETE, and no keeper ticks here."""
    listener = Listener(stability.look)
    listener.start()
    try:
        assert listener.listening.wait(20)
        with listening() as ear:
            told = Told(ear)
            make_job(alice)
            until(lambda: row() is False, what="the job to be seen")
            sql("TRUNCATE ingestion_job CASCADE")
            until(lambda: row() is True, what="the empty table to be seen")
            assert told.hear()[-1] is True
    finally:
        listener.stop()


@pytest.mark.parametrize("path", PATHS)
def test_functions_and_triggers_do_not_go_by_the_search_path_of_a_session(alice: User, path: str) -> None:
    job = make_job(alice)
    Job.objects.update(queue="analytics")
    stability.look()
    assert row() is False
    sql(SHADOWS)
    try:
        with listening() as answers, listening("headway_state") as hints:
            sql(f"SET search_path = {path}")
            assert sql("SELECT public.is_system_stable()") == [(False,)]
            tasks = sql("SELECT id FROM public.analytics_tasks_in_progress()")
            assert tasks == [(job.pk,)]
            sql("UPDATE public.ingestion_system SET stable = true")
            sql(MOVE, "pending", "queue")
            with pytest.raises(IntegrityError, match="may not move from pending to waiting"):
                sql(MOVE, "waiting", "")
            sql("TRUNCATE public.ingestion_job CASCADE")
            assert answers.payloads() == ['{"stable": true}']
            assert hints.payloads() == ["", ""]
    finally:
        sql("RESET search_path")
        sql("DROP SCHEMA shadows CASCADE")


def test_each_function_of_a_trigger_fixes_its_search_path() -> None:
    """Also one that names nothing today."""
    loose = sql(
        """
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'ingestion%'
            AND array_to_string(proconfig, ' ') IS DISTINCT FROM 'search_path=pg_catalog, pg_temp'
        """
    )
    assert loose == []
