"""What goes with a job that was kept long enough, and what stays."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.functions import Now

from config.models import AuditLog
from config.statements import execute
from ingestion import lifecycle, retention
from ingestion.keeper import Keeper
from ingestion.models import IdempotencyKey, Job, JobAttempt, JobEvent, JobItem, Upload
from ingestion.source import Outcome
from notifications import inbox
from notifications.models import Inbox, Notification
from tests.pages import rows

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
def test_jobs_with_many_items_go_few_at_a_time_until_none_is_left(alice: User) -> None:
    for _ in range(3):
        Job.objects.filter(pk=ended(alice).pk).update(
            finished_at=OLD, items_total=retention.MOST_ITEMS * 2 // 3
        )
    Job.objects.filter(pk=ended(alice).pk).update(finished_at=OLD, items_total=retention.MOST_ITEMS * 2)
    keeper, left = Keeper(), []
    for _ in range(4):
        keeper.prune()  # as its ticks do
        left.append(Job.objects.count())
    assert left == [3, 2, 1, 0]
    Job.objects.filter(pk=ended(alice).pk).update(finished_at=OLD)
    keeper.prune()  # the last batch was short: nothing for an hour
    assert Job.objects.count() == 1
    assert retention.prune()["jobs"] == 1


@pytest.mark.django_db
def test_what_gets_old_meanwhile_waits_for_the_next_hour(alice: User) -> None:
    keeper, gone = Keeper(), []
    for _ in range(3):
        Job.objects.filter(pk=ended(alice).pk).update(finished_at=OLD)
        keeper.prune()
        gone.append(Job.objects.count())
    assert gone == [0, 1, 2]


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


def expired(owner: User, path: str) -> Upload:
    return Upload.objects.create(
        owner=owner, name="a.csv", path=path, size=1, sha256="x", type="text/csv", expires_at=OLD
    )


@pytest.mark.django_db
def test_a_file_that_cannot_be_deleted_stays_and_holds_up_nothing(alice: User) -> None:
    folder, other = uuid4().hex, uuid4().hex
    for name in (f"{folder}/inside", other):
        default_storage.save(name, ContentFile(b"x"))
    stuck = expired(alice, folder)  # not empty, so nobody may delete it
    expired(alice, other)
    IdempotencyKey.objects.create(user=alice, key="k", body_hash="x", created_at=OLD)

    gone = retention.prune()

    assert (gone["uploads"], gone["idempotency_keys"]) == (1, 1)
    assert list(Upload.objects.all()) == [stuck] and not default_storage.exists(other)
    default_storage.delete(f"{folder}/inside")
    assert retention.prune()["uploads"] == 1


@pytest.mark.django_db(transaction=True)
def test_what_somebody_holds_of_one_kind_holds_up_no_other(alice: User) -> None:
    Job.objects.filter(pk=ended(alice).pk).update(finished_at=OLD)
    IdempotencyKey.objects.create(user=alice, key="k", body_hash="x", created_at=OLD)
    execute("SET lock_timeout = '500ms'")  # a keeper's sessions begin with one
    try:
        with elsewhere("SELECT 1 FROM notifications_inbox WHERE user_id = %s FOR UPDATE", alice.pk):
            gone = retention.prune()
    finally:
        execute("RESET lock_timeout")
    assert (gone["jobs"], gone["idempotency_keys"]) == (0, 1)
    assert retention.prune()["jobs"] == 1


def old_job(alice: User, age: timedelta) -> None:
    job = ended(alice)
    rows.items(job, {"done": 1})
    Job.objects.filter(pk=job.pk).update(finished_at=Now() - age)


def old_line(alice: User, age: timedelta) -> None:
    line = rows.event(rows.job(alice, "completed"), "A line")
    JobEvent.objects.filter(pk=line.pk).update(at=Now() - age)


def old_traceback(alice: User, age: timedelta) -> None:
    JobAttempt.objects.filter(job=ended(alice)).update(traceback="Traceback", ended_at=Now() - age)


def old_upload(alice: User, age: timedelta) -> None:
    job = ended(alice)
    Job.objects.filter(pk=job.pk).update(finished_at=Now() - age)
    Upload.objects.create(
        owner=alice, job=job, name="a", path=uuid4().hex, size=1, sha256="x", type="text/csv"
    )


def old_key(alice: User, age: timedelta) -> None:
    IdempotencyKey.objects.create(user=alice, key=uuid4().hex, body_hash="x", created_at=Now() - age)


def old_act(alice: User, age: timedelta) -> None:
    AuditLog.objects.create(action="job.cancel", target="job:1", via="page", at=Now() - age)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "made", "kept"),
    [
        ("jobs", old_job, timedelta(days=180)),
        ("events", old_line, timedelta(days=30)),
        ("tracebacks", old_traceback, timedelta(days=30)),
        ("uploads", old_upload, timedelta(days=30)),
        ("idempotency_keys", old_key, timedelta(hours=24)),
        ("audit", old_act, timedelta(days=730)),
    ],
)
def test_each_kind_is_kept_exactly_as_long_as_is_said(
    alice: User, kind: str, made: Callable[[User, timedelta], None], kept: timedelta
) -> None:
    made(alice, kept - timedelta(hours=1))
    assert retention.prune()[kind] == 0
    made(alice, kept + timedelta(hours=1))
    assert retention.prune()[kind] == 1


@pytest.mark.django_db
def test_a_job_that_goes_takes_its_items_and_its_history_along(alice: User) -> None:
    old_job(alice, timedelta(days=181))
    assert JobItem.objects.exists() and JobEvent.objects.exists()
    assert retention.prune()["jobs"] == 1
    assert not any(model.objects.exists() for model in (Job, JobItem, JobEvent, JobAttempt))
