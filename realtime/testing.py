"""For tests: a page that hears every hint of its streams, to be compared with the page as loaded anew."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from unittest.mock import patch

from django.db import connection

from realtime import limits, publish
from realtime.frames import Ready
from realtime.patch import without_nulls
from realtime.reducer import Reducer
from realtime.streams import Reading, kind_of
from realtime.watched import Newcomer, Watched, gone

EPOCH = "testing"


class Streamed(Protocol):
    """A row that says which stream it is."""

    @property
    def stream(self) -> str: ...


class Page:
    """One stream as an open page holds it: told by the hub's own frames, kept by a client's own rules."""

    def __init__(self, name: str) -> None:
        known = kind_of(name)
        if known is None:
            raise AssertionError(f"no kind of stream is registered for {name}")
        self.name, self.kind, self.key = name, *known
        self.watched = Watched(name, *known)
        self.reducer = Reducer()
        self.reducer.want([name])
        reading = self._read(None)
        if reading is None:
            raise AssertionError(f"there is no {name}")
        self.watched.take(reading, None)
        state = self.watched.answer(EPOCH, Newcomer())
        assert state is not None
        self._take(state)

    def look(self) -> None:
        """Read the stream, as the hub does after a hint, and tell the page of the change."""
        assert self.watched.copy is not None
        since = self.watched.copy.version
        reading = self._read(since)
        if reading is None:
            self._take(gone(self.name, None))
        elif old := self.watched.take(reading, since):
            self._take(self.watched.change(EPOCH, old))

    def check_position(self) -> None:
        """Look where the stream stands, as the hub does every second, and read it if it moved."""
        assert self.watched.copy is not None
        if self.kind.versions([self.key]).get(self.key) != self.watched.copy.version:
            self.look()

    def compare(self) -> None:
        """Raise an AssertionError unless the page holds what a page loaded now would show."""
        held, fresh = self.reducer.streams[self.name], self._read(None)
        if held.gone or fresh is None:
            assert held.gone and fresh is None, f"{self.name}: one of the two is gone, the other is not"
            return
        old, new = held.data or {}, without_nulls(json.loads(json.dumps(fresh.data)))
        if held.version == fresh.version:
            differs = sorted(key for key in {**old, **new} if old.get(key) != new.get(key))
            assert not differs, f"{self.name}: {', '.join(differs)} changed, and its version did not"
        assert held.version == fresh.version, (
            f"{self.name}: pages stand at {held.version}, it is at {fresh.version}"
        )
        last = held.events[-limits.LAST_EVENTS :]
        assert last == json.loads(json.dumps(fresh.events)), f"{self.name}: events are not told as they are"

    def _read(self, since: int | None) -> Reading | None:
        return self.kind.read({self.key: since}).get(self.key)

    def _take(self, frame: Ready) -> None:
        again = self.reducer.take(json.loads(frame.text))
        assert not again, f"{self.name}: a change does not fit the state before it"


@contextmanager
def assert_live_equals_fresh(*streams: str | Streamed) -> Iterator[None]:
    """Watch streams while the block runs; at its end, open pages must show what pages loaded anew do.

    Fails when something that is shown changed without its version, when `versions` and `read` of a kind
    disagree, and when events are told twice, late or not at all. Each hint is followed by a
    reading, so what is shown on the way is checked too. The test needs real commits:
    `@pytest.mark.django_db(transaction=True)`.

    Args:
        streams: names of streams, or rows with a `stream`. They must exist when the block begins.

    Raises:
        AssertionError: says which stream is shown wrong, and what of it.
    """
    assert not connection.in_atomic_block, "mark the test with django_db(transaction=True)"
    names = [one if isinstance(one, str) else one.stream for one in streams]
    pages = {name: Page(name) for name in names}
    send = publish._send

    def send_and_look(stream: str, version: int, urgent: bool) -> None:
        send(stream, version, urgent)
        if stream in pages and not connection.in_atomic_block:
            pages[stream].look()

    with patch.object(publish, "_send", send_and_look):
        yield
    for page in pages.values():
        page.check_position()
        page.compare()
