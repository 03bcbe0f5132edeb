"""Whether Redis, or Valkey, is new enough for what workers ask of it, and keeps what it is given."""

import redis

OLDEST = (6, 2)  # BLMOVE, with which RQ pops a token
TOO_OLD = "Redis 6.2 or newer is needed."
EVICTS = "Redis may drop what it was given: set its maxmemory-policy to noeviction (it is {policy})."


def unfit(url: str, seconds: float) -> str | None:
    """Return why a server cannot be used, in a sentence, or None. Raises redis.RedisError.

    seconds: how long to wait for it.
    """
    with redis.Redis.from_url(
        url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=None
    ) as client:
        try:
            about = client.info()
        except redis.ResponseError as error:
            if "unknown command" in str(error).lower():  # before 6.0 the client's own HELLO
                return TOO_OLD
            raise
    if tuple(int(part) for part in str(about["redis_version"]).split(".")[:2]) < OLDEST:
        return TOO_OLD
    policy = about.get("maxmemory_policy", "noeviction")
    # Without a limit nothing is ever dropped. Who hides the limit is taken to have one.
    if policy == "noeviction" or about.get("maxmemory") == 0:
        return None
    return EVICTS.format(policy=policy)
