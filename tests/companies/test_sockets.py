"""S1's socket: `/ws/<client id>` tells of the ingestion that a page of the same user asked for last."""

from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle, tokens
from ingestion.models import Job
from ingestion.sources.companies import subscribers
from ingestion.sources.companies.models import Subscriber
from ingestion.sources.companies.sample import standin as bundled
from ingestion.testing import resume_inline
from realtime import limits
from realtime.limits import Close
from tests.api.clients import client_of
from tests.companies.standin import Standin, document_path
from tests.realtime.client import Wire, connect, fresh_hub, heard, in_database, session
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def opened(user: Any, client: UUID, **more: Any) -> Any:
    cookie, _ = await in_database(session, user)
    wire = await connect(cookie, path=f"/ws/{client}", **more)
    try:
        yield wire
    finally:
        await wire.leave()


def ask(user: User, client: UUID, ticker: str = bundled.TICKER) -> str:
    answer = client_of(user).send(f"/companies/ingest?ticker={ticker}&client_id={client}")
    return str(answer.json()["task_id"])


def finish(task: str) -> Job:
    return resume_inline(Job.objects.get(pk=task))


async def until_status(wire: Wire, *wanted: str) -> dict[str, Any]:
    while True:
        told = await wire.next("ingestion_update")
        if told["status"] in wanted:
            return told


@pytest.mark.seed(
    "S1.3", "S1.4", "S1.6", "S1.9", "S1.10", "S1.11", "S1.14", "S1.15", "S1.17", "S1.18", "S1.42"
)
@pytest.mark.seed("S1.45", "S1.53", "S1.58", "S1.65", "S1.70", "S1.87", "S1.90", "S1.91", "S1.93")
async def test_a_page_hears_of_the_ingestion_that_it_asked_for(alice: User) -> None:
    """It connects first, as S1's does when it is mounted; every message is one object."""
    client = uuid4()
    async with fresh_hub(), opened(alice, client) as wire:
        task = await in_database(ask, alice, client)
        told = await wire.next("ingestion_update")
        assert (told["task_id"], told["status"], told["progress"]) == (task, "pending", 0)
        assert told["message"] == f"Preparing to ingest {bundled.TICKER}"
        await in_database(finish, task)
        told = await until_status(wire, "completed")
        assert (told["progress"], told["steps_completed"], told["error"]) == (100, 5, None)
        assert told["company_id"] and told["filings"][0] == {"year": 2025, "status": "completed"}
        assert set(told) == {
            *("type", "task_id", "company_id", "ticker", "status", "progress", "message"),
            *("steps_completed", "total_steps", "filings", "error"),
        }
        # The next search is another ingestion, and the only one that is told of from now on.
        again = await in_database(ask, alice, client, "OTHER")
        assert (await wire.next("ingestion_update"))["task_id"] == again


