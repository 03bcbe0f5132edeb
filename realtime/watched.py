"""One stream that somebody in this process watches: the copy everybody stands on, and what to say to whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from realtime import limits
from realtime.frames import Cursor, Ready, encode, ready
from realtime.patch import difference, without_nulls
from realtime.sockets import Viewer
from realtime.streams import JsonObject, Kind, Reading


@dataclass
class Copy:
    """What the hub holds of a stream. `events` are all those above version `covered`, at most the last 50."""

    version: int
    data: JsonObject
    events: list[JsonObject]
    covered: int

    @property
    def has_history(self) -> bool:
        """Say whether `events` are the last 50, or all there ever were."""
        return len(self.events) >= limits.LAST_EVENTS or self.covered <= 0


@dataclass
class Newcomer:
    """Somebody who is to be told where the stream stands, and where they say they stand."""

    cursor: Cursor | None = None
    id: int | None = None
    why: str | None = None  # set when the hub itself wants a fresh state sent
    again: bool = False  # history was read for it already

    def version(self, epoch: str) -> int | None:
        """Return the version to resume from, or None where a whole state is due anyway."""
        if self.cursor is None or self.why is not None or self.cursor.epoch != epoch:
            return None
        version = self.cursor.version
        return version if type(version) is int and 0 <= version < 2**63 else None

    def why_new(self, epoch: str) -> str:
        """Return why a whole state is sent."""
        if self.why is not None:
            return self.why
        if self.cursor is None or self.cursor.version is None:
            return "new"
        return "gap" if self.cursor.epoch == epoch else "epoch"


@dataclass(eq=False)
class Watched:
    """A stream and its local viewers. Every viewer stands on `copy`; newcomers join it with the next read."""

    name: str
    kind: Kind
    key: str
    copy: Copy | None = None
    viewers: set[Viewer] = field(default_factory=set)
    newcomers: dict[Viewer, Newcomer] = field(default_factory=dict)
    moved: bool = False
    urgent: bool = False
    hinted: int = -1
    read_at: float = float("-inf")
    lower: int = 0  # readings in a row below the copy
    # Every event known above a version: more than the copy keeps, for who resumes at this very reading.
    known: list[JsonObject] = field(default_factory=list)
    known_covered: int = -1

    @property
    def deserted(self) -> bool:
        """Say whether nobody here watches it."""
        return not self.viewers and not self.newcomers

    def due(self, now: float) -> bool:
        """Say whether to read it now."""
        if self.newcomers:
            return True
        return self.moved and (self.urgent or now >= self.read_at + limits.STREAM_SECONDS)

    def hint(self, version: int, *, urgent: bool) -> bool:
        """Note that somebody says it moved; return whether that is news."""
        if self.copy is not None and version <= self.copy.version:
            return False
        self.moved = True
        self.urgent = self.urgent or urgent
        self.hinted = max(self.hinted, version)
        return True

    def since(self, epoch: str, asked: Mapping[Viewer, Newcomer]) -> int | None:
        """Return the version from which events must be read for everybody; None: the last 50."""
        cursors = [newcomer.version(epoch) for newcomer in asked.values()]
        known = [version for version in cursors if version is not None]
        wants_history = len(known) < len(cursors) or any(newcomer.again for newcomer in asked.values())
        if self.copy is None:
            return None if wants_history or not known else min(known)
        if wants_history and not self.copy.has_history:
            return None
        return min([self.copy.version, *(version for version in known if version < self.copy.covered)])

    def take(self, reading: Reading, since: int | None) -> Copy | None:
        """Make a reading the copy, and return the copy before."""
        old = self.copy
        events = list(reading.events)
        if since is not None and not reading.cut:
            covered = min(since, reading.version)
        elif len(events) < limits.LAST_EVENTS:
            covered = -1  # all there ever were
        else:
            covered = events[0]["version"] - 1
        if old is not None and covered <= old.version:
            # No hole between the old events and the new: together they go back as far as either.
            events = [e for e in old.events if not events or e["version"] < events[0]["version"]] + events
            covered = min(covered, old.covered)
        self.known, self.known_covered = events, covered
        if len(events) > limits.LAST_EVENTS:
            covered = events[-limits.LAST_EVENTS - 1]["version"]
            events = events[-limits.LAST_EVENTS :]
        # At an equal version the data stays: viewers hold it, and the next change is made from it.
        standing = old is not None and old.version == reading.version
        data = old.data if old is not None and standing else without_nulls(reading.data)
        self.copy = Copy(reading.version, data, events, covered)
        self.lower = 0
        self.moved = self.hinted > reading.version and self.moved
        self.urgent = self.urgent and self.moved
        return old

    def change(self, epoch: str, old: Copy) -> Ready:
        """Return the frame that takes viewers from the old copy to the new."""
        assert self.copy is not None
        if self.known_covered > old.version:
            return self._state(epoch, "too_old", self.copy.events, None)
        return self._frame(
            "change",
            epoch,
            None,
            {"from": old.version},
            data=difference(old.data, self.copy.data),
            events=[event for event in self.known if event["version"] > old.version],
        )

    def answer(self, epoch: str, newcomer: Newcomer) -> Ready | None:
        """Return a newcomer's first frame; None when its events must be read first."""
        assert self.copy is not None
        version = newcomer.version(epoch)
        if version is not None and version == self.copy.version:
            return self._frame("change", epoch, newcomer.id, {"from": version}, data={}, events=[])
        if version is not None and version < self.copy.version and self.known_covered <= version:
            events = [event for event in self.known if event["version"] > version]
            return self._state(epoch, "behind", events, newcomer.id)
        if not self.copy.has_history and not newcomer.again:
            return None
        if version is not None and version < self.copy.version:
            return self._state(epoch, "too_old", self.copy.events, newcomer.id)
        return self._state(epoch, newcomer.why_new(epoch), self.copy.events, newcomer.id)

    def end(self, epoch: str) -> Ready:
        """Return the frame that ends the stream."""
        assert self.copy is not None
        return self._frame("end", epoch, None, {}, data=self.copy.data)

    def _state(self, epoch: str, why: str, events: list[JsonObject], request: int | None) -> Ready:
        assert self.copy is not None
        return self._frame("state", epoch, request, {"why": why}, data=self.copy.data, events=events)

    def _frame(self, kind: str, epoch: str, request: int | None, more: JsonObject, **content: Any) -> Ready:
        assert self.copy is not None
        version = self.copy.version
        frame = {"type": kind, "stream": self.name, "epoch": epoch, **more, "version": version}
        text = encode(frame | content | ({} if request is None else {"id": request}))
        return Ready(text, kind, self.name, epoch, version, self.copy.data, more.get("from") != version)


def gone(stream: str, request: int | None) -> Ready:
    """Return the one answer for what is foreign, absent or deleted."""
    frame: JsonObject = {"type": "gone", "stream": stream, "code": "not_found"}
    return ready(frame if request is None else frame | {"id": request})
