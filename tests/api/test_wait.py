"""GET /api/jobs/{id}/wait and /api/ready: answered when it is so, holding nothing meanwhile."""

import asyncio
import time
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient

from ingestion import lifecycle, tokens, waiting
from ingestion.models import Job
from realtime import hub as hubs
from realtime import publish
from tests.api.clients import ApiClient, assert_problem
from tests.realtime.client import fresh_hub, heard
from tests.waiting import until_async

PUSH_SECONDS = 4.0  # a hang guard, 4 x the figure of the push
TOKEN = UUID(int=1)
READY = "/api/ready?object=company:1&timeout=60"

pytestmark = pytest.mark.django_db(transaction=True)


async def client_of(user: Any) -> AsyncClient:
    client = AsyncClient()
    await client.aforce_login(user)
    return client


async def begun(count: int = 1) -> None:
    """Wait until so many requests sleep."""

    async def waits() -> bool:
        sleeping = [viewer for viewer in hubs.current().everybody() if viewer.streams]
        return waiting._waits.total() == len(sleeping) == count

    await until_async(waits, what=f"{count} waiting requests")


async def test_the_answer_comes_with_the_end(alice: Any, job: Job) -> None:
    async with fresh_hub():
        client = await client_of(alice)
        asked = asyncio.create_task(client.get(f"/api/jobs/{job.pk}/wait?timeout=30"))
        await begun()
        await sync_to_async(lifecycle.cancel)(job, alice)
        answer = await asked

        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        assert waiting._waits.total() == 0


async def test_the_answer_comes_with_any_move_above_a_version(alice: Any, job: Job) -> None:
    async with fresh_hub():
        client = await client_of(alice)
        asked = asyncio.create_task(client.get(f"/api/jobs/{job.pk}/wait?version={job.version}"))
        await begun()
        await Job.objects.filter(pk=job.pk).aupdate(version=job.version + 1, message="moved")
        answer = await asked

        assert (answer.json()["state"], answer.json()["message"]) == ("pending", "moved")


async def test_without_an_end_the_job_is_told_as_it_stands(alice: Any, job: Job) -> None:
    async with fresh_hub():
        client = await client_of(alice)
        begin = time.monotonic()
        told = (await client.get(f"/api/jobs/{job.pk}/wait?timeout=0.4")).json()

    assert told["state"] == "pending"
    assert 0.4 <= time.monotonic() - begin < 10


async def test_a_waiting_request_asks_no_question_of_its_own(alice: Any, job: Job) -> None:
    async with fresh_hub() as hub:
        client = await client_of(alice)
        asked = [asyncio.create_task(client.get(f"/api/jobs/{job.pk}/wait?timeout=30")) for _ in range(5)]
        await begun(5)
        await until_async(told(hub, job.stream, 5), what="everybody to know where it stands")
        before, moves = hub.counts["reads"], 3
        for _ in range(moves):
            version = hub.watched[job.stream].copy.version + 1
            await Job.objects.filter(pk=job.pk).aupdate(version=version)
            await until_async(told(hub, job.stream, 5, version), what="the move")
        assert hub.counts["reads"] - before == moves
        assert waiting._waits.total() == 5
        await sync_to_async(lifecycle.cancel)(job, alice)
        assert {(await answer).json()["state"] for answer in asked} == {"cancelled"}


def told(hub: Any, stream: str, viewers: int, version: int = 0) -> Any:
    async def look() -> bool:
        watched = hub.watched[stream]
        return len(watched.viewers) == viewers and watched.copy.version >= version

    return look


async def test_a_stopping_process_answers_who_waits(alice: Any, job: Job) -> None:
    async with fresh_hub() as hub:
        client = await client_of(alice)
        asked = asyncio.create_task(client.get(f"/api/jobs/{job.pk}/wait?timeout=30"))
        await begun()
        await hub.drain()
        assert (await asked).json()["state"] == "pending"


def _deactivate(user: Any, client: AsyncClient) -> None:
    user.is_active = False
    user.save()


def _another_password(user: Any, client: AsyncClient) -> None:
    user.set_password("another 5ecret")
    user.save()


def _sign_out(user: Any, client: AsyncClient) -> None:
    client.logout()


