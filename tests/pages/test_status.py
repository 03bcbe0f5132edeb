"""The status page: what it says of whom to whom, and the pauses that are begun and ended there."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from ingestion import maintenance, stability
from ingestion.last_day import Tally
from ingestion.models import Job, JobAttempt, Pause, Process, Sighting, System
from notifications.models import Broadcast, Inbox
from tests.pages import rows

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh() -> None:
    cache.clear()


def process(role: str, queue: str = "", ago: float = 0.0, name: str = "") -> Process:
    made = Process.objects.create(name=name or f"{role}{queue}", role=role, host="h", pid=7, queue=queue)
    Process.objects.filter(pk=made.pk).update(beat_at=Now() - timedelta(seconds=ago))
    return made


def read(user: Any, path: str = "/status/", **headers: str) -> str:
    client = Client()
    client.force_login(user)
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def alive() -> None:
    process("keeper")
    for queue in ("default", "analytics", "light"):
        process("worker", queue)


def test_the_sentence_says_what_is_so(alice: Any) -> None:
    assert "No keeper is alive, so nobody can tell" in read(alice)
    process("keeper")
    stability.look()
    assert "No worker is alive. Jobs wait" in read(alice)
    process("worker", "default")
    stability.look()
    assert "System Stable.</strong> All data processing is complete." in read(alice)
    rows.job(alice, "running", eta_seconds=600.0)
    stability.look()
    assert "1 job is running. Figures may change until about" in read(alice)
    rows.job(alice, "pending")
    assert "1 job is running and 1 waiting. Figures may change.<" in read(alice)
    Pause.objects.create(scope="queue:light", reason="x")
    assert "Paused: The queue light." in read(alice)
    Pause.objects.create(scope="all", reason="x")
    assert "Everything is paused: what runs goes on" in read(alice)


def test_the_details_say_how_long_tasks_run_and_how_much_is_active(alice: Any) -> None:
    task = rows.job(alice, "running", eta_seconds=600.0)
    Job.objects.filter(pk=task.pk).update(queue="analytics", started_at=Now() - timedelta(seconds=3723))
    shown = read(alice, "/status/details/", hx_request="true")
    assert re.search(r'data-since="[^"]+">1:02:\d\d</span>', shown)
    assert "1 job is running. Figures may change until about" in shown


def test_processes_are_shown_with_the_age_of_their_beats(alice: Any) -> None:
    alive()
    process("worker", "default", 30, "silent")
    process("worker", "default", 100, "lost")
    process("worker", "default", 90_000, "of yesterday")
    text = read(alice)
    assert "3 of 5 answering" in text
    assert [text.count(f"</svg>{word}</span>") for word in ("Silent", "Lost", "Idle")] == [1, 1, 3]
    assert re.search(r">1[0-5]\d s ago<", text)
    Process.objects.filter(queue="light").delete()
    assert "none for light" in read(alice)


@pytest.mark.seed("S4.68")
def test_queues_say_how_long_the_oldest_waits_and_what_failed(alice: Any) -> None:
    job = rows.job(alice, "pending")
    Job.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(seconds=41))
    rows.job(alice, "failed")
    rows.job(alice, "completed")
    text = read(alice)
    assert '<td>default</td><td class="num">1</td><td class="num">4' in text
    assert '<td class="num">0</td><td class="num">1</td></tr>' in text  # done a minute, failed in 24 h
    assert "1 ended well, 1 failed" in text


def test_the_jobs_of_others_are_not_named(alice: Any, bob: Any, staff: Any) -> None:
    alive()
    job = rows.job(bob, "running", title="Secret plan")
    JobAttempt.objects.create(job=job, number=1, worker="workerdefault")
    assert "somebody's job" in read(alice)
    assert "Secret plan" not in read(alice) + read(alice, "/status/details/")
    assert "Secret plan" in read(staff) and "Secret plan" in read(bob)
    assert "1 other job" in read(alice, "/status/details/")


def test_lost_workers_are_events_and_part_of_the_strip(alice: Any) -> None:
    job = rows.job(alice, "pending")
    JobAttempt.objects.create(
        job=job, number=1, worker="default-h-7", outcome="crashed", ended_at=Now() - timedelta(hours=2)
    )
    text = read(alice)
    assert "Worker default-h-7 was lost" in text
    assert "Its job was put back into the queue." in text
    assert 'aria-label="Workers: 0% ended well in the last 24 hours"' in text


def test_what_nothing_is_known_of_is_drawn_as_unknown() -> None:
    assert set(Tally().blocks()) == {"unknown"}
    assert Tally().share() is None
    mixed = Tally(good={0: 1, 2: 999}, bad={0: 1, 1: 1})
    assert mixed.blocks()[-3:] == ["complete", "down", "degraded"]
    assert mixed.share() == 99


def test_the_strips_of_parts_say_how_often_they_answered(alice: Any) -> None:
    at = timezone.now() - timedelta(minutes=100)
    for minute in range(3):
        Sighting.objects.create(at=at + timedelta(minutes=minute), component="redis", answered=minute != 1)
    text = read(alice)
    assert 'aria-label="Redis: 66% answered in the last 24 hours"' in text
    assert 'aria-label="Database: nothing known of the last 24 hours"' in text


def test_the_page_costs_as_many_queries_with_many_jobs(
    alice: Any, django_assert_max_num_queries: Any, client: Client
) -> None:
    for _ in range(30):
        job = rows.job(alice, "completed")
        JobAttempt.objects.create(job=job, number=1, worker="w", outcome="lost", ended_at=Now())
        rows.job(alice, "running")
    client.force_login(alice)
    with django_assert_max_num_queries(36):
        client.get("/status/")


def test_looking_writes_nothing(alice: Any, client: Client) -> None:
    alive()
    stability.look()
    before = System.objects.get().version
    client.force_login(alice)
    for _ in range(3):
        client.get("/status/")
        stability.look()
    assert System.objects.get().version == before


# ---- maintenance ------------------------------------------------------------------------------------------


def post(user: Any, path: str, **data: str) -> Any:
    client = Client()
    client.force_login(user)
    return client.post(path, data, follow=True)


def test_a_pause_is_begun_told_and_ended(staff: Any, alice: Any) -> None:
    told = post(staff, "/status/pause/", scope="queue:default", until="1h", reason="We move house.")
    assert "The queue default is paused. Everybody was told." in told.content.decode()
    pause = Pause.objects.get()
    assert (pause.scope, pause.reason, pause.by) == ("queue:default", "We move house.", staff)
    assert pause.until is not None
    (first,) = Broadcast.objects.all()
    assert first.title == "The queue default is paused"
    assert first.text.startswith("We move house. Nothing new starts until ")
    assert (first.url, first.level, first.published_by) == ("/status/", "warning", staff.pk)
    assert "The queue default is paused" in read(alice, "/inbox/")
    assert "The queue default</strong>" in read(alice)
    post(staff, "/status/resume/", scope="queue:default")
    post(staff, "/status/resume/", scope="queue:default")  # twice tells once
    assert not Pause.objects.exists()
    assert list(Broadcast.objects.order_by("pk").values_list("title", flat=True)) == [
        "The queue default is paused",
        "The queue default goes on",
    ]
    assert not Inbox.objects.filter(user=alice, version__gt=1).exists()  # one row for all


@pytest.mark.parametrize("scope", ["all", "source:ping"])
def test_everything_and_a_source_can_be_paused(staff: Any, scope: str) -> None:
    post(staff, "/status/pause/", scope=scope, until="", reason="x")
    assert Pause.objects.get().until is None
    assert "until further notice" in Broadcast.objects.get().text


def test_only_operators_pause(alice: Any) -> None:
    Pause.objects.create(scope="all", reason="x")
    assert post(alice, "/status/pause/", scope="queue:light", reason="x").status_code == 403
    assert post(alice, "/status/resume/", scope="all").status_code == 403
    assert Pause.objects.count() == 1
    assert "Pause and tell everybody" not in read(alice)
    assert "Resume" not in read(alice)


@pytest.mark.parametrize(
    "data",
    [{"scope": "queue:x", "reason": "x"}, {"scope": "all"}, {"scope": "all", "reason": "x", "until": "9"}],
)
def test_a_pause_that_means_nothing_is_refused(staff: Any, data: dict[str, str]) -> None:
    told = post(staff, "/status/pause/", **data)
    assert told.status_code == 422
    assert "Nothing was paused." in told.content.decode()
    assert not Pause.objects.exists() and not Broadcast.objects.exists()


def test_commands_and_the_admin_tell_everybody_too(staff: Any) -> None:
    call_command("pause", "all", "--reason", "Moving.")
    call_command("resume", "all")
    assert Broadcast.objects.count() == 2
    maintenance.begin("host:sec.gov", None, reason="It asked us to stop.")
    assert Broadcast.objects.count() == 2


def test_pages_say_that_no_worker_is_alive(alice: Any) -> None:
    process("keeper")
    stability.look()
    assert System.objects.get().no_workers
    since = System.objects.get().since
    process("worker", "default")
    stability.look()
    row = System.objects.get()
    assert (row.no_workers, row.since) == (False, since)
    assert 'data-when="no_workers" hidden' in read(alice, "/jobs/")
    Process.objects.filter(role="worker").update(beat_at=Now() - timedelta(minutes=1))
    stability.look()
    assert System.objects.get().no_workers
