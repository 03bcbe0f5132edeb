"""GET /api/jobs/{id}/items.ndjson: items as lines, each once, as they end."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from ingestion import lifecycle, lines_api, waiting
from ingestion.models import Job, JobItem
from ingestion.testing import kill_at, lose_worker, resume_inline, run_inline
from realtime import publish
from tests.api.clients import ApiClient, assert_problem
from tests.realtime.client import fresh_hub, heard

pytestmark = pytest.mark.django_db(transaction=True)


async def client_of(user: Any) -> AsyncClient:
    client = AsyncClient()
    await client.aforce_login(user)
    return client


async def lines(answer: Any) -> AsyncIterator[dict[str, Any]]:
    """Yield the lines of a streamed answer."""
    async for piece in answer:
        for line in piece.decode().splitlines():
            yield json.loads(line)


async def told(client: AsyncClient, job: Job, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/api/jobs/{job.pk}/items.ndjson{query}")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/x-ndjson")
    return [line async for line in lines(answer)]


def begun(alice: Any) -> Job:
    """Return a job that is at its third item."""
    job = lifecycle.create("shelves", {"n": 4, "fail": ["k0002"]}, owner=alice).job
    with kill_at("item.after_commit", 2):
        resume_inline(job)
    return Job.objects.get(pk=job.pk)


@pytest.mark.seed("S2.112")
async def test_lines_come_while_the_job_runs_and_end_with_it(alice: Any) -> None:
    async with fresh_hub():
        client, job = await client_of(alice), await sync_to_async(begun)(alice)
        answer = await client.get(f"/api/jobs/{job.pk}/items.ndjson?timeout=60")
        stream = lines(answer)
        first = [await anext(stream), await anext(stream)]
        assert [one["state"] for one in first] == ["done", "done"]
        assert (await Job.objects.aget(pk=job.pk)).state == "running"
        await sync_to_async(lose_worker)(job)
        await Job.objects.filter(pk=job.pk).aupdate(run_after=None)
        await sync_to_async(resume_inline)(job)
        rest = [line async for line in stream]

    found = [*first, *rest]
    assert [one["type"] for one in found] == ["item"] * 4 + ["job"]
    assert sorted(one["key"] for one in found[:4]) == ["k0000", "k0001", "k0002", "k0003"]
    assert [one["version"] for one in found[:4]] == sorted({one["version"] for one in found[:4]})
    failed = next(one for one in found if one.get("key") == "k0002")
    assert (failed["state"], failed["error"]["code"]) == ("failed", "broken_box")
    assert (found[4]["state"], found[4]["items"]["done"]) == ("partial", 3)
    assert waiting._waits.total() == 0


async def test_without_time_what_has_ended_is_told_and_how_far_the_job_is(alice: Any) -> None:
    async with fresh_hub():
        client, job = await client_of(alice), await sync_to_async(begun)(alice)
        *items, last = await told(client, job)
        assert (len(items), last["type"], last["state"]) == (2, "job", "running")
        assert await told(client, job, f"?since={items[0]['version']}") == [items[1], last]
        assert await told(client, job, f"?since={items[1]['version']}") == [last]


async def test_what_a_retry_took_over_is_told_in_pieces_and_once(
    alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_api, "ROWS", 2)
    async with fresh_hub():
        client = await client_of(alice)
        first = await sync_to_async(run_inline)("shelves", alice, n=5, fail=["k0002"])
        again = (await sync_to_async(lifecycle.retry)(first, alice)).job
        *items, last = await told(client, again)
        assert [one["key"] for one in items] == ["k0000", "k0001", "k0003", "k0004"]
        assert last["state"] == "pending"
        assert (await told(client, again, "?since=1"))[:-1] == items


async def test_what_ended_together_comes_again_rather_than_be_lost(alice: Any) -> None:
    """Whoever was cut off among items of one version has told the last line of them, not which."""
    async with fresh_hub():
        client, job = await client_of(alice), await sync_to_async(begun)(alice)
        await JobItem.objects.filter(job=job).exclude(state="done").aupdate(state="skipped", version=90)
        *items, _ = await told(client, job)
        assert [one["version"] for one in items[2:]] == [90, 90]
        assert (await told(client, job, "?since=90"))[:-1] == items[2:]
        assert (await told(client, job, f"?since={items[0]['version']}"))[:-1] == items[1:]


async def test_who_may_not_see_a_job_is_told_nothing(alice: Any, bob: Any) -> None:
    async with fresh_hub():
        job = await sync_to_async(begun)(alice)
        client = await client_of(bob)
        for method in (client.get, client.head):
            assert (await method(f"/api/jobs/{job.pk}/items.ndjson")).status_code == 404
        assert (await AsyncClient().get(f"/api/jobs/{job.pk}/items.ndjson")).status_code == 401
        assert (await (await client_of(alice)).head(f"/api/jobs/{job.pk}/items.ndjson")).status_code == 200


async def test_a_sign_in_that_ends_ends_the_lines(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_skip_until", 0.0)
    async with fresh_hub() as hub:
        await heard(hub)
        client, job = await client_of(alice), await sync_to_async(begun)(alice)
        answer = await client.get(f"/api/jobs/{job.pk}/items.ndjson?timeout=60")
        stream = lines(answer)
        assert [(await anext(stream))["type"] for _ in range(2)] == ["item", "item"]
        rest = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await client.alogout()
        assert await rest == {"type": "problem", "code": "auth_required"}
    assert waiting._waits.total() == 0


async def test_more_than_may_wait_are_refused_before_anything_is_sent(
    alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITS_OF_USER", 0)
    async with fresh_hub():
        client, job = await client_of(alice), await sync_to_async(begun)(alice)
        assert (await client.get(f"/api/jobs/{job.pk}/items.ndjson?timeout=60")).status_code == 429


def test_wrong_places_are_refused(as_alice: ApiClient, job: Job) -> None:
    for query in ("since=-1", "since=x", "timeout=61"):
        assert_problem(as_alice.read(f"/jobs/{job.pk}/items.ndjson?{query}"), 400, "bad_parameter")
