"""The hub: one per process. One channel-layer channel in, many sockets out.

Everything it says comes from the database. Hints only make it look sooner: the position check, every second,
always, finds what hints did not say. It lives on one event loop and is touched from nowhere else.
"""

import asyncio
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error as DatabaseAway

from realtime import epoch, limits
from realtime.frames import Cursor, encode
from realtime.hints import Hints
from realtime.limits import Close
from realtime.sockets import Socket
from realtime.streams import Kind, Reading, kind_of, kinds
from realtime.watched import Newcomer, Watched, gone

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


async def drain() -> None:
    """Let every client of this process know that it stops, then close their sockets."""
    hub = _hubs.get(asyncio.get_running_loop())
    if hub is not None:
        await hub.drain()


class Hub:
    """Watches streams for the sockets of this process."""

    def __init__(self) -> None:
        self.sockets: dict[int, list[Socket]] = defaultdict(list)  # by user, oldest first
        self.watched: dict[str, Watched] = {}
        self.counts: Counter[str] = Counter()  # what happened; read by metrics and tests
        self.stale_since: float | None = None
        self.draining = False
        self._epoch: str | None = None
        self._moved: set[Watched] = set()
        self._asking: set[Socket] = set()
        self._written: set[Socket] = set()
        self._reading: set[str] = set()  # kinds with a read under way
        self._in_read: set[Watched] = set()
        self._retry_at: dict[str, float] = defaultdict(float)  # by kind, after a failure
        self._wake = asyncio.Event()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._hints = Hints(self._hinted)
        # The bound on database connections: more reads than threads wait their turn.
        self._threads = ThreadPoolExecutor(limits.READERS, thread_name_prefix="hub")

    def start(self) -> None:
        """Start the loops."""
        for loop in (self._ticks, self._checks, self._hints.listen, self._hints.join_groups):
            self._keep(loop)

    async def stop(self) -> None:
        """End the loops and forget everybody."""
        while self._tasks:  # redis-py may swallow a cancellation: say it until it is heard
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=0.1)
        self._threads.shutdown(wait=False, cancel_futures=True)
        _hubs.pop(asyncio.get_running_loop(), None)

    # --- what consumers call

    def add(self, socket: Socket) -> None:
        """Take a socket in. The user's oldest is closed when there are too many."""
        own = self.sockets[socket.user.pk]
        own.append(socket)
        if len(own) > settings.WS_MAX_SOCKETS_PER_USER:
            oldest = own.pop(0)
            self.unsubscribe(oldest, list(oldest.names))
            self._spawn(oldest.finish(Close.REPLACED))

    def remove(self, socket: Socket) -> None:
        """Forget a socket that is no more, and what it watched."""
        socket.closed = True
        own = self.sockets.get(socket.user.pk, [])
        if socket in own:
            own.remove(socket)
        if not own:
            self.sockets.pop(socket.user.pk, None)
        self.unsubscribe(socket, list(socket.names))
        self._asking.discard(socket)
        self._written.discard(socket)

    def subscribe(self, socket: Socket, streams: Mapping[str, Cursor | None], request: int | None) -> bool:
        """Let a socket watch streams, once it is known that it may. False: that would be too many."""
        if len(socket.names | streams.keys()) > limits.STREAMS_A_SOCKET:
            return False
        for name, cursor in streams.items():
            socket.asked[name] = cursor, request
        if socket.asked:
            self._asking.add(socket)
            self._wake.set()
        return True

    def unsubscribe(self, socket: Socket, streams: Iterable[str]) -> None:
        """Let a socket watch these no more; unknown names are fine."""
        for name in streams:
            socket.asked.pop(name, None)
            socket.judging.discard(name)
            socket.streams.discard(name)
            watched = self.watched.get(name)
            if watched is not None:
                watched.viewers.discard(socket)
                watched.newcomers.pop(socket, None)
                self._leave_if_deserted(watched)

    def put(self, socket: Socket, frame: str) -> None:
        """Let a socket have a frame with its next message."""
        socket.put(frame)
        self._written.add(socket)
        self._flush()

    def beat(self, socket: Socket, request: int | None = None) -> None:
        """Tell a socket where its streams stand."""
        streams = [self.watched[name] for name in socket.streams if name in self.watched]
        versions = {w.name: w.copy.version for w in streams if w.copy and socket in w.viewers}
        frame = {
            "type": "beat",
            "time": now_ms(),
            "stale": self.stale_since is not None,
            "versions": versions,
        }
        self.put(socket, encode(frame if request is None else frame | {"id": request}))

    async def drain(self) -> None:
        """Send `drain` to everybody, each with another time to come back, then close."""
        self.draining = True
        sockets = self._everybody()
        for socket in sockets:
            socket.put(encode({"type": "drain", "after_ms": random.randrange(limits.DRAIN_MS)}))
        await asyncio.gather(*(socket.finish(Close.DRAINING) for socket in sockets))

    async def in_database(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `call` on one of the hub's few database threads."""
        run = database_sync_to_async(call, thread_sensitive=False, executor=self._threads)
        found: T = await run(*args, **kwargs)
        return found

    # --- loops

    async def _ticks(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(limits.TICK)
            self._wake.clear()
            self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        for socket in list(self._asking):
            if not socket.judging and now >= self._retry_at["visible"]:
                self._asking.discard(socket)
                socket.judging = set(socket.asked)
                self._spawn(self._judge(socket, dict(socket.asked)))
                socket.asked.clear()
        due: dict[str, list[Watched]] = defaultdict(list)
        for watched in self._moved:
            name = watched.kind.name
            if name not in self._reading and now >= self._retry_at[name] and watched.due(now):
                due[name].append(watched)
        for name, streams in due.items():
            self._reading.add(name)
            self._in_read.update(streams)
            self._spawn(self._read(streams[0].kind, streams))
        if self._moved or self._asking:
            self._wake.set()  # somebody waits for a time, for the database, or for the read before

    async def _checks(self) -> None:
        """Compare every watched version with the database, and the epoch; tell quiet sockets that we live."""
        while True:
            await asyncio.sleep(limits.CHECK_SECONDS)
            try:
                await self._check()
            except DatabaseAway as error:
                self._away(error)
            for socket in self._everybody():
                if time.monotonic() >= socket.sent_at + settings.WS_HEARTBEAT_SECONDS:
                    self.beat(socket)

    async def _check(self) -> None:
        by_kind: dict[str, dict[str, Watched]] = defaultdict(dict)
        for watched in self.watched.values():
            by_kind[watched.kind.name][watched.key] = watched
        if not by_kind:
            self._epoch = None  # nobody holds a version; the next one asks again
            return
        stands = await self.in_database(epoch.current)
        if self._epoch is not None and stands != self._epoch:
            self._new_epoch(stands)
        for streams in by_kind.values():
            kind = next(iter(streams.values())).kind
            versions = await self.in_database(kind.versions, list(streams))
            for key, watched in streams.items():
                self._compare(watched, versions.get(key))
        self._back()

    def _compare(self, watched: Watched, version: int | None) -> None:
        if self.watched.get(watched.name) is not watched:
            return  # everybody left while we asked
        if version is None:
            self._gone(watched)
        elif watched.copy is not None and version != watched.copy.version and not watched.moved:
            if version > watched.copy.version:
                self.counts["hints_lost"] += 1
            watched.moved = True
            self._mark(watched)

    # --- one stream

    async def _judge(self, socket: Socket, asked: dict[str, tuple[Cursor | None, int | None]]) -> None:
        keys: dict[str, list[str]] = defaultdict(list)
        found = {name: kind_of(name) for name in asked if len(name) <= limits.STREAM_NAME}
        for known in found.values():
            if known is not None:
                keys[known[0].name].append(known[1])
        seen: dict[str, set[str]] = {}
        try:
            for name, wanted in keys.items():
                seen[name] = await self.in_database(kinds()[name].visible, socket.user, wanted)
        except DatabaseAway as error:
            self._away(error, "visible")
            socket.asked = {n: a for n, a in asked.items() if n in socket.judging} | socket.asked
            socket.judging.clear()
            self._asking.add(socket)
            self._wake.set()
            return
        for name, (cursor, request) in asked.items():
            if name not in socket.judging:
                continue  # unsubscribed meanwhile
            known = found.get(name)
            if known is None or known[1] not in seen[known[0].name]:
                self.unsubscribe(socket, [name])
                self.put(socket, gone(name, request))
            else:
                self._join(socket, name, *known, Newcomer(cursor, request))
        socket.judging.clear()
        if socket.asked:
            self._asking.add(socket)
            self._wake.set()

    def _join(self, socket: Socket, name: str, kind: Kind, key: str, newcomer: Newcomer) -> None:
        if socket.closed:
            return
        watched = self.watched.get(name)
        if watched is None:
            watched = self.watched[name] = Watched(name, kind, key)
            self._hints.join(name)
        watched.viewers.discard(socket)
        watched.newcomers[socket] = newcomer
        socket.streams.add(name)
        self._mark(watched)

    async def _read(self, kind: Kind, streams: list[Watched]) -> None:
        """Read these streams in one go, and tell their sockets."""
        asked: dict[Watched, dict[Socket, Newcomer]] = {}
        try:
            if self._epoch is None:
                self._epoch = await self.in_database(epoch.current)
            for watched in streams:
                # Only who was here before the read began is answered by it: register first, read second.
                asked[watched], watched.newcomers = watched.newcomers, {}
                watched.read_at = time.monotonic()
                watched.moved = watched.urgent = False
            since = {watched.key: watched.since(self._epoch, asked[watched]) for watched in streams}
            readings = await self.in_database(kind.read, since)
            self._back()
            for watched in streams:
                newcomers = {s: n for s, n in asked[watched].items() if watched.name in s.streams}
                # Who asked again during the read waits for the next one.
                newcomers = {s: n for s, n in newcomers.items() if s not in watched.newcomers}
                await self._apply(watched, readings.get(watched.key), since[watched.key], newcomers)
                del asked[watched]
        except DatabaseAway as error:
            self._away(error, kind.name)
        finally:
            for watched, newcomers in asked.items():  # not answered: a failure
                watched.newcomers = newcomers | watched.newcomers
                watched.moved = True
                self._retry_at[kind.name] = max(
                    self._retry_at[kind.name], time.monotonic() + limits.RETRY_SECONDS
                )
            self._reading.discard(kind.name)
            self._in_read.difference_update(streams)
            for watched in streams:
                self._settle(watched)
            self._flush()
            self._wake.set()

    async def _apply(
        self, watched: Watched, reading: Reading | None, since: int | None, newcomers: dict[Socket, Newcomer]
    ) -> None:
        assert self._epoch is not None
        if reading is None:
            watched.newcomers |= newcomers
            self._gone(watched)
            return
        if watched.copy is not None and reading.version < watched.copy.version:
            watched.newcomers = newcomers | watched.newcomers
            watched.moved = watched.urgent = True
            watched.lower += 1
            if watched.lower > 1:  # read again, and still lower: a backup was restored
                self._new_epoch(await self.in_database(epoch.raise_from, self._epoch))
            return
        old = watched.take(reading, since)
        self._tell(watched, old, newcomers)
        if reading.final:
            self._end(watched)

    def _tell(self, watched: Watched, old: Any, newcomers: dict[Socket, Newcomer]) -> None:
        assert watched.copy is not None and self._epoch is not None
        if watched.viewers and old is not None and old.version < watched.copy.version:
            frame = watched.change(self._epoch, old)
            self.counts["frames"] += 1
            for socket in watched.viewers:
                self._say(socket, frame, watched.name)
        frames: dict[Any, str | None] = {}  # those who stand at one place get one frame, encoded once
        for socket, newcomer in newcomers.items():
            place = (
                newcomer.version(self._epoch),
                newcomer.why_new(self._epoch),
                newcomer.id,
                newcomer.again,
            )
            if place not in frames:
                frames[place] = watched.answer(self._epoch, newcomer)
            answer = frames[place]
            if answer is None:
                newcomer.again = True
                watched.newcomers.setdefault(socket, newcomer)
            else:
                watched.viewers.add(socket)
                self._say(socket, answer, watched.name, newcomer.id)

    def _end(self, watched: Watched) -> None:
        assert self._epoch is not None
        frame = watched.end(self._epoch)
        for socket in watched.viewers:
            self._say(socket, frame)
            socket.streams.discard(watched.name)
        watched.viewers.clear()

    def _gone(self, watched: Watched) -> None:
        for socket in watched.viewers:
            self._say(socket, gone(watched.name, None))
        for socket, newcomer in watched.newcomers.items():
            self._say(socket, gone(watched.name, newcomer.id))
        for socket in [*watched.viewers, *watched.newcomers]:
            socket.streams.discard(watched.name)
        watched.viewers.clear()
        watched.newcomers.clear()
        self._settle(watched)
        self._flush()

    def _new_epoch(self, value: str) -> None:
        """Every copy and every cursor is worthless: tell everybody afresh."""
        logger.warning("realtime epoch is now %s", value)
        self.counts["epochs"] += 1
        self._epoch = value
        for watched in self.watched.values():
            watched.copy = None
            watched.lower = 0
            for socket in watched.viewers:
                watched.newcomers.setdefault(socket, Newcomer(why="epoch"))
            watched.viewers.clear()
            self._mark(watched)

    def _settle(self, watched: Watched) -> None:
        """Keep a stream on the list of those to read exactly while somebody waits for it."""
        if not (watched.moved or watched.newcomers):
            self._moved.discard(watched)
        self._leave_if_deserted(watched)

    def _leave_if_deserted(self, watched: Watched) -> None:
        # While it is being read its newcomers are with the reader, who settles it afterwards.
        if watched.deserted and watched not in self._in_read:
            self._moved.discard(watched)
            if self.watched.get(watched.name) is watched:
                del self.watched[watched.name]
                self._hints.leave(watched.name)

    def _mark(self, watched: Watched) -> None:
        self._moved.add(watched)
        self._wake.set()

    def _hinted(self, stream: str, version: int, urgent: bool) -> None:
        watched = self.watched.get(stream)
        if watched is None:
            self.counts["hints_ignored"] += 1
        elif watched.hint(version, urgent=urgent):
            self.counts["hints"] += 1
            self._mark(watched)

    # --- writing

    def _say(self, socket: Socket, frame: str, stream: str | None = None, request: int | None = None) -> None:
        socket.put(frame, stream, request)
        self._written.add(socket)

    def _flush(self) -> None:
        """Send what may leave now; what may not waits for its time."""
        now = time.monotonic()
        wait = None
        for socket in list(self._written):
            if socket.may_send(now):
                self._written.discard(socket)
                self._spawn(self._send(socket))
            elif socket.pending and not socket.busy and not socket.closed:
                left = socket.sent_at + socket.pause - now
                wait = left if wait is None else min(wait, left)
            else:
                self._written.discard(socket)
        if wait is not None and self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(max(wait, 0.001), self._flush_later)

    def _flush_later(self) -> None:
        self._flush_timer = None
        self._flush()

    async def _send(self, socket: Socket) -> None:
        if socket.may_send(time.monotonic()):
            await socket.flush()
            self.counts["messages"] += 1
            if socket.behind and not socket.closed:
                self._catch_up(socket)
        if socket.pending and not socket.busy:
            self._written.add(socket)
            self._flush()

    def _catch_up(self, socket: Socket) -> None:
        """Tell a socket afresh that could not take what we wrote; it never gets a change of its own."""
        self.counts["fell_behind"] += 1
        socket.behind = False
        owed, socket.owed = socket.owed, {}
        for name in socket.streams:
            watched = self.watched.get(name)
            if watched is not None and socket in watched.viewers:
                watched.viewers.discard(socket)
                watched.newcomers[socket] = Newcomer(id=owed.get(name), why="slow")
                self._mark(watched)

    # --- failures

    def _away(self, error: Exception, what: str = "") -> None:
        if what:
            self._retry_at[what] = time.monotonic() + limits.RETRY_SECONDS
        if self.stale_since is None:
            self.stale_since = time.monotonic()
            logger.warning("database away, live pages stand still: %s", error)
            for socket in self._everybody():
                self.beat(socket)

    def _back(self) -> None:
        if self.stale_since is not None:
            logger.info("database back after %.1f s", time.monotonic() - self.stale_since)
            self.stale_since = None
            for socket in self._everybody():
                self.beat(socket)

    def _everybody(self) -> list[Socket]:
        return [socket for own in self.sockets.values() for socket in own]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _keep(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a loop for ever: what ends one turn of it is logged and does not end the hub."""

        def again(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                asyncio.get_running_loop().call_later(limits.RETRY_SECONDS, self._keep, loop)

        self._spawn(loop()).add_done_callback(again)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("in the hub", exc_info=task.exception())


def now_ms() -> int:
    """Return the time in milliseconds, for a client's clock offset."""
    return int(time.time() * 1000)
