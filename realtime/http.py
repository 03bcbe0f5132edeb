"""GET /api/live: the frames of the WebSocket as an event stream, or as JSON, at once or with news.

A bare ASGI application before Django: a request that waits holds no thread and no database connection, and an
answer that says nothing new costs no query.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
from django.conf import settings

from config import addresses
from config.problems import Problem
from realtime import hub as hubs
from realtime import limits
from realtime.admission import NotAdmitted, admit
from realtime.answers import COMMON, EVENTS, JSON, Receive, Send, disconnected, refuse, respond
from realtime.asking import Asked, read
from realtime.credentials import Standing, bearer
from realtime.cursors import Places
from realtime.events import EventAnswer, EventStream
from realtime.frames import Ready
from realtime.limits import Close
from realtime.origin import Scope, address, cookies, has_session_cookie, is_foreign, shown
from realtime.rates import Rates
from realtime.seats import Seat

log = structlog.get_logger(__name__)


class LiveHttp:
    """An ASGI application for GET and HEAD of one path."""

    event_headers: Sequence[tuple[bytes, bytes]] = (*EVENTS, *COMMON)

    def __init__(self) -> None:
        self._rates = Rates()

    def read(self, scope: Scope) -> Asked:
        """Return what a request asks for. Raises Problem."""
        return read(scope)

    def events(
        self, standing: Standing, places: Places, send: Callable[[str], Awaitable[None]]
    ) -> EventStream:
        """Return a connection that writes frames as events."""
        return EventStream(standing, places, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except Problem as problem:
            await refuse(scope, send, problem)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_foreign(scope):
            log.warning("live_origin_refused", origin=shown(scope), address=address(scope))
            raise Problem("permission_denied")
        asked = self.read(scope)
        hub = hubs.current()
        if scope["method"] == "HEAD":
            await self._standing(hub, scope)
            await respond(send, 200, EVENTS if asked.events else JSON, b"")
            return
        seat = None
        who = _credentials(scope)
        if not asked.events and who is not None:
            seat = hub.seats.find((who, frozenset(asked.streams)))
        standing = seat.standing if seat is not None else await self._standing(hub, scope)
        try:
            self._rates.spend(("user", standing.user.pk), settings.RATE_READS_PER_MINUTE, time.monotonic())
            if asked.events:
                answer = EventAnswer(hub, standing, asked, receive, send, self.events, self.event_headers)
                await answer.run()
                return
            if seat is None:
                hub.seats.make_room(standing.user.pk)
                seat = hub.seats.make(standing, (who or "", frozenset(asked.streams)))
            body = await _Poll(hub, seat, asked, receive).run()
        finally:
            if seat is not None:
                hub.seats.give_back(seat)
        if body is not None:
            await respond(send, 200, JSON, body)

    async def _standing(self, hub: "hubs.Hub", scope: Scope) -> Standing:
        if hub.draining:
            raise Problem("unavailable", n=1, retry_after=1)
        who = ("address", addresses.counted(address(scope)))
        self._rates.check(who, settings.RATE_UNSIGNED_PER_MINUTE, time.monotonic())
        try:
            return await admit(hub, scope)
        except NotAdmitted as refused:
            if refused.code == Close.DRAINING:
                raise Problem("unavailable", n=5, retry_after=5) from None
            self._rates.spend(who, settings.RATE_UNSIGNED_PER_MINUTE, time.monotonic())
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
        with self.hub.seats.stay(self.seat.user.pk):
            gone = asyncio.ensure_future(disconnected(self.receive))
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
        if self.hub.database.stale_since is not None:
            after = limits.STALE_POLL_MS
        if not self.seat.names:
            after = None  # nothing is left to ask for
        for frame in frames:
            if frame.type == "drain":
                after = int(json.loads(frame.text)["after_ms"])
        texts = ",".join(frame.text for frame in frames)
        rest = json.dumps({"cursor": str(places), "poll_after_ms": after}, separators=(",", ":"))
        return f'{{"frames":[{texts}],{rest[1:]}'.encode()


def _credentials(scope: Scope) -> str | None:
    if has_session_cookie(scope):
        return f"session:{cookies(scope)[settings.SESSION_COOKIE_NAME]}"
    token = bearer(scope)
    return None if token is None else f"token:{token}"
