"""WebSockets at addresses of their own, which tell plain objects and expect no hello.

One object a message, of what an app makes of the streams that it names; the newest of each stream, so that a
slow reader skips what is over. Whatever the client says only keeps the connection open.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

import structlog
from django.conf import settings
from django.db import Error as DatabaseAway

from realtime import hub as hubs
from realtime import limits
from realtime.consumers import Receive, Send, accepted, closing
from realtime.credentials import Standing
from realtime.frames import Ready, encode
from realtime.limits import Close
from realtime.origin import Scope
from realtime.seats import Sleeper

log = structlog.get_logger(__name__)

JsonObject = dict[str, Any]
LISTENS = {"type": "beat"}  # said once when it is known where all of it stands: then all is told


class Feed:
    """What one connection is told; an app's subclass says it.

    streams: watched now; `tell` may change them. Who may watch what is judged by the streams' own kinds.
    """

    streams: Collection[str] = ()
    spacing = 0.0  # seconds between two messages; what moves meanwhile is told as it stands then

    async def tell(self, hub: "hubs.Hub", frame: Ready) -> JsonObject | list[JsonObject] | None:
        """Return what to say of a frame, an object or several; None for nothing."""
        raise NotImplementedError


class OwnFeed(Feed):
    """What a user's own streams say of what moved since the socket listens; an app's subclass says which.

    The stream `user:` moves with whatever the user does; then new streams are looked for.
    """

    def __init__(self, user: Any, groups: dict[str, str]) -> None:
        self.user = user
        self._own = f"user:{user.pk}"
        self._stands: dict[str, dict[str, Any]] = {}  # by stream: what stands where
        self._greeted = self._listens = False
        self.streams = {self._own}

    def find(self) -> set[str]:
        """Return the names of the user's streams. Called in a thread; may ask the database."""
        raise NotImplementedError

    def stands(self, data: JsonObject) -> dict[str, Any]:
        """Return where each thing of a stream stands, by its key."""
        raise NotImplementedError

    async def news(
        self, hub: "hubs.Hub", stream: str, data: JsonObject, moved: list[str]
    ) -> list[JsonObject]:
        """Return what to say of the things of a stream that stand elsewhere than before."""
        raise NotImplementedError

    async def tell(self, hub: "hubs.Hub", frame: Ready) -> list[JsonObject] | None:
        """Say what moved. The first state of a stream is where it stands, not news."""
        if frame.stream == self._own:
            found = await hub.in_database(self.find)
            if self._greeted:
                for name in found - set(self.streams):
                    self._stands[name] = {}  # it is new: all that is in it is news
            self._greeted = True
            self._stands = {name: one for name, one in self._stands.items() if name in found}
            self.streams = {self._own, *found}
            return self._begun()
        if frame.stream is None or frame.data is None:
            return None
        before, now = self._stands.get(frame.stream), self.stands(frame.data)
        self._stands[frame.stream] = now
        if before is None:
            return self._begun()
        moved = [key for key, one in now.items() if before.get(key) != one]
        return await self.news(hub, frame.stream, frame.data, moved) if moved else None

    def forget(self, stream: str, keys: Collection[str]) -> None:
        """Have the next state of a stream be news of these, wherever they stand then."""
        for key in keys:
            self._stands[stream].pop(key, None)

    def _begun(self) -> list[JsonObject] | None:
        """Say that all is told from now on, once, when the first state of every stream is here."""
        if self._listens or not set(self.streams) - {self._own} <= set(self._stands):
            return None
        self._listens = True
        return [LISTENS]


class PlainSocket:
    """An ASGI application for the paths of one pattern.

    feed: makes the feed of a connection, of its user and what the pattern's groups matched.
    """

    def __init__(self, pattern: str, feed: Callable[[Any, dict[str, str]], Feed]) -> None:
        self._pattern = re.compile(pattern, re.ASCII)
        self._feed = feed

    def matches(self, path: str) -> bool:
        """Say whether a path is one of these."""
        return self._pattern.fullmatch(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._pattern.fullmatch(scope["path"])
        assert found is not None
        hub = hubs.current()
        if standing := await accepted(hub, scope, receive, send):
            feed = self._feed(standing.user, found.groupdict())
            log.info("socket_opened", path=scope["path"], user=standing.user.pk)
            try:
                await _Connection(hub, standing, feed, receive, send).run()
            finally:
                log.info("socket_closed", path=scope["path"], user=standing.user.pk)


class _Listener(Sleeper):
    transport = "websocket"

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing)
        self.watching: set[str] = set()


class _Connection:
    """One accepted and signed-in socket."""

    def __init__(self, hub: "hubs.Hub", standing: Standing, feed: Feed, receive: Receive, send: Send) -> None:
        self.hub, self.feed, self.receive, self.send = hub, feed, receive, send
        self.viewer = _Listener(standing)

    async def run(self) -> None:
        """Serve the socket until one side closes it."""
        self.hub.add(self.viewer)
        ends = [asyncio.ensure_future(self._hear()), asyncio.ensure_future(self._tell())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            self.hub.remove(self.viewer)
        code = next(end for end in ends if end.done() and not end.cancelled()).result()
        if code is not None:
            await self.send(closing(code, self.viewer.retry_after_ms))

    async def _hear(self) -> int | None:
        """Read what the client says, until it leaves (None) or says too much (a code). (S1.19)"""
        times: deque[float] = deque(maxlen=limits.FRAMES)
        while True:
            message = await self.receive()
            if message["type"] != "websocket.receive":
                return None
            if message.get("text") is None:
                return Close.BINARY
            now = time.monotonic()
            if len(times) == limits.FRAMES and now - times[0] <= limits.FRAMES_SECONDS:
                return Close.TOO_MANY
            times.append(now)

    async def _tell(self) -> int | None:
        viewer = self.viewer
        self._watch()
        try:
            while not viewer.closed:
                if not await viewer.sleep(settings.WS_HEARTBEAT_SECONDS):
                    await self._say({"type": "beat"})  # proxies hang up on who is silent
                frames, viewer.frames = viewer.frames, {}
                for frame in frames.values():
                    said = await self.feed.tell(self.hub, frame)
                    self._watch()
                    for one in said if isinstance(said, list) else [said]:
                        if one is not None and not viewer.closed:
                            await self._say(one)
                            await asyncio.sleep(self.feed.spacing)
        except TimeoutError:
            return Close.SLOW
        except DatabaseAway:
            return Close.DRAINING
        return viewer.code

    def _watch(self) -> None:
        wanted, viewer = set(self.feed.streams), self.viewer
        self.hub.unsubscribe(viewer, viewer.watching - wanted)
        self.hub.subscribe(viewer, dict.fromkeys(wanted - viewer.watching), None)
        viewer.watching = wanted

    async def _say(self, said: JsonObject) -> None:
        async with asyncio.timeout(limits.SEND_SECONDS):
            await self.send({"type": "websocket.send", "text": encode(said)})
