"""Who does not read: costs no memory, holds nobody back, and is told the whole state when they are back."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager, contextmanager

import pytest
import uvicorn

from realtime import limits
from realtime.limits import Close
from tests.realtime.client import connect, fresh_hub, in_database, session, wire_of
from tests.realtime.noise import noise
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def quick(monkeypatch):
    for name, seconds in {"TICK": 0.005, "STREAM_SECONDS": 0.0, "SOCKET_SECONDS": 0.005}.items():
        monkeypatch.setattr(limits, name, seconds)


async def heard(wire, version):
    """Read until the wire stands at a version; return the frames since."""
    begin = wire.seen
    while (await wire.next("state", "change"))["version"] < version:
        pass
    return wire.frames[begin:]


@asynccontextmanager
async def standing(user, *, ack=True):
    """Let a client that knows one stream's state wait for more. ack: it acknowledges what it gets."""
    with noise() as streams:
        name = streams.make("a", n=1)
        async with fresh_hub() as hub, wire_of(user) as wire:
            await wire.hello(name, ack=ack)
            await wire.next("state")
            yield streams, name, hub, wire


async def test_without_acks_a_client_is_parked_and_then_told_one_state(alice, quick, monkeypatch):
    monkeypatch.setattr(limits, "CREDIT_FRAMES", 4)
    async with standing(alice) as (streams, name, hub, wire):
        for n in (2, 3, 4):
            await heard(wire, streams.move(hub, "a", n=n))
        for n in (5, 6, 7):
            streams.move(hub, "a", n=n)
            await until_async(stands(hub, name, n), what="the copy")
        await wire.say({"type": "ack", "id": 1})
        beat = await wire.next("beat", "change", "state")
        parked = hub.counts["parked"]
        await wire.say({"type": "ack", "versions": {name: 4}})
        state = await wire.next("beat", "change", "state")
        await wire.say({"type": "ack", "versions": {name: 7}})
        change = (await heard(wire, streams.move(hub, "a", n=8)))[-1]

    assert (beat["type"], beat["versions"]) == ("beat", {})
    assert parked == 1
    assert (state["type"], state["why"], state["version"], state["data"]) == ("state", "slow", 7, {"n": 7})
    assert (change["type"], change["from"], change["version"]) == ("change", 7, 8)
    assert sum(hub.lags.counts) == 5


def stands(hub, name, version):
    async def look():
        return hub.watched[name].copy.version == version

    return look


async def test_the_end_reaches_a_parked_client_too(alice, quick, monkeypatch):
    monkeypatch.setattr(limits, "CREDIT_FRAMES", 2)
    async with standing(alice) as (streams, name, hub, wire):
        await heard(wire, streams.move(hub, "a", n=2))
        streams.move(hub, "a", n=3, final=True)
        await until_async(deserted(hub, name), what="the end")
        await wire.say({"type": "ack", "versions": {name: 2}})
        state, end = await wire.next("state"), await wire.next("end", "state", "change")

    assert (state["why"], state["version"], end["type"], end["version"]) == ("slow", 3, "end", 3)


def deserted(hub, name):
    async def look():
        return name not in hub.watched

    return look


async def test_a_parked_client_that_never_acknowledges_is_4508(alice, quick, monkeypatch):
    monkeypatch.setattr(limits, "CREDIT_FRAMES", 1)
    monkeypatch.setattr(limits, "PARKED_SECONDS", 0.3)
    monkeypatch.setattr(limits, "CHECK_SECONDS", 0.1)
    with noise() as streams:
        async with fresh_hub() as hub, wire_of(alice) as wire:
            await wire.hello(streams.make("a", n=1), ack=True)
            assert await wire.closed() == Close.SLOW
            assert hub.counts["closed_slow"] == 1


async def test_who_does_not_say_ack_is_never_parked(alice, quick, monkeypatch):
    monkeypatch.setattr(limits, "CREDIT_FRAMES", 1)
    async with standing(alice, ack=False) as (streams, _, hub, wire):
        for n in (2, 3, 4):
            await heard(wire, streams.move(hub, "a", n=n))


async def test_an_ack_above_what_was_said_counts_for_nothing(alice, quick, monkeypatch):
    monkeypatch.setattr(limits, "CREDIT_FRAMES", 1)
    async with standing(alice) as (_, name, hub, wire):
        await wire.say({"type": "ack", "id": 1, "versions": {name: 99, "job:x": 1}})
        await wire.next("beat")
        (viewer,) = hub.everybody()
        assert (hub.counts["ack_ahead"], viewer.parked_at is None) == (1, False)


async def test_an_ack_below_the_last_one_takes_nothing_back(alice, quick, monkeypatch):
    """WS61."""
    monkeypatch.setattr(limits, "CREDIT_FRAMES", 3)
    async with standing(alice) as (streams, name, hub, wire):
        await heard(wire, streams.move(hub, "a", n=2))
        await wire.say({"type": "ack", "versions": {name: 2}})
        await wire.say({"type": "ack", "id": 1, "versions": {name: 1}})
        assert (await wire.next("beat"))["versions"] == {name: 2}
        # Two more are fine: the older acknowledgement made nobody owe what was acknowledged already.
        await heard(wire, streams.move(hub, "a", n=3))
        await heard(wire, streams.move(hub, "a", n=4))
        assert (hub.counts["parked"], hub.counts["ack_ahead"]) == (0, 0)


