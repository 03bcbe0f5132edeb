"""How much a client that acknowledges may have unread."""

import time
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from realtime import limits
from realtime.frames import Ready


class _Sent(NamedTuple):
    stream: str
    version: int
    size: int
    at: float


class Credit:
    """The frames a client was sent and has not acknowledged; none more are sent above either limit."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()
        self._bytes = 0
        self.spent_at: float | None = None  # since when nothing may be sent; until half of it is back

    def spend(self, frame: Ready, now: float) -> None:
        """Note that a frame was sent. What has no version cannot be acknowledged and costs nothing.

        now: on the monotonic clock.
        """
        if frame.stream is None or frame.version is None:
            return
        self._sent.append(_Sent(frame.stream, frame.version, len(frame.text), now))
        self._bytes += len(frame.text)
        if len(self._sent) >= limits.CREDIT_FRAMES or self._bytes >= limits.CREDIT_BYTES:
            self.spent_at = self.spent_at or now

    def acknowledge(self, versions: Mapping[str, int]) -> list[float]:
        """Note what the client holds; return how long ago each of these frames was sent, in seconds.

        A connection keeps its order: whoever has a frame has all that were sent before it.
        """
        last = -1
        for place, sent in enumerate(self._sent):
            if versions.get(sent.stream, -1) >= sent.version:
                last = place
        now = time.monotonic()
        arrived = [self._sent.popleft() for _ in range(last + 1)]
        self._bytes -= sum(sent.size for sent in arrived)
        if len(self._sent) <= limits.CREDIT_FRAMES // 2 and self._bytes <= limits.CREDIT_BYTES // 2:
            self.spent_at = None
        return [now - sent.at for sent in arrived if sent.stream in versions]

    def forget(self, stream: str) -> None:
        """Give back what was spent on a stream that the client left and so never acknowledges."""
        self._sent = deque(sent for sent in self._sent if sent.stream != stream)
        self._bytes = sum(sent.size for sent in self._sent)
        if len(self._sent) <= limits.CREDIT_FRAMES // 2 and self._bytes <= limits.CREDIT_BYTES // 2:
            self.spent_at = None
