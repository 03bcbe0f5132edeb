"""What goes with a job that was kept long enough, and what stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now

from ingestion import lifecycle, retention
from ingestion.models import Job, JobAttempt, Upload
from ingestion.source import Outcome
from notifications import inbox
from notifications.models import Inbox, Notification

OLD = Now() - timedelta(days=400)


def ended(owner: User) -> Job:
    job = lifecycle.create("ping", {}, owner=owner).job
    token = uuid4()
    assert lifecycle.start(job.pk, worker="w", token=token) is not None
    assert lifecycle.finish(job.pk, token, Outcome())
    return job


def failed(owner: User, follower: User) -> Job:
    job = lifecycle.create("ping", {}, owner=owner).job
    inbox.follow(follower, job.stream)
    token = uuid4()
    assert lifecycle.start(job.pk, worker="w", token=token) is not None
    assert lifecycle.fail(job.pk, token, {"code": "x", "text": "Broken."})
    return job


@contextmanager
def elsewhere(statement: str, *values: object) -> Iterator[None]:
    """Do something in a transaction of another session that is still open."""
    wanted = ("dbname", "user", "host", "port", "password")
    params = {name: value for name, value in connection.get_connection_params().items() if name in wanted}
    with psycopg.connect(**params) as other:
        other.execute(statement, values)
        yield
        other.rollback()


@pytest.mark.django_db
def test_who_followed_a_job_follows_it_no_more_when_it_is_gone(alice: User, bob: User) -> None:
    gone, stays = ended(alice), ended(alice)
    inbox.follow(bob, gone.stream)
    inbox.follow(bob, stays.stream)
    Job.objects.filter(pk=gone.pk).update(finished_at=OLD)

    assert retention.prune()["jobs"] == 1
    assert inbox.followers(gone.stream) == set()
    assert inbox.followers(stays.stream) == {bob.pk}


@pytest.mark.django_db
@pytest.mark.parametrize("by_hand", [True, False])
def test_what_was_told_of_a_job_leads_nowhere_when_it_is_gone(alice: User, bob: User, by_hand: bool) -> None:
    gone, stays = failed(alice, bob), failed(alice, bob)
    inbox.unfollow(bob.pk, gone.stream)  # has the row all the same
    Job.objects.filter(pk=gone.pk).update(finished_at=OLD)
    before = dict(Inbox.objects.values_list("pk", "version"))

    if by_hand:
        lifecycle.delete(gone, alice)
    else:
        assert retention.prune()["jobs"] == 1

    for user in (alice, bob):
        rows = {row.about: row for row in Notification.objects.filter(recipient=user)}
        assert (rows[gone.stream].title, rows[gone.stream].url) == ("Ping failed", "")
        assert "retry" not in rows[gone.stream].data and rows[gone.stream].data["owner"] == alice.pk
        assert (rows[stays.stream].url, rows[stays.stream].data["retry"]) == (f"/jobs/{stays.pk}/", True)
    assert dict(Inbox.objects.values_list("pk", "version")) == {pk: n + 1 for pk, n in before.items()}


@pytest.mark.seed("S2.100", "S2.106")
@pytest.mark.django_db
def test_the_moves_of_a_job_are_told_as_long_as_the_job_is_kept(alice: User) -> None:
    job = lifecycle.create("ping", {}, owner=alice).job
    for verb in (
        lifecycle.release,
        lambda pk, token: lifecycle.rescue(pk, token, crashed=True, expired=False),
    ):
        token = uuid4()
        assert lifecycle.start(job.pk, worker="w", token=token) is not None
        assert verb(job.pk, token)
    told = list(job.events.order_by("version").values_list("kind", flat=True))
    job.events.update(at=OLD)

    assert retention.prune()["events"] == 0
    assert list(job.events.order_by("version").values_list("kind", flat=True)) == told


@pytest.mark.django_db
def test_old_tracebacks_are_forgotten_and_their_attempts_kept(alice: User) -> None:
    job = ended(alice)
    JobAttempt.objects.filter(job=job).update(traceback="Traceback", ended_at=OLD)

    assert retention.prune()["tracebacks"] == 1
    assert JobAttempt.objects.get(job=job).traceback == ""
    assert retention.prune()["tracebacks"] == 0


@pytest.mark.django_db(transaction=True)
def test_a_file_that_a_retry_is_taking_stays(alice: User) -> None:
    job = ended(alice)
    Job.objects.filter(pk=job.pk).update(finished_at=Now() - timedelta(days=40))
    upload = Upload.objects.create(
        owner=alice, job=job, name="a.csv", path="a", size=1, sha256="x", type="text/csv"
    )

    with elsewhere("UPDATE ingestion_upload SET name = 'b.csv' WHERE id = %s", upload.pk):
        assert retention.prune()["uploads"] == 0
    assert Upload.objects.filter(pk=upload.pk).exists()
    assert retention.prune()["uploads"] == 1
