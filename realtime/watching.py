"""What a hub watches: which streams, where they stand in the database, and whom to tell what of them.

One read serves everybody who waits for a stream, and one query a kind compares all versions every second.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from django.db import Error as DatabaseAway

from realtime import epoch
from realtime.database import Database
from realtime.frames import Ready
from realtime.hints import Hints
from realtime.sockets import Viewer
from realtime.streams import Kind, Reading, kind_of
from realtime.tasks import Tasks
from realtime.watched import Copy, Newcomer, Watched, gone
from realtime.writing import Writing

logger = logging.getLogger(__name__)


class Watching:
    """The watched streams.

    wake: called when there is something to do with the next tick.
    """

    def __init__(
        self,
        database: Database,
        writing: Writing,
        tasks: Tasks,
        counts: Counter[str],
        wake: Callable[[], None],
    ) -> None:
        self.streams: dict[str, Watched] = {}
        self.hints = Hints(self.hinted)
        self._database = database
        self._writing = writing
        self._tasks = tasks
        self._counts = counts
        self._wake = wake
        self.epoch: str | None = None
        self._moved: set[Watched] = set()
        self._reading: set[str] = set()  # kinds with a read under way
        self._in_read: set[Watched] = set()

    # --- who watches

    def join(self, viewer: Viewer, name: str, newcomer: Newcomer) -> None:
        """Let a viewer watch a stream that they may see; the next read tells them where it stands."""
        known = kind_of(name)
        if viewer.closed or known is None:
            return
        watched = self.streams.get(name)
        if watched is None:
            watched = self.streams[name] = Watched(name, *known)
            self.hints.join(name)
        watched.viewers.discard(viewer)
        watched.newcomers[viewer] = newcomer
        viewer.streams.add(name)
        self._mark(watched)

    def leave(self, viewer: Viewer, name: str) -> None:
        """Let a viewer watch a stream no more."""
        watched = self.streams.get(name)
        if watched is not None:
            watched.viewers.discard(viewer)
            watched.newcomers.pop(viewer, None)
            self._leave_if_deserted(watched)

    def catch_up(self, viewer: Viewer) -> None:
        """Tell a viewer afresh what was left out; they never get a change of their own."""
        missed, viewer.missed = viewer.missed, {}
        for name, request in missed.items():
            self.join(viewer, name, Newcomer(id=request, why="slow"))

    def standing(self, viewer: Viewer, name: str) -> Copy | None:
        """Return the copy that a viewer stands on, None while they do not stand on one."""
        watched = self.streams.get(name)
        return watched.copy if watched is not None and viewer in watched.viewers else None

    # --- what moved

    def hinted(self, stream: str, version: int, urgent: bool) -> None:
        """Note what a hint says."""
        watched = self.streams.get(stream)
        if watched is None:
            self._counts["hints_ignored"] += 1
        elif watched.hint(version, urgent=urgent):
            self._counts["hints"] += 1
            self._mark(watched)

    def tick(self, now: float) -> bool:
        """Start one read a kind for all that moved; return whether something still waits."""
        due: dict[str, list[Watched]] = defaultdict(list)
        for watched in self._moved:
            name = watched.kind.name
            if name not in self._reading and self._database.may_ask(name, now) and watched.due(now):
                due[name].append(watched)
        for name, streams in due.items():
            self._reading.add(name)
            self._in_read.update(streams)
            self._tasks.spawn(self._read(streams[0].kind, streams))
        return bool(self._moved)

    async def check(self) -> None:
        """Compare every watched version with the database, and the epoch.

        Raises what the database raises while it is away.
        """
        by_kind: dict[str, dict[str, Watched]] = defaultdict(dict)
        for watched in self.streams.values():
            by_kind[watched.kind.name][watched.key] = watched
        if not by_kind:
            self.epoch = None  # nobody holds a version; the next one asks again
            return
        stands = await self._database.ask(epoch.current)
        if self.epoch is not None and stands != self.epoch:
            self._new_epoch(stands)
        for streams in by_kind.values():
            kind = next(iter(streams.values())).kind
            versions = await self._database.ask(kind.versions, list(streams))
            for key, watched in streams.items():
                self._compare(watched, versions.get(key))
        self._database.back()

    def _compare(self, watched: Watched, version: int | None) -> None:
        if self.streams.get(watched.name) is not watched:
            return  # everybody left while we asked
        if version is None:
            self._gone(watched)
        elif watched.moved or watched in self._in_read or watched.copy is None:
            return  # about to be read anyway
        elif version != watched.copy.version:
            if version > watched.copy.version:
                self._counts["hints_lost"] += 1
            self._counts["position_repairs"] += 1
            watched.moved = True
            self._mark(watched)

    # --- reading

    async def _read(self, kind: Kind, streams: list[Watched]) -> None:
        """Read these streams in one go, and tell their viewers."""
        asked: dict[Watched, dict[Viewer, Newcomer]] = {}
        try:
            if self.epoch is None:
                self.epoch = await self._database.ask(epoch.current)
            for watched in streams:
                # Only who was here before the read began is answered by it: register first, read second.
                asked[watched], watched.newcomers = watched.newcomers, {}
                watched.read_at = time.monotonic()
                watched.moved = watched.urgent = False
            since = {watched.key: watched.since(self.epoch, asked[watched]) for watched in streams}
            self._counts["reads"] += 1
            read_in = self.epoch
            readings = await self._database.ask(kind.read, since)
            self._database.back()
            if self.epoch != read_in:  # a backup came back meanwhile: this may be from before it
                self._read_again(asked)
                return
            for watched in streams:
                newcomers = {v: n for v, n in asked[watched].items() if watched.name in v.streams}
                # Who asked again during the read waits for the next one.
                newcomers = {v: n for v, n in newcomers.items() if v not in watched.newcomers}
                await self._apply(watched, readings.get(watched.key), since[watched.key], newcomers)
                del asked[watched]
        except DatabaseAway as error:
            self._database.failed(kind.name)
            self._database.away(error)
        finally:
            if asked:  # not answered: a failure
                self._database.failed(kind.name)
                self._read_again(asked)
            self._reading.discard(kind.name)
            self._in_read.difference_update(streams)
            for watched in streams:
                self._settle(watched)
            self._writing.flush()
            self._wake()

    def _read_again(self, asked: dict[Watched, dict[Viewer, Newcomer]]) -> None:
        for watched, newcomers in asked.items():
            watched.newcomers = newcomers | watched.newcomers
            watched.moved = True
            self._mark(watched)
        asked.clear()

    async def _apply(
        self, watched: Watched, reading: Reading | None, since: int | None, newcomers: dict[Viewer, Newcomer]
    ) -> None:
        assert self.epoch is not None
        if reading is None:
            watched.newcomers |= newcomers
            self._gone(watched)
            return
        if watched.copy is not None and reading.version < watched.copy.version:
            watched.newcomers = newcomers | watched.newcomers
            watched.moved = watched.urgent = True
            watched.lower += 1
            if watched.lower > 1:  # read again, and still lower: a backup was restored
                self._new_epoch(await self._database.ask(epoch.raise_from, self.epoch))
            return
        old = watched.take(reading, since)
        self._tell(watched, old, newcomers)
        if reading.final:
            self._end(watched)

    def _new_epoch(self, value: str) -> None:
        """Every copy and every cursor is worthless: tell everybody afresh."""
        logger.warning("realtime epoch is now %s", value)
        self._counts["epochs"] += 1
        self.epoch = value
        for watched in self.streams.values():
            watched.copy = None
            watched.lower = 0
            for viewer in watched.viewers:
                watched.newcomers.setdefault(viewer, Newcomer(why="epoch"))
            watched.viewers.clear()
            self._mark(watched)

    # --- telling

    def _tell(self, watched: Watched, old: Copy | None, newcomers: dict[Viewer, Newcomer]) -> None:
        assert watched.copy is not None and self.epoch is not None
        if watched.viewers and old is not None and old.version < watched.copy.version:
            frame = watched.change(self.epoch, old)
            self._counts["frames"] += len(watched.viewers)
            self._writing.tell(watched.viewers, frame)
        frames: dict[Any, Ready | None] = {}  # those who stand at one place get one frame, encoded once
        for viewer, newcomer in newcomers.items():
            version, why = newcomer.version(self.epoch), newcomer.why_new(self.epoch)
            place = (version, why, newcomer.id, newcomer.again)
            if place not in frames:
                frames[place] = watched.answer(self.epoch, newcomer)
            answer = frames[place]
            if answer is None:
                newcomer.again = True
                watched.newcomers.setdefault(viewer, newcomer)
            else:
                watched.viewers.add(viewer)
                self._counts["cursor_ahead"] += version is not None and version > watched.copy.version
                self._counts["frames"] += 1
                self._writing.say(viewer, answer, newcomer.id)

    def _end(self, watched: Watched) -> None:
        assert self.epoch is not None
        frame = watched.end(self.epoch)
        self._counts["frames"] += len(watched.viewers)
        for viewer in watched.viewers:
            viewer.streams.discard(watched.name)
        self._writing.tell(watched.viewers, frame)
        watched.viewers.clear()

    def _gone(self, watched: Watched) -> None:
        self._writing.tell(watched.viewers, gone(watched.name, None))
        for viewer, newcomer in watched.newcomers.items():
            self._writing.say(viewer, gone(watched.name, newcomer.id), newcomer.id)
        for viewer in [*watched.viewers, *watched.newcomers]:
            viewer.streams.discard(watched.name)
            viewer.missed.pop(watched.name, None)
        watched.viewers.clear()
        watched.newcomers.clear()
        self._settle(watched)
        self._writing.flush()

    # --- which streams stay

    def _settle(self, watched: Watched) -> None:
        """Keep a stream on the list of those to read exactly while somebody waits for it."""
        if not (watched.moved or watched.newcomers):
            self._moved.discard(watched)
        self._leave_if_deserted(watched)

    def _leave_if_deserted(self, watched: Watched) -> None:
        # While it is being read its newcomers are with the reader, who settles it afterwards.
        if watched.deserted and watched not in self._in_read:
            self._moved.discard(watched)
            if self.streams.get(watched.name) is watched:
                del self.streams[watched.name]
                self.hints.leave(watched.name)

    def _mark(self, watched: Watched) -> None:
        self._moved.add(watched)
        self._wake()
