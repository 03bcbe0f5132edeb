"""Many viewers at once, and what must be true of all of them."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from realtime.patch import without_nulls
from realtime.streams import Kind, Reading, kind_of
from tests.measured import Promised, measured
from tests.realtime.client import session
from tests.viewers import TRANSPORTS, Step, Viewer
from tests.waiting import PAUSE, until


class Crowd:
    """Viewers on an event loop of their own.

    prepare: called first in the loop's thread, which can be moved into another network by it.
    """

    def __init__(self, address: str, prepare: Any = None) -> None:
        self.address = address
        self.viewers: list[Viewer] = []
        self._tasks: list[Future[None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(prepare,), name="crowd", daemon=True)
        self._thread.start()

    def add(self, user: Any, *streams: str, number: int = 1, **more: Any) -> list[Viewer]:
        """Let pages of a user watch these streams. They have their first state when this returns."""
        new = self.open(user, *streams, number=number, **more)
        for viewer in new:
            until(lambda viewer=viewer: has_all(viewer), 30, "a first state of everything")
        return new

    def open(
        self, user: Any, *streams: str, number: int = 1, transport: str = "websocket", **more: Any
    ) -> list[Viewer]:
        """As `add`, without waiting for anything."""
        cookie, csrf = session(user)
        make = TRANSPORTS[transport]
        new = [make(self.address, {"Cookie": cookie}, csrf, streams, **more) for _ in range(number)]
        self.viewers += new
        for viewer in new:
            self._start(viewer.live())
        return new

    def close(self) -> None:
        """Send everybody home. Raise what a viewer could not make sense of."""
        broken = [task for task in self._tasks if task.done() and task.exception() is not None]
        asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        for task in broken:
            task.result()

    def _run(self, prepare: Any) -> None:
        if prepare is not None:
            prepare()
        self._loop.run_forever()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _settle(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def everywhere(crowd: Crowd, user: Any, *streams: str, number: int = 1) -> list[Viewer]:
    """Add so many viewers on each transport."""
    new = [v for way in TRANSPORTS for v in crowd.open(user, *streams, number=number, transport=way)]
    for viewer in new:
        until(lambda viewer=viewer: has_all(viewer), 30, "a first state of everything")
    return new


def connected(viewers: Iterable[Viewer], number: int, seconds: float = 30) -> None:
    """Return when each viewer has made so many connections."""
    for viewer in viewers:
        until(
            lambda viewer=viewer: len(viewer.connections) >= number,
            seconds,
            f"{viewer}: {number} connections",
        )


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


def wrong(viewer: Viewer, stream: str, now: Reading) -> str:
    """Say what is wrong with what a viewer holds: other data than the database's, a hole in the events."""
    held = viewer.held(stream)
    if held.version != now.version:
        return f"{viewer} holds version {held.version}, the database {now.version}"
    if held.data != now.data:
        return f"{viewer} holds other data: {held.data} {now.data}"
    theirs = [event["version"] for event in held.events]
    ours = [event["version"] for event in now.events]
    first = max(theirs[:1] + ours[:1], default=0)
    if [v for v in theirs if v >= first] != [v for v in ours if v >= first] or (ours and not theirs):
        return f"{viewer} holds the events {theirs}, the database {ours}"
    return ""


def stands(stream: str) -> Reading:
    """Return what the database says of a stream: all events, or the last 50 when they are very many."""
    kind, key = known(stream)
    now = kind.read({key: -1})[key]
    return now._replace(data=without_nulls(now.data))


def known(stream: str) -> tuple[Kind, str]:
    """Return the kind and key of a stream of ours."""
    found = kind_of(stream)
    assert found is not None
    return found


def all_right(viewers: Sequence[Viewer], seconds: float) -> None:
    """Assert that everybody comes to hold what the database says, within this time, and never went back."""
    began = time.monotonic()
    end = began + float(seconds)
    for stream in dict.fromkeys(stream for viewer in viewers for stream in viewer.streams):
        others = [viewer for viewer in viewers if stream in viewer.streams]
        while True:
            now = stands(stream)  # one reading for all of them: 500 would take longer than what is measured
            found = {viewer: wrong(viewer, stream, now) for viewer in others}
            others = [viewer for viewer in others if found[viewer]]
            if not others:
                break
            assert time.monotonic() < end, f"{stream} is not shown as it is: {found[others[0]]}"
            time.sleep(PAUSE)
    if isinstance(seconds, Promised):
        measured.took(time.monotonic() - began, seconds)
    never_back(viewers)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
