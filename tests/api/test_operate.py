"""The API of operators: how it goes, dead letters, many jobs at once, each for who may."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.models import AuditLog
from ingestion import tokens
from ingestion.models import Dismissal, Job, State
from tests.api.clients import ApiClient, assert_problem
from tests.pages import rows

pytestmark = pytest.mark.django_db


def subjects(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [one["job"]["subject"] for one in answer.json()["dead_letters"]]


def bearer(user: User, *scopes: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {tokens.create(user, 'script', scopes=scopes)[1]}"}}


def test_dead_letters_are_listed_page_by_page_to_who_may_see_them(
    alice: User, bob: User, as_alice: ApiClient, as_staff: ApiClient
) -> None:
    for n in range(3):
        rows.job(alice, "failed", subject=f"a{n}")
    rows.job(bob, "failed", subject="b", source="ping")
    poisoned = rows.job(bob, "partial", subject="poisoned")
    rows.items(poisoned, {"done": 1, "quarantined": 4})
    rows.event(poisoned, "It ended its worker.", "error")
    rows.job(alice, "completed", subject="well")
    assert subjects(as_alice.read("/dead-letters")) == ["a2", "a1", "a0"]
    assert subjects(as_staff.read("/dead-letters?source=ping")) == ["b"]
    first = as_staff.read("/dead-letters?limit=2")
    assert subjects(first) == ["poisoned", "b"]
    told = first.json()["dead_letters"][0]
    assert (told["set_aside"], told["set_aside_keys"]) == (4, ["k0001", "k0002", "k0003"])
    assert told["wrong"] == ["It ended its worker."] and told["dismissed"] is None
    Job.objects.filter(subject="b").delete()  # the row that the page ended with
    following = as_staff.read(f"/dead-letters?limit=2&cursor={first.json()['next']}")
    assert subjects(following) == ["a2", "a1"] and following.json()["next"]


def test_they_cost_no_query_each(alice: User, as_staff: ApiClient) -> None:
    def dismissed() -> None:
        for job in Job.objects.filter(dismissal=None):
            rows.items(job, {"quarantined": 2})
            Dismissal.objects.create(job=job, by=alice)

    rows.job(alice, "failed")
    dismissed()
    as_staff.read("/dead-letters?dismissed=true")
    with CaptureQueriesContext(connection) as few:
        as_staff.read("/dead-letters?dismissed=true")
    for n in range(9):
        rows.job(alice, "failed", subject=f"n{n}")
    dismissed()
    with CaptureQueriesContext(connection) as more:
        assert len(as_staff.read("/dead-letters?dismissed=true").json()["dead_letters"]) == 10
    assert len(more) == len(few)


def test_one_is_dismissed_with_a_reason_and_put_back(alice: User, as_alice: ApiClient) -> None:
    job = rows.job(alice, "failed", subject="one")
    path = f"/dead-letters/{job.pk}"
    assert as_alice.send(f"{path}/dismiss", {"reason": "The file is gone."}).status_code == 204
    assert_problem(as_alice.send(f"{path}/dismiss"), 409, "changed_meanwhile")
    assert subjects(as_alice.read("/dead-letters")) == []
    dismissed = as_alice.read("/dead-letters?dismissed=true").json()["dead_letters"][0]["dismissed"]
    assert (dismissed["by"], dismissed["reason"]) == ("alice", "The file is gone.")
    assert as_alice.send(f"{path}/put-back").status_code == 204
    assert_problem(as_alice.send(f"{path}/put-back"), 409, "changed_meanwhile")
    assert subjects(as_alice.read("/dead-letters")) == ["one"]
    assert_problem(as_alice.send(f"{path}/dismiss", {"reason": "x" * 301}), 400, "validation_failed")
    acts = AuditLog.objects.order_by("pk").values_list("action", "via")
    assert list(acts) == [("job.dismiss", "api"), ("job.undismiss", "api")]


@pytest.mark.seed("SEC67")
def test_what_is_not_theirs_needs_an_operator_and_the_scope(
    alice: User, staff: User, as_bob: ApiClient, anon: ApiClient
) -> None:
    path = f"/dead-letters/{rows.job(alice, 'failed').pk}"
    assert_problem(as_bob.send(f"{path}/dismiss"), 404, "not_found")
    assert_problem(as_bob.read("/operate"), 403, "permission_denied")
    weak = bearer(staff, "read", "write")
    assert_problem(anon.send(f"{path}/dismiss", **weak), 403, "permission_denied")
    strong = bearer(staff, "read", "write", "operate")
    assert anon.send(f"{path}/dismiss", **strong).status_code == 204
    assert_problem(anon.send(f"{path}/put-back", **weak), 403, "permission_denied")
    assert anon.send(f"{path}/put-back", **strong).status_code == 204


def test_how_it_goes_is_told_to_operators(alice: User, as_staff: ApiClient) -> None:
    rows.job(alice, "completed")
    rows.job(alice, "failed", error={"code": "not_a_table", "text": "No table."})
    rows.job(alice, "running")
    found = as_staff.read("/operate?within=1h").json()
    assert (found["ended"], found["failed"]) == (2, 1)
    [cause] = found["causes"]
    assert (cause["code"], cause["count"], cause["text"]) == ("not_a_table", 1, "No table.")
    assert {one["name"]: one["running"] for one in found["queues"]}["default"] == 1
    assert [one["used"] for one in found["limits"]] == [1]
    assert found["pauses"] == [] and found["keepers"] == []
    assert_problem(as_staff.read("/operate?within=2h"), 400, "bad_parameter")


def test_many_jobs_are_counted_and_then_changed_by_that_count(
    alice: User, bob: User, as_alice: ApiClient
) -> None:
    for n in range(3):
        rows.job(alice, "failed", subject=f"n{n}")
    rows.job(alice, "completed")
    rows.job(bob, "failed")
    counted = as_alice.read("/many-jobs?state=failed").json()
    assert [counted[verb]["count"] for verb in ("cancel", "retry", "delete")] == [0, 3, 3]
    assert counted["cancel"] == {"count": 0, "more": False, "newest": None}
    late = rows.job(alice, "failed", subject="made later")
    body = {"verb": "delete", "filter": {"state": "failed"}, **counted["delete"]}
    del body["more"]
    for wrong in ({"count": 30}, {"count": 20}):
        problem = assert_problem(as_alice.send("/many-jobs", body | wrong), 409, "changed_meanwhile")
        assert "by now it would be 3" in problem["detail"]
    done = as_alice.send("/many-jobs", body).json()
    assert done == {"count": 3, "left": 0, "refusals": []}
    assert list(Job.objects.filter(owner=alice, state=State.FAILED)) == [late]
    assert Job.objects.filter(owner=bob).count() == 1
    assert AuditLog.objects.filter(action="job.bulk", via="api").count() == 1
    assert_problem(
        as_alice.send("/many-jobs", body | {"count": False}), 400, "validation_failed", field="count"
    )
    wrong_filter = {**body, "filter": {"state": "failed", "colour": "red"}}
    assert_problem(as_alice.send("/many-jobs", wrong_filter), 400, "unknown_field")
    assert_problem(as_alice.read("/many-jobs?state=odd"), 400, "bad_parameter")
    # A filter of which nothing shows would be none: all jobs would be meant.
    for unseen in ("\u200b", " ", "\u2060\ufeff"):
        hidden = body | {"filter": {"q": unseen}}
        assert_problem(as_alice.send("/many-jobs", hidden), 400, "validation_failed", field="filter.q")
        assert_problem(as_alice.read(f"/many-jobs?q={unseen}"), 400, "bad_parameter")


@pytest.mark.seed("SEC67")
def test_a_token_that_does_not_operate_means_its_users_own_jobs(
    alice: User, staff: User, anon: ApiClient
) -> None:
    rows.job(alice, "failed")
    rows.job(staff, "failed")
    weak, strong = bearer(staff, "read", "write"), bearer(staff, "read", "write", "operate")
    assert anon.read("/many-jobs", **strong).json()["delete"]["count"] == 2
    own = anon.read("/many-jobs", **weak).json()["delete"]
    assert own["count"] == 1
    assert_problem(anon.read("/many-jobs?by=alice", **weak), 403, "permission_denied")
    said = {"verb": "delete", "filter": {}, "count": 1, "newest": own["newest"]}
    assert anon.send("/many-jobs", said, **weak).json()["count"] == 1
    assert list(Job.objects.values_list("owner__username", flat=True)) == ["alice"]
    assert_problem(
        anon.send("/many-jobs", said | {"filter": {"by": "alice"}}, **weak), 403, "permission_denied"
    )


def test_too_many_that_match_are_refused(
    alice: User, as_alice: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.bulk.MOST_OF_USER", 2)
    for _ in range(3):
        rows.job(alice, "failed")
    counted = as_alice.read("/many-jobs").json()["delete"]
    assert counted["more"] is True
    said = {"verb": "delete", "filter": {}, "count": 2, "newest": str(Job.objects.latest("pk").pk)}
    problem = assert_problem(as_alice.send("/many-jobs", said), 409, "changed_meanwhile")
    assert "More than 2 match" in problem["detail"] and Job.objects.count() == 3
