"""The crash brake: a deployment that ends every worker fails no job; one poison job stops nobody."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now

from ingestion import brake, lifecycle, pauses
from ingestion.claims import claimable
from ingestion.clock import read_clock
from ingestion.models import Job, JobAttempt, Pause
from ingestion.source import Outcome

pytestmark = pytest.mark.django_db


def attempts(owner: User | None, outcomes: Sequence[str]) -> list[Job]:
    """Let jobs be started, one after the other, and end so."""
    made = []
    for n, outcome in enumerate(outcomes):
        job = lifecycle.create("nap", {"name": f"{len(outcomes)}-{n}-{outcome}"}, owner=owner).job
        token = uuid4()
        assert lifecycle.start(job.pk, worker="w", token=token) is not None
        if outcome == "crashed":
            lifecycle.rescue(job.pk, token, crashed=True, expired=False)
        elif outcome == "completed":
            lifecycle.finish(job.pk, token, Outcome())
        made.append(job)
    return made


def test_when_most_jobs_crash_nothing_starts_for_a_minute(alice: User) -> None:
    job = attempts(alice, ["crashed"] * 6 + ["completed"] * 5)[0]
    assert claimable(job.queue, 1)
    assert brake.look()
    assert not claimable(job.queue, 1)
    held = pauses.current().get()
    assert (held.scope, held.reason, held.by) == ("all", brake.REASON, None)
    assert timedelta(seconds=55) < held.until - held.created_at < timedelta(seconds=65)
    assert not brake.look()  # while it holds
    Pause.objects.update(until=Now())
    assert not brake.look()  # the crashes before it do not count again
    attempts(alice, ["crashed"] * 5)
    assert brake.look()


def test_a_few_crashes_and_crashes_among_many_good_ones_stop_nobody(alice: User) -> None:
    attempts(alice, ["crashed"] * 4)
    assert not brake.look()
    attempts(alice, ["crashed"] * 6 + ["completed"] * 10)
    assert not brake.look()
    assert not Pause.objects.exists()


def test_one_owners_many_crashes_stop_nobody_whose_jobs_go_well(alice: User, bob: User) -> None:
    attempts(alice, ["crashed"] * 12)
    attempts(bob, ["completed"])
    assert not brake.look()
    attempts(bob, ["crashed", "crashed"])
    assert brake.look()  # most of everyone's


def test_a_job_of_nobody_that_goes_well_is_no_sign_that_all_is_well(alice: User) -> None:
    attempts(None, ["completed"])
    attempts(alice, ["crashed"] * 6)
    assert brake.look()


def test_jobs_of_nobody_count_where_there_are_no_others() -> None:
    attempts(None, ["crashed"] * 6)
    assert brake.look()


def test_what_was_started_lately_is_found_by_an_index(alice: User) -> None:
    """Attempts are kept for weeks, and the keeper asks each second while jobs crash."""
    job = attempts(alice, ["running"])[0]
    JobAttempt.objects.bulk_create(JobAttempt(job=job, number=n, worker="w") for n in range(2, 2002))
    JobAttempt.objects.filter(number__gt=1).update(started_at=Now() - timedelta(days=1))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ingestion_jobattempt")
    assert "jobattempt_started" in brake.started(read_clock() - brake.WINDOW).explain()


def test_what_went_on_after_its_crash_did_not_crash(alice: User) -> None:
    """Each was killed once, and its next attempt runs."""
    for job in attempts(alice, ["crashed"] * 8):
        assert lifecycle.start(job.pk, worker="w", token=uuid4()) is not None
    assert JobAttempt.objects.filter(outcome="crashed").count() == 8
    assert not brake.look()


def test_what_crashed_long_ago_does_not_count(alice: User) -> None:
    attempts(alice, ["crashed"] * 8)
    JobAttempt.objects.update(started_at=Now() - timedelta(minutes=3), ended_at=Now() - timedelta(minutes=3))
    assert not brake.look()


def test_a_persons_pause_is_left_as_it_is(alice: User) -> None:
    attempts(alice, ["crashed"] * 8)
    pauses.begin("all", alice, reason="Maintenance")
    assert not brake.look()
    assert Pause.objects.get().reason == "Maintenance"


def test_a_persons_pause_of_the_same_moment_is_left_as_it_is(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts(alice, ["crashed"] * 8)
    monkeypatch.setattr(brake, "_since", lambda now: now - brake.WINDOW)  # looked before it was there
    pauses.begin("all", alice, reason="Maintenance")
    assert not brake.look()
    held = Pause.objects.get()
    assert (held.reason, held.until) == ("Maintenance", None)


def test_who_resumes_by_hand_is_not_overruled_by_what_crashed_before(alice: User) -> None:
    attempts(alice, ["crashed"] * 6)
    assert brake.look()
    assert not brake.look()  # a second later the keeper sees that it holds
    pauses.end("all")
    assert not brake.look()
    attempts(alice, ["crashed"] * 5)
    assert brake.look()
