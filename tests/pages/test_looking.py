"""The read-only role: whoever may view everything and operate nothing sees all pages and changes nothing."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import Max
from django.test import Client

from config.models import AuditLog
from ingestion import schedules
from ingestion.models import Job, Pause, Schedule
from tests.pages import rows

pytestmark = pytest.mark.django_db

PAGES = [
    "/operate/", "/operate/audit/", "/operate/audit/audit.csv", "/dead-letters/",
    "/dead-letters/?show=dismissed", "/dead-letters/dead-letters.csv",
    "/schedules/", "/schedules/{schedule}/", "/schedules/schedules.csv",
    "/jobs/", "/jobs/all/", "/jobs/{job}/", "/jobs/jobs.csv", "/status/",
    "/admin/ingestion/job/", "/admin/ingestion/schedule/",
    "/admin/ingestion/pause/", "/admin/ingestion/process/", "/admin/headway/auditlog/",
]  # fmt: skip
ACTS = {
    "/status/pause/": {"scope": "all", "reason": "x"},
    "/status/resume/": {"scope": "all"},
    "/dead-letters/act/": {"verb": "dismiss", "job": "{job}"},
    "/schedules/{schedule}/": {"name": "x", "cron": "* * * * *", "zone": "UTC"},
    "/schedules/{schedule}/run/": {},
    "/schedules/{schedule}/pause/": {},
    "/schedules/{schedule}/resume/": {},
    "/jobs/all/": {"verb": "delete", "shown": "1", "newest": "{job}"},
    "/jobs/bulk/": {"verb": "retry", "job": "{job}"},
    "/jobs/{job}/cancel/": {},
    "/jobs/{job}/retry/": {},
    "/jobs/{job}/answer/": {"answer": "approve"},
    "/jobs/{job}/again/": {},
    "/admin/ingestion/pause/add/": {"scope": "all", "reason": "x"},
    "/admin/ingestion/schedule/{schedule}/change/": {"name": "x"},
    "/admin/ingestion/schedule/{schedule}/delete/": {"post": "yes"},
}


@pytest.fixture
def names(alice: User) -> dict[str, str]:
    """What is there to be looked at."""
    job = rows.job(alice, "failed", params={"name": "a"})
    given = {"name": "Nightly", "source": "ping", "cron": "0 6 * * *", "zone": "UTC"}
    Pause.objects.create(scope="queue:light", reason="x")
    return {"job": str(job.pk), "schedule": str(schedules.put(Schedule(**given, owner=alice)).pk)}


@pytest.fixture
def looking(db: None) -> Client:
    """A browser of who may look at everything."""
    user = User.objects.create_user("watcher", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_all_jobs"))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.seed("SEC67")
@pytest.mark.parametrize("path", PAGES)
def test_who_may_only_look_sees_it(path: str, looking: Client, names: dict[str, str]) -> None:
    answer = looking.get(path.format(**names))
    assert answer.status_code == 200
    answer.close()


@pytest.mark.seed("SEC67")
@pytest.mark.parametrize("path", ACTS)
def test_who_may_only_look_changes_nothing(path: str, looking: Client, names: dict[str, str]) -> None:
    said = {name: value.format(**names) for name, value in ACTS[path].items()}
    before = _all()
    assert looking.post(path.format(**names), said).status_code == 403
    assert _all() == before


def _all() -> list[object]:
    return [
        list(Job.objects.values_list("pk", "state", "version")),
        list(Schedule.objects.values_list("pk", "name", "paused", "next_at", "last_job")),
        list(Pause.objects.values_list("scope", flat=True)),
        AuditLog.objects.aggregate(Max("pk")),
    ]
