"""The verbs: what each writes, and that a second caller changes nothing."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection

from ingestion import admission, lifecycle
from ingestion.admission import Created, Refused
from ingestion.history import Figures, Note
from ingestion.models import Job, JobItem, PendingReason, State
from ingestion.source import Outcome, get
from notifications import inbox

pytestmark = pytest.mark.django_db


def started(owner: User | None = None, kind: str = "ping", **params: object) -> Job:
    job = lifecycle.create(kind, params, owner=owner).job
    running = lifecycle.start(job.pk, worker="w", token=uuid4())
    assert running is not None
    return running


def test_a_created_job_is_pending_with_an_event_and_moves_the_owners_stream(alice: User) -> None:
    job = lifecycle.create("ping", {}, owner=alice).job

    assert (job.state, job.pending_reason, job.version) == (State.PENDING, "queue", 1)
    assert [event.kind for event in job.events.all()] == ["created"]
    assert alice.inbox.version == 1


def test_events_take_the_numbers_between_two_versions(alice: User) -> None:
    job = started(alice)
    figures = Figures({}, [Note("log", "one"), Note("log", "two")])
    lifecycle.finish(job.pk, job.lease_token, Outcome(text="fine"), figures)

    job.refresh_from_db()
    numbers = list(job.events.order_by("version").values_list("version", "kind"))
    assert numbers == [(1, "created"), (2, "started"), (3, "log"), (4, "log"), (5, "completed")]
    assert job.version == 5


def test_a_worker_that_lost_its_lease_cannot_finish(alice: User) -> None:
    stale = started(alice)
    assert lifecycle.rescue(stale.pk, stale.lease_token, crashed=False, expired=False)

    assert lifecycle.finish(stale.pk, stale.lease_token, Outcome()) is False
    assert Job.objects.get(pk=stale.pk).state == State.PENDING


def test_a_lease_that_has_not_run_out_is_not_rescued(alice: User) -> None:
    job = started(alice)
    assert lifecycle.rescue(job.pk, job.lease_token, crashed=True) is False


def test_the_same_work_is_joined_by_its_owner(alice: User) -> None:
    first = lifecycle.create("shelves", {"name": "a"}, owner=alice)
    second = lifecycle.create("shelves", {"name": "a", "n": 9}, owner=alice)

    assert (first.created, second.created) == (True, False)
    assert first.job.pk == second.job.pk


def test_to_join_is_no_error_of_the_database(alice: User) -> None:
    failed: list[str] = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        try:
            return execute(sql, *rest)
        except DatabaseError:
            failed.append(sql)
            raise

    with connection.execute_wrapper(watch):
        first = lifecycle.create("shelves", {"name": "a"}, owner=alice).job
        assert lifecycle.create("shelves", {"name": "a"}, owner=alice).job == first
        lifecycle.cancel(first, alice)
        again = lifecycle.retry(first, alice)
        assert lifecycle.retry(first, alice) == Created(again.job, created=False)
        assert lifecycle.create("shelves", {"name": "a"}, owner=alice).job == again.job
    assert failed == []
    assert Job.objects.count() == 2 and list(again.job.events.values_list("kind", flat=True)) == ["created"]


def test_a_retry_without_a_key_is_joined_and_no_other_job(alice: User) -> None:
    ended, other = (lifecycle.create("ping", {}, owner=alice).job for _ in range(2))
    lifecycle.cancel(ended, alice)
    again = lifecycle.retry(ended, alice).job
    assert lifecycle.retry(ended, alice).job == again != other


@pytest.mark.parametrize("verb", ["finish", "fail", "stop", "release", "wait", "try_again"])
def test_every_end_takes_the_lease_away(alice: User, verb: str) -> None:
    job = started(alice)
    error = {"code": "x", "text": "No."}
    arguments = {"finish": (Outcome(),), "fail": (error,), "wait": ("review", "?"), "try_again": (error,)}
    assert getattr(lifecycle, verb)(job.pk, job.lease_token, *arguments.get(verb, ())) is True

    job.refresh_from_db()
    assert job.lease_token is None
    assert getattr(lifecycle, verb)(job.pk, uuid4(), *arguments.get(verb, ())) is False


def test_two_users_have_two_jobs_of_one_key(alice: User, bob: User) -> None:
    assert lifecycle.create("shelves", {"name": "a"}, owner=alice).created
    assert lifecycle.create("shelves", {"name": "a"}, owner=bob).created


def test_cancel_ends_a_pending_job_at_once(alice: User) -> None:
    job = lifecycle.create("ping", {}, owner=alice).job
    assert lifecycle.cancel(job, alice).state == State.CANCELLED
    with pytest.raises(Refused, match="already finished"):
        lifecycle.cancel(job, alice)


def test_cancel_asks_a_running_job_and_asking_twice_is_one_event(alice: User) -> None:
    job = started(alice)
    lifecycle.cancel(job, alice)
    asked = lifecycle.cancel(job, alice)

    assert asked.state == State.RUNNING
    assert asked.cancel_requested_by == alice
    assert asked.events.filter(kind="cancel_requested").count() == 1


def test_whoever_asked_for_cancel_gets_it_even_when_the_worker_dies(alice: User) -> None:
    job = started(alice)
    lifecycle.cancel(job, alice)
    lifecycle.rescue(job.pk, job.lease_token, crashed=True, expired=False)
    assert Job.objects.get(pk=job.pk).state == State.CANCELLED


def test_an_owner_whose_job_others_joined_only_leaves_it(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get("ping"), "shared", True)
    job = lifecycle.create("ping", {}, owner=alice).job
    inbox.follow(bob, job.stream)
    left = lifecycle.cancel(job, alice)

    assert (left.state, left.owner) == (State.PENDING, bob)
    assert inbox.followers(job.stream) == set()


def test_a_job_is_left_to_nobody_who_is_gone(
    alice: User, bob: User, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get("ping"), "shared", True)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    jobs = [lifecycle.create("ping", {}, owner=alice).job for _ in range(2)]
    for job in jobs:
        inbox.follow(bob, job.stream)
    inbox.follow(staff, jobs[0].stream)

    assert lifecycle.cancel(jobs[0], alice).owner == staff
    assert lifecycle.cancel(jobs[1], alice).state == State.CANCELLED


def test_three_crashes_without_progress_fail_the_job_in_plain_words(alice: User) -> None:
    job = lifecycle.create("ping", {}, owner=alice).job
    for _ in range(3):
        running = lifecycle.start(job.pk, worker="w", token=uuid4())
        assert running is not None
        lifecycle.rescue(job.pk, running.lease_token, crashed=True, expired=False)

    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (State.FAILED, "crashed")


def test_an_item_that_crashed_its_job_again_and_again_is_set_aside(alice: User) -> None:
    job = started(alice)
    Job.objects.filter(pk=job.pk).update(crashes=2, items_total=1)
    JobItem.objects.create(job=job, step="fill", key="k", ordinal=0, state="running", crashes=2)
    lifecycle.rescue(job.pk, job.lease_token, crashed=True, expired=False)

    job.refresh_from_db()
    assert (job.state, job.crashes, job.items_failed) == (State.PENDING, 0, 1)
    assert job.items.get().state == "quarantined"


def test_without_knowing_which_item_it_was_a_poison_item_fails_its_job(alice: User) -> None:
    job = started(alice)
    Job.objects.filter(pk=job.pk).update(crashes=2, items_total=1)
    JobItem.objects.create(job=job, step="fill", key="k", ordinal=0, crashes=2)  # not written as running
    lifecycle.rescue(job.pk, job.lease_token, crashed=True, expired=False)

    job.refresh_from_db()
    assert (job.state, job.items.get().state) == (State.FAILED, "pending")


def test_answers_count_once(alice: User) -> None:
    job = started(alice, "door")
    lifecycle.wait(job.pk, job.lease_token, "review", "Open?")
    assert lifecycle.answer(job, "approve", {"note": 1}, alice).state == State.PENDING
    with pytest.raises(Refused, match=r"approve.*alice") as refused:
        lifecycle.answer(job, "approve", {}, alice)
    assert refused.value.code == "already_answered"


def test_reject_cancels_with_the_reason(alice: User) -> None:
    job = started(alice, "door")
    lifecycle.wait(job.pk, job.lease_token, "review", "Open?")
    rejected = lifecycle.answer(job, "reject", {"reason": "wrong file"}, alice)

    assert (rejected.state, rejected.error["code"]) == (State.CANCELLED, "rejected")
    assert "wrong file" in rejected.error["text"]


@pytest.mark.seed("S2.113")
def test_a_dependant_starts_when_all_its_parents_ended_well(alice: User) -> None:
    parents = [started(alice, "shelves", name=name) for name in "ab"]
    child = lifecycle.create("ping", {}, owner=alice, depends_on=parents).job
    assert child.pending_reason == PendingReason.DEPENDENCY

    lifecycle.finish(parents[0].pk, parents[0].lease_token, Outcome())
    assert Job.objects.get(pk=child.pk).pending_reason == PendingReason.DEPENDENCY
    lifecycle.finish(parents[1].pk, parents[1].lease_token, Outcome())
    assert Job.objects.get(pk=child.pk).pending_reason == PendingReason.QUEUE


def test_a_failed_parent_cancels_its_dependants_down_the_line(alice: User) -> None:
    parent = started(alice)
    child = lifecycle.create("ping", {}, owner=alice, depends_on=[parent]).job
    grandchild = lifecycle.create("ping", {}, owner=alice, depends_on=[child]).job
    lifecycle.fail(parent.pk, parent.lease_token, {"code": "x", "text": "No."})

    for job in (child, grandchild):
        job.refresh_from_db()
        assert (job.state, job.error["code"]) == (State.CANCELLED, "dependency_failed")


def test_a_job_that_needs_a_finished_parent_is_due_at_once(alice: User) -> None:
    parent = started(alice)
    lifecycle.finish(parent.pk, parent.lease_token, Outcome())
    child = lifecycle.create("ping", {}, owner=alice, depends_on=[parent]).job
    assert child.pending_reason == PendingReason.QUEUE


def test_retries_grow_and_end(alice: User) -> None:
    job = lifecycle.create("faulty", {}, owner=alice).job
    for n in range(4):
        running = lifecycle.start(job.pk, worker="w", token=uuid4())
        assert running is not None
        lifecycle.try_again(job.pk, running.lease_token, {"code": "x", "text": "No."})
        job.refresh_from_db()
        assert job.failures == min(n + 1, 3)
    assert job.state == State.FAILED


def test_released_attempts_cost_nothing(alice: User) -> None:
    job = started(alice)
    lifecycle.release(job.pk, job.lease_token)
    job.refresh_from_db()
    assert (job.state, job.failures, job.crashes, job.run_after) == (State.PENDING, 0, 0, None)


def test_only_ended_jobs_are_deleted(alice: User) -> None:
    job = started(alice)
    with pytest.raises(Refused, match="not finished"):
        lifecycle.delete(job, alice)
    lifecycle.fail(job.pk, job.lease_token, {"code": "x", "text": "No."})
    lifecycle.delete(job, alice)
    assert not Job.objects.filter(pk=job.pk).exists()


@pytest.mark.seed("S2.89")
def test_more_than_the_quota_is_refused(alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_QUEUED_PER_USER", 2)
    for _ in range(2):
        lifecycle.create("ping", {}, owner=alice)
    with pytest.raises(Refused) as refused:
        lifecycle.create("ping", {}, owner=alice)
    assert (refused.value.code, refused.value.retry_after) == ("quota_exceeded", 60)
    assert lifecycle.create("ping", {}, owner=bob).created


def test_a_full_queue_refuses_everybody(alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_QUEUED", 1)
    lifecycle.create("ping", {}, owner=alice)
    with pytest.raises(Refused) as refused:
        lifecycle.create("ping", {}, owner=bob)
    assert refused.value.code == "queue_full"


@pytest.mark.parametrize(
    ("kind", "params", "code"),
    [
        ("nosuch", {}, "validation_failed"),
        ("shelves", {"n": "many"}, "validation_failed"),
        ("shelves", {"colour": "red"}, "unknown_field"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    alice: User, kind: str, params: dict[str, object], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        lifecycle.create(kind, params, owner=alice)
    assert refused.value.code == code
    assert not Job.objects.exists()


def test_no_item_runs_in_a_job_that_has_ended(alice: User) -> None:
    job = started(alice)
    Job.objects.filter(pk=job.pk).update(items_total=1, attempt=2)
    JobItem.objects.create(job=job, step="fill", key="k", ordinal=0, state="running", crashes=1)
    lifecycle.stop(job.pk, job.lease_token)
    assert job.items.get().state == "pending"
