"""The tasks of a hub: kept alive, kept from being forgotten, ended together."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from realtime import limits

logger = logging.getLogger(__name__)


class Tasks:
    """Tasks of the running loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine beside us. What it raises is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def keep(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a loop for ever: what ends one turn of it is logged and starts the next."""

        def again(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                asyncio.get_running_loop().call_later(limits.RETRY_SECONDS, self.keep, loop)

        self.spawn(loop()).add_done_callback(again)

    async def stop(self) -> None:
        """End all of them."""
        while self._tasks:  # redis-py may swallow a cancellation: say it until it is heard
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=0.1)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("in the hub", exc_info=task.exception())
