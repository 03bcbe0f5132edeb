"""Engine cases at the edges: crash loops, moved queues, stored params, followers, stale tokens."""

import signal
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from pydantic import TypeAdapter
from redis import Redis

from ingestion import claims, in_hand, lifecycle, queues, worker
from ingestion.models import Job, State
from ingestion.source import Outcome, get
from ingestion.testing import Killed, kill_at, lose_worker, resume_inline
from notifications import inbox
from realtime import publish
from tests.sessions import another_session

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_crash_after_a_finished_step_fails_the_job_at_the_third(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: object, job: object, p: object) -> None:
        with job.step("look") as step:
            for item in step.items(["a"], key=str):
                with item:
                    pass
        with job.step("fill"):
            raise Killed

    monkeypatch.setattr(type(get("shelves")), "run", run)
    job = lifecycle.create("shelves", {"name": "z"}, owner=alice).job
    crashes = []
    while job.state == State.PENDING and len(crashes) < 6:
        Job.objects.filter(pk=job.pk).update(run_after=None)
        with pytest.raises(Killed):
            resume_inline(job)
        job = lose_worker(job)
        crashes.append(job.crashes)
    assert (job.state, len(crashes)) == (State.FAILED, 3)


def test_an_item_that_failed_before_a_crash_is_not_blamed_for_it(alice: User) -> None:
    """It is to be tried again at the end of the pass; what ended the worker came after it."""
    job = lifecycle.create("shelves", {"name": "z", "n": 12, "flaky": ["k0000"]}, owner=alice).job
    for _ in range(5):
        Job.objects.filter(pk=job.pk).update(run_after=None)
        with kill_at("item.before_commit", 2), pytest.raises(Killed):
            resume_inline(job)
        job = lose_worker(job)
    Job.objects.filter(pk=job.pk).update(run_after=None)
    job = resume_inline(job)
    assert (job.state, job.items_done, job.items_failed) == (State.COMPLETED, 12, 0)


def test_what_a_source_finds_invalid_is_not_its_params_fault(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: object, job: object, p: object) -> None:
        TypeAdapter(int).validate_python("x")

    monkeypatch.setattr(type(get("shelves")), "run", run)
    job = resume_inline(lifecycle.create("shelves", {"name": "z"}, owner=alice).job)
    assert (job.state, job.pending_reason) == (State.PENDING, "retry")


def test_an_outcome_that_cannot_be_kept_is_the_sources_failure_and_no_crash(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(get("shelves")), "run", lambda *_: Outcome(data={"a": "\x00"}))
    job, token = lifecycle.create("shelves", {}, owner=alice).job, uuid4()
    claimed = lifecycle.claim("default", worker="w", token=token)
    assert claimed is not None
    worker.drive(claimed, token)
    job.refresh_from_db()
    assert (job.state, job.pending_reason, job.failures) == (State.PENDING, "retry", 1)
    assert "went wrong" in job.message and "DataError" in job.attempts.get().traceback


def test_a_worker_waits_no_longer_than_a_moment_to_write_how_its_horse_ended(alice: User) -> None:
    job, token = lifecycle.create("ping", {}, owner=alice).job, uuid4()
    lifecycle.start(job.pk, worker="w", token=token)
    with another_session() as session:
        session.execute("SELECT 1 FROM notifications_inbox WHERE user_id = %s FOR UPDATE", [alice.pk])
        worker.horse_ended(token, signal.SIGKILL, False)
        assert Job.objects.get(pk=job.pk).state == State.RUNNING  # the keeper finds the lease over
    worker.horse_ended(token, signal.SIGKILL, False)
    assert Job.objects.get(pk=job.pk).state == State.PENDING


def test_a_worker_that_is_told_to_stop_while_it_claims_gives_back_what_it_claimed(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_hand, "leaving", False)
    hooks = worker.hooks("light")
    job, token = lifecycle.create("flash", {}, owner=alice).job, uuid4()
    claimed = hooks.claim("light", token, "w", "")
    hooks.release()  # SIGTERM, before the claim had returned
    hooks.drive(claimed, token)
    job.refresh_from_db()
    assert (job.state, job.crashes) == (State.PENDING, 0)
    assert job.events.filter(kind="released").exists()


def test_a_job_of_a_source_that_moved_to_another_queue_is_still_claimed(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = lifecycle.create("ping", {}, owner=alice).job
    monkeypatch.setattr(get("ping"), "queue", "analytics")
    assert claims.pick("default") == job.pk


def test_who_only_watches_a_job_does_not_inherit_it(alice: User, bob: User) -> None:
    job = lifecycle.create("ping", {}, owner=alice).job
    inbox.follow(bob, job.stream)
    assert lifecycle.cancel(job, alice).state == State.CANCELLED


def test_a_connection_that_is_lost_after_the_commit_fails_nobody(alice: User) -> None:
    """The job is there; that its queue could not be woken is the keeper's business."""
    lost = []

    def lose(execute: object, sql: str, *args: object) -> object:
        if "FROM ingestion_process" in sql:  # what `wake` asks first
            lost.append(sql)
            raise OperationalError("the connection is closed")
        return execute(sql, *args)  # type: ignore[operator]

    with connection.execute_wrapper(lose):
        made = lifecycle.create("ping", {}, owner=alice)
    assert lost and made.created


@pytest.mark.parametrize("client", [queues._client, publish._redis])
def test_a_connection_to_redis_costs_a_work_horse_no_look_at_the_disk(
    client: Callable[[], Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(name: str) -> str:
        raise AssertionError(f"the version of {name} was read")

    monkeypatch.setattr("redis.utils.metadata.version", look)
    assert client().connection_pool.make_connection() is not None
