"""The cursor of a whole connection: `<epoch>~<stream>=<version>,<stream>=<version>`.

It is what `id:` and Last-Event-ID carry in an event stream and `cursor` in JSON. Any client can write one
from what it holds, whatever transport that came by.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from realtime import limits
from realtime.frames import Cursor, Ready

_CURSOR = re.compile(r"([0-9A-Za-z]{1,32})~(.*)", re.ASCII | re.DOTALL)
_PLACE = re.compile(r"([^=,~\s]+)=([0-9]{1,19})", re.ASCII)
_SAFE = ":.-_@"  # in a name, beside letters and digits


class BadCursor(ValueError):
    """A text that is no cursor."""


class Places:
    """Where a client stands in its streams."""

    def __init__(self, text: str = "") -> None:
        """Read a cursor; raises BadCursor."""
        self.epoch = ""
        self.versions: dict[str, int] = {}
        if not text:
            return
        match = _CURSOR.fullmatch(text) if len(text) <= limits.CURSOR else None
        if match is None:
            raise BadCursor
        self.epoch = match[1]
        for part in match[2].split(",") if match[2] else []:
            place = _PLACE.fullmatch(part)
            if place is None:
                raise BadCursor
            self.versions[unquote(place[1])] = int(place[2])

    def __getitem__(self, stream: str) -> Cursor | None:
        """Return the cursor of one stream, None for none."""
        version = self.versions.get(stream)
        return None if version is None else Cursor(self.epoch, version)

    def stands_at(self, frame: Ready) -> bool:
        """Say whether a frame says nothing about where its stream stands that is not known already."""
        assert frame.stream is not None
        if frame.version is None:  # gone
            return frame.stream not in self.versions
        return frame.epoch == self.epoch and self.versions.get(frame.stream) == frame.version

    def take(self, frame: Ready) -> None:
        """Go where a frame leads."""
        if frame.stream is None:
            return
        if frame.version is None or frame.epoch is None:  # gone
            self.versions.pop(frame.stream, None)
            return
        if frame.epoch != self.epoch:
            self.epoch, self.versions = frame.epoch, {}  # what was known of before is worth nothing
        self.versions[frame.stream] = frame.version

    def only(self, streams: Iterable[str]) -> None:
        """Forget every other stream."""
        self.versions = {name: self.versions[name] for name in streams if name in self.versions}

    def __str__(self) -> str:
        if not self.versions:
            return ""
        places = (f"{quote(name, _SAFE)}={version}" for name, version in self.versions.items())
        return f"{self.epoch}~{','.join(places)}"
