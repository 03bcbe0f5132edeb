"""Who may see and do what: alice owns, bob is a stranger, staff operate."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ingestion import access
from ingestion.models import Job
from notifications import inbox
from notifications.models import Follow
from tests.api.clients import ApiClient, assert_problem, client_of, without_id

pytestmark = pytest.mark.django_db

Ask = Callable[[ApiClient, object], Any]
ASKS: dict[str, Ask] = {
    "get": lambda client, pk: client.read(f"/jobs/{pk}"),
    "events": lambda client, pk: client.read(f"/jobs/{pk}/events"),
    "items": lambda client, pk: client.read(f"/jobs/{pk}/items"),
    "cancel": lambda client, pk: client.send(f"/jobs/{pk}/cancel"),
    "retry": lambda client, pk: client.send(f"/jobs/{pk}/retry"),
    "answer": lambda client, pk: client.send(f"/jobs/{pk}/answer", {"answer": "approve"}),
    "delete": lambda client, pk: client.delete(f"/api/jobs/{pk}"),
}
ACTS = ["cancel", "retry", "answer", "delete"]


@pytest.mark.seed("SEC7", "SEC78")
@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_a_stranger_sees_no_difference_between_foreign_and_missing(
    as_bob: ApiClient, job: Job, ask: Ask
) -> None:
    """SEC7, SEC78, API54: the same body and the same number of queries."""
    with CaptureQueriesContext(connection) as of_foreign:
        foreign = ask(as_bob, job.pk)
    with CaptureQueriesContext(connection) as of_missing:
        missing = ask(as_bob, uuid4())

    assert_problem(foreign, 404, "not_found")
    assert without_id(foreign) == without_id(missing)
    assert len(of_foreign) == len(of_missing)


def test_a_stranger_lists_nothing(as_bob: ApiClient, job: Job) -> None:
    assert as_bob.read("/jobs").json() == {"jobs": [], "next": None}


def test_staff_without_permission_are_strangers(job: Job) -> None:
    client = client_of(User.objects.create_user("clerk", is_staff=True))
    assert_problem(client.read(f"/jobs/{job.pk}"), 404, "not_found")


def test_a_permission_without_staff_is_none(staff: Any, as_staff: ApiClient, job: Job) -> None:
    staff.is_staff = False
    staff.save(update_fields=["is_staff"])
    assert_problem(as_staff.read(f"/jobs/{job.pk}"), 404, "not_found")


def test_operators_see_and_act(as_staff: ApiClient, job: Job) -> None:
    told = as_staff.read(f"/jobs/{job.pk}").json()

    assert (told["mine"], told["owner"], told["can"]) == (False, "alice", ["cancel"])
    assert "params" in told
    assert as_staff.send(f"/jobs/{job.pk}/cancel").status_code == 202


def test_who_may_view_all_may_not_therefore_act(staff: Any, as_staff: ApiClient, job: Job) -> None:
    staff.user_permissions.remove(*staff.user_permissions.filter(codename="operate"))

    assert as_staff.read(f"/jobs/{job.pk}").json()["can"] == []
    for act in ACTS:
        assert_problem(ASKS[act](as_staff, job.pk), 403, "permission_denied")


def test_a_follower_sees_and_does_not_act(bob: Any, as_bob: ApiClient, job: Job) -> None:
    inbox.follow(bob, job.stream)
    told = as_bob.read(f"/jobs/{job.pk}").json()

    assert (told["mine"], told["can"], "params" in told) == (False, [], False)
    assert [one["id"] for one in as_bob.read("/jobs").json()["jobs"]] == [str(job.pk)]
    for act in ACTS:
        assert_problem(ASKS[act](as_bob, job.pk), 403, "permission_denied")
    inbox.unfollow(bob.pk, job.stream)
    assert_problem(as_bob.read(f"/jobs/{job.pk}"), 404, "not_found")


@pytest.mark.parametrize("about", ["job:", "job:zzz", "job:%", "company:12", "job:" + "0" * 36, "jobs:x"])
def test_other_things_that_are_followed_are_no_jobs(bob: Any, job: Job, about: str) -> None:
    Follow.objects.create(user=bob, about=about)
    assert list(access.visible_jobs(bob)) == []


def test_the_inactive_and_the_unknown_see_nothing(alice: Any, job: Job) -> None:
    from django.contrib.auth.models import AnonymousUser

    alice.is_active = False
    assert not access.visible_jobs(alice).exists()
    assert not access.visible_jobs(AnonymousUser()).exists()


def test_a_job_without_owner_is_for_staff(as_alice: ApiClient, as_staff: ApiClient, job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(owner=None)
    assert_problem(as_alice.read(f"/jobs/{job.pk}"), 404, "not_found")
    assert as_staff.read(f"/jobs/{job.pk}").json()["owner"] is None
