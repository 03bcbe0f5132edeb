"""The API of schedules: list, run, pause, resume, edit, each by who may."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from config.models import AuditLog
from ingestion import schedules, tokens
from ingestion.models import Job, Schedule
from tests.api.clients import ApiClient, assert_problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def nightly(alice: User) -> Schedule:
    given = Schedule(name="Nightly", source="ping", cron="0 6 * * *", zone="UTC", owner=alice)
    return schedules.put(given)


def patch(client: ApiClient, pk: int, body: dict[str, Any], **more: Any) -> Any:
    return client.patch(f"/api/schedules/{pk}", body, content_type="application/json", **more)


def test_they_are_listed_page_by_page_to_who_may_see_them(
    nightly: Schedule, as_alice: ApiClient, as_bob: ApiClient, as_staff: ApiClient, bob: User
) -> None:
    schedules.put(Schedule(name="Other", source="ping", cron="0 7 * * *", zone="UTC", owner=bob))
    assert [one["name"] for one in as_alice.read("/schedules").json()["schedules"]] == ["Nightly"]
    first = as_staff.read("/schedules?limit=1").json()
    second = as_staff.read(f"/schedules?limit=1&cursor={first['next']}").json()
    assert [first["schedules"][0]["name"], second["schedules"][0]["name"]] == ["Other", "Nightly"]
    assert second["next"] is None
    assert_problem(as_bob.read(f"/schedules/{nightly.pk}"), 404, "not_found")
    assert_problem(as_alice.read(f"/schedules/{2**63}"), 404, "not_found")


def test_one_is_run_paused_and_resumed(nightly: Schedule, as_alice: ApiClient) -> None:
    ran = as_alice.send(f"/schedules/{nightly.pk}/run").json()
    job = Job.objects.get()
    assert ran["last_job"] == {"id": str(job.pk), "state": "pending", "display": "queued"}
    assert len(ran["next_times"]) == 5 and ran["next_at"] == ran["next_times"][0]
    paused = as_alice.send(f"/schedules/{nightly.pk}/pause").json()
    assert (paused["paused"], paused["next_at"], paused["next_times"]) == (True, None, [])
    assert paused["can"] == ["run", "resume", "edit"]
    assert as_alice.send(f"/schedules/{nightly.pk}/resume").json()["paused"] is False
    acts = AuditLog.objects.order_by("pk").values_list("action", "via")
    assert list(acts) == [("schedule.run", "api"), ("schedule.pause", "api"), ("schedule.resume", "api")]


def test_an_edit_changes_what_it_names(nightly: Schedule, as_alice: ApiClient) -> None:
    changed = patch(as_alice, nightly.pk, {"cron": "30 7 * * 1", "zone": "Asia/Tokyo"}).json()
    assert (changed["name"], changed["cron"], changed["zone"]) == ("Nightly", "30 7 * * 1", "Asia/Tokyo")
    wrong = patch(as_alice, nightly.pk, {"cron": "daily"})
    assert_problem(wrong, 400, "validation_failed", field="cron")
    assert_problem(patch(as_alice, nightly.pk, {"zone": "Mars"}), 400, "validation_failed", field="zone")
    assert_problem(patch(as_alice, nightly.pk, {"owner": 1}), 400, "unknown_field")
    assert Schedule.objects.get().cron == "30 7 * * 1"


def test_a_run_that_is_refused_says_why(nightly: Schedule, as_alice: ApiClient) -> None:
    Schedule.objects.update(source="gone")
    body = assert_problem(as_alice.send(f"/schedules/{nightly.pk}/run"), 409, "schedule_refused")
    assert body["detail"] == Schedule.objects.get().last_error


@pytest.mark.seed("SEC67")
def test_an_operator_needs_the_scope_for_what_is_not_theirs(
    nightly: Schedule, staff: User, alice: User, anon: ApiClient
) -> None:
    for owner, scopes, status in (
        (staff, ["read", "write"], 403),
        (staff, ["read", "write", "operate"], 200),
        (alice, ["read", "write"], 200),
    ):
        _, token = tokens.create(owner, "script", scopes=scopes)
        bearer = {"headers": {"Authorization": f"Bearer {token}"}}
        assert anon.send(f"/schedules/{nightly.pk}/pause", **bearer).status_code == status
        can = anon.read(f"/schedules/{nightly.pk}", **bearer).json()["can"]
        assert bool(can) == (status == 200)


def test_who_may_only_look_changes_nothing(nightly: Schedule, staff: User, as_staff: ApiClient) -> None:
    staff.user_permissions.remove(staff.user_permissions.get(codename="operate"))
    assert as_staff.read(f"/schedules/{nightly.pk}").json()["can"] == []
    for verb in ("run", "pause", "resume"):
        assert_problem(as_staff.send(f"/schedules/{nightly.pk}/{verb}"), 403, "permission_denied")
    assert_problem(patch(as_staff, nightly.pk, {"name": "x"}), 403, "permission_denied")
    assert not Job.objects.exists()
