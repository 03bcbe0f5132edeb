"""GET and DELETE /api/jobs/{id}, and its verbs."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from ingestion import lifecycle
from ingestion.models import Job, JobEvent, JobItem
from ingestion.testing import run_inline
from tests.api.clients import ApiClient, assert_problem, without_id
from tests.pages import rows

pytestmark = pytest.mark.django_db


def test_a_job_is_told(as_alice: ApiClient, job: Job) -> None:
    JobItem.objects.create(job=job, step="fill", key="k1", label="Box", ordinal=1)
    told = as_alice.read(f"/jobs/{job.pk}").json()

    assert told["id"] == str(job.pk)
    assert told["items_by_key"] == {
        "k1": {"label": "Box", "state": "pending", "error_code": None, "url": None}
    }
    assert (told["owner"], told["mine"], told["params"]["name"]) == ("alice", True, "hers")
    assert told["links"]["page"] == f"/jobs/{job.pk}/"


def test_upper_case_is_the_same_job_and_braces_are_none(as_alice: ApiClient, job: Job) -> None:
    """API53, API55."""
    assert as_alice.read(f"/jobs/{str(job.pk).upper()}").status_code == 200
    for other in (f"{{{job.pk}}}", job.pk.hex, f"urn:uuid:{job.pk}", "not-a-uuid", "..", "%00"):
        assert_problem(as_alice.read(f"/jobs/{other}"), 404, "not_found")


def test_an_etag_saves_the_body(as_alice: ApiClient, alice: Any, job: Job) -> None:
    etag = as_alice.read(f"/jobs/{job.pk}")["ETag"]
    known = as_alice.read(f"/jobs/{job.pk}", headers={"If-None-Match": f'"x", W/{etag}'})
    lifecycle.cancel(job, alice)
    moved = as_alice.read(f"/jobs/{job.pk}", headers={"If-None-Match": etag})

    assert (known.status_code, known.content, known["ETag"]) == (304, b"", etag)
    assert (moved.status_code, moved["ETag"] == etag) == (200, False)


@pytest.mark.parametrize("value", ["garbage", '"', "*", "W/", '"a:b:c"', ","])
def test_a_garbled_etag_is_no_etag(as_alice: ApiClient, job: Job, value: str) -> None:
    """API73."""
    assert as_alice.read(f"/jobs/{job.pk}", headers={"If-None-Match": value}).status_code == 200


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("since=abc", "gap"),
        ("since=-1", "gap"),
        (f"since={10**30}", "gap"),
        ("since=999999", "gap"),
        ("since=\uff11", "gap"),
        ("since=", "gap"),
        ("epoch=zzz", "epoch"),
        ("since=0&epoch=zzz", "epoch"),
    ],
)
def test_a_place_that_does_not_exist_gets_all_and_why(
    as_alice: ApiClient, job: Job, query: str, why: str
) -> None:
    """API72."""
    answer = as_alice.read(f"/jobs/{job.pk}?{query}")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["id"], told["why"]) == (str(job.pk), why)
    assert [event["kind"] for event in told["events"]] == ["created"]


def test_who_says_where_they_stand_gets_the_events_since(as_alice: ApiClient, alice: Any, job: Job) -> None:
    epoch, _, version = as_alice.read(f"/jobs/{job.pk}")["ETag"].strip('"').partition(":")
    lifecycle.cancel(job, alice)
    told = as_alice.read(f"/jobs/{job.pk}?since={version}&epoch={epoch}").json()
    assert (told["why"], [event["kind"] for event in told["events"]]) == ("behind", ["cancelled"])
    again = as_alice.read(f"/jobs/{job.pk}?since={told['version']}").json()
    assert (again["why"], again["events"]) == ("behind", [])


def test_somebody_away_for_very_long_gets_the_last_events(as_alice: ApiClient, job: Job) -> None:
    rows = [JobEvent(job=job, version=n, kind="note", message="x") for n in range(2, 602)]
    JobEvent.objects.bulk_create(rows)
    Job.objects.filter(pk=job.pk).update(version=601)
    told = as_alice.read(f"/jobs/{job.pk}?since=1").json()
    assert (told["why"], len(told["events"]), told["events"][-1]["version"]) == ("too_old", 50, 601)


def test_a_lost_worker_shows_and_no_etag_hides_it(as_alice: ApiClient, job: Job) -> None:
    now = timezone.now()
    Job.objects.filter(pk=job.pk).update(
        state="running", pending_reason="", lease_token=uuid4(), lease_until=now + timedelta(seconds=9)
    )
    alive = as_alice.read(f"/jobs/{job.pk}")
    Job.objects.filter(pk=job.pk).update(lease_until=now - timedelta(seconds=1))
    lost = as_alice.read(f"/jobs/{job.pk}", headers={"If-None-Match": alive["ETag"]})

    assert (alive.json()["display"], lost.json()["display"]) == ("running", "stale")
    assert lost.json()["worker_seen_at"] < alive.json()["worker_seen_at"]
    assert "ETag" not in lost


def test_cancel_may_be_asked_twice_of_a_running_job(as_alice: ApiClient, job: Job) -> None:
    """API70."""
    Job.objects.filter(pk=job.pk).update(
        state="running",
        pending_reason="",
        lease_token=uuid4(),
        lease_until=timezone.now() + timedelta(seconds=9),
    )
    first, second = as_alice.send(f"/jobs/{job.pk}/cancel"), as_alice.send(f"/jobs/{job.pk}/cancel")

    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json()["display"] == "cancelling"
    assert job.events.filter(kind="cancel_requested").count() == 1


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/xml"])
def test_the_body_of_cancel_is_not_read(as_alice: ApiClient, job: Job, content_type: str) -> None:
    """API67."""
    answer = as_alice.send(f"/jobs/{job.pk}/cancel", b"\xffgarbage{", content_type=content_type)
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")


def test_an_ended_job_cannot_be_cancelled(as_alice: ApiClient, ended: Job) -> None:
    assert_problem(as_alice.send(f"/jobs/{ended.pk}/cancel"), 409, "already_finished")


def test_an_ended_job_is_retried_and_both_link(as_alice: ApiClient, ended: Job) -> None:
    made = as_alice.send(f"/jobs/{ended.pk}/retry")
    joined = as_alice.send(f"/jobs/{ended.pk}/retry", {})
    parent = as_alice.read(f"/jobs/{ended.pk}").json()

    assert (made.status_code, joined.status_code) == (201, 200)
    assert made.json()["id"] == joined.json()["id"] == parent["retried_by"]
    assert made.json()["retry_of"] == str(ended.pk)
    assert parent["links"]["retried_by"] == f"/jobs/{made.json()['id']}/"


def test_an_open_job_is_not_retried(as_alice: ApiClient, job: Job) -> None:
    """API69."""
    assert_problem(as_alice.send(f"/jobs/{job.pk}/retry"), 409, "not_finished")


def test_only_chosen_items_are_retried(as_alice: ApiClient, alice: Any) -> None:
    done = run_inline("shelves", owner=alice, name="some", n=4, fail=["k0001", "k0002"])
    assert_problem(as_alice.send(f"/jobs/{done.pk}/retry", {"keys": ["k0000"]}), 409, "nothing_to_retry")
    made = as_alice.send(f"/jobs/{done.pk}/retry", {"keys": ["k0001"]})

    assert made.status_code == 201, made.content
    assert (
        made.json()["items_by_key"]
        == as_alice.read(f"/jobs/{made.json()['id']}").json()["items_by_key"]
        != {}
    )
    assert_problem(
        as_alice.send(f"/jobs/{done.pk}/retry", {"keys": []}), 400, "validation_failed", field="keys"
    )
    assert_problem(as_alice.send(f"/jobs/{done.pk}/retry", {"all": True}), 400, "unknown_field")
    assert_problem(as_alice.send(f"/jobs/{done.pk}/retry", b"[]"), 400, "body_not_object")


def test_a_question_is_answered_once(as_alice: ApiClient, alice: Any) -> None:
    waiting = run_inline("door", owner=alice)
    told = as_alice.read(f"/jobs/{waiting.pk}").json()
    first = as_alice.send(f"/jobs/{waiting.pk}/answer", {"answer": "approve", "data": {"note": "come in"}})
    second = as_alice.send(f"/jobs/{waiting.pk}/answer", {"answer": "reject"})

    assert (told["display"], told["waiting_for"]["kind"]) == ("waiting_for_review", "review")
    assert told["can"] == ["cancel", "answer"]
    assert (first.status_code, first.json()["state"]) == (200, "pending")
    assert "by alice at" in assert_problem(second, 409, "already_answered")["detail"]


def test_a_rejected_job_says_so(as_alice: ApiClient, alice: Any) -> None:
    waiting = run_inline("door", owner=alice)
    told = as_alice.send(f"/jobs/{waiting.pk}/answer", {"answer": "reject"}).json()
    assert (told["state"], told["display"], told["error"]["code"]) == ("cancelled", "rejected", "rejected")


@pytest.mark.parametrize(
    ("body", "field"), [({}, "answer"), ({"answer": 7}, "answer"), ({"answer": "x", "data": 1}, "data")]
)
def test_an_answer_has_a_shape(as_alice: ApiClient, alice: Any, body: Any, field: str) -> None:
    waiting = run_inline("door", owner=alice)
    problem = as_alice.send(f"/jobs/{waiting.pk}/answer", body)
    assert_problem(problem, 400, "validation_failed", field=field)


def test_a_job_that_does_not_wait_takes_no_answer(as_alice: ApiClient, job: Job) -> None:
    assert_problem(as_alice.send(f"/jobs/{job.pk}/answer", {"answer": "approve"}), 409, "not_waiting")


def test_an_ended_job_is_deleted(as_alice: ApiClient, ended: Job) -> None:
    assert as_alice.delete(f"/api/jobs/{ended.pk}").status_code == 204
    assert_problem(as_alice.read(f"/jobs/{ended.pk}"), 404, "not_found")


def test_an_open_job_is_not_deleted(as_alice: ApiClient, job: Job) -> None:
    """API71."""
    assert_problem(as_alice.delete(f"/api/jobs/{job.pk}"), 409, "not_finished")


def test_the_wrong_method_says_which_are_right(as_alice: ApiClient, job: Job) -> None:
    """API66."""
    answer = as_alice.put(f"/api/jobs/{job.pk}")
    assert_problem(answer, 405, "method_not_allowed")
    assert set(answer["Allow"].split(", ")) == {"GET", "DELETE", "HEAD", "OPTIONS"}


def test_a_deleted_job_answers_like_one_that_never_was(as_alice: ApiClient, ended: Job) -> None:
    as_alice.delete(f"/api/jobs/{ended.pk}")
    gone, never = as_alice.read(f"/jobs/{ended.pk}"), as_alice.read(f"/jobs/{uuid4()}")
    assert without_id(gone) == without_id(never)


def test_its_steps_are_told_in_their_order(alice: Any, as_alice: ApiClient) -> None:
    steps = {name: {"label": name, "state": "pending"} for name in ("tidy", "own", "look", "fill")}
    job = rows.job(alice, "running", source="shelves", steps=steps)
    assert list(as_alice.read(f"/jobs/{job.pk}").json()["steps"]) == ["look", "fill", "tidy", "own"]
