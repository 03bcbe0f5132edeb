"""Clients that come and ask: pollers, and requests of this process that sleep until a stream moves.

A poller's seat is kept for a while after it left: who comes again with the same credentials for the same
streams is known, and its streams are still watched. So an unchanged answer costs no query, and whatever ends
the right of a socket ends that of a seat too.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from config.problems import Problem
from realtime import limits
from realtime.credentials import Standing
from realtime.frames import Ready
from realtime.limits import Close
from realtime.sockets import Viewer

if TYPE_CHECKING:
    from realtime.hub import Hub

Key = tuple[str, frozenset[str]]  # credentials, streams


class Sleeper(Viewer):
    """Somebody who sleeps until a frame comes. `frames` are the newest of each stream."""

    transport = "wait"

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing)
        self.frames: dict[str, Ready] = {}
        self._woken = asyncio.Event()

    def put(self, frame: Ready, request: int | None = None) -> None:
        """Take a frame."""
        if frame.stream is not None:
            self.frames[frame.stream] = frame
            self._woken.set()

    async def sleep(self, seconds: float) -> bool:
        """Sleep until something moved; False: nothing did in this time."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def close(self, code: int) -> None:
        """Wake up for good."""
        await super().close(code)
        self._woken.set()


@asynccontextmanager
async def sleeper(hub: "Hub", standing: Standing, streams: Iterable[str] = ()) -> AsyncIterator[Sleeper]:
    """Watch streams for as long as the context lasts. The caller has judged that the user may.

    Raises Problem auth_required when the right of the request that sleeps has ended meanwhile.
    """
    viewer = Sleeper(standing)
    viewer.closed = hub.draining
    hub.add(viewer)
    try:
        hub.watch(viewer, streams)
        yield viewer
    finally:
        hub.remove(viewer)
    if viewer.code == Close.SIGNED_OUT:
        raise Problem("auth_required")


class Seat(Viewer):
    """The place of one poller. It takes frames only while a request is there to carry them away."""

    transport = "poll"
    asks_again = True

    def __init__(self, standing: Standing, key: Key) -> None:
        super().__init__(standing)
        self.key = key
        self.left_at = time.monotonic()
        self.frames: list[Ready] = []
        self.expected: set[str] = set()  # streams that have not answered yet
        self.taken = False  # a request is there
        self._woken = asyncio.Event()

    def put(self, frame: Ready, request: int | None = None) -> None:
        """Take a frame, if somebody asked."""
        if not self.taken:
            return
        if frame.news:
            self.frames.append(frame)
        if frame.stream is not None:
            self.expected.discard(frame.stream)
        self._woken.set()

    def take(self) -> None:
        """Begin a request."""
        self.taken = True
        self.frames = []
        self.expected = set()

    def leave(self) -> list[Ready]:
        """End a request; return its frames."""
        self.taken = False
        self.left_at = time.monotonic()
        frames, self.frames = self.frames, []
        return frames

    async def answered(self, seconds: float) -> None:
        """Wait until every stream that was asked has answered."""
        await self._until(lambda: not self.expected, seconds)

    async def moved(self, seconds: float) -> None:
        """Wait until there is something to say."""
        await self._until(lambda: bool(self.frames), seconds)

    async def _until(self, condition: Any, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                while not (condition() or self.closed):
                    self._woken.clear()
                    await self._woken.wait()
        except TimeoutError:
            pass

    async def close(self, code: int) -> None:
        """Let nobody sit here any more."""
        if not self.closed:
            await super().close(code)
            self._woken.set()


class Seats:
    """The free seats of a hub, and how many requests of whom are there."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._free: dict[Key, list[Seat]] = defaultdict(list)
        self.present: Counter[int] = Counter()  # requests that stay, by user

    def make_room(self, user: int) -> None:
        """Raise Problem when one more connection of a user would be too many."""
        if self.present[user] >= limits.REQUESTS_A_USER:
            raise Problem("rate_limited", n=5, retry_after=5)
        if len(self._hub.everybody()) >= limits.CONNECTIONS:
            raise Problem("unavailable", n=5, retry_after=5)

    @contextmanager
    def stay(self, user: int) -> Iterator[None]:
        """Count a request that stays. Raises Problem when it is one too many."""
        if self.present[user] >= limits.REQUESTS_A_USER:
            raise Problem("rate_limited", n=5, retry_after=5)
        self.present[user] += 1
        try:
            yield
        finally:
            self.present[user] -= 1
            if not self.present[user]:
                del self.present[user]

    def find(self, key: Key) -> Seat | None:
        """Return a kept seat, which then is no longer free."""
        seats = self._free.get(key)
        while seats:
            seat = seats.pop()
            if not seats:
                self._free.pop(key, None)
            if not seat.closed:
                return seat
            self._hub.remove(seat)
        return None

    def make(self, standing: Standing, key: Key) -> Seat:
        """Return a new seat. The user's longest free one goes when there would be too many."""
        pk = standing.user.pk
        own = [seat for seats in self._free.values() for seat in seats if seat.user.pk == pk]
        if len(own) >= limits.REQUESTS_A_USER:
            self._drop(min(own, key=lambda seat: seat.left_at))
        seat = Seat(standing, key)
        self._hub.add(seat)
        return seat

    def give_back(self, seat: Seat) -> None:
        """Keep a seat for who comes again soon."""
        if seat.closed:
            self._hub.remove(seat)
        else:
            self._free[seat.key].append(seat)

    async def clear_away(self) -> None:
        """Drop the seats that nobody came back to, for ever."""
        while True:
            await asyncio.sleep(limits.CHECK_SECONDS)
            now = time.monotonic()
            for seat in [seat for seats in self._free.values() for seat in seats]:
                if seat.closed or now >= seat.left_at + limits.SEAT_SECONDS:
                    self._drop(seat)

    def _drop(self, seat: Seat) -> None:
        seats = self._free[seat.key]
        seats.remove(seat)
        if not seats:
            del self._free[seat.key]
        self._hub.remove(seat)
