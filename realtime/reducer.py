"""A client's side of the wire: PROTOCOL.md, "What a client does". The same rules as in live.js."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from realtime.patch import apply

JsonObject = dict[str, Any]

EVENTS_KEPT = 500


@dataclass
class Held:
    """What a client holds of one stream."""

    epoch: str | None = None
    version: int | None = None
    data: JsonObject | None = None
    events: list[JsonObject] = field(default_factory=list)
    over: bool = False
    gone: bool = False
    waiting: int | None = None  # the id whose answer must come first


class Reducer:
    """Takes frames and holds what they say.

    The caller tells it of every subscribe (`ask`) and of a lost connection (`lost`), passes on every frame of
    the newest connection only (`take`), and every answer over HTTP with the `generation` that stood when it
    was asked for (`answer`).
    """

    def __init__(self) -> None:
        self.streams: dict[str, Held] = {}
        self.generation = 0  # how often an epoch changed, the first included
        self._request = 0

    def ask(self, names: Iterable[str]) -> JsonObject:
        """Return `id` and `streams` of a subscribe that resumes from what is held."""
        self._request += 1
        streams: list[Any] = []
        for name in names:
            held = self.streams.setdefault(name, Held())
            held.waiting = self._request
            if held.data is None:
                streams.append(name)
            else:
                streams.append({"stream": name, "epoch": held.epoch, "version": held.version})
        return {"id": self._request, "streams": streams}

    def want(self, names: Iterable[str]) -> None:
        """Take frames of these streams though no subscribe was sent: they come over HTTP."""
        for name in names:
            self.streams.setdefault(name, Held())

    def lost(self) -> None:
        """Wait for no answer any more: the connection that would bring it is gone."""
        for held in self.streams.values():
            held.waiting = None

    def forget(self, name: str) -> None:
        """Hold a stream no more."""
        self.streams.pop(name, None)

    def answer(self, generation: int, frames: Iterable[JsonObject]) -> list[str]:
        """Take an answer over HTTP; return the streams to subscribe to again on the socket, if there is one.

        generation: as it stood when the answer was asked for. An answer of an older one may show what was
            before a restore.
        """
        again: list[str] = []
        if generation != self.generation:
            return again
        for frame in frames:
            held = self.streams.get(frame.get("stream", ""))
            epoch = held.epoch if held is not None else None
            again += self.take(frame)
            # The socket's frames under way may still be of the old epoch.
            if held is not None and epoch is not None and held.epoch != epoch and not held.over:
                again.append(frame["stream"])
        return again

    def take(self, frame: JsonObject) -> list[str]:
        """Take a frame; return the streams to subscribe to again."""
        if frame["type"] == "beat":
            return self._behind(frame["versions"])
        held = self.streams.get(frame.get("stream", ""))
        if held is None or held.over:
            return []
        if held.waiting is not None:
            if frame.get("id") != held.waiting:
                return []
            held.waiting = None
        match frame["type"]:
            case "gone":
                held.over = held.gone = True
            case "change":
                return self._change(held, frame)
            case "state" | "end":
                self._whole(held, frame)
        return []

    def _change(self, held: Held, frame: JsonObject) -> list[str]:
        known = held.data is not None and held.version is not None and held.epoch == frame["epoch"]
        if known and frame["version"] <= (held.version or 0):
            return []
        if not known or frame["from"] != held.version:
            return [frame["stream"]]
        version = held.version or 0
        held.data = apply(held.data, frame["data"])
        self._append(held, frame, version)
        held.version = frame["version"]
        return []

    def _whole(self, held: Held, frame: JsonObject) -> None:
        same = held.epoch == frame["epoch"]
        if same and held.version is not None and held.version > frame["version"]:
            return
        why = frame.get("why")
        if why == "tab" and (not same or held.version == frame["version"]):
            return  # another tab may be the one that is late
        if frame["type"] == "end":
            held.over = True
        elif why == "behind" and same:  # only the events since the cursor that we sent
            self._append(held, frame, held.version or 0)
        else:
            held.events = list(frame["events"])
        if not same:
            self.generation += 1
        held.epoch, held.version, held.data = frame["epoch"], frame["version"], frame["data"]

    def _append(self, held: Held, frame: JsonObject, version: int) -> None:
        held.events += [event for event in frame["events"] if event["version"] > version]
        del held.events[:-EVENTS_KEPT]

    def _behind(self, versions: dict[str, int]) -> list[str]:
        return [
            name
            for name, version in versions.items()
            if (held := self.streams.get(name)) is not None
            and not held.over
            and held.waiting is None
            and version > (-1 if held.version is None else held.version)
        ]
