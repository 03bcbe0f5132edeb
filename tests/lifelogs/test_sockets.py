"""S0's socket and the streams of days: who hears what, and when."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from ingestion.sources.lifelogs import accounts, limitless, storing, streams
from ingestion.sources.lifelogs.models import Account
from ingestion.sources.lifelogs.sockets import Days
from ingestion.testing import assert_live_equals_fresh, run_inline
from notifications.models import Notification
from notifications.preferences import choose
from realtime import hub as hubs
from realtime.frames import Ready
from realtime.limits import Close
from realtime.plain_sockets import LISTENS
from tests.lifelogs.service import Server
from tests.realtime.client import Wire, connect, fresh_hub, in_database, session

pytestmark = pytest.mark.django_db(transaction=True)
EVENING = datetime(2026, 11, 18, 18, tzinfo=UTC)
NIGHT = datetime(2026, 11, 19, 12, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, datetime]:
    """What time the client reads."""
    now = {"now": EVENING}
    monkeypatch.setattr(limitless, "read_clock", lambda: now["now"])
    return now


@asynccontextmanager
async def opened(user: Any) -> Any:
    cookie, _ = await in_database(session, user)
    wire = await connect(cookie, path="/ws/days/")
    try:
        yield wire
    finally:
        await wire.leave()


def sync(account: Account, mode: str = "day", **more: Any) -> None:
    assert run_inline("lifelogs", account.owner, account=account.pk, mode=mode, **more).is_final


async def heard_after(wire: Wire, account: Account, day: str) -> list[dict[str, Any]]:
    """Return what is told until a day that changes now is told of: all that was told before it."""
    await in_database(sync, account, date=day)
    found: list[dict[str, Any]] = []
    while True:
        told = await wire.next("data_updated")
        if told["date"] == day:
            return found
        found.append(told)


@pytest.mark.seed("S0.4", "S0.20", "S0.21", "S0.23", "S0.24", "S0.26", "S0.34")
async def test_each_day_that_changed_is_told_once_after_a_scheduled_run_too(
    service: Server, account: Account, clock: dict[str, Any], alice: User, bob: User
) -> None:
    service.put("a", "2026-11-18T08:00+01:00")
    async with fresh_hub() as hub, opened(alice) as wire, opened(bob) as other:
        await wire.next("beat")
        await other.next("beat")
        await in_database(sync, account, date="2026-11-18")
        assert await wire.next("data_updated") == {
            "type": "data_updated",
            "source": "limitless",
            "account": account.pk,
            "date": "2026-11-18",
            "status": "partial",
            "version": 1,
        }
        clock["now"] = NIGHT
        await in_database(sync, account, "sync")
        told = [await wire.next("data_updated") for _ in range(7)]
        assert {one["date"]: one["status"] for one in told} == {
            **{f"2026-11-{n}": "complete" for n in range(13, 19)},
            "2026-11-19": "partial",
        }
        await in_database(sync, account, "sync")  # nothing changed
        assert await heard_after(wire, account, "2026-10-01") == []
        bobs = [one for one in hub.everybody() if one.user == bob]
        assert bobs and not any(account.stream in one.names for one in bobs)


@pytest.mark.seed("S0.9", "S0.10", "S0.12")
async def test_every_socket_of_a_process_is_served_by_one_hub_and_ended_by_it(
    account: Account, alice: User, bob: User
) -> None:
    """The seed's manager: made once, reached from everywhere; no route makes its own."""
    async with fresh_hub() as hub, opened(alice) as one, opened(bob) as two:
        cookie, csrf = await in_database(session, alice)
        live = await connect(cookie, csrf)
        await live.hello(account.stream)
        for wire in (one, two):
            await wire.next("beat")
        assert hubs.current() is hubs.running() is hub
        assert sorted(viewer.user.username for viewer in hub.everybody()) == ["alice", "alice", "bob"]
        await hubs.drain()
        assert [await wire.closed() for wire in (one, two, live)] == [Close.DRAINING] * 3
    assert hubs.running() is None


async def test_days_of_two_accounts_are_told_apart(
    service: Server, account: Account, clock: dict[str, Any], alice: User
) -> None:
    other = await in_database(accounts.add, alice, "limitless", "another-key", "Europe/Oslo")
    service.keys.add("another-key")
    async with fresh_hub(), opened(alice) as wire:
        await wire.next("beat")
        for one in (other, account):
            await in_database(sync, one, date="2026-11-18")
            told = await wire.next("data_updated")
            assert (told["account"], told["date"], told["version"]) == (one.pk, "2026-11-18", 1)


