"""How many sockets come, how many are open: in one process at once, soon in all together (SEC63, SEC66)."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest
from redis import Redis

from realtime import arrivals, limits
from realtime import publish as door
from realtime.arrivals import Window
from realtime.hub import Hub
from realtime.limits import Close
from realtime.sockets import Socket
from tests.realtime.client import connect, fresh_hub, in_database, session, standing_of, wire_of
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def clean(settings, monkeypatch):
    """Forget who came before, here and in Redis."""
    monkeypatch.setattr(door, "_skip_until", 0.0)
    with Redis.from_url(settings.REDIS_URL) as redis:
        for key in redis.keys("live:*"):
            redis.delete(key)
        yield redis


@asynccontextmanager
async def process():
    """Run another hub, as a second web process would."""
    hub = Hub()
    hub.start()
    try:
        yield hub
    finally:
        await hub.stop()
        await asyncio.to_thread(hub.database._threads.shutdown)


class Opened:
    """A socket on a hub, without a transport. `code` is what it was closed with."""

    def __init__(self, hub, standing):
        self.code = None
        self.socket = Socket(standing, self._send, self._close)
        hub.add(self.socket)

    async def _send(self, text):
        pass

    async def _close(self, code):
        self.code = code


async def closed(opened, code):
    async def is_closed():
        return opened.code == code

    await until_async(is_closed, what=f"a close with {code}, not {opened.code}")


async def known(redis, user, count):
    """Wait until all processes together know of so many sockets of a user."""

    async def counted():
        return await asyncio.to_thread(redis.zcard, arrivals._keys(user.pk)[0]) == count

    await until_async(counted, what=f"{count} known sockets")


@pytest.mark.seed("SEC63")
async def test_the_31st_connect_of_a_session_in_10_seconds_is_told_when_to_come_again(alice, bob, settings):
    settings.WS_MAX_SOCKETS_PER_USER = 100
    cookie, csrf = await in_database(session, alice)
    async with fresh_hub():
        wires = [await connect(cookie, csrf) for _ in range(30)]
        for wire in wires:
            await wire.hello()
        late = await connect(cookie, csrf)
        first = await late.communicator.receive_output(timeout=8)
        assert (first["type"], first["code"]) == ("websocket.close", Close.TOO_MANY)
        assert 0 < json.loads(first["reason"])["retry_after_ms"] <= 10_000
        async with wire_of(bob) as other, wire_of(alice) as elsewhere:
            assert (await other.hello())["type"] == (await elsewhere.hello())["type"] == "welcome"
        for wire in wires:
            await wire.leave()


@pytest.mark.seed("SEC63")
async def test_made_up_cookies_are_counted_like_good_ones(alice):
    async with fresh_hub():
        codes = [await (await connect("sessionid=" + "a" * 32)).closed() for _ in range(31)]
    assert codes == [Close.SIGNED_OUT] * 30 + [Close.TOO_MANY]


def test_the_window_slides():
    window = Window()
    assert [window.wait_ms("a", now / 10) or window.count("a", now / 10) for now in range(30)] == [None] * 30
    assert window.wait_ms("a", 3.0) == 7000
    assert window.wait_ms("b", 3.0) == 0
    assert window.wait_ms("a", 9.95) == 50
    assert window.wait_ms("a", 10.05) == 0
    window.count("a", 10.05)
    assert window.wait_ms("a", 10.06) == 40


def test_the_window_forgets_who_does_not_come_again():
    window = Window()
    for who in range(1000):
        window.count(who, 0.0)
    window.count("late", 20.0)
    assert len(window._times) == 1


@pytest.mark.seed("SEC63")
async def test_a_session_is_counted_in_all_processes_together(alice, clean, settings):
    settings.WS_CONNECTS_PER_SESSION = 6
    standing = await in_database(standing_of, alice)
    async with process() as one, process() as two:
        early = [Opened(hub, standing) for hub in (one, two) for _ in range(3)]
        await known(clean, alice, 6)
        late = Opened(one, standing)
        await closed(late, Close.TOO_MANY)
        assert 0 < late.socket.retry_after_ms <= 10_000
        assert {opened.code for opened in early} == {None}


@pytest.mark.seed("SEC63")
async def test_the_21st_socket_closes_the_oldest_in_whichever_process_it_is(alice, clean):
    standing = await in_database(standing_of, alice)
    async with process() as one, process() as two:

        async def listening():
            return all(door.ACCESS in hub.watching.hints._joined for hub in (one, two))

        await until_async(listening, what="both hubs to listen")
        oldest = Opened(one, standing)
        await known(clean, alice, 1)
        rest = [Opened(two, standing) for _ in range(19)]
        await known(clean, alice, 20)
        newest = Opened(two, standing)

        await closed(oldest, Close.REPLACED)
        await known(clean, alice, 20)
        assert {opened.code for opened in [*rest, newest]} == {None}
        two.remove(newest.socket)
        await known(clean, alice, 19)


async def test_sockets_of_a_process_that_died_are_forgotten(alice, clean, monkeypatch):
    monkeypatch.setattr(limits, "SPEAK_UP_SECONDS", 0.2)
    standing = await in_database(standing_of, alice)
    seconds, micro = clean.time()
    now = seconds * 1000 + micro // 1000
    opened, seen = arrivals._keys(alice.pk)
    for number in range(20):  # what a killed process left
        clean.zadd(opened, {f"dead{number}": now + 10_000})
        clean.zadd(seen, {f"dead{number}": now - 1_000})
    async with process() as hub:
        alive = Opened(hub, standing)
        await known(clean, alice, 1)
        assert alive.code is None


async def test_what_redis_forgot_is_said_again(alice, clean, monkeypatch):
    monkeypatch.setattr(limits, "SPEAK_UP_SECONDS", 0.2)
    standing = await in_database(standing_of, alice)
    async with process() as hub:
        opened = [Opened(hub, standing) for _ in range(3)]
        await known(clean, alice, 3)
        clean.delete(*arrivals._keys(alice.pk))
        await known(clean, alice, 3)
        assert {one.code for one in opened} == {None}


async def test_users_are_spoken_for_together(alice, bob, clean, monkeypatch):
    standings = [await in_database(standing_of, user) for user in (alice, bob)]
    async with process() as hub:
        for standing in standings:
            Opened(hub, standing)
        for user in (alice, bob):
            await known(clean, user, 1)
            clean.delete(*arrivals._keys(user.pk))
        asked = []
        ask = hub.arrivals._ask

        async def counting(questions):
            asked.append(len(questions))
            return await ask(questions)

        monkeypatch.setattr(hub.arrivals, "_ask", counting)
        await hub.arrivals.look(list(hub.sockets))
        assert asked == [1]
        for user in (alice, bob):
            await known(clean, user, 1)


async def test_who_are_spoken_for_together_are_counted_each_for_themselves(alice, bob, clean, settings):
    settings.WS_MAX_SOCKETS_PER_USER = 2
    standings = [await in_database(standing_of, user) for user in (alice, bob)]
    async with process() as hub:
        hers, his = (Opened(hub, standing) for standing in standings)
        for user in (alice, bob):
            await known(clean, user, 1)
        for key in arrivals._keys(bob.pk):  # two newer ones, of another process
            clean.zadd(key, dict.fromkeys(("one", "another"), round((time.time() + 1) * 1000)))
        await hub.arrivals.look([alice.pk, bob.pk])
        await closed(his, Close.REPLACED)
        await known(clean, bob, 2)
        await known(clean, alice, 1)
        assert hers.code is None


async def test_those_who_come_and_go_together_are_told_of_together(alice, bob, clean, monkeypatch):
    standings = [await in_database(standing_of, user) for user in (alice, bob)]
    async with process() as hub:
        leaving = [Opened(hub, standing) for standing in standings]
        for user in (alice, bob):
            await known(clean, user, 1)
        asked = []
        ask = hub.arrivals._ask

        async def counting(questions):
            asked.append(len(questions))
            return await ask(questions)

        monkeypatch.setattr(hub.arrivals, "_ask", counting)
        for opened in leaving:
            hub.remove(opened.socket)
        for standing in standings:
            for _ in range(5):
                Opened(hub, standing)
        for user in (alice, bob):
            await known(clean, user, 5)
    # Two farewells and a question how often they connect of each, then one how many they are.
    assert asked[:2] == [6, 1]


async def test_a_hub_that_stops_takes_its_sockets_away(alice, clean):
    standing = await in_database(standing_of, alice)
    async with process() as hub:
        Opened(hub, standing)
        await known(clean, alice, 1)
    assert clean.zcard(arrivals._keys(alice.pk)[0]) == 0


async def test_a_hub_that_stops_at_once_after_a_close_says_so_and_leaves_no_connection(alice, clean):
    standing = await in_database(standing_of, alice)
    async with process() as hub:
        opened = Opened(hub, standing)
        await known(clean, alice, 1)
        hub.remove(opened.socket)  # nobody has told Redis yet
    assert clean.zcard(arrivals._keys(alice.pk)[0]) == 0
    pool = hub.arrivals._redis.connection_pool
    assert not any(one.is_connected for one in [*pool._available_connections, *pool._in_use_connections])


async def test_without_redis_each_process_counts_alone_and_lets_in_at_once(alice, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    settings.WS_MAX_SOCKETS_PER_USER = 2
    standing = await in_database(standing_of, alice)
    async with process() as hub:
        began = time.monotonic()
        opened = [Opened(hub, standing) for _ in range(3)]
        assert time.monotonic() - began < 0.1
        await closed(opened[0], Close.REPLACED)

        async def skipping():
            return hub.arrivals._skip_until > time.monotonic()

        await until_async(skipping, what="Redis to be left alone")
        assert [one.code for one in opened[1:]] == [None, None]


@pytest.mark.seed("SEC66")
async def test_a_full_process_sends_away_with_a_time(alice, monkeypatch):
    monkeypatch.setattr(limits, "CONNECTIONS", 1)
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello()
        cookie, csrf = await in_database(session, alice)
        late = await connect(cookie, csrf)
        first = await late.communicator.receive_output(timeout=8)
        assert (first["type"], first["code"]) == ("websocket.close", Close.TOO_MANY)
        assert 1000 <= json.loads(first["reason"])["retry_after_ms"] <= 5000
        await wire.say({"type": "ack", "id": 1})
        assert (await wire.next("beat"))["id"] == 1
