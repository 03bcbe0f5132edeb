"""How often somebody may ask: counted in Redis for all processes, in this process while Redis is away."""

import time
from functools import cache

import structlog
from django.conf import settings
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from config.problems import Problem

log = structlog.get_logger(__name__)

READS = RateLimitItemPerMinute(getattr(settings, "RATE_READS_PER_MINUTE", 3_000), namespace="read")
WRITES = RateLimitItemPerMinute(getattr(settings, "RATE_WRITES_PER_MINUTE", 300), namespace="write")
UNSIGNED = RateLimitItemPerMinute(getattr(settings, "RATE_UNSIGNED_PER_MINUTE", 120), namespace="unsigned")

REDIS_TIMEOUT = 0.3  # seconds; a limit is not worth more of a request's time
SKIP_SECONDS = 2.0  # after a failure Redis is not asked

_skip_until = 0.0


def spend(limit: RateLimitItem, who: str) -> None:
    """Count one request of somebody. Raises Problem rate_limited with the seconds to wait."""
    global _skip_until
    limiter = _local()
    if time.monotonic() >= _skip_until:
        limiter = _shared()
    try:
        _spend(limiter, limit, who)
    except (RedisError, OSError) as error:
        _skip_until = time.monotonic() + SKIP_SECONDS
        log.warning("rates_without_redis", error=type(error).__name__)
        _spend(_local(), limit, who)


def _spend(limiter: MovingWindowRateLimiter, limit: RateLimitItem, who: str) -> None:
    if not limiter.hit(limit, who):
        reset = limiter.get_window_stats(limit, who).reset_time
        seconds = min(60, max(1, round(reset - time.time())))
        raise Problem("rate_limited", n=seconds, retry_after=seconds)


@cache
def _shared() -> MovingWindowRateLimiter:
    url = settings.REDIS_URL
    storage = RedisStorage(
        f"redis+{url}" if url.startswith("unix:") else url,
        socket_timeout=REDIS_TIMEOUT,
        socket_connect_timeout=REDIS_TIMEOUT,
        key_prefix="rates",
    )
    return MovingWindowRateLimiter(storage)


@cache
def _local() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())


def wait(limit: RateLimitItem, who: str) -> int:
    """Return the seconds until somebody may ask again, 0 for now. Counts nothing."""
    limiter = _limiter()
    try:
        return _wait(limiter, limit, who)
    except (RedisError, OSError) as error:
        _skip(error)
        return _wait(_local(), limit, who)


def take(limit: RateLimitItem, who: str) -> int:
    """Count one try of somebody. Return 0, or the seconds until they may try: then it is not counted.

    Asked and counted at once: of many that come together none slips through between the two.
    """
    limiter = _limiter()
    try:
        return _take(limiter, limit, who)
    except (RedisError, OSError) as error:
        _skip(error)
        return _take(_local(), limit, who)


def forgive(limit: RateLimitItem, who: str) -> None:
    """Forget the tries of somebody."""
    limiter = _limiter()
    try:
        limiter.clear(limit, who)
    except (RedisError, OSError) as error:
        _skip(error)
        _local().clear(limit, who)


def count(limit: RateLimitItem, who: str) -> None:
    """Count one try of somebody, whether they may or not."""
    limiter = _limiter()
    try:
        limiter.hit(limit, who)
    except (RedisError, OSError) as error:
        _skip(error)
        _local().hit(limit, who)


def _wait(limiter: MovingWindowRateLimiter, limit: RateLimitItem, who: str) -> int:
    if limiter.test(limit, who):
        return 0
    return max(1, round(limiter.get_window_stats(limit, who).reset_time - time.time()))


def _take(limiter: MovingWindowRateLimiter, limit: RateLimitItem, who: str) -> int:
    return 0 if limiter.hit(limit, who) else max(1, _wait(limiter, limit, who))


def _limiter() -> MovingWindowRateLimiter:
    return _shared() if time.monotonic() >= _skip_until else _local()


def _skip(error: Exception) -> None:
    global _skip_until
    _skip_until = time.monotonic() + SKIP_SECONDS
    log.warning("rates_without_redis", error=type(error).__name__)


def forget() -> None:
    """Count from zero again, and ask Redis again."""
    global _skip_until
    _skip_until = 0.0
    _local().storage.reset()
    try:
        _shared().storage.reset()
    except (RedisError, OSError) as error:
        log.warning("rates_without_redis", error=type(error).__name__)