async def test_it_says_that_it_listens_once_all_accounts_are_listened_to(
    account: Account, alice: User
) -> None:
    other = await in_database(accounts.sample_of, alice)

    def state(stream: str) -> Ready:
        return Ready("", "state", stream, data={"service": "limitless", "moved": {}})

    async with fresh_hub() as hub:
        days = Days(alice, {})
        assert await days.tell(hub, state(f"user:{alice.pk}")) is None
        assert set(days.streams) == {f"user:{alice.pk}", account.stream, other.stream}
        assert await days.tell(hub, state(account.stream)) is None  # a change of the other would go untold
        assert await days.tell(hub, state(other.stream)) == [LISTENS]
        assert await days.tell(hub, state(f"user:{alice.pk}")) is None
    async with fresh_hub() as hub:
        days = Days(alice, {})
        await days.tell(hub, state(f"user:{alice.pk}"))
        await days.tell(hub, state(account.stream))
        await in_database(accounts.delete, other)  # nothing will ever be heard of it
        assert await days.tell(hub, state(f"user:{alice.pk}")) == [LISTENS]


async def test_who_has_no_account_is_listened_to_at_once(bob: User) -> None:
    async with fresh_hub(), opened(bob) as wire:
        assert await wire.next() == LISTENS


async def test_who_is_not_signed_in_hears_nothing() -> None:
    async with fresh_hub():
        wire = await connect("", path="/ws/days/")
        assert await wire.closed() == Close.SIGNED_OUT


def test_days_are_streams_of_their_owner_alone(account: Account, alice: User, bob: User) -> None:
    names = {f"{account.pk}:2026-11-18", f"{account.pk}:2026-11-31", "0:2026-11-18", "x", f"{account.pk}:18"}
    assert streams._visible(alice, names) == {f"{account.pk}:2026-11-18"}
    assert streams._visible(bob, names) == set()
    assert streams._read({f"{account.pk}:2026-11-18": None})[f"{account.pk}:2026-11-18"] == (
        0,
        {"status": "partial", "items": 0, "turns": 0},
        [],
        False,
        False,
    )


def test_open_pages_show_what_a_page_loaded_anew_does(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    service.put("a", "2026-11-18T08:00+01:00")
    sync(account, date="2026-11-18")
    clock["now"] = NIGHT
    day = f"day:{account.pk}:2026-11-18"
    with assert_live_equals_fresh(day, account.stream):
        service.put("b", "2026-11-18T09:00+01:00")
        sync(account, date="2026-11-18")
        service.items["a"].text = "more"
        sync(account, date="2026-11-18")


@pytest.mark.seed("S0.22")
def test_that_a_day_is_complete_is_told_to_who_chose_to_hear_it_once(
    service: Server, account: Account, clock: dict[str, Any], alice: User
) -> None:
    sync(account, date="2026-11-17")
    assert not Notification.objects.filter(type="day_complete").exists()  # off unless chosen
    choose(alice.pk, "day_complete", "inbox", True)
    service.put("a", "2026-11-18T08:00+01:00")
    sync(account, date="2026-11-18")
    assert not Notification.objects.filter(type="day_complete").exists()  # partial
    clock["now"] = NIGHT
    for _ in range(2):
        sync(account, date="2026-11-18")
    told = Notification.objects.get(type="day_complete")
    assert (told.title, told.text) == ("Wed 18 Nov is complete", "Limitless data arrived: 1 item")
    assert told.url == f"/days/{account.pk}/2026-11-18/"


@pytest.mark.seed("S0.22")
async def test_a_look_that_failed_is_no_news(
    service: Server, account: Account, clock: dict[str, Any], alice: User
) -> None:
    """Of a day of which nothing is known, only that it could not be read."""
    async with fresh_hub(), opened(alice) as wire:
        await wire.next("beat")
        failed = {EVENING.date() - timedelta(days=1): storing.Trouble("It was away.", EVENING)}
        await in_database(storing.note_troubles, account.pk, failed)
        assert await heard_after(wire, account, "2026-11-18") == []