@pytest.mark.seed("S1.12", "S1.63", "S1.92")
async def test_who_comes_back_hears_where_it_stands(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(
        7, "ABC", ("10-K", "2026-02-20", "2025-12-31"), ("10-K", "2025-02-20", "2024-12-31")
    )
    sec.pages.pop(document_path(7, accessions[1]))
    client = uuid4()
    async with fresh_hub():
        async with opened(alice, client):
            task = await in_database(ask, alice, client, "ABC")
        await in_database(finish, task)  # while nobody was there
        async with opened(alice, client) as wire:
            told = await until_status(wire, "completed")
    why = "The SEC lists this 10-K, and does not have its document."
    assert {"year": 2024, "status": "failed", "error": why} in told["filings"]


@pytest.mark.seed("S1.18")
async def test_an_id_leads_to_nobody_elses_socket(alice: User, bob: User) -> None:
    client = uuid4()
    async with fresh_hub(), opened(alice, client) as hers, opened(bob, client) as his:
        await in_database(ask, alice, client)
        mine = await in_database(ask, bob, client, "OTHER")
        assert (await hers.next("ingestion_update"))["ticker"] == bundled.TICKER
        assert (await his.next("ingestion_update"))["task_id"] == mine
        assert {told["ticker"] for told in his.frames} == {"OTHER"}


@pytest.mark.seed("S1.16", "S1.19")
async def test_what_a_client_says_keeps_it_open_and_a_flood_does_not(alice: User, settings: Any) -> None:
    settings.WS_HEARTBEAT_SECONDS = 0.1
    async with fresh_hub() as hub:
        async with opened(alice, uuid4()) as wire:
            await wire.say("ping")
            await wire.say({"any": "thing"})
            assert await wire.next() == {"type": "beat"}
        assert hub.everybody() == []  # and twice is fine
        await until_async(partial(_forgotten, hub), what="the end of a read that was under way")
        async with opened(alice, uuid4()) as wire:
            for _ in range(limits.FRAMES + 1):
                await wire.say("x")
            assert await wire.closed() == Close.TOO_MANY
        async with opened(alice, uuid4()) as wire:
            await wire.communicator.send_to(bytes_data=b"x")
            assert await wire.closed() == Close.BINARY


async def _forgotten(hub: Any) -> bool:
    return not hub.watched


@pytest.mark.seed("SEC5")
async def test_only_who_is_signed_in_is_let_in_from_our_pages_or_with_a_token(alice: User) -> None:
    async with fresh_hub():
        wire = await connect(path=f"/ws/{uuid4()}", origin=None)
        assert await wire.closed() == Close.SIGNED_OUT
        await wire.leave()
        async with opened(alice, uuid4(), origin="https://evil.example") as foreign:
            assert foreign.close_code == 403
        _, token = await in_database(tokens.create, alice, "test")
        headers = [(b"authorization", f"Bearer {token}".encode())]
        client = uuid4()
        wire = await connect(path=f"/ws/{client}/", origin=None, headers=headers)
        task = await in_database(ask, alice, client)
        assert (await wire.next("ingestion_update"))["task_id"] == task
        await wire.leave()


async def test_a_socket_ends_with_the_session(alice: User) -> None:
    async with fresh_hub() as hub:
        await heard(hub)
        async with opened(alice, uuid4()) as wire:
            alice.is_active = False
            await in_database(alice.save, update_fields=["is_active"])
            hub.guard.recheck([alice.pk])
            assert await wire.closed() == Close.SIGNED_OUT


@pytest.mark.seed("S1.97")
async def test_a_users_oldest_socket_goes_when_there_are_too_many(alice: User, settings: Any) -> None:
    settings.WS_MAX_SOCKETS_PER_USER = 1
    async with fresh_hub(), opened(alice, uuid4()) as first, opened(alice, uuid4()):
        assert await first.closed() == Close.REPLACED


def test_a_user_has_so_many_ids_and_the_oldest_go(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "MOST", 2)
    job = lifecycle.create("companies", {"ticker": "ABC"}, owner=alice).job
    later = lifecycle.create("companies", {"ticker": "ABD"}, owner=alice).job
    first, second, third = (uuid4() for _ in range(3))
    subscribers.route(alice, first, job)
    subscribers.route(alice, second, later)
    subscribers.route(alice, third, later)
    assert set(Subscriber.objects.values_list("client", flat=True)) == {second, third}
    before = Subscriber.objects.get(client=third).version
    subscribers.route(alice, third, job)
    assert Subscriber.objects.get(client=third).version > before


def test_what_an_id_stands_at_never_goes_down(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that goes down is taken for a restored backup: all sockets of everybody begin anew."""
    monkeypatch.setattr(subscribers, "MOST", 2)
    job = lifecycle.create("companies", {"ticker": "ABC"}, owner=alice).job
    ids = [uuid4() for _ in range(4)]
    keys = [f"{alice.pk}-{one}" for one in ids]
    subscribers.route(bob, ids[0], job)  # whose rows are nothing to hers
    before = subscribers._versions(keys)
    assert set(before.values()) == {0}
    for n in (0, 0, 1, 2, 3, 0, 2, 2, 1, 3):
        subscribers.route(alice, ids[n], job)
        now = subscribers._versions(keys)
        assert all(now[key] >= before[key] for key in keys) and now[keys[n]] > before[keys[n]]
        assert Subscriber.objects.filter(user=alice).count() <= 2
        before = now
    read = subscribers._read(dict.fromkeys(keys))
    assert {key: one.version for key, one in read.items()} == before
    assert [read[key].data for key in keys] == [{}, {"job": str(job.pk)}, {}, {"job": str(job.pk)}]


async def test_an_id_that_goes_while_it_is_watched_disturbs_nobody(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribers, "MOST", 2)
    client = uuid4()
    async with fresh_hub() as hub, opened(alice, client) as wire:
        task = await in_database(ask, alice, client)
        assert (await wire.next("ingestion_update"))["task_id"] == task
        for _ in range(2):
            await in_database(ask, alice, uuid4())
        async with opened(alice, client) as second:  # reads what the first one holds a copy of
            name = f"subscriber:{alice.pk}-{client}"

            async def both_are_told() -> bool:
                return len(hub.watched[name].viewers) == 2

            await until_async(both_are_told)
            assert hub.counts["epochs"] == 0
            again = await in_database(ask, alice, client, "OTHER")
            for one in (wire, second):
                while (await one.next("ingestion_update"))["task_id"] != again:
                    pass
        assert hub.counts["epochs"] == 0


@pytest.mark.parametrize(
    "path", ["/ws/x", "/ws/12345678-1234-1234-1234-1234567890123", f"/ws/{'g' * 8}-1-1-1-1"]
)
async def test_what_is_no_id_is_no_path(path: str) -> None:
    async with fresh_hub():
        wire = await connect(path=path, origin=None)
        assert await wire.closed() == Close.NO_SUCH_PATH
        await wire.leave()
