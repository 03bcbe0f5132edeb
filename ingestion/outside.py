"""Manners toward outside hosts: one rate for all workers, and a pause that all of them keep.

The rate is one place after the other in Redis, each as long as its share of a second. A window, fixed or
moving, lets what it counts go out at once; when one burst is late and the next is not, the host gets both
within a second. Without Redis each process makes one request a second. A pause is a row, read before each
request.
"""

import math
import time
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from redis import Redis, RedisError

from config.statements import execute
from ingestion.clock import read_clock
from ingestion.models import Level, Pause

if TYPE_CHECKING:
    from ingestion.run import Run

log = structlog.get_logger(__name__)

ALONE_SECONDS = 1.0  # between two requests of a process while Redis is away
RETRY_REDIS_SECONDS = 5.0
REDIS_TIMEOUT = 0.3  # seconds
TURN_LOOK_SECONDS = 0.02  # how soon one hears that it is its turn
PAUSE_LOOK_SECONDS = 1.0  # how soon a waiting job hears that a pause is over
_PAUSE = """
    SELECT reason FROM ingestion_pause WHERE scope = %s AND (until IS NULL OR until > clock_timestamp())
"""


class OutsideHost:
    """A host that we may ask `per_second` times a second, from all workers together."""

    def __init__(self, host: str, per_second: float) -> None:
        self.host = host
        self.place_ms = math.ceil(1000 / per_second)  # rounded up: never more often than asked for
        self._redis: Redis | None = None
        self._redis_again_at = 0.0
        self._last_alone = 0.0

    def turn(self, job: "Run") -> None:
        """Return when the next request may be made; the job's message says what it waits for meanwhile."""
        while True:
            self._wait_out_pause(job)
            if self._take_place():
                return
            while not self._take_place():
                job.sleep(TURN_LOOK_SECONDS)
            if self._current_pause() is None:  # it may have begun while we waited
                return

    def pause(self, seconds: float, reason: str) -> None:
        """Stop every worker's requests to this host: it asked us to. A pause that ends later stays."""
        until, scope = read_clock() + timedelta(seconds=seconds), f"host:{self.host}"
        values = {"until": until, "reason": reason[:300]}
        with transaction.atomic():
            # In one statement: a host tells the threads of a job together.
            Pause.objects.bulk_create([Pause(scope=scope, **values)], ignore_conflicts=True)
            Pause.objects.filter(scope=scope, until__lt=until).update(**values, by=None)
        log.warning("host_paused", host=self.host, seconds=seconds)

    def _wait_out_pause(self, job: "Run") -> None:
        before = None  # what the job said; known to the one of its threads that changed it
        while (reason := self._current_pause()) is not None:
            if before is None and job.message != reason:
                before = job.message
                job.log(reason, Level.WARNING, host=self.host)
            job.message = reason
            job.sleep(PAUSE_LOOK_SECONDS)
        if before is not None:
            job.message = before

    def _current_pause(self) -> str | None:
        """Return why there is a pause."""
        rows = execute(_PAUSE, [f"host:{self.host}"])
        return str(rows[0][0]) if rows else None

    def _take_place(self) -> bool:
        if time.monotonic() >= self._redis_again_at:
            try:
                if self._redis is None:
                    self._redis = _redis(settings.REDIS_URL)
                return bool(self._redis.set(f"headway:outside:{self.host}", 1, nx=True, px=self.place_ms))
            except (RedisError, OSError) as error:
                log.warning("outside_rate_alone", host=self.host, error=type(error).__name__)
                self._redis, self._redis_again_at = None, time.monotonic() + RETRY_REDIS_SECONDS
        now = time.monotonic()
        if now - self._last_alone < ALONE_SECONDS:
            return False
        self._last_alone = now
        return True


@cache
def _redis(url: str) -> Redis:
    """Return the client of all hosts: a job may ask thousands, each would hold a connection of its own."""
    return Redis.from_url(
        url, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT, driver_info=None
    )


def end_pauses() -> int:
    """Forget pauses that are over. Return how many."""
    return Pause.objects.filter(until__lt=Now() - timedelta(hours=1)).delete()[0]
