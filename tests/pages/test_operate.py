"""The overview of operators: what it says, what it costs, and to whom it says it."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ingestion import overview, status
from ingestion.models import Job, Pause, Process
from ingestion.source import get
from tests.pages import rows

pytestmark = pytest.mark.django_db

URL = "/operate/"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    cache.clear()


@pytest.fixture
def desk(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client


def text(client: Client, path: str = URL, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def ended(owner: User, state: str, minutes: float, **values: Any) -> Job:
    job = rows.job(owner, state, **values)
    Job.objects.filter(pk=job.pk).update(finished_at=Now() - timedelta(minutes=minutes))
    return job


def broken(code: str, text: str = "It broke.") -> dict[str, Any]:
    return {"error": {"code": code, "text": text}}


def process(role: str, queue: str = "", ago: float = -600.0, name: str = "") -> None:
    """Make one that has beaten so many seconds ago; without a word it is alive however long a test takes."""
    made = Process.objects.create(name=name or f"{role}{queue}", role=role, host="h", pid=7, queue=queue)
    Process.objects.filter(pk=made.pk).update(beat_at=Now() - timedelta(seconds=ago))


def test_it_is_for_who_may_view_all(client: Client, alice: User) -> None:
    assert client.get(URL)["Location"].startswith("/signin/")
    client.force_login(alice)
    assert client.get(URL).status_code == 403
    assert URL not in re.findall(r'href="([^"]+)"', text(client, "/"))


def test_what_ended_is_drawn_minute_by_minute(alice: User, staff: User) -> None:
    for _ in range(3):
        ended(alice, "completed", 0.5)
    ended(alice, "failed", 0.5)
    ended(alice, "partial", 58.5)
    ended(alice, "cancelled", 10.5)
    ended(alice, "completed", 61)
    found = overview.context(staff, "")["throughput"]
    assert (found["good"], found["bad"], found["highest"]) == (4, 1, 4)
    bars = [(bar["x"], bar["status"], bar["height"]) for bar in found["bars"]]
    assert bars == [(10, "complete", 15), (590, "complete", 45), (590, "failed", 15)]


def test_queues_say_how_long_the_oldest_waits_and_who_works(alice: User, desk: Client) -> None:
    waiting = rows.job(alice, "pending")
    Job.objects.filter(pk=waiting.pk).update(created_at=Now() - timedelta(minutes=6, seconds=10))
    rows.job(alice, "pending", pending_reason="dependency")
    rows.job(alice, "running")
    for _ in range(10):
        ended(alice, "completed", 1)
    process("worker", "default")
    process("worker", "default", 30, "silent")
    (queue,) = [one for one in desk.get(URL).context["queues"] if one["name"] == "default"]
    assert (queue["waiting"], queue["running"], queue["workers"], queue["per_minute"]) == (1, 1, 1, 2)
    assert queue["oldest"] >= 370
    assert re.search(r"<td class=\"num\">\d+ min", text(desk)) and "No keeper is alive." in text(desk)
    process("keeper")
    assert "No keeper is alive." not in text(desk)


def test_workers_beyond_those_shown_are_counted(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "MOST_WORKERS", 3)
    for n in range(8):
        process("web", name=f"web-{n}")
    process("worker", "default", 600, "a lost one")
    for n in range(4):
        process("worker", "default", name=f"worker-{n}")
    process("worker", "light", name="of the last queue")
    for page in (URL, "/status/"):
        answer = desk.get(page)
        assert [one["age"] < status.ALIVE for one in answer.context["workers"]] == [True] * 3
        assert "<footer>3 more</footer>" in answer.text
    workers = {one["name"]: one["workers"] for one in desk.get(URL).context["queues"]}
    assert (workers["default"], workers["light"]) == (4, 1)


def test_limits_say_which_slots_are_taken(alice: User, staff: User) -> None:
    for _ in range(get("shelves").limit):
        rows.job(alice, "running")
    rows.job(alice, "running", source="ping")
    found = overview.context(staff, "")["limits"]
    used = {row["name"]: (row["used"], row["full"]) for row in found["rows"]}
    assert used == {"Shelves": (get("shelves").limit, True), "Ping": (1, False)}
    assert [row["name"] for row in found["rows"]] == ["Shelves", "Ping"]


def test_causes_of_failures_lead_to_their_jobs(alice: User, desk: Client) -> None:
    for n, code in enumerate(("timed_out", "timed_out", "gone")):
        ended(alice, "failed", 30 + n, **broken(code, f"Sentence {n}."))
    ended(alice, "failed", 60 * 25, **broken("timed_out"))
    ended(alice, "partial", 5)
    causes = desk.get(URL).context["causes"]["rows"]
    assert [(one["code"], one["count"], one["text"]) for one in causes] == [
        ("timed_out", 2, "Sentence 0."),
        ("gone", 1, "Sentence 2."),
    ]
    for cause in causes:
        assert f"?{cause['query'].replace('&', '&amp;')}" in text(desk)
        assert len(desk.get(f"/jobs/?{cause['query']}").context["rows"]) == cause["count"]
    week = desk.get(f"{URL}?within=7d").context["causes"]["rows"]
    assert [one["count"] for one in week] == [3, 1]
    hour = desk.get(f"{URL}?within=1h").context["causes"]["rows"]
    assert [one["count"] for one in hour] == [2, 1]


def test_pauses_are_named_and_only_who_operates_is_led_to_their_end(
    alice: User, staff: User, desk: Client
) -> None:
    Pause.objects.create(scope="queue:light", reason="We look at something.", by=staff)
    assert "We look at something." in text(desk) and "Resume on the status page" in text(desk)
    staff.user_permissions.remove(staff.user_permissions.get(codename="operate"))
    assert "Resume on the status page" not in text(desk)


def test_it_is_304_while_nothing_moves(alice: User, desk: Client) -> None:
    rows.job(alice, "failed")
    asked = {"hx_request": "true", "hx_target": "overview"}
    tag = desk.get(URL, headers=asked)["ETag"]
    assert desk.get(URL, headers={**asked, "if_none_match": tag}).status_code == 304
    rows.job(alice, "running")
    again = desk.get(URL, headers={**asked, "if_none_match": tag})
    assert again.status_code == 200 and "<html" not in again.content.decode()


def test_it_asks_as_much_of_many_rows_as_of_few(alice: User, desk: Client) -> None:
    def fill(count: int) -> None:
        for n in range(count):
            for state in ("pending", "running", "completed", "partial"):
                rows.job(alice, state)
            rows.job(alice, "failed", **broken(f"code{n}"))
            process("worker", "default", name=f"w{count}{n}")

    fill(1)
    text(desk)
    with CaptureQueriesContext(connection) as few:
        text(desk)
    fill(30)
    with CaptureQueriesContext(connection) as many:
        found = desk.get(URL).context
    assert len(many) == len(few) <= 14
    assert len(found["causes"]["rows"]) == overview.MOST_CAUSES and found["causes"]["more"]


def test_the_jobs_list_says_by_which_cause_and_time_it_is_filtered(alice: User, desk: Client) -> None:
    ended(alice, "failed", 30, **broken("timed_out"))
    ended(alice, "failed", 60 * 25, **broken("timed_out"))
    shown = text(desk, "/jobs/?error=timed_out&within=24h&state=failed")
    assert "With the error “Timed out”" in shown
    assert "Ended within the last 24 hours" in shown and "1 shown" in shown
    assert "2 shown" in text(desk, "/jobs/?error=timed_out&within=nonsense")
    assert "No job matches" in text(desk, "/jobs/?error=x")