async def test_an_unsubscribed_stream_gives_its_credit_back(alice, quick, monkeypatch):
    monkeypatch.setattr(limits, "CREDIT_FRAMES", 2)
    with noise() as streams:
        first, second = streams.make("a", n=1), streams.make("b", n=1)
        async with fresh_hub(), wire_of(alice) as wire:
            await wire.hello(first, ack=True)
            await wire.next("state")
            await wire.say({"type": "unsubscribe", "streams": [first]})
            await wire.say({"type": "subscribe", "streams": [second]})
            await wire.next("state")
            await wire.say({"type": "unsubscribe", "streams": [second]})
            await wire.say({"type": "subscribe", "streams": [first]})
            assert (await wire.next("state"))["stream"] == first


class Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self):
        yield


@asynccontextmanager
async def served():
    """Serve the real application over TCP on this loop; yield the address."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * 1024)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        "config.asgi:application",
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        ws_ping_interval=None,
    )
    server = Server(config)
    running = asyncio.ensure_future(server.serve([listening]))
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = server.force_exit = True
        await running
        listening.close()


class Reader:
    """A client over TCP that reads when it is told to: HTTP or WebSocket, as raw bytes."""

    def __init__(self, address, request, greeting=b""):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024)
        self.socket.setblocking(False)
        self.address, self.request, self.greeting = address, request, greeting
        self.received = b""
        self.ended = False

    async def open(self):
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, self.address)
        await loop.sock_sendall(self.socket, self.request)
        if self.greeting:
            while b"\r\n\r\n" not in self.received:
                self.received += await loop.sock_recv(self.socket, 4096)
            await loop.sock_sendall(self.socket, self.greeting)

    async def read(self):
        """Read until the other side ends."""
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self.socket, 64 * 1024):
            self.received += data
        self.ended = True

    def close(self):
        self.socket.close()


def masked(text):
    """Return a client's text frame (RFC 6455, 5.2)."""
    body = text.encode()
    assert 126 <= len(body) < 65536
    return b"\x81\xfe" + len(body).to_bytes(2, "big") + b"\0\0\0\0" + body


def page(address, cookie, csrf, name):
    host = f"{address[0]}:{address[1]}"
    upgrade = (
        f"GET /ws/live/ HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {cookie}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    hello = json.dumps({"type": "hello", "csrf": csrf, "streams": [name], "id": 1})
    return Reader(address, upgrade.encode(), masked(hello + " " * max(0, 130 - len(hello))))


def events(address, cookie, csrf, name):
    return Reader(
        address,
        f"GET /api/live?stream={name} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
        f"Accept: text/event-stream\r\nCookie: {cookie}\r\n\r\n".encode(),
    )


@pytest.mark.parametrize("kind", [page, events], ids=["websocket", "events"])
async def test_a_reader_that_stalls_holds_nobody_back_and_is_closed(alice, bob, quick, monkeypatch, kind):
    monkeypatch.setattr(limits, "SEND_SECONDS", 1.0)
    with noise() as streams:
        name = streams.make("a", text="x" * 20_000)
        async with fresh_hub() as hub, served() as address:
            slow = kind(address, *await in_database(session, bob), name)
            await slow.open()
            await until_async(watched_by(hub, 1), what="the slow one")
            (stalled,) = hub.everybody()
            wire = await connect(*await in_database(session, alice))
            await wire.hello(name)
            await wire.next("state")
            waits, kept = [], []
            end = time.monotonic() + 10
            n = 0
            while not stalled.closed and time.monotonic() < end:
                n += 1
                begin = time.monotonic()
                await heard(wire, streams.move(hub, "a", text=str(n % 10) * 20_000))
                waits.append(time.monotonic() - begin)
                kept.append(stalled.pending_bytes)
            await wire.leave()
            slow.close()

    assert stalled.code == Close.SLOW
    assert hub.counts["closed_slow"] == 1
    assert max(kept) <= limits.PENDING_BYTES + 21_000, "what waits for one reader has a bound"
    assert stalled.missed or max(kept) > 0, "it was really slow"
    assert sorted(waits)[len(waits) // 2] < 0.5


def watched_by(hub, count):
    async def look():
        return sum(len(watched.viewers) for watched in hub.watched.values()) == count

    return look


async def test_a_reader_that_stalled_and_goes_on_is_told_the_state(bob, alice, quick):
    with noise() as streams:
        name = streams.make("a", text="x" * 20_000)
        async with fresh_hub() as hub, served() as address:
            slow = events(address, *await in_database(session, bob), name)
            await slow.open()
            await until_async(watched_by(hub, 1), what="the slow one")
            (stalled,) = hub.everybody()

            async def behind():
                version = streams.move(hub, "a", text=str(streams.versions["a"] % 10) * 20_000)
                await until_async(stands(hub, name, version), what="the copy")
                return stalled.missed

            await until_async(behind, what="frames left out")
            reading = asyncio.ensure_future(slow.read())
            last = streams.versions["a"]

            async def told():
                return f'"why":"slow","version":{last}'.encode() in slow.received

            await until_async(told, what="the state")
            assert hub.counts["caught_up"] == 1
            slow.close()
            reading.cancel()
