"""Cancel, retry, answer, follow, and the bulk bar: one verb each."""

from uuid import uuid4

import pytest
from django.test import Client

from ingestion import bulk
from ingestion.models import Job
from notifications import inbox
from notifications.models import Follow, Mute
from tests.pages import rows
from tests.sessions import holding

pytestmark = pytest.mark.django_db


def url(job: Job, verb: str) -> str:
    return f"{job.get_absolute_url()}{verb}/"


def state(job: Job) -> str:
    return Job.objects.get(pk=job.pk).state


def test_cancel_ends_what_waits_in_the_queue(client: Client, alice):
    job = rows.job(alice, "pending")
    client.force_login(alice)
    assert client.post(url(job, "cancel"))["Location"] == job.get_absolute_url()
    assert state(job) == "cancelled"


def test_cancel_asks_a_running_job(client: Client, alice):
    job = rows.job(alice, "running")
    client.force_login(alice)
    client.post(url(job, "cancel"), {"back": "home"})
    assert Job.objects.get(pk=job.pk).cancel_requested_by == alice
    assert "Cancelling" in client.get(job.get_absolute_url()).content.decode()


def test_cancel_of_what_has_ended_is_a_conflict(client: Client, alice):
    job = rows.job(alice, "completed")
    client.force_login(alice)
    response = client.post(url(job, "cancel"))
    assert response.status_code == 409
    assert job.get_absolute_url() in response.content.decode()


def test_retry_goes_to_the_new_job(client: Client, alice):
    job = rows.job(alice, "partial", params={"name": "a"})
    rows.items(job, {"done": 3, "failed": 2})
    client.force_login(alice)
    response = client.post(url(job, "retry"))
    child = Job.objects.get(retry_of=job)
    assert response["Location"] == child.get_absolute_url()
    assert client.post(url(job, "retry"))["Location"] == child.get_absolute_url()  # a second click joins


def test_retry_of_one_item_or_one_cause(client: Client, alice):
    job = rows.job(alice, "partial", params={"name": "a"})
    rows.items(job, {"done": 3, "failed": 2})
    client.force_login(alice)
    assert client.post(url(job, "retry"), {"error_code": "nope"}).status_code == 409
    client.post(url(job, "retry"), {"key": "k0003"})
    assert set(Job.objects.get(retry_of=job).items.values_list("key", flat=True)) == {
        "k0000",
        "k0001",
        "k0002",
        "k0004",
    }


def test_retry_of_a_running_job_is_a_conflict(client: Client, alice):
    client.force_login(alice)
    assert client.post(url(rows.job(alice, "running"), "retry")).status_code == 409


def test_approve(client: Client, alice):
    job = rows.job(alice, "waiting")
    client.force_login(alice)
    client.post(url(job, "answer"), {"answer": "approve"})
    job.refresh_from_db()
    assert (job.state, job.answer["answer"], job.answer["by"]) == ("pending", "approve", "alice")


def test_reject_needs_a_reason(client: Client, alice):
    job = rows.job(alice, "waiting")
    client.force_login(alice)
    response = client.post(url(job, "answer"), {"answer": "reject", "reason": "  "})
    assert response.status_code == 422
    assert "Say why" in response.content.decode()
    assert state(job) == "waiting"
    client.post(url(job, "answer"), {"answer": "reject", "reason": "wrong file"})
    job.refresh_from_db()
    assert job.answer["data"]["reason"] == "wrong file"


def test_a_second_answer_says_who_was_first(client: Client, alice, staff):
    job = rows.job(alice, "waiting")
    client.force_login(staff)
    client.post(url(job, "answer"), {"answer": "approve"})
    client.force_login(alice)
    response = client.post(url(job, "answer"), {"answer": "reject", "reason": "no"})
    assert response.status_code == 409
    assert "staff" in response.content.decode()


@pytest.mark.parametrize("data", [{}, {"answer": "burn"}, {"answer": "upload"}])
def test_an_answer_that_is_none_is_refused(client: Client, alice, data):
    job = rows.job(alice, "waiting")
    client.force_login(alice)
    assert client.post(url(job, "answer"), data).status_code == 422
    assert state(job) == "waiting"


def test_follow_and_unfollow(client: Client, alice, staff):
    job = rows.job(alice, "running")
    client.force_login(staff)
    client.post(url(job, "follow"), {"follow": "1"})
    assert Follow.objects.filter(user=staff, about=job.stream).exists()
    client.post(url(job, "follow"), {"follow": "0"})
    assert not Follow.objects.exists()


def test_mute_and_unmute(client: Client, alice):
    job = rows.job(alice, "running")
    client.force_login(alice)
    assert client.post(url(job, "mute"), {"mute": "1"})["Location"] == job.get_absolute_url()
    assert Mute.objects.filter(user=alice, about=job.stream).exists()
    assert "You muted this job" in client.get(job.get_absolute_url()).content.decode()
    client.post(url(job, "mute"), {"mute": "0"})
    assert not Mute.objects.exists()


