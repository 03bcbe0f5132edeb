"""GET /api/live: the frames of the WebSocket as an event stream, or as JSON, at once or with news.

A bare ASGI application before Django: a request that waits holds no thread and no database connection, and an
answer that says nothing new costs no query.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Any
from uuid import uuid4

import structlog
from django.conf import settings

from config.problems import Problem, problem_body
from realtime import hub as hubs
from realtime import limits
from realtime.admission import NotAdmitted, admit
from realtime.asking import Asked, read
from realtime.credentials import Standing, bearer
from realtime.events import EventStream
from realtime.frames import Ready
from realtime.limits import Close
from realtime.origin import Scope, cookies, has_session_cookie
from realtime.seats import Seat

log = structlog.get_logger(__name__)

PATH = "/api/live"
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_COMMON: Headers = [(b"cache-control", b"no-store"), (b"vary", b"Accept, Authorization, Cookie")]
_EVENTS: Headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
_JSON: Headers = [(b"content-type", b"application/json")]


class LiveHttp:
    """An ASGI application for GET and HEAD of one path."""

    def __init__(self) -> None:
        self._rates = Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except Problem as problem:
            await _refuse(scope, send, problem)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = read(scope)
        if scope["method"] == "HEAD":
            await _respond(send, 200, _EVENTS if asked.events else _JSON, b"")
            return
        hub = hubs.current()
        seat = None
        who = _credentials(scope)
        if not asked.events and who is not None:
            seat = hub.seats.find((who, frozenset(asked.streams)))
        standing = seat.standing if seat is not None else await self._standing(hub, scope)
        try:
            self._rates.spend(("user", standing.user.pk), settings.RATE_READS_PER_MINUTE, time.monotonic())
            if asked.events:
                await _Events(hub, standing, asked, receive, send).run()
                return
            if seat is None:
                _make_room(hub, standing.user)
                seat = hub.seats.make(standing, (who or "", frozenset(asked.streams)))
            body = await _Poll(hub, seat, asked, receive).run()
        finally:
            if seat is not None:
                hub.seats.give_back(seat)
        if body is not None:
            await _respond(send, 200, _JSON, body)

    async def _standing(self, hub: "hubs.Hub", scope: Scope) -> Standing:
        if hub.draining:
            raise Problem("unavailable", n=1, retry_after=1)
        address = ("address", (scope.get("client") or ("", 0))[0])
        self._rates.check(address, settings.RATE_UNSIGNED_PER_MINUTE, time.monotonic())
        try:
            return await admit(hub, scope)
        except NotAdmitted as refused:
            if refused.code == Close.DRAINING:
                raise Problem("unavailable", n=5, retry_after=5) from None
            self._rates.spend(address, settings.RATE_UNSIGNED_PER_MINUTE, time.monotonic())
            raise Problem("auth_required") from None


class _Poll:
    """One request for JSON."""

    def __init__(self, hub: "hubs.Hub", seat: Seat, asked: Asked, receive: Receive) -> None:
        self.hub, self.seat, self.asked, self.receive = hub, seat, asked, receive

    async def run(self) -> bytes | None:
        """Return the body, None when nobody is there to read it. Raises Problem."""
        seat, asked = self.seat, self.asked
        seat.take()
        left = False
        try:
            self._ask()
            if seat.expected:
                await seat.answered(limits.ANSWER_SECONDS)
            if asked.wait and not seat.frames and not seat.closed:
                left = await self._wait()
        finally:
            unanswered = bool(seat.expected)
            frames = seat.leave()
        if left:
            return None
        if seat.code == Close.SIGNED_OUT:
            raise Problem("auth_required")
        if unanswered and not frames:
            raise Problem("unavailable", n=5, retry_after=5)
        return self._body(frames)

    def _ask(self) -> None:
        """Ask for every stream that is not known to stand where the client stands."""
        wanted = {}
        for name in self.asked.streams:
            copy = self.hub.watching.standing(self.seat, name)
            cursor = self.asked.places[name]
            known = copy is not None and cursor is not None and cursor.version == copy.version
            if not known or self.asked.places.epoch != self.hub.watching.epoch:
                wanted[name] = cursor
        self.seat.expected = set(wanted)
        if wanted:
            # The seat may stand further than a client that lost an answer: no change from there is for it.
            self.hub.unsubscribe(self.seat, wanted)
            self.hub.subscribe(self.seat, wanted, None)
        if self.hub.database.stale_since is not None:
            self.hub.beat(self.seat)

    async def _wait(self) -> bool:
        """Wait for news; return whether the client left meanwhile."""
        with _present(self.hub, self.seat.user):
            gone = asyncio.ensure_future(_disconnect(self.receive))
            news = asyncio.ensure_future(self.seat.moved(self.asked.wait))
            try:
                await asyncio.wait([gone, news], return_when=asyncio.FIRST_COMPLETED)
                return not news.done()
            finally:
                gone.cancel()
                news.cancel()

    def _body(self, frames: list[Ready]) -> bytes:
        places = self.asked.places
        for frame in frames:
            places.take(frame)
        after: int | None = 0 if self.asked.wait else limits.POLL_MS
        if not self.seat.names:
            after = None  # nothing is left to ask for
        for frame in frames:
            if frame.type == "drain":
                after = int(json.loads(frame.text)["after_ms"])
        texts = ",".join(frame.text for frame in frames)
        rest = json.dumps({"cursor": str(places), "poll_after_ms": after}, separators=(",", ":"))
        return f'{{"frames":[{texts}],{rest[1:]}'.encode()


class _Events:
    """One event stream."""

    def __init__(
        self, hub: "hubs.Hub", standing: Standing, asked: Asked, receive: Receive, send: Send
    ) -> None:
        self.hub, self.asked, self.receive, self.send = hub, asked, receive, send
        self.started = False
        self.stream = EventStream(standing, asked.places, self._write)

    async def run(self) -> None:
        """Write until the turn is over, the streams have ended or somebody leaves."""
        _make_room(self.hub, self.stream.user)
        stream = self.stream
        with _present(self.hub, stream.user):
            self.hub.add(stream)
            gone = asyncio.ensure_future(_disconnect(self.receive))
            over = asyncio.ensure_future(stream.over.wait())
            try:
                if not self.asked.resumed:
                    await self._start()
                wanted = {name: self.asked.places[name] for name in self.asked.streams}
                self.hub.subscribe(stream, wanted, None)
                await asyncio.wait(
                    [gone, over], timeout=limits.ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if not (gone.done() or over.done()):
                    await self._start()  # the database is away, or there is simply more to come
                    rest = limits.TURN_SECONDS - limits.ANSWER_SECONDS
                    await asyncio.wait([gone, over], timeout=rest, return_when=asyncio.FIRST_COMPLETED)
                if not gone.done():
                    await stream.finish(limits.ENDED)
                    async with asyncio.timeout(limits.SEND_SECONDS):
                        await self._end()
            finally:
                gone.cancel()
                over.cancel()
                self.hub.remove(stream)

    async def _write(self, text: str) -> None:
        if not self.started and not self.stream.news and not self.stream.names:
            return  # a client that comes back for what is over: 204 tells it to stop
        await self._start()
        await self.send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def _start(self) -> None:
        if not self.started:
            self.started = True
            await self.send({"type": "http.response.start", "status": 200, "headers": _EVENTS + _COMMON})
            retry = f"retry: {limits.RETRY_MS}\n\n".encode()
            await self.send({"type": "http.response.body", "body": retry, "more_body": True})

    async def _end(self) -> None:
        if not self.started:
            await _respond(self.send, 204, [], b"")
        elif self.stream.code != Close.SLOW:  # who does not read would not read this either
            await self.send({"type": "http.response.body", "body": b""})


class _Present:
    """Counts a request that stays, for its user."""

    def __init__(self, hub: "hubs.Hub", pk: int) -> None:
        self.present, self.pk = hub.seats.present, pk

    def __enter__(self) -> None:
        self.present[self.pk] += 1

    def __exit__(self, *error: object) -> None:
        self.present[self.pk] -= 1
        if not self.present[self.pk]:
            del self.present[self.pk]


def _present(hub: "hubs.Hub", user: Any) -> _Present:
    if hub.seats.present[user.pk] >= limits.REQUESTS_A_USER:
        raise Problem("rate_limited", n=5, retry_after=5)
    return _Present(hub, user.pk)


def _make_room(hub: "hubs.Hub", user: Any) -> None:
    if hub.seats.present[user.pk] >= limits.REQUESTS_A_USER:
        raise Problem("rate_limited", n=5, retry_after=5)
    if len(hub.everybody()) >= limits.CONNECTIONS:
        raise Problem("unavailable", n=5, retry_after=5)


def _credentials(scope: Scope) -> str | None:
    if has_session_cookie(scope):
        return f"session:{cookies(scope)[settings.SESSION_COOKIE_NAME]}"
    token = bearer(scope)
    return None if token is None else f"token:{token}"


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers + _COMMON + length})
    await send({"type": "http.response.body", "body": body})


async def _refuse(scope: Scope, send: Send, problem: Problem) -> None:
    reference = uuid4().hex
    log.info("live_refused", code=problem.code, request_id=reference)
    headers = [(b"content-type", b"application/problem+json"), (b"x-request-id", reference.encode())]
    if problem.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="headway"'))
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    body = json.dumps(problem_body(problem, reference), ensure_ascii=False).encode("utf-8", "replace")
    await _respond(send, problem.status, headers, b"" if scope["method"] == "HEAD" else body)


class Rates:
    """Requests of this minute, by who sent them: in this process, because nothing here may wait for Redis."""

    def __init__(self) -> None:
        self._minute = 0
        self._counts: Counter[Hashable] = Counter()

    def check(self, who: Hashable, most: int, now: float) -> None:
        """Raise Problem for who has used up a minute's requests. now: on the monotonic clock."""
        if int(now // 60) != self._minute:
            self._minute = int(now // 60)
            self._counts.clear()
        if self._counts[who] >= most:
            seconds = 60 - int(now % 60)
            raise Problem("rate_limited", n=seconds, retry_after=seconds)

    def spend(self, who: Hashable, most: int, now: float) -> None:
        """Count one request. Raises Problem."""
        self.check(who, most, now)
        self._counts[who] += 1
