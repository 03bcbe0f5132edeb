"""What people are told of jobs: one row a person and job, updated in place, in the move's own transaction."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from ingestion import figures, lifecycle, notices, serializers
from ingestion.admission import Refused
from ingestion.history import Figures
from ingestion.models import Job, Schedule
from ingestion.source import Outcome
from notifications import acting, inbox, listing
from notifications.listing import Filter
from notifications.models import Inbox, Notification

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(alice):
    """A running job of alice's and its token."""
    return start(lifecycle.create("shelves", {"name": "hers"}, owner=alice).job)


def start(job):
    token = uuid4()
    assert lifecycle.start(job.pk, worker="w", token=token) is not None
    return job, token


def row(user):
    return Notification.objects.get(recipient=user)


def told(user):
    return [(one.type, one.title, one.read_at is None) for one in Notification.objects.filter(recipient=user)]


def items(job, done, failed):
    Job.objects.filter(pk=job.pk).update(items_total=done + failed, items_done=done, items_failed=failed)


def agrees(job, user):
    """Say whether the user's row speaks of the job as it stands (P13)."""
    one = row(user)
    return one.version == Job.objects.get(pk=job.pk).version and one.group_key == job.stream


def test_nothing_is_told_before_it_starts_and_starting_is_read_already(alice):
    job = lifecycle.create("shelves", {"name": "hers"}, owner=alice).job
    assert told(alice) == []

    start(job)

    assert told(alice) == [("job_started", "Shelves has started", False)]
    assert row(alice).data == {"status": "running", "open": True} and row(alice).url == f"/jobs/{job.pk}/"
    assert Inbox.objects.get().unread == 0


@pytest.mark.seed("S2.54", "S2.86")
def test_done_is_told_with_its_figures(alice, running):
    job, token = running
    items(job, 24, 0)

    assert lifecycle.finish(job.pk, token, Outcome())

    assert told(alice) == [("task_complete", "Shelves completed", True)]
    assert row(alice).text == "Done: 24 of 24" and row(alice).level == "success" and agrees(job, alice)
    assert row(alice).url == f"/jobs/{job.pk}/"
    assert "open" not in row(alice).data and Inbox.objects.get().unread == 1


@pytest.mark.seed("UX29")
def test_a_hundred_failed_items_are_one_row(alice, running):
    job, token = running
    items(job, 862, 100)

    assert lifecycle.finish(job.pk, token, Outcome())

    assert told(alice) == [("job_partial", "Shelves finished with 100 errors", True)]
    assert row(alice).text == "100 of 962 failed" and agrees(job, alice)


def test_what_a_source_could_not_use_is_told_and_cannot_be_retried(alice, running):
    job, token = running
    items(job, 24, 0)

    assert lifecycle.finish(job.pk, token, Outcome(text="24 rows loaded, 3 left out", partial=True))

    assert told(alice) == [("job_partial", "Shelves finished with errors", True)]
    assert row(alice).text == "24 rows loaded, 3 left out" and agrees(job, alice)
    assert "retry" not in row(alice).data
    ended = Job.objects.get(pk=job.pk)
    assert (ended.state, ended.progress, ended.error, figures.percent(ended)) == ("partial", 1.0, None, 100)
    assert "retry" not in serializers.can(ended, alice)
    with pytest.raises(Refused) as refused:
        lifecycle.retry(ended, alice)
    assert refused.value.code == "nothing_to_retry"


def test_failed_says_why(alice, running):
    job, token = running

    assert lifecycle.fail(job.pk, token, {"code": "x", "text": "The file is password protected."})

    assert told(alice) == [("job_failed", "Shelves failed", True)]
    assert (row(alice).text, row(alice).level) == ("The file is password protected.", "error")


def test_waiting_asks_the_owner_and_the_answer_ends_it(alice, running):
    job, token = running

    assert lifecycle.wait(job.pk, token, "review", "61 rows need a decision")

    assert told(alice) == [("job_waiting", "Shelves is ready to review", True)]
    assert row(alice).text == "61 rows need a decision" and agrees(job, alice)
    lifecycle.answer(Job.objects.get(pk=job.pk), "approve", {}, alice)
    assert told(alice) == [("job_started", "Shelves is queued again", False)] and agrees(job, alice)
    assert Inbox.objects.get().unread == 0


