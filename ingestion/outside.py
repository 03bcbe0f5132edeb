"""Manners toward outside hosts: one rate for all workers, and a pause that all of them keep.

The rate is a moving window in Redis; a fixed one lets twice as many through around its border. Without Redis
each process makes one request a second. A pause is a row, read before each request.
"""

import time
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter

from ingestion.clock import ClockTimestamp, read_clock
from ingestion.models import Level, Pause

if TYPE_CHECKING:
    from ingestion.run import Run

log = structlog.get_logger(__name__)

ALONE_SECONDS = 1.0  # between two requests of a process while Redis is away
RETRY_REDIS_SECONDS = 5.0
PAUSE_LOOK_SECONDS = 1.0  # how soon a waiting job hears that a pause is over


class OutsideHost:
    """A host that we may ask `per_second` times a second, from all workers together."""

    def __init__(self, host: str, per_second: int) -> None:
        self.host = host
        self.rate = RateLimitItemPerSecond(per_second)
        self._limiter: MovingWindowRateLimiter | None = None
        self._redis_again_at = 0.0
        self._last_alone = 0.0

    def turn(self, job: "Run") -> None:
        """Return when the next request may be made; the job's message says what it waits for meanwhile."""
        self._wait_out_pause(job)
        while not self._take_place():
            job.sleep(0.02)

    def pause(self, seconds: float, reason: str) -> None:
        """Stop every worker's requests to this host: it asked us to."""
        Pause.objects.update_or_create(
            scope=f"host:{self.host}",
            defaults={"until": read_clock() + timedelta(seconds=seconds), "reason": reason[:300]},
        )
        log.warning("host_paused", host=self.host, seconds=seconds)

    def _wait_out_pause(self, job: "Run") -> None:
        told = False
        while (pause := self._current_pause()) is not None:
            if not told:
                told = True
                job.log(pause.reason, Level.WARNING, host=self.host)
            job.message = pause.reason
            job.sleep(PAUSE_LOOK_SECONDS)

    def _current_pause(self) -> Pause | None:
        still = Q(until=None) | Q(until__gt=ClockTimestamp())
        return Pause.objects.filter(still, scope=f"host:{self.host}").first()

    def _take_place(self) -> bool:
        limiter = self._shared()
        if limiter is not None:
            try:
                return limiter.hit(self.rate, "outside", self.host)
            except Exception as error:  # limits passes on whatever its Redis client raises
                log.warning("outside_rate_alone", host=self.host, error=type(error).__name__)
                self._limiter, self._redis_again_at = None, time.monotonic() + RETRY_REDIS_SECONDS
        now = time.monotonic()
        if now - self._last_alone < ALONE_SECONDS:
            return False
        self._last_alone = now
        return True

    def _shared(self) -> MovingWindowRateLimiter | None:
        if self._limiter is None and time.monotonic() >= self._redis_again_at:
            try:
                self._limiter = MovingWindowRateLimiter(_storage(settings.REDIS_URL))
            except Exception as error:  # as above
                log.warning("outside_rate_alone", host=self.host, error=type(error).__name__)
                self._redis_again_at = time.monotonic() + RETRY_REDIS_SECONDS
        return self._limiter


def end_pauses() -> int:
    """Forget pauses that are over. Return how many."""
    return Pause.objects.filter(until__lt=Now() - timedelta(hours=1)).delete()[0]


def _storage(url: str) -> RedisStorage:
    # `limits` wants its own scheme for a socket.
    name = url.replace("unix://", "redis+unix://", 1) if urlsplit(url).scheme == "unix" else url
    return RedisStorage(name, socket_timeout=0.3, socket_connect_timeout=0.3)
