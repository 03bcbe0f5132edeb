"""The hub: one per process. One channel-layer channel in, many viewers out.

Everything it says comes from the database. Hints only make it look sooner: the position check, every second,
always, finds what hints did not say. It lives on one event loop and is touched from nowhere else.
"""

import asyncio
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import Error as DatabaseAway

from realtime import limits
from realtime.admission import Door
from realtime.arrivals import Arrivals
from realtime.database import Database
from realtime.frames import Cursor, Ready, ready
from realtime.guard import Guard
from realtime.judging import Judging
from realtime.lags import Lags
from realtime.limits import Close
from realtime.seats import Seats
from realtime.sockets import Socket, Viewer
from realtime.tasks import Tasks
from realtime.watched import Newcomer, Watched, gone
from realtime.watching import Watching
from realtime.writing import Writing

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


def current() -> "Hub":
    """Return the hub of the running event loop, and start it with its first use."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
        _hubs[loop].start()
    return _hubs[loop]


def running() -> "Hub | None":
    """Return the hub of the running event loop, if anybody has used it yet."""
    return _hubs.get(asyncio.get_running_loop())


async def drain() -> None:
    """Let every client of this process know that it stops, then close their connections."""
    hub = running()
    if hub is not None:
        await hub.drain()


class Hub:
    """Watches streams for the viewers of this process."""

    def __init__(self) -> None:
        self.sockets: dict[int, list[Viewer]] = defaultdict(list)  # by user, oldest first
        self.counts: Counter[str] = Counter()  # what happened; read by metrics and tests
        self.lags = Lags()  # from a frame's writing to its acknowledgement
        self.draining = False
        self._wake = asyncio.Event()
        self._tasks = Tasks()
        self.database = Database(self._beat_everybody)
        self.writing = Writing(self._tasks, self.counts, lambda viewer: self.watching.catch_up(viewer))
        self.watching = Watching(self.database, self.writing, self._tasks, self.counts, self._wake.set)
        self.door = Door(self.database, self._tasks)
        self.seats = Seats(self)
        self.judging = Judging(self)
        self.guard = Guard(self)
        self.arrivals = Arrivals(self, self._tasks)
        self.watching.hints.on_recheck(self.guard.recheck)

    @property
    def watched(self) -> dict[str, Watched]:
        """Return the watched streams by name."""
        return self.watching.streams

    def start(self) -> None:
        """Start the loops."""
        hints = self.watching.hints
        for loop in (self._ticks, self._checks, self.seats.clear_away, hints.listen, hints.join_groups):
            self._tasks.keep(loop)
        for loop in (self.guard.watch, self.guard.sweep, self.arrivals.speak_up):
            self._tasks.keep(loop)

    async def stop(self) -> None:
        """End the loops and forget everybody."""
        await self._tasks.stop()
        await self.arrivals.stop()  # after whoever might still ask Redis: it closes the connections
        self.database.close()
        _hubs.pop(asyncio.get_running_loop(), None)

    # --- what the transports call

    def add(self, viewer: Viewer) -> None:
        """Take a viewer in. The user's oldest socket is closed when there are too many."""
        own = self.sockets[viewer.user.pk]
        own.append(viewer)
        sockets = [other for other in own if other.transport == Socket.transport]
        if len(sockets) > settings.WS_MAX_SOCKETS_PER_USER:
            self.replace(sockets[0])
        self.guard.admitted(viewer)
        if viewer.transport == Socket.transport:
            self.arrivals.opened(viewer)

    def replace(self, viewer: Viewer) -> None:
        """Close a user's oldest connection for a newer one."""
        self._forget(viewer)
        self._tasks.spawn(viewer.finish(Close.REPLACED))

    def turn_away(self, viewer: Viewer, wait_ms: int) -> None:
        """Close a connection that came too soon after others."""
        viewer.retry_after_ms = wait_ms
        self.expel(viewer, Close.TOO_MANY)

    def expel(self, viewer: Viewer, code: Close) -> None:
        """Close the connection of who has no right to be here any more. What waits is not written."""
        self.counts["expelled"] += 1
        logger.info("live_expelled", extra={"user": viewer.user.pk, "code": int(code)})
        self.unsubscribe(viewer, list(viewer.names))
        self._tasks.spawn(viewer.close(code))

    def withdraw(self, viewer: Viewer, name: str) -> None:
        """Take a stream away from who may not watch it any more."""
        self.counts["withdrawn"] += 1
        self.unsubscribe(viewer, [name])
        self.put(viewer, gone(name, None))

    def send_away(self, viewer: Viewer) -> None:
        """Let a viewer come back as a new one, at a time of its own."""
        viewer.put(ready({"type": "drain", "after_ms": random.randrange(limits.DRAIN_MS)}))
        self._tasks.spawn(viewer.finish(Close.DRAINING))

    def remove(self, viewer: Viewer) -> None:
        """Forget a viewer who is no more, and what they watched."""
        viewer.closed = True
        self._forget(viewer)
        self.judging.forget(viewer)
        self.writing.forget(viewer)

    def _forget(self, viewer: Viewer) -> None:
        self.arrivals.closed(viewer)
        own = self.sockets.get(viewer.user.pk, [])
        if viewer in own:
            own.remove(viewer)
        if not own:
            self.sockets.pop(viewer.user.pk, None)
        self.unsubscribe(viewer, list(viewer.names))

    def subscribe(self, viewer: Viewer, streams: Mapping[str, Cursor | None], request: int | None) -> bool:
        """Let a viewer watch streams, once it is known that they may. False: that would be too many."""
        if len(viewer.names | streams.keys()) > limits.STREAMS_A_SOCKET:
            return False
        for name, cursor in streams.items():
            viewer.asked[name] = cursor, request
        if viewer.asked:
            self.judging.ask(viewer)
        return True

    def watch(self, viewer: Viewer, streams: Iterable[str]) -> None:
        """Let a viewer watch streams without a question: the caller knows that they may."""
        for name in streams:
            if name not in viewer.names:
                self.watching.join(viewer, name, Newcomer())

    def unsubscribe(self, viewer: Viewer, streams: Iterable[str]) -> None:
        """Let a viewer watch these no more; unknown names are fine."""
        for name in streams:
            viewer.forget(name)
            self.watching.leave(viewer, name)

    def put(self, viewer: Viewer, frame: Ready) -> None:
        """Let a viewer have a frame with their next message."""
        self.writing.say_now(viewer, frame)

    def acknowledge(self, viewer: Socket, versions: Mapping[str, int]) -> None:
        """Note what a client says it holds, and go on where it was parked."""
        held = {}
        for name, version in versions.items():
            watched = self.watched.get(name)
            if watched is not None and watched.copy is not None and version > watched.copy.version:
                self.counts["ack_ahead"] += 1
            else:
                held[name] = version
        if viewer.credit is not None:
            for seconds in viewer.credit.acknowledge(held):
                self.lags.add(seconds)
            self.writing.catch_up(viewer)

    def beat(self, viewer: Viewer, request: int | None = None) -> None:
        """Tell a viewer where their streams stand."""
        versions = {}
        for name in viewer.streams:
            copy = self.watching.standing(viewer, name)
            if copy is not None and name not in viewer.missed:
                versions[name] = copy.version
        stale = self.database.stale_since is not None
        frame = {"type": "beat", "time": now_ms(), "stale": stale, "versions": versions}
        self.put(viewer, ready(frame if request is None else frame | {"id": request}))

    async def drain(self) -> None:
        """Send `drain` to everybody, each with another time to come back, then close."""
        self.draining = True
        viewers = self.everybody()
        for viewer in viewers:
            viewer.put(ready({"type": "drain", "after_ms": random.randrange(limits.DRAIN_MS)}))
        await asyncio.gather(*(viewer.finish(Close.DRAINING) for viewer in viewers))

    def everybody(self) -> list[Viewer]:
        """Return all viewers of this process."""
        return [viewer for own in self.sockets.values() for viewer in own]

    async def in_database(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `call` on one of the hub's few database threads."""
        return await self.database.ask(call, *args, **kwargs)

    def wake(self) -> None:
        """Say that there is something to do with the next tick."""
        self._wake.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine beside us until it ends or the hub does."""
        self._tasks.spawn(work)

    # --- loops

    async def _ticks(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(limits.TICK)
            self._wake.clear()
            self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        asks = self.judging.tick(now)
        if self.watching.tick(now) or asks:
            self.wake()  # somebody waits for a time, for the database, or for the read before

    async def _checks(self) -> None:
        """Look every second: at all positions, at quiet viewers, and at those who do not read."""
        check = self._tasks.spawn(self._check())
        while True:
            await asyncio.sleep(limits.CHECK_SECONDS)
            if check.done():
                check = self._tasks.spawn(self._check())
            # A database that hangs raises nothing; whoever waited for it here would fall silent with it.
            if not (await asyncio.wait([check], timeout=limits.STALE_SECONDS))[0]:
                self.database.away(TimeoutError("no answer"))
            now = time.monotonic()
            for viewer in [viewer for viewer in self.everybody() if not viewer.closed]:
                if viewer.parked_at is not None and now >= viewer.parked_at + limits.PARKED_SECONDS:
                    self.counts["closed_slow"] += 1
                    self._tasks.spawn(viewer.close(Close.SLOW))
                elif viewer.is_quiet(now, settings.WS_HEARTBEAT_SECONDS):
                    self.beat(viewer)

    async def _check(self) -> None:
        try:
            await self.watching.check()
        except DatabaseAway as error:
            self.database.away(error)

    def _beat_everybody(self) -> None:
        for viewer in self.everybody():
            self.beat(viewer)


def now_ms() -> int:
    """Return the time in milliseconds, for a client's clock offset."""
    return int(time.time() * 1000)
