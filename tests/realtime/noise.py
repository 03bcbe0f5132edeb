"""A kind of stream without rows, as large and as quick as a test needs it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from realtime import streams
from realtime.hub import Hub
from realtime.streams import Kind, Reading


class Noise:
    """The streams `noise:<key>`, which everybody may watch. `reads` counts the batches that were read."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.data: dict[str, Any] = {}
        self.finals: set[str] = set()
        self.reads = 0

    def make(self, key: str, **data: Any) -> str:
        """Make a stream; return its name."""
        self.versions[key], self.data[key] = 1, data
        return f"noise:{key}"

    def move(self, hub: Hub, key: str, *, final: bool = False, **data: Any) -> int:
        """Give a stream new data, and hint. Return its version."""
        self.versions[key] += 1
        self.data[key] = data
        if final:
            self.finals.add(key)
        hub.watching.hinted(f"noise:{key}", self.versions[key], True)
        return self.versions[key]

    def _read(self, since: Mapping[str, int | None]) -> dict[str, Reading]:
        self.reads += 1
        return {
            key: Reading(self.versions[key], self.data[key], [], final=key in self.finals)
            for key in since
            if key in self.versions
        }

    def _versions(self, keys: Iterable[str]) -> dict[str, int]:
        return {key: self.versions[key] for key in keys if key in self.versions}


@contextmanager
def noise() -> Iterator[Noise]:
    """Make the kind known for as long as the context lasts."""
    made = Noise()
    kind = Kind(name="noise", visible=lambda user, keys: set(keys), versions=made._versions, read=made._read)
    streams.register(kind)
    try:
        yield made
    finally:
        streams._kinds.pop("noise", None)
