"""The stream of a job, and the jobs in a user's stream, against real rows."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ingestion.models import Job, JobEvent, JobItem
from notifications import inbox
from realtime import streams
from tests.realtime.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)


def kind():
    return streams.kinds()["job"]


def test_a_job_reads_as_its_json_with_its_items_and_last_events(alice):
    job = make_job(alice, version=60, items_total=1)
    JobItem.objects.create(job=job, step="s", key="a", label="A", ordinal=0)
    JobEvent.objects.bulk_create(
        JobEvent(job=job, version=v, kind="log", message=f"{v}") for v in range(1, 61)
    )

    reading = kind().read({str(job.pk): None})[str(job.pk)]

    assert reading.version == reading.data["version"] == 60
    assert reading.data["items_by_key"]["a"]["label"] == "A"
    assert [event["version"] for event in reading.events] == list(range(11, 61))
    assert (reading.final, reading.cut) == (False, False)


def test_events_after_a_version_come_whole_up_to_500_and_then_as_the_last_50(alice):
    job = make_job(alice, version=501)
    JobEvent.objects.bulk_create(JobEvent(job=job, version=v, kind="log", message="x") for v in range(1, 502))

    whole = kind().read({str(job.pk): 1})[str(job.pk)]
    cut = kind().read({str(job.pk): 0})[str(job.pk)]

    assert (len(whole.events), whole.cut) == (500, False)
    assert (len(cut.events), cut.cut) == (50, True)
    assert cut.events[-1]["version"] == 501


def test_a_finished_job_reads_as_final(alice):
    job = make_job(alice, state="failed")

    assert kind().read({str(job.pk): None})[str(job.pk)].final is True


def test_no_key_raises(alice):
    job = make_job(alice)
    odd = ["", "123", "../x", str(job.pk).upper(), "0" * 300, "\u202e", "\x00", "{" + str(job.pk) + "}"]

    assert kind().visible(alice, odd) == set()
    assert kind().versions(odd) == {}
    assert kind().read(dict.fromkeys(odd)) == {}


def test_a_strangers_job_is_not_visible(alice, bob):
    job = make_job(alice)

    assert kind().visible(alice, [str(job.pk)]) == {str(job.pk)}
    assert kind().visible(bob, [str(job.pk)]) == set()


def test_reading_many_jobs_costs_as_many_queries_as_reading_one(alice):
    jobs = [str(make_job(alice, items_total=2).pk) for _ in range(5)]

    with CaptureQueriesContext(connection) as one:
        kind().read(dict.fromkeys(jobs[:1]))
    with CaptureQueriesContext(connection) as many:
        kind().read(dict.fromkeys(jobs, 0))

    assert len(one) == len(many)


def test_a_users_stream_names_own_and_followed_open_jobs(alice, bob):
    mine = make_job(bob)
    waiting = make_job(bob, state="pending", pending_reason="schedule")
    followed = make_job(alice)
    make_job(bob, state="failed")
    make_job(alice)
    inbox.follow(bob, f"job:{followed.pk}")
    inbox.follow(bob, f"job:{mine.pk}")

    reading = streams.kinds()["user"].read({str(bob.pk): None})[str(bob.pk)]

    assert reading.data["jobs"] == {
        "active": 2,
        "ids": sorted((str(job.pk) for job in (mine, waiting, followed)), reverse=True),
    }


def test_a_users_stream_names_the_newest_50_and_counts_all(alice):
    jobs = [make_job(alice) for _ in range(52)]

    part = streams.kinds()["user"].read({str(alice.pk): None})[str(alice.pk)].data["jobs"]

    assert part["active"] == 52
    assert part["ids"] == [str(job.pk) for job in reversed(jobs)][:50]
    assert Job.objects.count() == 52
