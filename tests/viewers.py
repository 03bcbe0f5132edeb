"""Clients as PROTOCOL.md describes them, on real connections, who note what they were told and when."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Origin

from realtime.patch import without_nulls
from realtime.reducer import Held, Reducer
from realtime.streams import Kind, kind_of
from tests.realtime.client import session
from tests.waiting import until

FIRST_PAUSE = 0.1  # seconds before the first reconnect; doubles to LAST_PAUSE, with jitter
LAST_PAUSE = 2.0
QUIET = 10.0  # seconds without a word before a viewer doubts its connection: two beats
DOUBT = 2.0  # seconds a beat may take that was asked for
WAYS = ("websocket",)

Frame = dict[str, Any]


@dataclass
class Told:
    """A frame, when it came (monotonic), and over which of a viewer's connections."""

    at: float
    connection: int
    frame: Frame


@dataclass
class Step:
    """What a viewer held of a stream after a frame."""

    at: float
    stream: str
    epoch: str
    version: int


@dataclass
class Viewer:
    """One client of one user. Its fields may be read from any thread."""

    address: str
    cookie: str
    csrf: str
    streams: Sequence[str]
    ack: bool = False
    reducer: Reducer = field(default_factory=Reducer)
    told: list[Told] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    closes: list[int] = field(default_factory=list)
    connections: int = 0
    connected_at: list[float] = field(default_factory=list)  # of each welcome
    quiet: float = QUIET
    deaf: bool = False  # does not read
    _link: ClientConnection | None = None
    _retry_after: float | None = None

    def held(self, stream: str) -> Held:
        """Return what it holds of a stream."""
        return self.reducer.streams.get(stream) or Held()

    def at(self, stream: str, version: int) -> float | None:
        """Return when it first held this version or a later one, if it does."""
        steps = list(self.steps)
        return next((s.at for s in steps if s.stream == stream and s.version >= version), None)

    def frames(self, kind: str, stream: str | None = None) -> list[Told]:
        """Return what it was told with frames of one type."""
        told = list(self.told)
        return [t for t in told if t.frame["type"] == kind and stream in (None, t.frame.get("stream"))]

    async def live(self) -> None:
        """Watch for ever; reconnect after everything but 44xx."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                async with open_socket(
                    f"ws://{self.address}/ws/live/",
                    origin=Origin(f"http://{self.address}"),
                    additional_headers={"Cookie": self.cookie},
                    open_timeout=5,
                    close_timeout=1,
                    ping_interval=None,
                    compression=None,
                ) as link:
                    self._link = link
                    self.connections += 1
                    await self._converse(link)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                self.closes.append(code)
                if 4400 <= code < 4500:
                    return
            except (OSError, InvalidHandshake, TimeoutError, EOFError):
                self.closes.append(1006)
            self._link = None
            pause = FIRST_PAUSE if time.monotonic() - began > 5 else min(LAST_PAUSE, 2 * pause)
            wait, self._retry_after = self._retry_after, None
            await asyncio.sleep(random.uniform(0, pause) if wait is None else wait)

    async def _converse(self, link: ClientConnection) -> None:
        asked = self.reducer.ask(self.open)
        await self._say({"type": "hello", "csrf": self.csrf, "ack": self.ack, **asked})
        while True:
            while self.deaf:
                await asyncio.sleep(0.05)
            try:
                text = await asyncio.wait_for(link.recv(), self.quiet)
            except TimeoutError:
                await self._say({"type": "ack", "versions": {}, "id": 7})
                text = await asyncio.wait_for(link.recv(), DOUBT)
            content = json.loads(text)
            frames = content if isinstance(content, list) else [content]
            self.take(frames)
            again = [name for name in self._again if not self.held(name).over]
            if again:
                await self._say({"type": "subscribe", **self.reducer.ask(again)})
            if self.ack:
                await self._say({"type": "ack", "versions": self.versions})

    def take(self, frames: Iterable[Frame]) -> None:
        """Take frames of the newest connection."""
        now = time.monotonic()
        self._again: dict[str, None] = {}
        for frame in frames:
            self.told.append(Told(now, self.connections, frame))
            if frame["type"] == "welcome":
                self.connected_at.append(now)
            if frame["type"] == "drain":
                self._retry_after = frame["after_ms"] / 1000
            self._again |= dict.fromkeys(self.reducer.take(frame) if frame["type"] in HOLDING else [])
            stream = frame.get("stream")
            if stream in self.reducer.streams:
                held = self.held(stream)
                if held.version is not None and held.epoch is not None:
                    self.steps.append(Step(now, stream, held.epoch, held.version))

    @property
    def open(self) -> list[str]:
        """Return the streams that have not ended for it."""
        return [name for name in self.streams if not self.held(name).over]

    @property
    def versions(self) -> dict[str, int]:
        """Return where it stands."""
        return {name: held.version for name, held in self.reducer.streams.items() if held.version is not None}

    async def _say(self, frame: Frame) -> None:
        assert self._link is not None
        await self._link.send(json.dumps(frame))


HOLDING = ("beat", "state", "change", "end", "gone")


class Crowd:
    """Viewers on an event loop of their own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.viewers: list[Viewer] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crowd", daemon=True)
        self._thread.start()
        self._tasks: list[Any] = []

    def add(self, user: Any, *streams: str, number: int = 1, **more: Any) -> list[Viewer]:
        """Let pages of a user watch these streams. They have their first state when this returns."""
        new = self.open(user, *streams, number=number, **more)
        for viewer in new:
            until(lambda viewer=viewer: has_all(viewer), 30, "a first state of everything")
        return new

    def open(self, user: Any, *streams: str, number: int = 1, **more: Any) -> list[Viewer]:
        """As `add`, without waiting for anything."""
        cookie, csrf = session(user)
        new = [Viewer(self.address, cookie, csrf, streams, **more) for _ in range(number)]
        self.viewers += new
        for viewer in new:
            self._start(viewer.live())
        return new

    def close(self) -> None:
        """Send everybody home."""
        for task in self._tasks:
            task.cancel()
        settled = asyncio.run_coroutine_threadsafe(self._settle(), self._loop)
        settled.result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _settle(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def has_all(viewer: Viewer) -> bool:
    """Say whether a viewer holds something of each of its streams."""
    return all(viewer.held(name).data is not None or viewer.held(name).gone for name in viewer.streams)


def never_back(viewers: Iterable[Viewer]) -> None:
    """Assert that nobody was shown less than they knew: versions grow, an epoch that is over stays over."""
    for viewer in viewers:
        last: dict[str, Step] = {}
        epochs: dict[str, list[str]] = {}
        for step in viewer.steps:
            seen = epochs.setdefault(step.stream, [])
            before = last.get(step.stream)
            if before is None or before.epoch != step.epoch:
                assert step.epoch not in seen, f"back to an epoch that was over: {step}"
                seen.append(step.epoch)
            else:
                assert step.version >= before.version, f"went back from {before} to {step}"
            last[step.stream] = step
        for name, held in viewer.reducer.streams.items():
            versions = [event["version"] for event in held.events]
            assert versions == sorted(set(versions)), f"events of {name}: {versions}"


def shown(viewer: Viewer, stream: str) -> bool:
    """Say whether a viewer holds what the database says: the data, and the events without a hole."""
    kind, key = known(stream)
    now = kind.read({key: -1})[key]  # all events, or the last 50 when they are very many
    if now.cut:
        now = kind.read({key: None})[key]
    held = viewer.held(stream)
    if held.version != now.version or held.data != without_nulls(now.data):
        return False
    theirs = [event["version"] for event in held.events]
    ours = [event["version"] for event in now.events]
    first = max(theirs[:1] + ours[:1], default=0)
    return [v for v in theirs if v >= first] == [v for v in ours if v >= first] and (not ours or bool(theirs))


def known(stream: str) -> tuple[Kind, str]:
    """Return the kind and key of a stream of ours."""
    found = kind_of(stream)
    assert found is not None
    return found


def all_right(viewers: Sequence[Viewer], seconds: float) -> None:
    """Assert that everybody comes to hold what the database says, within this time, and never went back."""
    end = time.monotonic() + seconds
    for viewer in viewers:
        for stream in viewer.streams:
            left = max(0.05, end - time.monotonic())
            until(lambda v=viewer, s=stream: shown(v, s), left, f"{stream} as the database has it")
    never_back(viewers)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
