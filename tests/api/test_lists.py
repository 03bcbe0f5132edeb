"""GET /api/jobs, /items, /events and /sources."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ingestion import lifecycle
from ingestion.models import Job, JobEvent, JobItem
from tests.api.clients import ApiClient, assert_problem

pytestmark = pytest.mark.django_db


def make(owner: Any, *names: str) -> list[Job]:
    return [lifecycle.create("shelves", {"name": name}, owner=owner).job for name in names]


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [job["id"] for job in answer.json()["jobs"]]


def test_own_jobs_are_listed_newest_first(as_alice: ApiClient, alice: Any, bob: Any) -> None:
    jobs = make(alice, "a", "b", "c")
    make(bob, "his")

    assert ids(as_alice.read("/jobs")) == [str(job.pk) for job in reversed(jobs)]
    assert ids(as_alice.read("/jobs?ordering=created_at")) == [str(job.pk) for job in jobs]


@pytest.mark.parametrize("ordering", ["-created_at", "created_at"])
def test_pages_join_without_gap_or_double(as_alice: ApiClient, alice: Any, ordering: str) -> None:
    every = {str(job.pk) for job in make(alice, *"abcde")}
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        answer = as_alice.read(f"/jobs?limit=2&ordering={ordering}{cursor and f'&cursor={cursor}'}")
        seen += ids(answer)
        make(alice, f"new{len(seen)}")  # what comes in between disturbs nothing
        cursor = answer.json()["next"] if len(seen) < 5 else None

    assert len(seen) == len(set(seen))
    assert every == set(seen[:5]) if ordering == "created_at" else every <= set(seen)


def test_a_list_costs_the_same_for_one_and_for_many(as_alice: ApiClient, alice: Any) -> None:
    make(alice, "one")
    with CaptureQueriesContext(connection) as one:
        as_alice.read("/jobs")
    for job in make(alice, *"abcdef"):
        lifecycle.retry(lifecycle.cancel(job, alice), alice)
    with CaptureQueriesContext(connection) as many:
        as_alice.read("/jobs")

    assert len(many) == len(one)


def test_filters(as_alice: ApiClient, alice: Any) -> None:
    a, b = make(alice, "apples", "pears")
    lifecycle.cancel(b, alice)
    c = lifecycle.create("ping", {}, owner=alice).job
    moment = c.created_at.isoformat().replace("+", "%2B")

    assert ids(as_alice.read("/jobs?state=cancelled")) == [str(b.pk)]
    assert ids(as_alice.read("/jobs?state=cancelled,pending&source=shelves")) == [str(b.pk), str(a.pk)]
    assert ids(as_alice.read("/jobs?q=APPLE")) == [str(a.pk)]
    assert ids(as_alice.read("/jobs?q=%25")) == []
    assert ids(as_alice.read(f"/jobs?after={moment}")) == [str(c.pk)]
    assert str(c.pk) not in ids(as_alice.read(f"/jobs?before={moment}"))
    assert ids(as_alice.read("/jobs?object=company:1")) == []


BAD = [
    ("API56", "limit=abc", "bad_parameter"),
    ("API56b", "limit=0", "bad_parameter"),
    ("API56c", "limit=-5", "bad_parameter"),
    ("API56d", "limit=1e9", "bad_parameter"),
    ("API56e", "limit=201", "bad_parameter"),
    ("digits", "limit=%EF%BC%91%EF%BC%90", "bad_parameter"),
    ("API57", "cursor=garbage", "bad_cursor"),
    ("API57b", "cursor=" + "x" * 3000, "bad_cursor"),
    ("API58", "state=running,foo", "bad_parameter"),
    ("API59", "state=running&state=failed", "bad_parameter"),
    ("API62", "ordering=owner__password", "bad_parameter"),
    ("SEC12", "owner=1", "unknown_filter"),
    ("SEC12b", "search=x", "unknown_filter"),
    ("SEC12c", "owner__password=x", "unknown_filter"),
    ("SEC53", "q=%00", "bad_character"),
    ("after", "after=yesterday", "bad_parameter"),
    ("zone", "after=2026-01-01T00:00", "bad_parameter"),
    ("long", "q=" + "x" * 201, "bad_parameter"),
]


@pytest.mark.seed("SEC12", "SEC53")
@pytest.mark.parametrize(("row", "query", "code"), BAD, ids=[row[0] for row in BAD])
def test_a_bad_query_is_refused(as_alice: ApiClient, row: str, query: str, code: str) -> None:
    assert_problem(as_alice.read(f"/jobs?{query}"), 400, code)


def test_the_refusal_says_what_is_allowed(as_alice: ApiClient) -> None:
    limit = assert_problem(as_alice.read("/jobs?limit=0"), 400, "bad_parameter")
    state = assert_problem(as_alice.read("/jobs?state=foo"), 400, "bad_parameter")

    assert limit["detail"] == '"limit" is not valid: must be a whole number, 1-200.'
    assert state["detail"].startswith('"state" is not valid: must be of: pending, running, waiting')


INJECTIONS = [
    "' OR 1=1 --",
    "1; DROP TABLE ingestion_job",
    "%27%20UNION%20SELECT%20*",
    "\\'; --",
    "${7*7}",
    "{{7*7}}",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_a_query_is_text(as_alice: ApiClient, job: Job, text: str) -> None:
    """SEC53."""
    for name in ("q", "source", "object", "cursor", "state", "limit", "after"):
        assert as_alice.get("/api/jobs", {name: text}).status_code in (200, 400)
    assert Job.objects.count() == 1


def test_a_cursor_is_bound_to_its_user_and_filters(
    as_alice: ApiClient, as_bob: ApiClient, alice: Any
) -> None:
    """API57."""
    make(alice, *"abc")
    cursor = as_alice.read("/jobs?limit=1").json()["next"]

    assert as_alice.read(f"/jobs?limit=2&cursor={cursor}").status_code == 200
    assert_problem(as_alice.read(f"/jobs?cursor={cursor}&state=pending"), 400, "bad_cursor")
    assert_problem(as_alice.read(f"/jobs?cursor={cursor[:-3]}"), 400, "bad_cursor")
    assert_problem(as_bob.read(f"/jobs?cursor={cursor}"), 400, "bad_cursor")


def test_items_come_in_order_page_by_page(as_alice: ApiClient, job: Job) -> None:
    JobItem.objects.bulk_create(
        JobItem(job=job, step="fill", key=f"k{n}", ordinal=n // 2, state="failed" if n % 2 else "done")
        for n in range(7)
    )
    seen, cursor = [], ""
    while cursor is not None:
        answer = as_alice.read(f"/jobs/{job.pk}/items?limit=3{cursor and f'&cursor={cursor}'}").json()
        seen += [item["key"] for item in answer["items"]]
        cursor = answer["next"]
    failed = as_alice.read(f"/jobs/{job.pk}/items?state=failed").json()["items"]

    assert seen == [f"k{n}" for n in range(7)]
    assert [item["display"] for item in failed] == ["failed"] * 3
    assert_problem(as_alice.read(f"/jobs/{job.pk}/items?state=nope"), 400, "bad_parameter")


def test_events_come_oldest_first_page_by_page(as_alice: ApiClient, job: Job) -> None:
    JobEvent.objects.bulk_create(
        JobEvent(job=job, version=n, kind="note", message=f"n{n}") for n in range(2, 8)
    )
    first = as_alice.read(f"/jobs/{job.pk}/events?limit=4").json()
    second = as_alice.read(f"/jobs/{job.pk}/events?limit=4&cursor={first['next']}").json()

    assert [event["version"] for event in first["events"] + second["events"]] == list(range(1, 8))
    assert second["next"] is None


def test_sources_say_what_they_take(as_alice: ApiClient) -> None:
    sources = {source["kind"]: source for source in as_alice.read("/sources").json()["sources"]}

    assert sources["shelves"]["steps"][1] == {"name": "fill", "label": "Fill the shelf", "weight": 80}
    assert sources["shelves"]["params"]["properties"]["n"]["maximum"] == 5000
