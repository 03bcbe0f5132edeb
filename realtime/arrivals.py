"""How many sockets a session opens in a while, and how many of a user are open, in all web processes.

Nobody waits for Redis to come in: this process counts for itself before it lets anybody in. What all count
together is asked beside that, and closes what was too many. While Redis is away each process counts alone.
"""

import asyncio
import hashlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4
from weakref import WeakKeyDictionary

from django.conf import settings
from redis import RedisError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from realtime import limits
from realtime.credentials import Credential
from realtime.publish import look_at
from realtime.sockets import Viewer
from realtime.tasks import Tasks

if TYPE_CHECKING:
    from realtime.hub import Hub

logger = logging.getLogger(__name__)

TIMEOUT = 0.3  # seconds until a Redis that does not answer is left alone ...
PAUSE = 2.0  # ... for so long
CONNECTIONS = 4  # to Redis; after a restart hundreds arrive at once
TOGETHER = 50  # users, or sockets that come or go, of one round trip

# KEYS: connects of this session. ARGV: most, window in ms, ids. Returns the ms each must wait, 0 for none.
_CONNECT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
local waits = {}
for i = 3, #ARGV do
  if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then
    local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    waits[#waits + 1] = math.max(1, tonumber(oldest[2]) + ARGV[2] - now)
  else
    redis.call('ZADD', KEYS[1], now, ARGV[i])
    waits[#waits + 1] = 0
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return waits
"""

# KEYS: of each user, when their sockets opened, when they were last said to be open. ARGV: most, ms after
# which one is forgotten that nobody speaks for, then for each user how many are ours, and id and age in ms of
# each. Returns for each user the ids that are too many.
_SOCKETS = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at, surplus = 3, {}
for k = 1, #KEYS, 2 do
  local opened, seen = KEYS[k], KEYS[k + 1]
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now - ARGV[2])) do
    redis.call('ZREM', opened, id)
    redis.call('ZREM', seen, id)
  end
  local last = at + 2 * ARGV[at]
  for i = at + 1, last, 2 do
    redis.call('ZADD', opened, 'NX', now - ARGV[i + 1], ARGV[i])
    redis.call('ZADD', seen, now, ARGV[i])
  end
  at = last + 1
  redis.call('PEXPIRE', opened, ARGV[2])
  redis.call('PEXPIRE', seen, ARGV[2])
  local many = redis.call('ZCARD', opened) - ARGV[1]
  surplus[#surplus + 1] = many > 0 and redis.call('ZRANGE', opened, 0, many - 1) or {}
end
return surplus
"""


_REMOVE = "return redis.call('ZREM', KEYS[1], unpack(ARGV))"


class Question(NamedTuple):
    """A script to run, its keys and its values."""

    script: str
    keys: list[str]
    values: Sequence[str | int]


class Window:
    """At most so many in so many seconds, by who they are, in this process."""

    def __init__(self) -> None:
        self._times: dict[Hashable, deque[float]] = {}
        self._cleared_at = 0.0

    def wait_ms(self, who: Hashable, now: float) -> int:
        """Return the milliseconds to wait, 0 for none. Counts nothing."""
        times = self._times.get(who)
        if times is None:
            return 0
        while times and times[0] <= now - limits.CONNECTS_SECONDS:
            times.popleft()
        if len(times) < settings.WS_CONNECTS_PER_SESSION:
            return 0
        return max(1, round((times[0] + limits.CONNECTS_SECONDS - now) * 1000))

    def count(self, who: Hashable, now: float) -> None:
        """Count one."""
        if now >= self._cleared_at + limits.CONNECTS_SECONDS:
            self._cleared_at = now
            old = now - limits.CONNECTS_SECONDS
            self._times = {key: times for key, times in self._times.items() if times and times[-1] > old}
        self._times.setdefault(who, deque(maxlen=settings.WS_CONNECTS_PER_SESSION)).append(now)


class Arrivals:
    """The sockets of one hub among those of all processes."""

    def __init__(self, hub: "Hub", tasks: Tasks) -> None:
        self._hub = hub
        self._tasks = tasks
        self.window = Window()
        self._ids: WeakKeyDictionary[Viewer, str] = WeakKeyDictionary()
        self._entering: list[tuple[Viewer, str]] = []  # opened, and not said yet
        self._leaving: dict[str, int] = {}  # closed, and not said yet: the user of each
        self._telling = False
        self._skip_until = 0.0
        self._redis: Redis | None = None
        self._turns = asyncio.Semaphore(CONNECTIONS)
        # Who asks the kernel for chance gives way to other threads: in a storm, once for each newcomer.
        self._name, self._numbers = uuid4().hex, count()

    def opened(self, socket: Viewer) -> None:
        """Tell the other processes of a new socket, and hear whether it is one too many."""
        name = self._ids[socket] = f"{self._name}-{next(self._numbers)}"
        if socket.standing.credential is not None:
            self._entering.append((socket, name))
            self._say()

    def closed(self, socket: Viewer) -> None:
        """Tell them that it is gone."""
        name = self._ids.pop(socket, None)
        if name is not None:
            self._leaving[name] = socket.user.pk
            self._say()

    async def look(self, users: Iterable[int]) -> None:
        """Tell of these users' sockets, and close those of ours that are too many: the oldest of all."""
        here = [
            user for user in users if any(socket in self._ids for socket in self._hub.sockets.get(user, []))
        ]
        for start in range(0, len(here), TOGETHER):
            some = here[start : start + TOGETHER]
            ours = [
                {self._ids[socket]: socket for socket in self._hub.sockets[user] if socket in self._ids}
                for user in some
            ]
            (answer,) = await self._ask([_who_is_too_many(dict(zip(some, ours, strict=True)))])
            for user, own, found in zip(some, ours, answer or [], strict=False):
                self._close_surplus(user, own, [name.decode() for name in found])

    def _close_surplus(self, user: int, ours: Mapping[str, Viewer], surplus: Sequence[str]) -> None:
        for name in surplus:
            if name in ours and not ours[name].closed:
                self._hub.replace(ours[name])
        if any(name not in ours for name in surplus):
            self._tasks.spawn(asyncio.to_thread(look_at, [user]))

    async def speak_up(self) -> None:
        """Say again and again which sockets are still open, for ever."""
        while True:
            await asyncio.sleep(limits.SPEAK_UP_SECONDS)
            await self.look(list(self._hub.sockets))

    async def stop(self) -> None:
        """Take all of ours away, and those of which that was not said yet."""
        gone = self._leaving | {name: socket.user.pk for socket, name in self._ids.items()}
        self._ids.clear()
        if gone:
            await self._ask(_farewells(gone))
        if self._redis is not None:
            await self._redis.aclose()

    def _say(self) -> None:
        if not self._telling:
            self._telling = True
            self._tasks.spawn(self._tell())

    async def _tell(self) -> None:
        """Tell of all who came and went, with one round trip; of those who do so meanwhile with the next."""
        try:
            while self._entering or self._leaving:
                entering, self._entering = self._entering[:TOGETHER], self._entering[TOGETHER:]
                gone = dict(islice(self._leaving.items(), TOGETHER))
                sessions: dict[Credential, list[tuple[Viewer, str]]] = defaultdict(list)
                for socket, name in entering:
                    assert socket.standing.credential is not None
                    sessions[socket.standing.credential].append((socket, name))
                farewells = _farewells(gone)
                connects = [_how_often(who, [name for _, name in own]) for who, own in sessions.items()]
                answers = await self._ask([*farewells, *connects])
                for name in gone:
                    self._leaving.pop(name, None)
                for own, waits in zip(sessions.values(), answers[len(farewells) :], strict=True):
                    for (socket, _), wait in zip(own, waits or [], strict=False):
                        if wait and not socket.closed:
                            self._hub.turn_away(socket, int(wait))
                await self.look({socket.user.pk for socket, _ in entering if not socket.closed})
        finally:
            self._telling = False

    async def _ask(self, questions: Sequence[Question]) -> Sequence[Any]:
        """Run scripts with one round trip; None for each while Redis is away."""
        nothing = [None] * len(questions)
        async with self._turns:
            if time.monotonic() < self._skip_until:
                return nothing
            if self._redis is None:
                self._redis = Redis.from_url(
                    settings.REDIS_URL,
                    socket_timeout=TIMEOUT,
                    socket_connect_timeout=TIMEOUT,
                    retry=Retry(NoBackoff(), 0),
                )
            try:
                pipe = self._redis.pipeline(transaction=False)
                for script, keys, values in questions:
                    pipe.eval(script, len(keys), *keys, *values)
                answers: list[Any] = await pipe.execute()
                return answers
            # RuntimeError: what uvloop makes of a connection that Redis has closed.
            except (RedisError, OSError, RuntimeError) as error:
                self._skip_until = time.monotonic() + PAUSE
                logger.warning("sockets are counted in this process alone: %s", error)
                return nothing


def _who_is_too_many(ours: Mapping[int, Mapping[str, Viewer]]) -> Question:
    """Return the question about the sockets of some users."""
    # One for all of them: redis-py takes more than Redis for each.
    now = time.monotonic()
    values: list[str | int] = [settings.WS_MAX_SOCKETS_PER_USER, round(limits.SPEAK_UP_SECONDS * 3000)]
    for own in ours.values():
        values.append(len(own))
        for name, socket in own.items():
            values += [name, round((now - socket.opened_at) * 1000)]
    return Question(_SOCKETS, [key for user in ours for key in _keys(user)], values)


def _how_often(who: Credential, names: Sequence[str]) -> Question:
    digest = hashlib.sha256(f"{who.kind}:{who.key}".encode()).hexdigest()[:32]
    window = round(limits.CONNECTS_SECONDS * 1000)
    return Question(_CONNECT, [f"live:connects:{digest}"], [settings.WS_CONNECTS_PER_SESSION, window, *names])


def _farewells(gone: Mapping[str, int]) -> list[Question]:
    names: dict[int, list[str]] = defaultdict(list)
    for name, user in gone.items():
        names[user].append(name)
    return [Question(_REMOVE, [key], own) for user, own in names.items() for key in _keys(user)]


def _keys(user: int) -> list[str]:
    return [f"live:sockets:{user}", f"live:sockets:{user}:seen"]
