"""Lines that anybody can cause as often as they like: some a minute, and one that counts those left out."""

import logging
import threading
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

MOST = 60  # lines of a kind that a process writes a minute
SECONDS = 60.0

# What is written about a request that was refused, ours by event, others' by logger.
OURS = frozenset(
    {
        "body_refused",
        "csp_violation",
        "csrf_failed",
        "live_origin_refused",
        "live_refused",
        "request_forbidden",
        "request_limited",
        "signin_failed",
        "ws_origin_refused",
    }
)
THEIRS = ("django.request", "django.security", "uvicorn.error")


def kind_of(record: logging.LogRecord) -> str | None:
    """Return which of the bounded kinds a line is of, None for any other."""
    event = record.msg.get("event") if isinstance(record.msg, dict) else record.msg
    if isinstance(event, str) and event in OURS:
        return event
    security = record.name.startswith("django.security")  # ERROR, though it is about what was sent
    if security or (record.name in THEIRS and record.levelno == logging.WARNING):
        return record.name
    return None


@dataclass
class _Minute:
    began: float
    written: int = 0
    left_out: int = 0


class Bounded(logging.StreamHandler[Any]):
    """A handler that writes `most` lines of a bounded kind in `seconds`, and then how many it left out.

    The memory of the process counts, nothing else is asked.
    """

    def __init__(
        self,
        stream: Any = None,
        most: int = MOST,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream)
        self._most, self._seconds, self._clock = most, seconds, clock
        self._minutes: dict[str, _Minute] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it. Called with the handler's lock held."""
        kind = kind_of(record)
        if kind is None or self._has_room(kind):
            super().emit(record)

    def close(self) -> None:
        """Tell what is left to tell; the process ends."""
        for kind, minute in list(self._minutes.items()):
            self._end(kind, minute)
        super().close()

    def _has_room(self, kind: str) -> bool:
        now = self._clock()
        minute = self._minutes.get(kind)
        if minute is not None and now - minute.began >= self._seconds:
            self._end(kind, minute)
            minute = None
        if minute is None:
            minute = self._minutes[kind] = _Minute(now)
        if minute.written < self._most:
            minute.written += 1
            return True
        minute.left_out += 1
        if minute.left_out == 1:  # nobody may come after the flood
            timer = threading.Timer(minute.began + self._seconds - now, self._end, (kind, minute))
            timer.daemon = True
            timer.start()
        return False

    def _end(self, kind: str, minute: _Minute) -> None:
        self.acquire()
        try:
            count, minute.left_out = minute.left_out, 0
            if self._minutes.get(kind) is minute:
                del self._minutes[kind]
        finally:
            self.release()
        if count:  # in a context of its own: it belongs to no request
            Context().run(log.warning, "lines_left_out", extra={"of": kind, "count": count})
