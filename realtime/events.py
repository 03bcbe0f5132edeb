"""A connection that speaks text/event-stream (WHATWG HTML, server-sent events)."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from realtime import limits
from realtime.credentials import Standing
from realtime.cursors import Places
from realtime.frames import Ready
from realtime.limits import Close
from realtime.sockets import Socket


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
