"""GET /api/system-status/details: what is being processed, by name for whom it concerns."""

from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError

from ingestion import details, lifecycle
from ingestion.models import Job, State
from tests.api.clients import ApiClient, assert_problem
from tests.realtime.rows import make_job

pytestmark = pytest.mark.django_db
PATH = "/system-status/details"


def imported(owner: Any, name: str, **values: Any) -> Job:
    job = make_job(owner, **values)
    Job.objects.filter(pk=job.pk).update(source="imports", title=name)
    return job


@pytest.mark.seed("S4.2", "S4.26", "S4.46", "S4.48", "S4.56", "S4.62")
def test_own_jobs_are_named_by_priority(alice: Any, as_alice: ApiClient) -> None:
    late = imported(alice, "low.csv", priority=2, progress=0.999, attempt=1)
    first = imported(alice, "high.csv", priority=0, state=State.PENDING)
    task = make_job(alice, state=State.PENDING)
    Job.objects.filter(pk=task.pk).update(queue="analytics", source="derive_units")
    imported(alice, "over.csv", state=State.COMPLETED)
    told = as_alice.read(PATH).json()
    assert told["system_stable"] is False
    assert told["import_jobs"] == [
        {
            "id": str(first.pk),
            "slug": "high.csv",
            "state": "upload_completed",
            "total_rows": 0,
            "imported_rows": 0,
            "progress_pct": 0,
        },
        {
            "id": str(late.pk),
            "slug": "low.csv",
            "state": "preparing_data",
            "total_rows": 0,
            "imported_rows": 0,
            "progress_pct": 99,
        },
    ]
    (listed,) = told["analytics_tasks"]
    assert (listed["id"], listed["command"], listed["state"]) == (str(task.pk), "derive_units", "pending")
    assert {"created_at", "duration_ms"} < listed.keys()
    assert told["others"] == 0


def test_a_job_that_goes_meanwhile_is_not_taken_from_the_others(
    alice: Any, as_alice: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = imported(alice, "ends.csv")
    whole = details._tasks

    def end(ids: list[Any]) -> list[dict[str, Any]]:
        Job.objects.filter(pk=job.pk).delete()
        return whole(ids)

    monkeypatch.setattr(details, "_tasks", end)
    told = as_alice.read(PATH).json()
    assert (len(told["import_jobs"]), told["others"]) == (1, 0)


@pytest.mark.seed("S4.28")
def test_the_jobs_of_others_are_counted_and_not_named(
    alice: Any, as_bob: ApiClient, as_staff: ApiClient, anon: ApiClient
) -> None:
    imported(alice, "secret.csv")
    task = make_job(alice)
    Job.objects.filter(pk=task.pk).update(queue="analytics", title="secret")
    lifecycle.create("ping", {}, owner=alice)  # of another source: in no list
    answer = as_bob.read(PATH)
    assert answer.json() == {"system_stable": False, "import_jobs": [], "analytics_tasks": [], "others": 3}
    assert "secret" not in answer.content.decode()
    told = as_staff.read(PATH).json()
    assert (len(told["import_jobs"]), len(told["analytics_tasks"]), told["others"]) == (1, 1, 1)
    assert_problem(anon.read(PATH), 401, "auth_required")


def test_a_list_has_an_end(alice: Any, as_alice: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "MOST", 2)
    for n in range(5):
        imported(alice, f"{n}.csv")
    told = as_alice.read(PATH).json()
    assert (len(told["import_jobs"]), told["others"]) == (2, 3)


@pytest.mark.seed("S4.26")
def test_nothing_is_nothing(as_alice: ApiClient) -> None:
    assert as_alice.read(PATH).json() == {
        "system_stable": True,
        "import_jobs": [],
        "analytics_tasks": [],
        "others": 0,
    }


@pytest.mark.seed("S4.27", "S4.62")
@pytest.mark.parametrize(("error", "status"), [(RuntimeError("x"), 500), (OperationalError("x"), 503)])
def test_a_failure_has_a_body_that_says_so(as_alice: ApiClient, error: Exception, status: int) -> None:
    with patch("ingestion.stability.is_stable", side_effect=error):
        answer = as_alice.read(PATH)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
