"""All pairs of states: in Python's table, by CHECK and trigger, and by raw SQL."""

import itertools
import re
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from ingestion import moves
from ingestion.history import Note
from ingestion.models import FINAL, MOVES, OPEN, Job, State

pytestmark = pytest.mark.django_db

NO_LEASE = "lease_token=NULL, lease_until=NULL"
# What a row of each state must also hold, as SQL.
SHAPE = {
    State.PENDING: f"pending_reason='queue', {NO_LEASE}, waiting_for=NULL, finished_at=NULL",
    State.RUNNING: "pending_reason='', lease_token=gen_random_uuid(), lease_until=now(),"
    " waiting_for=NULL, finished_at=NULL",
    State.WAITING: f"pending_reason='', {NO_LEASE}, waiting_for='{{}}', finished_at=NULL",
    **dict.fromkeys(
        FINAL, f"pending_reason='', {NO_LEASE}, waiting_for=NULL, finished_at=now(), error='{{}}'"
    ),
}


def a_job(state: State) -> Job:
    job = Job.objects.create(source="ping", queue="default", title="Ping")
    path = {State.PENDING: [], State.RUNNING: [State.RUNNING], State.CANCELLED: [State.CANCELLED]}
    for step in path.get(state, [State.RUNNING, state]):
        move(job, step)
    job.refresh_from_db()
    assert job.state == state
    return job


def move(job: Job, to: State) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE ingestion_job SET state = %s, {SHAPE[to]} WHERE id = %s", [to, job.pk])


@pytest.mark.parametrize(("was", "to"), list(itertools.permutations(State, 2)))
def test_raw_sql_may_make_the_moves_of_the_table_and_no_other(was: State, to: State) -> None:
    job = a_job(was)
    before = job.version
    if to in MOVES[was]:
        move(job, to)
        job.refresh_from_db()
        assert (job.state, job.version) == (to, before + 1)
    else:
        with pytest.raises(IntegrityError, match="may not move"), transaction.atomic():
            move(job, to)


@pytest.mark.parametrize(("was", "to"), list(itertools.permutations(State, 2)))
def test_python_may_make_the_moves_of_the_table_and_no_other(was: State, to: State) -> None:
    """Through the door that all verbs go through, with everything that the row of the other state holds."""
    job = a_job(was)
    values: dict[str, Any] = {
        "pending_reason": "queue" if to == State.PENDING else "",
        "lease_token": uuid4() if to == State.RUNNING else None,
        "lease_until": moves.NOW if to == State.RUNNING else None,
        "waiting_for": {} if to == State.WAITING else None,
        "finished_at": moves.NOW if to in FINAL else None,
        "error": {},
    }
    if to in MOVES[was]:
        assert moves.leave(job, to, [Note("moved", "moved")], values, "", "") is not None
        assert Job.objects.get(pk=job.pk).state == to
    else:
        with pytest.raises(IntegrityError, match="may not move"), transaction.atomic():
            moves.leave(job, to, [Note("moved", "moved")], values, "", "")
        assert Job.objects.get(pk=job.pk).state == was


@pytest.mark.parametrize(("was", "to"), list(itertools.permutations(State, 2)))
def test_a_row_of_one_state_cannot_say_another(was: State, to: State) -> None:
    """By CHECK alone, the trigger away: only the final states have the same shape."""
    job = a_job(was)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # triggers rest, checks do not
    rows = Job.objects.filter(pk=job.pk)
    if {was, to} <= set(FINAL):
        assert rows.update(state=to, error={}) == 1
    else:
        with pytest.raises(IntegrityError, match="violates check constraint"), transaction.atomic():
            rows.update(state=to)


def test_the_trigger_holds_the_same_table_as_python() -> None:
    sql = import_module("ingestion.migrations.0002_job_moves").FORWARD
    pairs = set(re.findall(r"'([a-z]+)>([a-z]+)'", sql))
    assert pairs == {(was.value, to.value) for was, tos in MOVES.items() for to in tos}


@pytest.mark.parametrize(
    "bad",
    [
        "finished_at = now()",
        "lease_token = gen_random_uuid(), lease_until = now()",
        "pending_reason = ''",
        "waiting_for = '{}'",
        "items_done = 1",
        "progress = 1.5",
        "state = 'running', pending_reason = ''",
        "state = 'running', pending_reason = '', lease_token = gen_random_uuid()",
        "state = 'cancelled', pending_reason = ''",
    ],
)
def test_a_row_that_contradicts_itself_is_refused(bad: str) -> None:
    job = a_job(State.PENDING)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE ingestion_job SET {bad} WHERE id = %s", [job.pk])


def test_a_failed_job_says_why() -> None:
    job = a_job(State.RUNNING)
    shape = SHAPE[State.FAILED].replace(", error='{}'", "")
    sql = f"UPDATE ingestion_job SET state = 'failed', {shape} WHERE id = %s"
    with pytest.raises(IntegrityError, match="job_failed_says_why"), connection.cursor() as cursor:
        cursor.execute(sql, [job.pk])


def test_open_and_final_are_all_states_and_final_leads_nowhere(alice: User) -> None:
    assert set(OPEN) | set(FINAL) == set(State)
    assert all(not MOVES[state] for state in FINAL)


def test_a_created_row_holds_what_the_object_held() -> None:
    job = Job(
        source="ping",
        queue="default",
        title='100 % "née"',
        params={"name": "%s", "deep": [1, None]},
        memo={"once": True},
        steps={"work": {"state": "pending"}},
    )
    moves.create(job, Note("created", "asked for"))
    for row in (moves.read(job.pk), Job.objects.get(pk=job.pk)):
        for field in Job._meta.concrete_fields:
            if field.attname != "created_at":  # the database's clock
                assert getattr(row, field.attname) == getattr(job, field.attname), field.name
    assert list(job.events.values_list("version", "kind")) == [(1, "created")]
