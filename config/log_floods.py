"""Lines that anybody can cause as often as they like: some a minute, and one that counts those left out."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from config.addresses import counted

log = logging.getLogger(__name__)

MOST = 60  # lines of a kind, and about one address, that a process writes a minute
ADDRESSES = 10  # of a kind, that are counted each by itself; all others share
SECONDS = 60.0

# What is written about a request that was refused, ours by event, others' by logger.
OURS = frozenset(
    {
        "body_refused",
        "csp_violation",
        "csrf_failed",
        "live_origin_refused",
        "live_refused",
        "password_wrong",
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


def address_of(record: logging.LogRecord) -> str:
    """Return from where what a line tells of came, as it is counted; "" where it does not say."""
    said = record.msg.get("address") if isinstance(record.msg, dict) else getattr(record, "address", None)
    return counted(said) if isinstance(said, str) and said else ""


@dataclass
class _Minute:
    """What was written and what was not, by kind and address; "" is all addresses that have no own count."""

    began: float
    written: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)

    def key(self, kind: str, address: str) -> tuple[str, str]:
        """Return what a line is counted as: who floods hides nobody else's lines."""
        others = sum(1 for one, whose in self.written if one == kind and whose)
        return (kind, address if (kind, address) in self.written or others < ADDRESSES else "")


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
        self._minute: _Minute | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it. Called with the handler's lock held."""
        kind = kind_of(record)
        if kind is None or self._has_room(kind, address_of(record)):
            super().emit(record)

    def close(self) -> None:
        """Tell what is left to tell; the process ends."""
        if self._minute is not None:
            self._end(self._minute)
        super().close()

    def _has_room(self, kind: str, address: str) -> bool:
        now = self._clock()
        if self._minute is not None and now - self._minute.began >= self._seconds:
            self._end(self._minute)
        if self._minute is None:
            self._minute = _Minute(now)
        minute = self._minute
        key = minute.key(kind, address)
        if minute.written[key] < self._most:
            minute.written[key] += 1
            return True
        if not minute.left_out:  # nobody may come after the flood
            timer = threading.Timer(minute.began + self._seconds - now, self._end, (minute,))
            timer.daemon = True
            with suppress(RuntimeError):  # no thread is to be had: the next line tells it, or the end
                timer.start()
        minute.left_out[key] += 1
        return False

    def _end(self, minute: _Minute) -> None:
        self.acquire()
        try:
            left_out, minute.left_out = minute.left_out, Counter()
            if self._minute is minute:
                self._minute = None
        finally:
            self.release()
        for (kind, address), count in left_out.items():
            told = {"of": kind, "count": count} | ({"address": address} if address else {})
            Context().run(log.warning, "lines_left_out", extra=told)  # it belongs to no request
