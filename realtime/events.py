"""A connection that speaks text/event-stream (WHATWG HTML, server-sent events)."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from config.problems import Problem
from realtime import limits
from realtime.answers import Receive, Send, disconnected, respond
from realtime.asking import Asked
from realtime.credentials import Standing
from realtime.cursors import Places
from realtime.frames import Ready
from realtime.limits import Close
from realtime.sockets import Socket

if TYPE_CHECKING:
    from realtime.hub import Hub


class EventStream(Socket):
    """Each frame is one event of its type; its id is the cursor with which to come back.

    news: something was said that the client did not know. over: set when nothing more will be said.
    """

    transport = "sse"

    def __init__(self, standing: Standing, places: Places, send: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(standing, send, self._finished)
        self.places = places
        self.news = False
        self.over = asyncio.Event()

    def message(self, frames: list[Ready]) -> str:
        """Return frames as events."""
        return "".join(self._event(frame) for frame in frames)

    async def flush(self) -> None:
        """Write what waits; the last of all streams to end is the end."""
        await super().flush()
        if not self.names and not self.pending:
            self.over.set()

    def _event(self, frame: Ready) -> str:
        known = frame.stream is None or self.places.stands_at(frame)
        self.news = self.news or not known
        self.places.take(frame)
        place = f"id: {self.places}\n" if frame.version is not None else ""
        return f"{place}event: {frame.type}\ndata: {frame.text}\n\n"

    async def _finished(self, code: int) -> None:
        if code == Close.SIGNED_OUT and not self.busy:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.SEND_SECONDS):
                    await self._send('event: bye\ndata: {"type":"bye","code":"signed_out"}\n\n')
        self.over.set()


class EventAnswer:
    """One answer to who asked for events.

    events: makes the connection that writes them. headers: of the answer.
    """

    def __init__(
        self,
        hub: "Hub",
        standing: Standing,
        asked: Asked,
        receive: Receive,
        send: Send,
        events: Callable[[Standing, Places, Callable[[str], Awaitable[None]]], EventStream],
        headers: Sequence[tuple[bytes, bytes]],
    ) -> None:
        self.hub, self.asked, self.receive, self.send = hub, asked, receive, send
        self.headers = headers
        self.started = False
        self.stream = events(standing, asked.places, self._write)

    async def run(self) -> None:
        """Write until the turn is over, the streams have ended or somebody leaves. Raises Problem."""
        stream, user = self.stream, self.stream.user.pk
        self.hub.seats.make_room(user)
        with self.hub.seats.stay(user):
            self.hub.add(stream)
            left = asyncio.ensure_future(disconnected(self.receive))
            over = asyncio.ensure_future(stream.over.wait())
            try:
                if not self.asked.resumed:
                    await self._start()
                wanted = {name: self.asked.places[name] for name in self.asked.streams}
                self.hub.subscribe(stream, wanted, None)
                await _first([left, over], limits.ANSWER_SECONDS)
                if not (left.done() or over.done()):
                    await self._start()  # the database is away, or there is simply more to come
                    await _first([left, over], limits.TURN_SECONDS - limits.ANSWER_SECONDS)
                if not left.done():
                    await stream.finish(limits.ENDED)
                    await self._end()
            finally:
                left.cancel()
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
            await self.send({"type": "http.response.start", "status": 200, "headers": list(self.headers)})
            retry = f"retry: {limits.RETRY_MS}\n\n".encode()
            await self.send({"type": "http.response.body", "body": retry, "more_body": True})

    async def _end(self) -> None:
        if not self.started:
            if self.stream.code == Close.SIGNED_OUT:
                raise Problem("auth_required")
            await respond(self.send, 204, [], b"")
        elif self.stream.code != Close.SLOW:  # who does not read would not read this either
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.SEND_SECONDS):
                    await self.send({"type": "http.response.body", "body": b""})


async def _first(futures: "list[asyncio.Future[Any]]", seconds: float) -> None:
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
