"""Stability is never wrong: whatever is done to jobs by whom, what is pushed alternates and ends equal."""

import os
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import lifecycle, listener, stability
from ingestion.admission import Refused
from ingestion.listener import Listener
from ingestion.models import Job, State, System
from tests.stability import Told, answer_of_the_database, listening, row
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES = 300 if os.environ.get("HEADWAY_FAULTS") == "full" else 12
QUIET = "state NOT IN ('running', 'pending') OR pending_reason IN ('schedule', 'dependency')"
RAW = {
    "delete one": "DELETE FROM ingestion_job WHERE id = (SELECT min(id::text)::uuid FROM ingestion_job)",
    "delete the quiet": f"DELETE FROM ingestion_job WHERE {QUIET}",
    "cancel all": "UPDATE ingestion_job SET state = 'cancelled', pending_reason = '', finished_at = now()"
    " WHERE state = 'pending'",
    "put off": "UPDATE ingestion_job SET pending_reason = 'schedule' WHERE state = 'pending'",
    "make due": "UPDATE ingestion_job SET pending_reason = 'queue' WHERE state = 'pending'",
    "progress": "UPDATE ingestion_job SET progress = 0.5, version = version + 1 WHERE state = 'running'",
}
VERBS = ("create", "start", "finish", "fail", "wait", "release", "crash", "cancel", "answer", "roll back")
STEPS = st.lists(st.tuples(st.sampled_from((*VERBS, *RAW)), st.integers(0, 3)), min_size=4, max_size=14)


class Hands:
    """Does things to jobs."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def do(self, what: str, which: int) -> None:
        """Do one thing to one of the jobs, if there is one to which it can be done."""
        if what in RAW:
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM ingestion_jobevent")
                cursor.execute("DELETE FROM ingestion_jobattempt")
                cursor.execute(RAW[what])
            return
        jobs = list(Job.objects.order_by("pk"))
        if what in ("create", "roll back"):
            with transaction.atomic():
                lifecycle.create("ping", {}, owner=self.owner)
                transaction.set_rollback(what == "roll back")
        elif jobs:
            self.act(what, jobs[which % len(jobs)])

    def act(self, what: str, job: Job) -> None:
        """Do what a worker, a keeper or a person does."""
        token = job.lease_token or uuid4()
        try:
            {
                "start": lambda: lifecycle.start(job.pk, worker="w", token=uuid4()),
                "finish": lambda: lifecycle.finish(job.pk, token, lifecycle.Outcome()),
                "fail": lambda: lifecycle.fail(job.pk, token, {"code": "x", "text": "No."}),
                "wait": lambda: lifecycle.wait(job.pk, token, "review", "?"),
                "release": lambda: lifecycle.release(job.pk, token),
                "crash": lambda: lifecycle.rescue(job.pk, token, crashed=True, expired=False),
                "cancel": lambda: lifecycle.cancel(job, self.owner),
                "answer": lambda: lifecycle.answer(job, "approve", {}, self.owner),
            }[what]()
        except Refused:
            return  # a person who came too late


@pytest.mark.seed("S4.1", "S4.8", "S4.10", "S4.11", "S4.59")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, lost=st.sets(st.integers(0, 13)))
def test_what_is_pushed_alternates_and_ends_equal(
    transactional_db: None, steps: list[tuple[str, int]], lost: set[int]
) -> None:
    """`lost`: the keeper is not there from this step on until the next; the one that follows must look."""
    Job.objects.all().delete()
    listener.POLL_SECONDS = 0.05  # it is stopped often here
    System.objects.all().delete()
    owner, _ = User.objects.get_or_create(username="machine")
    hands = Hands(owner)
    with listening() as ear, ExitStack() as stack:
        told = Told(ear)
        keeper = _keeper(stack)
        for number, (what, which) in enumerate(steps):
            if number in lost:
                keeper.stop()
            hands.do(what, which)
            if number in lost:
                keeper = _keeper(stack)
            if number % 3 == 0:  # otherwise several moves at once
                until(lambda: row() is answer_of_the_database(), 5, f"the answer after {what}")
        until(lambda: row() is answer_of_the_database(), 5, "the answer in the end")
        keeper.stop()
        assert told.hear()[-1] is answer_of_the_database() is stability.is_stable()


def _keeper(stack: ExitStack) -> Listener:
    keeper = Listener(stability.look)
    keeper.start()
    assert keeper.listening.wait(10)
    stack.callback(keeper.stop)
    return keeper


def test_every_verb_of_the_machine_can_do_something(transactional_db: None) -> None:
    """A machine whose hands never succeed would prove nothing."""
    owner = User.objects.create(username="machine")
    hands = Hands(owner)
    for what, state in [
        ("create", State.PENDING),
        ("start", State.RUNNING),
        ("release", State.PENDING),
        ("start", State.RUNNING),
        ("crash", State.PENDING),
        ("start", State.RUNNING),
        ("wait", State.WAITING),
        ("answer", State.PENDING),
        ("start", State.RUNNING),
        ("finish", State.COMPLETED),
    ]:
        hands.do(what, 0)
        assert Job.objects.get().state == state, what
    hands.do("delete one", 0)
    assert not Job.objects.exists()
