"""GET /api/system-status/live: whether all data is stable, for an EventSource of three lines."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError

from ingestion import stability
from ingestion.models import Job, Process
from realtime import database, limits
from realtime import hub as hubs
from realtime import streams as kinds
from tests.realtime.client import fresh_hub, in_database
from tests.realtime.requests import Exchange, program_of
from tests.realtime.rows import make_job
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/system-status/live"
EVENTS = {"accept": "text/event-stream"}


async def begin(user: Any, method: str = "GET", query: str = "") -> Exchange:
    program = await program_of(user)
    return Exchange(query, program.headers | EVENTS, method, path=PATH)


def said(exchange: Exchange) -> list[Any]:
    lines = exchange.body.decode().split("\n")
    return [json.loads(line.removeprefix("data: "))["stable"] for line in lines if line.startswith("data: ")]


def with_keeper() -> None:
    Process.objects.create(name="k", role="keeper", host="h", pid=1)
    stability.look()


@pytest.mark.seed("S4.15", "S4.18", "S4.21", "S4.22", "S4.23", "S4.24", "S4.61")
async def test_it_says_what_is_and_then_each_change(alice: Any) -> None:
    await in_database(with_keeper)
    async with fresh_hub() as hub:
        exchange = await begin(alice)
        await exchange.until(lambda: said(exchange) == [True])
        for step, expected in enumerate([[True, False], [True, False, True]]):
            if step:
                await Job.objects.all().adelete()
            else:
                await in_database(make_job, alice)
            await in_database(stability.look)
            await exchange.until(lambda wanted=expected: said(exchange) == wanted)
        assert exchange.status == 200
        assert exchange.headers["content-type"].startswith("text/event-stream")
        assert exchange.headers["connection"] == "keep-alive"
        assert {"no-cache", "no-store"} <= set(exchange.headers["cache-control"].split(", "))
        assert "id: " not in exchange.body.decode()
        await exchange.leave()

        async def forgotten() -> bool:
            return not hub.everybody() and not hub.watched

        await until_async(forgotten, what="the client to be forgotten")


@pytest.mark.seed("S4.25")
async def test_it_opens_when_the_first_answer_cannot_be_read(
    alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(database.logger, "warning", lambda text, *_: logged.append(text))
    monkeypatch.setattr(limits, "ANSWER_SECONDS", 0.2)
    kind = kinds.kinds()["system"]

    def broken(since: Any) -> Any:
        raise OperationalError("away")

    async with fresh_hub():
        monkeypatch.setitem(kinds._kinds, "system", _with_read(kind, broken))
        exchange = await begin(alice)
        await exchange.until(lambda: exchange.status == 200)
        assert said(exchange) == []

        async def told() -> bool:
            return any("database away" in text for text in logged)

        await until_async(told, what="the line in the log")
        monkeypatch.setitem(kinds._kinds, "system", kind)
        for watched in hubs.current().watched.values():
            watched.kind = kind
        await exchange.until(lambda: said(exchange) == [None])  # no keeper: nobody knows
        await exchange.leave()


def _with_read(kind: Any, read: Any) -> Any:
    return replace(kind, read=read)


@pytest.mark.seed("S4.19", "S4.40")
async def test_unknown_is_said_as_unknown(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHECK_SECONDS", 0.05)
    await in_database(with_keeper)
    async with fresh_hub():
        exchange = await begin(alice)
        await exchange.until(lambda: said(exchange) == [True])
        await Process.objects.all().adelete()
        await exchange.until(lambda: said(exchange) == [True, None])
        await in_database(with_keeper)
        await exchange.until(lambda: said(exchange) == [True, None, True])
        await exchange.leave()


@pytest.mark.seed("S4.28", "S4.61")
async def test_it_is_for_who_is_signed_in(alice: Any) -> None:
    async with fresh_hub():
        nobody = await Exchange("", EVENTS, path=PATH).done()
        assert nobody.status == 401
        curious = await (await begin(alice, query="stream=job:1")).done()
        assert (curious.status, json.loads(curious.body)["code"]) == (400, "unknown_filter")
        head = await (await begin(alice, "HEAD")).done()
        assert (head.status, head.body) == (200, b"")


@pytest.mark.seed("S4.69")
async def test_a_user_has_so_many_and_no_more(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUESTS_A_USER", 2)
    await in_database(with_keeper)
    async with fresh_hub():
        own = [await begin(alice) for _ in range(2)]
        for exchange in own:
            await exchange.until(lambda one=exchange: said(one) == [True])
        refused = await (await begin(alice)).done()
        assert refused.status == 429
        await asyncio.gather(*(exchange.leave() for exchange in own))
