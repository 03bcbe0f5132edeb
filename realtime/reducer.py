"""A client's side of the wire: PROTOCOL.md, "What a client does". The same rules as in live.js."""

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
    """Takes frames, of one connection after the other, and holds what they say.

    The caller tells it of a new connection, sends what `ask` returns, and passes on every frame of the newest
    connection only.
    """

    def __init__(self) -> None:
        self.streams: dict[str, Held] = {}
        self._request = 0

    def ask(self, names: list[str]) -> JsonObject:
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

    def forget(self, name: str) -> None:
        """Hold a stream no more."""
        self.streams.pop(name, None)

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
        held.events += [event for event in frame["events"] if event["version"] > version]
        del held.events[:-EVENTS_KEPT]
        held.version = frame["version"]
        return []

    def _whole(self, held: Held, frame: JsonObject) -> None:
        if held.epoch == frame["epoch"] and held.version is not None and held.version > frame["version"]:
            return
        if frame["type"] == "end":
            held.over = True
        elif frame["why"] == "behind":  # only the events since the cursor that we sent
            held.events += [event for event in frame["events"] if event["version"] > (held.version or 0)]
            del held.events[:-EVENTS_KEPT]
        else:
            held.events = list(frame["events"])
        held.epoch, held.version, held.data = frame["epoch"], frame["version"], frame["data"]

    def _behind(self, versions: dict[str, int]) -> list[str]:
        return [
            name
            for name, version in versions.items()
            if (held := self.streams.get(name)) is not None
            and not held.over
            and held.waiting is None
            and version > (-1 if held.version is None else held.version)
        ]
