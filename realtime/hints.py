"""How hints come in: one channel of the channel layer, in the group of every watched stream.

Redis may be slow, hung, away or lying. Nothing here makes anybody wait, and what comes out is only a reason
to look into the database.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from channels.layers import get_channel_layer
from msgpack import UnpackException
from redis import RedisError

from realtime import limits
from realtime.publish import ACCESS, HINT, RECHECK, group_of

logger = logging.getLogger(__name__)

UNREADABLE = (UnpackException, ValueError, TypeError, KeyError, RecursionError)
AWAY = (RedisError, OSError, TimeoutError)


class Hints:
    """Joins and leaves groups in the background, and passes each hint on.

    heard: called with stream, version and whether it is urgent. Anybody who can write to Redis chooses these.
    """

    def __init__(self, heard: Callable[[str, int, bool], None]) -> None:
        self._heard = heard
        self._recheck: Callable[[list[int] | None], None] = _nothing
        self._wanted: set[str] = {ACCESS}
        self._joined: set[str] = set()
        self._changed = asyncio.Event()
        self._changed.set()
        # Named by us and not by the layer's `new_channel`, which needs Redis to give a name. Groups reach a
        # channel inside the process, so that it is enough that the layer knows it.
        self._channel = f"hub.{uuid4().hex}"

    def on_recheck(self, call: Callable[[list[int] | None], None]) -> None:
        """Call this with the users whose rights changed, None for all. Anybody may have chosen them."""
        self._recheck = call

    def join(self, stream: str) -> None:
        """Want the hints of a stream."""
        self._wanted.add(stream)
        self._changed.set()

    def leave(self, stream: str) -> None:
        """Want them no more."""
        self._wanted.discard(stream)
        self._changed.set()

    async def listen(self) -> None:
        """Pass hints on, for ever."""
        layer = get_channel_layer()
        while True:
            try:
                self._hear(await layer.receive(self._channel))
            except UNREADABLE:
                logger.warning("a hint that cannot be read was ignored")
            except AWAY as error:
                logger.warning("no hints for now: %s", error)
                await asyncio.sleep(limits.RETRY_SECONDS)

    async def join_groups(self) -> None:
        """Bring the groups we are in to those we want, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._follow()
            except (
                *AWAY,
                RuntimeError,
            ) as error:  # RuntimeError: `listen` has not made the channel known yet
                logger.info("groups wait for Redis: %s", error)
                self._changed.set()
                await asyncio.sleep(limits.RETRY_SECONDS)

    async def _follow(self) -> None:
        layer = get_channel_layer()
        for stream in self._wanted - self._joined:
            await layer.group_add(group_of(stream), self._channel)
            self._joined.add(stream)
        for stream in self._joined - self._wanted:
            await layer.group_discard(group_of(stream), self._channel)
            self._joined.discard(stream)

    def _hear(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        if message.get("type") == HINT:
            stream, version = message.get("stream"), message.get("version")
            if isinstance(stream, str) and type(version) is int:
                self._heard(stream, version, message.get("urgent") is True)
        elif message.get("type") == RECHECK:
            users = message.get("users")
            if users is None:
                self._recheck(None)
            elif isinstance(users, list) and all(type(user) is int for user in users):
                self._recheck(users)


def _nothing(users: list[int] | None) -> None:
    """Hear of changed rights before anybody is here."""