@pytest.mark.parametrize(("verb", "things"), [("follow", "things that you follow"), ("mute", "things muted")])
def test_where_there_is_no_room_the_page_says_so(client: Client, alice, monkeypatch, verb, things):
    monkeypatch.setattr(inbox, "MOST_ABOUTS", 0)
    job = rows.job(alice, "running")
    client.force_login(alice)

    html = client.post(url(job, verb), {verb: "1"}, follow=True).content.decode()

    assert f"You already have 0 {things}, which is the limit." in html
    assert not Mute.objects.exists() and not Follow.objects.exists()


def test_nobody_mutes_what_they_do_not_see(client: Client, alice, bob):
    job = rows.job(alice, "running")
    client.force_login(bob)
    assert client.post(url(job, "mute"), {"mute": "1"}).status_code == 404
    assert not Mute.objects.exists()


def test_a_follower_who_leaves_goes_to_the_list(client: Client, alice, bob):
    job = rows.job(alice, "running")
    inbox.follow(bob, job.stream)
    client.force_login(bob)
    assert client.post(url(job, "follow"), {"follow": "0"})["Location"] == "/jobs/"


def test_a_follower_may_not_act(client: Client, alice, bob):
    for job_state, verb in (
        ("running", "cancel"),
        ("failed", "retry"),
        ("waiting", "answer"),
        ("completed", "again"),
    ):
        job = rows.job(alice, job_state)
        inbox.follow(bob, job.stream)
        client.force_login(bob)
        response = client.post(url(job, verb), {"answer": "approve"})
        assert response.status_code == 403
        assert "alice" in response.content.decode()  # who to ask
        assert state(job) == job_state


@pytest.mark.parametrize("verb", ["cancel", "retry", "answer", "again", "follow"])
def test_strangers_signed_out_people_and_get_change_nothing(client: Client, alice, bob, verb):
    job = rows.job(alice, "waiting")
    assert client.post(url(job, verb))["Location"].startswith("/signin/")
    client.force_login(bob)
    assert client.post(url(job, verb), {"answer": "approve", "follow": "1"}).status_code == 404
    client.force_login(alice)
    assert client.get(url(job, verb)).status_code == 405
    assert (state(job), Follow.objects.count()) == ("waiting", 0)


def test_bulk_cancels_those_ticked_and_counts_those_it_could_not(client: Client, alice, bob):
    mine = [rows.job(alice, "pending"), rows.job(alice, "waiting"), rows.job(alice, "completed")]
    theirs = rows.job(bob, "pending")
    client.force_login(alice)
    ids = [str(job.pk) for job in [*mine, theirs]] + ["nonsense"]
    response = client.post("/jobs/bulk/", {"verb": "cancel", "job": ids, "state": ""}, follow=True)
    assert [state(job) for job in mine] == ["cancelled", "cancelled", "completed"]
    assert state(theirs) == "pending"
    assert "2 of 3 cancelled." in response.text and "This job has already finished." in response.text


@pytest.mark.django_db(transaction=True)
def test_a_ticked_job_that_something_holds_is_told_and_holds_up_no_other(client: Client, alice):
    jobs = [rows.job(alice, "pending") for _ in range(3)]
    client.force_login(alice)
    with holding(jobs[0]):
        ticked = {"verb": "cancel", "job": [str(job.pk) for job in jobs]}
        response = client.post("/jobs/bulk/", ticked, follow=True)
    assert "2 of 3 cancelled." in response.text and bulk.HELD in response.text
    assert [state(job) for job in jobs] == ["pending", "cancelled", "cancelled"]


def test_what_one_request_does_ends_in_time_and_says_what_is_left() -> None:
    done = bulk.Done(until=0.0)
    assert not done.one(lambda: pytest.fail("begun too late"))
    done.refusals.update({str(n): 1 for n in range(bulk.MOST_REASONS)})
    done.refusals.update({"often": 3})
    assert done.reasons()[:2] == ["3 jobs: often", bulk.LATE]
    assert done.reasons()[-1] == "2 more for other reasons."


def test_bulk_for_all_that_match_touches_only_those(client: Client, alice):
    asks = [rows.job(alice, "waiting") for _ in range(3)]
    queued = rows.job(alice, "pending")
    client.force_login(alice)
    response = client.post("/jobs/bulk/", {"verb": "cancel", "all": "1", "state": "waiting"})
    assert response["Location"] == "/jobs/all/?state=waiting"  # where it is confirmed
    assert [state(job) for job in asks] == ["waiting"] * 3
    (cancel,) = [one for one in client.get(response["Location"]).context["verbs"] if one["name"] == "cancel"]
    said = {"verb": "cancel", "state": "waiting", "shown": 3, "newest": cancel["found"].newest}
    assert client.post("/jobs/all/", said)["Location"] == "/jobs/?state=waiting"
    assert [state(job) for job in [*asks, queued]] == ["cancelled"] * 3 + ["pending"]


def test_bulk_retries(client: Client, alice):
    job = rows.job(alice, "failed", params={"name": "a"})
    client.force_login(alice)
    client.post("/jobs/bulk/", {"verb": "retry", "job": str(job.pk)})
    assert Job.objects.filter(retry_of=job).count() == 1


def test_bulk_refuses_what_it_does_not_know(client: Client, alice):
    client.force_login(alice)
    assert client.post("/jobs/bulk/", {"verb": "delete", "job": str(uuid4())}).status_code == 400
    assert client.get("/jobs/bulk/").status_code == 405