def test_whoever_cancelled_is_not_told_and_the_others_are(alice, bob, staff, running):
    job, token = running
    inbox.follow(bob, job.stream)
    items(job, 3, 0)
    lifecycle.cancel(job, staff)

    assert lifecycle.stop(job.pk, token)

    assert told(alice) == [("job_cancelled", "Shelves was cancelled", True)]
    assert row(alice).text == "By staff, after 3 of 3. What was stored is kept."
    assert told(bob) == [("job_cancelled", "Shelves was cancelled", True)] and agrees(job, bob)
    assert told(staff) == []


def test_who_cancels_their_own_finds_it_in_their_row_but_not_unread(alice, running):
    job, token = running
    lifecycle.cancel(job, alice)

    assert lifecycle.stop(job.pk, token)

    assert told(alice) == [("job_cancelled", "Shelves was cancelled", False)] and agrees(job, alice)


def test_a_rejection_is_told_to_all_but_the_reviewer(alice, bob, running):
    job, token = running
    inbox.follow(bob, job.stream)
    lifecycle.wait(job.pk, token, "review", "Look")

    lifecycle.answer(Job.objects.get(pk=job.pk), "reject", {"reason": "wrong year"}, bob)

    assert told(alice) == [("job_cancelled", "Shelves was rejected", True)]
    assert row(alice).text == "Rejected by bob: wrong year"
    assert told(bob)[0][2] is False and agrees(job, bob)


@pytest.mark.parametrize("about", ["job", "source:shelves", "object"])
def test_who_muted_it_its_source_or_its_object_is_not_told(alice, bob, running, about):
    job, token = running
    Job.objects.filter(pk=job.pk).update(object="shelf:7")
    inbox.follow(bob, job.stream)
    inbox.mute(bob, {"job": job.stream, "object": "shelf:7"}.get(about, about))

    lifecycle.finish(job.pk, token, Outcome())

    assert told(bob) == [] and len(told(alice)) == 1


@pytest.mark.parametrize("about", ["source:shelves", "shelf:7"])
def test_who_follows_a_source_or_an_object_is_told_of_what_they_may_see(alice, bob, staff, running, about):
    job, token = running
    Job.objects.filter(pk=job.pk).update(object="shelf:7")
    for user in (bob, staff):
        inbox.follow(user, about)

    lifecycle.finish(job.pk, token, Outcome())

    assert told(bob) == []
    assert told(staff) == [("task_complete", "Shelves completed", True)]


def test_its_end_ends_a_snooze_until_it_finishes_and_no_other(alice, bob, running):
    job, token = running
    inbox.follow(bob, job.stream)
    lifecycle.wait(job.pk, token, "review", "Look")
    lifecycle.answer(Job.objects.get(pk=job.pk), "approve", {}, alice)
    assert acting.snooze(alice, [row(alice).pk], None).count == 1
    acting.snooze(bob, [row(bob).pk], timezone.now() + timedelta(days=1))
    _, token = start(job)
    assert row(alice).snoozed_at is not None

    lifecycle.finish(job.pk, token, Outcome())

    assert row(alice).snoozed_at is None and row(bob).snoozed_at is not None
    assert (listing.unread_count(alice), listing.unread_count(bob)) == (1, 0)
    assert acting.snooze(alice, [row(alice).pk], None).count == 0


def test_an_attempt_that_is_repeated_keeps_the_row_true_and_read(alice, running):
    job, token = running

    lifecycle.try_again(job.pk, token, {"code": "x", "text": "Busy."}, Figures())

    assert told(alice) == [("job_started", "Shelves is queued again", False)] and agrees(job, alice)


