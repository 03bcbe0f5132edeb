"""The database as a hub sees it: reached over few threads, and sometimes away."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

from realtime import limits

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Asks the database and knows whether it answers.

    changed: called when it went away and when it came back.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.stale_since: float | None = None
        self._retry_at: dict[str, float] = defaultdict(float)
        # The bound on database connections: more questions than threads wait their turn.
        self._threads = ThreadPoolExecutor(limits.READERS, thread_name_prefix="hub")

    async def ask(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `call` on one of the threads."""
        run = partial(_fresh, call, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def may_ask(self, what: str, now: float) -> bool:
        """Say whether it is time to ask this again after a failure."""
        return now >= self._retry_at[what]

    def failed(self, what: str) -> None:
        """Note that this question was not answered."""
        self._retry_at[what] = time.monotonic() + limits.RETRY_SECONDS

    def away(self, error: Exception) -> None:
        """Note that the database does not answer."""
        if self.stale_since is None:
            self.stale_since = time.monotonic()
            logger.warning("database away, live pages stand still: %s", error)
            self._changed()

    def back(self) -> None:
        """Note that it answers."""
        if self.stale_since is not None:
            logger.info("database back after %.1f s", time.monotonic() - self.stale_since)
            self.stale_since = None
            self._changed()

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _fresh(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `call` on connections that are neither too old nor broken, as Django does for a request."""
    # database_sync_to_async does more (contexts, a search for its caller) that nothing here needs.
    close_old_connections()
    try:
        return call(*args, **kwargs)
    finally:
        close_old_connections()
