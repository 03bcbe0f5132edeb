"""Why a job waits: what its page and the API say, in words."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ingestion import lifecycle, pauses, waits
from ingestion.models import Job, PendingReason, Process
from ingestion.source import get

pytestmark = pytest.mark.django_db


def ping(owner: User, **extra: Any) -> Job:
    return lifecycle.create("ping", {}, owner=owner, **extra).job


def claim() -> Job | None:
    return lifecycle.claim("default", worker="w", token=uuid4())


def workers(count: int) -> None:
    for n in range(count):
        Process.objects.create(name=f"w{n}", role="worker", queue="default", host="here", pid=n + 1)


def said(job: Job, user: User) -> tuple[str, str, int | None]:
    found = waits.why(Job.objects.get(pk=job.pk), user)
    assert found is not None
    return found.reason, found.text, found.before


def test_without_a_worker_it_says_so(alice: User) -> None:
    text = "No worker of the queue default is alive. It starts when one is back."
    assert said(ping(alice), alice) == ("no_worker", text, None)


def test_the_next_of_a_free_queue_starts_in_a_moment(alice: User) -> None:
    workers(1)
    assert said(ping(alice), alice) == ("queue", "It starts in a moment. It is the next.", 0)


def test_while_all_workers_are_busy_it_has_a_place_among_all_of_the_queue(alice: User, bob: User) -> None:
    workers(2)
    ping(alice), ping(alice)
    claim(), claim()
    first, second, third = ping(bob), ping(bob), ping(bob)
    assert said(first, alice) == ("queue", "All 2 workers are busy. It is the next.", 0)
    assert said(second, alice) == ("queue", "All 2 workers are busy. 1 job is before it.", 1)
    assert said(third, alice) == ("queue", "All 2 workers are busy. 2 jobs are before it.", 2)
    # The order is that of the claim: who is called next is who says it is the next.
    taken = claim()
    assert taken is not None and taken.pk == first.pk


def test_while_its_source_is_full_it_has_a_place_among_those_of_its_source(alice: User) -> None:
    workers(9)
    jobs = [ping(alice) for _ in range(5)]
    for _ in range(3):
        claim()
    assert said(jobs[3], alice) == ("slot", "Ping: 3 of 3 run, which is the limit. It is the next.", 0)
    assert said(jobs[4], alice) == ("slot", "Ping: 3 of 3 run, which is the limit. 1 job is before it.", 1)


def test_while_its_key_is_full_it_has_a_place_among_those_of_its_key(
    alice: User, bob: User, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get("shelves"), "limit_key", "{name}")
    workers(9)
    asked = ((alice, "a"), (alice, "b"), (bob, "b"), (bob, "a"), (staff, "a"))
    jobs = [lifecycle.create("shelves", {"name": name}, owner=owner).job for owner, name in asked]
    assert claim() == jobs[0]
    assert said(jobs[3], alice) == (
        "slot",
        "Shelves: 1 of 1 run for the same, which is the limit. It is the next.",
        0,
    )
    assert said(jobs[4], alice)[1].endswith("1 job is before it.")
    # Before who has one running already, though asked later; that one waits for no key.
    assert said(jobs[2], alice) == ("queue", "It starts in a moment. It is the next.", 0)
    assert said(jobs[1], alice) == ("queue", "It starts in a moment. 1 job is before it.", 1)


def test_of_very_many_it_is_said_that_there_are_more(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "MAX_BEFORE", 2)
    monkeypatch.setattr(waits, "_PLACE", waits._PLACE.replace("LIMIT 1000 + 1", "LIMIT 2 + 1"))
    workers(1)
    jobs = [ping(alice) for _ in range(5)]
    assert said(jobs[2], alice)[2] == 2
    assert said(jobs[4], alice) == ("queue", "It starts in a moment. More than 2 jobs are before it.", 2)


@pytest.mark.parametrize(
    ("scope", "begins"),
    [("all", "Everything is"), ("queue:default", "The queue default is"), ("source:ping", "Ping is")],
)
def test_a_pause_is_told_with_its_reason(alice: User, scope: str, begins: str) -> None:
    workers(1)
    job = ping(alice)
    pauses.begin(scope, None, reason="Upgrade of the database")
    assert said(job, alice) == (
        "paused",
        f"{begins} paused until somebody resumes it: Upgrade of the database",
        None,
    )
    pauses.begin(scope, None, length=timedelta(hours=30), reason="Upgrade")
    text = said(job, alice)[1]
    assert text.startswith(f"{begins} paused until ") and text.endswith(": Upgrade")


def test_a_time_that_is_still_to_come_is_named(alice: User) -> None:
    later = ping(alice, run_after=timezone.now() + timedelta(hours=30))
    reason, text, before = said(later, alice)
    assert (reason, before) == ("schedule", None) and "in 29 h" in text
    Job.objects.filter(pk=later.pk).update(pending_reason=PendingReason.RETRY)
    reason, text, _ = said(later, alice)
    assert reason == "retry" and text.startswith("The last try failed. The next begins in 29 h")


def test_what_it_needs_is_named_to_who_sees_it(alice: User, bob: User) -> None:
    needed = [ping(alice), ping(alice), ping(bob)]
    waits_for = ping(alice, depends_on=needed)
    text = said(waits_for, alice)[1]
    assert text == "It starts when Ping, Ping and 1 other job have ended."
    assert said(waits_for, bob)[1] == "It starts when Ping and 2 other jobs have ended."
    one = ping(alice, depends_on=[needed[2]])
    assert said(one, alice) == ("dependency", "It starts when 1 job has ended.", None)


def test_only_what_is_pending_waits(alice: User) -> None:
    job = ping(alice)
    claim()
    assert waits.why(Job.objects.get(pk=job.pk), alice) is None


def test_page_and_api_say_the_same(alice: User, bob: User, client: Client) -> None:
    workers(1)
    job = ping(alice)
    client.force_login(alice)
    told = {"reason": "queue", "text": "It starts in a moment. It is the next.", "before": 0}
    assert client.get(f"/api/jobs/{job.pk}/why").json() == told
    assert f"<strong>Why it waits:</strong> {told['text']}" in client.get(job.get_absolute_url()).text
    claim()
    nothing = {"reason": None, "text": None, "before": None}
    assert client.get(f"/api/jobs/{job.pk}/why").json() == nothing
    assert "Why it waits" not in client.get(job.get_absolute_url()).text
    client.force_login(bob)
    assert client.get(f"/api/jobs/{job.pk}/why").status_code == 404