def test_dependants_that_end_with_it_are_told_in_the_same_statement(alice, running):
    job, token = running
    lifecycle.create("ping", {}, owner=alice, depends_on=[job])

    lifecycle.fail(job.pk, token, {"code": "x", "text": "Broken."})

    assert sorted(told(alice)) == [
        ("job_cancelled", "Ping was cancelled", True),
        ("job_failed", "Shelves failed", True),
    ]
    assert Inbox.objects.get().unread == 2


def test_a_move_that_somebody_else_made_first_tells_nothing(alice, running):
    job, token = running
    lifecycle.finish(job.pk, token, Outcome())
    before = list(Notification.objects.values())

    assert not lifecycle.fail(job.pk, token, {"code": "x", "text": "late"})
    assert list(Notification.objects.values()) == before


def test_a_job_of_nobody_tells_nobody(db):
    job, token = start(lifecycle.create("ping", {}, owner=None).job)

    assert lifecycle.finish(job.pk, token, Outcome())
    assert not Notification.objects.exists()


def test_a_long_title_fits(alice, running):
    job, token = running
    Job.objects.filter(pk=job.pk).update(title="x" * 200)

    assert lifecycle.finish(job.pk, token, Outcome())
    assert row(alice).title == "x" * 150 + " completed"


def test_many_jobs_that_are_followed_cost_no_more(alice, bob, staff, running, django_assert_num_queries):
    for user in (alice, bob, staff):
        inbox.follow(user, "source:shelves")
    jobs = [lifecycle.create("shelves", {"name": f"{n}"}, owner=alice).job for n in range(5)]
    for job in jobs:
        job.state, job.version, job.watched, job.cancel_requested_by_id = "cancelled", 9, True, bob.pk
    jobs[0].object = "shelf:7"
    inbox.touch([alice.pk, bob.pk, staff.pk])  # makes the inboxes

    with django_assert_num_queries(4):  # who may be told, who cancelled, telling, deliveries
        notices.tell(jobs)

    assert {one.text for one in Notification.objects.filter(recipient=staff)} == {"By bob."}
    assert [Notification.objects.filter(recipient=user).count() for user in (alice, staff, bob)] == [6, 5, 0]


def test_it_costs_one_statement_a_move(alice, running, django_assert_num_queries):
    job = Job.objects.get(pk=running[0].pk)
    with django_assert_num_queries(1):
        notices.tell([job])
    assert listing.entries(alice, Filter("all"), limit=5)


@pytest.mark.parametrize(
    ("outcome", "by_schedule", "joined", "unread"),
    [
        (Outcome(quiet=True), True, False, False),
        (Outcome(quiet=True), False, False, True),  # who started it by hand waits for it
        (Outcome(quiet=True), True, True, True),
        (Outcome(), True, False, True),
        (Outcome(quiet=True, partial=True), True, False, True),
    ],
)
def test_a_scheduled_job_that_found_nothing_new_ends_as_read(
    alice, bob, running, outcome, by_schedule, joined, unread
):
    job, token = running
    if by_schedule:
        Schedule.objects.create(name="x", source=job.source, cron="0 6 * * *", owner=alice, last_job=job)
    if joined:
        inbox.follow(bob, job.stream)

    lifecycle.finish(job.pk, token, outcome)

    assert (row(alice).read_at is None) == unread and agrees(job, alice)
    assert row(alice).title.startswith(("Shelves completed", "Shelves finished"))
    assert Inbox.objects.get(user=alice).unread == unread
    assert not joined or row(bob).read_at is None


@pytest.mark.parametrize(("alices", "unread"), [(True, False), (False, True)])
def test_who_joined_by_a_schedule_of_their_own_asked_for_no_more_than_the_first(
    alice, bob, running, alices, unread
):
    """Two people who have a company looked at daily: the second's schedule joins the first's job."""
    job, token = running
    for owner in (alice, bob) if alices else (bob,):
        Schedule.objects.create(
            name=owner.username, source=job.source, cron="0 6 * * *", owner=owner, last_job=job
        )
    inbox.follow(bob, job.stream)

    lifecycle.finish(job.pk, token, Outcome(quiet=True))

    assert [row(one).read_at is None for one in (alice, bob)] == [unread, unread]
