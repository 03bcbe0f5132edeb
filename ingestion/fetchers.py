"""Threads that fetch what items need, ahead of their transactions."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from django.db import connections


class Fetchers:
    """Threads of one step. Each keeps its database connection: a new one costs more than most fetches ask."""

    def __init__(self, fetch: Callable[[Any], Any], threads: int) -> None:
        self._fetch, self._threads = fetch, threads
        self._todo: SimpleQueue[tuple[Future[Any], Any] | None] = SimpleQueue()
        self._over = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
        for _ in range(threads):
            self._pool.submit(self._work)

    def submit(self, value: Any) -> "Future[Any]":
        """Have a value fetched."""
        future: Future[Any] = Future()
        self._todo.put((future, value))
        return future

    def end(self) -> None:
        """Begin no other fetch; do not wait for those that have begun."""
        self._over = True
        for _ in range(self._threads):
            self._todo.put(None)
        self._pool.shutdown(wait=False)

    def _work(self) -> None:
        try:
            while self._fetched_one():
                pass
        finally:
            connections.close_all()

    def _fetched_one(self) -> bool:
        """Fetch a value; return False when there is none. It returns, so that what was fetched can go."""
        one = self._todo.get()
        if one is None:
            return False
        future, value = one
        if self._over or not future.set_running_or_notify_cancel():
            return True
        try:
            _leave_lost_connections()
            future.set_result(self._fetch(value))
        except BaseException as error:
            connections.close_all()  # whatever state it left them in
            future.set_exception(error)
        return True


@contextmanager
def fetchers(fetch: Callable[[Any], Any], threads: int) -> "Iterator[Fetchers]":
    """Give threads that fetch, for as long as somebody waits for them."""
    some = Fetchers(fetch, threads)
    try:
        yield some
    finally:
        some.end()


def _leave_lost_connections() -> None:
    """Close those that broke since the last fetch: it is not this one's fault."""
    for one in connections.all(initialized_only=True):
        if one.connection is not None and not one.is_usable():
            one.close()
