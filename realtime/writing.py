"""How frames leave: together, each client in its own time, none waiting for another."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection

from realtime.frames import Ready
from realtime.limits import Close
from realtime.sockets import Viewer
from realtime.tasks import Tasks


class Writing:
    """The viewers that have something to be written.

    catch_up: called for a viewer that can be told afresh what was left out.
    """

    def __init__(self, tasks: Tasks, counts: Counter[str], catch_up: Callable[[Viewer], None]) -> None:
        self._tasks = tasks
        self._counts = counts
        self._catch_up = catch_up
        self._written: set[Viewer] = set()
        self._timer: asyncio.TimerHandle | None = None

    def say(self, viewer: Viewer, frame: Ready, request: int | None = None) -> None:
        """Let a viewer have a frame with its next message. `flush` sends it."""
        viewer.put(frame, request)
        self._written.add(viewer)

    def tell(self, viewers: Collection[Viewer], frame: Ready) -> None:
        """Let many have the same frame with their next message. `flush` sends it."""
        for viewer in viewers:
            viewer.put(frame)
        self._written.update(viewers)

    def say_now(self, viewer: Viewer, frame: Ready) -> None:
        """Let a viewer have a frame as soon as they may."""
        viewer.put(frame)
        self._write([viewer])

    def forget(self, viewer: Viewer) -> None:
        """Write no more to who is gone."""
        self._written.discard(viewer)

    def flush(self) -> None:
        """Send what may leave now; what may not waits for its time."""
        written, self._written = self._written, set()
        self._write(written)

    def _write(self, viewers: Collection[Viewer]) -> None:
        # Here goes every delivery of the process: no step that is not needed each time.
        now = time.monotonic()
        messages, next_at = 0, None
        made: dict[str, bytes] = {}
        for viewer in viewers:
            wrote = viewer.write(now, made)
            if wrote is False:
                self._tasks.spawn(self._send(viewer))
                continue
            if wrote:
                messages += 1
                if viewer.missed:
                    self.catch_up(viewer)
            at = viewer.leaves_at(now)
            if at is not None:
                self._written.add(viewer)
                next_at = at if next_at is None else min(at, next_at)
        self._counts["messages"] += messages
        if next_at is not None and self._timer is None:
            wait = max(next_at - now, 0.001)
            self._timer = asyncio.get_running_loop().call_later(wait, self._time_is_up)

    def catch_up(self, viewer: Viewer) -> None:
        """Tell a viewer what was left out, if it can be told now."""
        if viewer.may_catch_up:
            self._counts["caught_up"] += 1
            self._catch_up(viewer)

    def _time_is_up(self) -> None:
        self._timer = None
        self.flush()

    async def _send(self, viewer: Viewer) -> None:
        if viewer.may_send(time.monotonic()):
            await viewer.flush()
            self._counts["closed_slow"] += viewer.code == Close.SLOW
            self._counts["messages"] += 1
            self.catch_up(viewer)
        if viewer.leaves_at(time.monotonic()) is not None:
            self._written.add(viewer)
            self.flush()
