"""Whether Redis, or Valkey, is new enough for what workers ask of it."""

import redis

OLDEST = (6, 2)  # BLMOVE, with which RQ pops a token
TOO_OLD = "Redis 6.2 or newer is needed."


def too_old(url: str, seconds: float) -> bool:
    """Say whether the server is older than what we need. Raises redis.RedisError.

    seconds: how long to wait for it.
    """
    with redis.Redis.from_url(
        url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=None
    ) as client:
        try:
            version = str(client.info("server")["redis_version"])
        except redis.ResponseError as error:
            if "unknown command" in str(error).lower():  # before 6.0 the client's own HELLO
                return True
            raise
    return tuple(int(part) for part in version.split(".")[:2]) < OLDEST
