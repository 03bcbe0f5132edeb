"""One stream at an address of its own, as plain events: what an EventSource of a few lines understands.

`data:` is what an app makes of the stream's state, told at once and whenever it differs from the last.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from config.problems import Problem
from realtime import asking
from realtime.answers import EVENTS
from realtime.asking import Asked
from realtime.credentials import Standing
from realtime.cursors import Places
from realtime.events import EventStream
from realtime.frames import Ready
from realtime.http import LiveHttp
from realtime.origin import Scope

JsonObject = dict[str, Any]
Message = Callable[[JsonObject], JsonObject]


class PlainEvents(LiveHttp):
    """An ASGI application for GET and HEAD of the address of one stream.

    stream: its name. message: makes what is told of what the stream says.
    """

    # no-store beside it: an answer that never ends is for nobody else.
    event_headers = (
        *EVENTS,
        (b"cache-control", b"no-cache, no-store"),
        (b"connection", b"keep-alive"),
        (b"vary", b"Authorization, Cookie"),
    )

    def __init__(self, stream: str, message: Message) -> None:
        super().__init__()
        self._stream, self._message = stream, message

    def read(self, scope: Scope) -> Asked:
        """Return the one thing that can be asked for here. Raises Problem."""
        asking.check(scope)
        if scope["query_string"]:
            raise Problem("unknown_filter", name=scope["query_string"].decode("latin-1")[:100])
        return Asked(streams=(self._stream,), places=Places(), wait=0, events=True)

    def events(
        self, standing: Standing, places: Places, send: Callable[[str], Awaitable[None]]
    ) -> EventStream:
        """Return the connection that writes them."""
        return _Plain(standing, places, send, self._message)


class _Plain(EventStream):
    def __init__(
        self,
        standing: Standing,
        places: Places,
        send: Callable[[str], Awaitable[None]],
        message: Message,
    ) -> None:
        super().__init__(standing, places, send)
        self._message = message
        self._told: JsonObject | None = None

    def _event(self, frame: Ready) -> str:
        self.news = True
        if frame.data is None:
            return ": still here\n\n"  # a beat: keeps proxies from hanging up
        said = self._message(frame.data)
        if said == self._told:
            return ""
        self._told = said
        return f"data: {json.dumps(said)}\n\n"