@pytest.mark.parametrize("end", [_sign_out, _deactivate, _another_password])
async def test_who_waits_is_told_within_a_second_that_the_sign_in_ended(
    alice: Any, job: Job, end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_skip_until", 0.0)
    async with fresh_hub() as hub:
        await heard(hub)
        await Job.objects.filter(pk=job.pk).aupdate(object="company:1")
        client = await client_of(alice)
        asked = [
            asyncio.create_task(client.get(url)) for url in (f"/api/jobs/{job.pk}/wait?timeout=60", READY)
        ]
        await begun(2)
        began = time.monotonic()
        await sync_to_async(end)(alice, client)
        for answer in asked:
            assert_problem(await answer, 401, "auth_required")
        assert time.monotonic() - began < PUSH_SECONDS


async def test_a_sign_out_before_the_sleep_began_is_not_missed(
    alice: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint may come while the request is between its judgement and the hub."""
    monkeypatch.setattr(publish, "_skip_until", 0.0)
    client = await client_of(alice)
    until_job = waiting.until_job

    async def late(*args: Any) -> None:
        await sync_to_async(client.logout)()
        await until_async(recheck_heard, what="the hint of the sign-out")
        await until_job(*args)

    async with fresh_hub() as hub:
        await heard(hub)
        before = hub.guard._told_at

        async def recheck_heard() -> bool:
            return hub.guard._told_at > before

        monkeypatch.setattr(waiting, "until_job", late)
        began = time.monotonic()
        assert_problem(await client.get(f"/api/jobs/{job.pk}/wait?timeout=60"), 401, "auth_required")
        assert time.monotonic() - began < PUSH_SECONDS


async def test_a_revoked_token_ends_its_waiting_and_no_other(
    alice: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_skip_until", 0.0)
    row, token = await sync_to_async(tokens.create)(alice, "wait", scopes=["read"])
    async with fresh_hub() as hub:
        await heard(hub)
        url = f"/api/jobs/{job.pk}/wait?timeout=60"
        asked = asyncio.create_task(AsyncClient().get(url, headers={"Authorization": f"Bearer {token}"}))
        other = asyncio.create_task((await client_of(alice)).get(url))
        await begun(2)
        began = time.monotonic()
        await sync_to_async(tokens.revoke)([row])
        assert_problem(await asked, 401, "auth_required")
        assert time.monotonic() - began < PUSH_SECONDS
        assert not other.done()
        await sync_to_async(lifecycle.cancel)(job, alice)
        assert (await other).status_code == 200


def test_an_ended_job_is_told_at_once(as_alice: ApiClient, ended: Job) -> None:
    begin = time.monotonic()
    assert as_alice.read(f"/jobs/{ended.pk}/wait?timeout=60").json()["state"] == "cancelled"
    assert as_alice.read(f"/jobs/{ended.pk}/wait?timeout=60&version=99999").json()["state"] == "cancelled"
    assert time.monotonic() - begin < 10


def test_a_stranger_does_not_wait(as_bob: ApiClient, anon: ApiClient, job: Job) -> None:
    begin = time.monotonic()
    assert_problem(as_bob.read(f"/jobs/{job.pk}/wait?timeout=30"), 404, "not_found")
    assert_problem(anon.read(f"/jobs/{job.pk}/wait?timeout=30"), 401, "auth_required")
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    "query", ["timeout=61", "timeout=-1", "timeout=nan", "timeout=x", "version=-1", "version=x"]
)
def test_a_bad_wait_is_refused(as_alice: ApiClient, job: Job, query: str) -> None:
    assert_problem(as_alice.read(f"/jobs/{job.pk}/wait?{query}"), 400, "bad_parameter")


async def test_places_are_counted(alice: Any, bob: Any, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    async with fresh_hub():
        monkeypatch.setattr(waiting, "MAX_WAITS_OF_USER", 1)
        monkeypatch.setattr(waiting, "MAX_WAITS", 2)
        client, other = await client_of(alice), await client_of(bob)
        hers = await sync_to_async(lambda: lifecycle.create("ping", {}, owner=bob).job)()
        asked = [
            asyncio.create_task(client.get(f"/api/jobs/{job.pk}/wait?timeout=30")),
            asyncio.create_task(other.get(f"/api/jobs/{hers.pk}/wait?timeout=30")),
        ]
        await begun(2)
        own = await client.get(f"/api/jobs/{job.pk}/wait?timeout=30")
        monkeypatch.setattr(waiting, "MAX_WAITS_OF_USER", 9)
        everybodys = await client.get(f"/api/jobs/{job.pk}/wait?timeout=30")
        await sync_to_async(lifecycle.cancel)(job, alice)
        await sync_to_async(lifecycle.cancel)(hers, bob)
        await asyncio.gather(*asked)

        assert_problem(own, 429, "rate_limited")
        assert_problem(everybodys, 503, "unavailable")


async def test_a_waiting_request_holds_no_database_connection(alice: Any, job: Job) -> None:
    async with fresh_hub():
        client = await client_of(alice)
        before = await sync_to_async(_sessions)()
        asked = [asyncio.create_task(client.get(f"/api/jobs/{job.pk}/wait?timeout=30")) for _ in range(8)]
        await begun(8)

        async def quiet() -> bool:
            return await sync_to_async(_sessions)() <= before

        await until_async(quiet, what="no session of the waiting requests")
        await sync_to_async(lifecycle.cancel)(job, alice)
        assert {(await answer).status_code for answer in asked} == {200}


def _sessions() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def test_ready_says_whether_something_is_open(as_alice: ApiClient, as_bob: ApiClient, job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(object="company:1")

    for client in (as_alice, as_bob):
        assert client.read("/ready?object=company:1").json() == {
            "object": "company:1",
            "ready": False,
            "open": 1,
        }
        assert client.read("/ready?object=company:2").json() == {
            "object": "company:2",
            "ready": True,
            "open": 0,
        }


@pytest.mark.seed("S4.4")
def test_who_waits_for_a_person_does_not_keep_an_object_from_being_ready(
    as_alice: ApiClient, alice: Any, job: Job
) -> None:
    """UX 42: a review that nobody has answered yet blocks nobody."""
    lifecycle.start(job.pk, worker="w", token=TOKEN)
    lifecycle.wait(job.pk, TOKEN, "review", "?")
    Job.objects.filter(pk=job.pk).update(object="company:1")
    told = as_alice.read("/ready?object=company:1").json()
    assert told == {"object": "company:1", "ready": True, "open": 1}
    lifecycle.answer(job, "approve", {}, alice)
    assert as_alice.read("/ready?object=company:1").json()["ready"] is False


async def test_ready_waits_for_the_last_job(alice: Any, job: Job) -> None:
    async with fresh_hub():
        await Job.objects.filter(pk=job.pk).aupdate(object="company:1")
        client = await client_of(alice)
        asked = asyncio.create_task(client.get("/api/ready?object=company:1&timeout=30"))
        await begun()
        await sync_to_async(lifecycle.cancel)(job, alice)

        assert (await asked).json()["ready"] is True


async def test_ready_sees_a_job_that_appears_meanwhile(alice: Any, bob: Any, job: Job) -> None:
    async with fresh_hub() as hub:
        await Job.objects.filter(pk=job.pk).aupdate(object="company:1")
        other = await sync_to_async(lambda: lifecycle.create("ping", {}, owner=alice).job)()
        client = await client_of(bob)
        asked = asyncio.create_task(client.get("/api/ready?object=company:1&timeout=30"))
        await begun()
        await Job.objects.filter(pk=other.pk).aupdate(object="company:1")

        async def both() -> bool:
            return {job.stream, other.stream} <= set(hub.watched)

        await until_async(both, what="the second job to be watched")
        await sync_to_async(lifecycle.cancel)(job, alice)
        await sync_to_async(lifecycle.cancel)(other, alice)

        assert (await asked).json() == {"object": "company:1", "ready": True, "open": 0}


async def test_ready_is_told_at_once_by_the_end_of_a_job(
    alice: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "ASK_SECONDS", 60.0)
    async with fresh_hub():
        await Job.objects.filter(pk=job.pk).aupdate(object="company:1")
        client = await client_of(alice)
        asked = asyncio.create_task(client.get("/api/ready?object=company:1&timeout=30"))
        await begun()
        await sync_to_async(lifecycle.cancel)(job, alice)
        assert (await asked).json()["ready"] is True


@pytest.mark.parametrize(
    "query", ["", "object=", "object=x", "object=company:", "object=a b:1", "object=company:1&x=1"]
)
def test_ready_needs_an_object(as_alice: ApiClient, query: str) -> None:
    assert as_alice.read(f"/ready?{query}").status_code == 400
