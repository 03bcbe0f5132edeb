"""How much a client that acknowledges may have unread."""

import time
from collections import Counter, deque
from collections.abc import Mapping

from realtime import limits
from realtime.frames import Ready

_Sent = tuple[str, int, int, float]  # stream, version, characters, when; made with every delivery


class Credit:
    """The frames a client was sent and has not acknowledged; none more are sent above either limit.

    counts: of the hub; how often there was none left.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self._sent: deque[_Sent] = deque()
        self._bytes = 0
        self.spent_at: float | None = None  # since when nothing may be sent; until half of it is back

    def spend(self, frame: Ready, now: float) -> None:
        """Note that a frame was sent. What has no version cannot be acknowledged and costs nothing.

        now: on the monotonic clock.
        """
        if frame.stream is None or frame.version is None:
            return
        size = len(frame.text)
        self._sent.append((frame.stream, frame.version, size, now))
        self._bytes += size
        full = len(self._sent) >= limits.CREDIT_FRAMES or self._bytes >= limits.CREDIT_BYTES
        if full and self.spent_at is None:
            self.spent_at = now
            self._counts["parked"] += 1

    def acknowledge(self, versions: Mapping[str, int]) -> list[float]:
        """Note what the client holds; return how long ago each of these frames was sent, in seconds.

        A connection keeps its order: whoever has a frame has all that were sent before it.
        """
        last = -1
        for place, (stream, version, _, _) in enumerate(self._sent):
            if versions.get(stream, -1) >= version:
                last = place
        now = time.monotonic()
        arrived = [self._sent.popleft() for _ in range(last + 1)]
        self._bytes -= sum(size for _, _, size, _ in arrived)
        if len(self._sent) <= limits.CREDIT_FRAMES // 2 and self._bytes <= limits.CREDIT_BYTES // 2:
            self.spent_at = None
        return [now - at for stream, _, _, at in arrived if stream in versions]

    def forget(self, stream: str) -> None:
        """Give back what was spent on a stream that the client left and so never acknowledges."""
        self._sent = deque(sent for sent in self._sent if sent[0] != stream)
        self._bytes = sum(size for _, _, size, _ in self._sent)
        if len(self._sent) <= limits.CREDIT_FRAMES // 2 and self._bytes <= limits.CREDIT_BYTES // 2:
            self.spent_at = None
