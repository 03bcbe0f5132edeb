"""Tell every hub that a stream moved: a hint, after commit, best effort.

A hint may be lost, doubled or late; the hubs' position check carries what it did not. So nothing here
raises, and nothing here may hold its caller up.
"""

import logging
import time
from collections.abc import Iterable
from functools import cache, partial
from typing import Any

from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer
from django.conf import settings
from django.db import transaction
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

TIMEOUT = 0.3  # seconds a caller may lose to a Redis that does not answer
PAUSE = 2.0  # seconds without a try after a failure, so that a dead Redis costs one time-out, not one a hint

HINT = "hint"  # the type of a message: a stream moved
RECHECK = "recheck"  # the other type: what users may do has changed; which, every hub asks the database
ACCESS = "access"  # the group that every hub is in, for this
MOST_USERS = 100  # named in one message; above it, everybody is looked at

_skip_until = 0.0  # on the monotonic clock


def publish(stream: str, version: int, *, urgent: bool = False) -> None:
    """Tell the hubs, once the current transaction is committed, that `stream` is at `version`.

    urgent: the change has events, a new state or the end in it, and is not held back to spare readers.
    """
    transaction.on_commit(partial(_send, stream, version, urgent))


def recheck(users: Iterable[int] | None) -> None:
    """Have every hub look, once the current transaction is committed, at what these users' sockets may do.

    Called by whoever ends a sign-in, revokes a token or takes a permission away. None: all users.
    """
    named = None if users is None else sorted(set(users))
    if named == []:
        return
    if named is not None and len(named) > MOST_USERS:
        named = None
    transaction.on_commit(partial(_tell, ACCESS, {"type": RECHECK, "users": named}))


def look_at(users: Iterable[int]) -> None:
    """Have every hub look now at these users' sockets. For callers without a transaction."""
    _tell(ACCESS, {"type": RECHECK, "users": sorted(set(users))})


def group_of(stream: str) -> str:
    """Return the channel-layer group of a stream; Channels refuses a colon in a group's name."""
    return stream.replace(":", ".")


def _send(stream: str, version: int, urgent: bool) -> None:
    message = {"type": HINT, "stream": stream, "version": version}
    if urgent:
        message["urgent"] = True
    _tell(stream, message)


def _tell(stream: str, message: dict[str, Any]) -> None:
    global _skip_until
    if time.monotonic() < _skip_until:
        return
    try:
        _redis().publish(_redis_channel(stream), _layer().serialize(message))
    except (RedisError, OSError) as error:
        _skip_until = time.monotonic() + PAUSE
        logger.warning("hint not sent, skipping Redis for %s s: %s", PAUSE, error)


@cache
def _redis() -> Redis:
    # An own client: `group_send` from sync code makes a new event loop and connection each time (3.2 ms).
    return Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=TIMEOUT,
        socket_timeout=TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,  # redis-py reads its own version from disk for each connection
    )


@cache
def _layer() -> RedisPubSubChannelLayer:
    return get_channel_layer()


@cache
def _names() -> RedisPubSubLoopLayer:
    # Never connects: it is asked for names only. A name is a private matter of the layer, so the layer is
    # asked, here alone; channels-redis is pinned and a test sends one hint through both.
    layer = _layer()
    return RedisPubSubLoopLayer(*layer._args, **layer._kwargs, channel_layer=layer)


def _redis_channel(stream: str) -> str:
    return str(_names()._get_group_channel_name(group_of(stream)))
