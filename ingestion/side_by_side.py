"""A few threads that work through a list, each with database sessions of its own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

from django.db import connections

from ingestion.interrupts import POLL_SECONDS

T = TypeVar("T")


def side_by_side(
    do: Callable[[T], None], values: Sequence[T], threads: int, check: Callable[[], None]
) -> Iterator[T]:
    """Do something with each value, and yield it then; return when all threads have ended.

    check: called before each and now and then, raises to stop. What `do` raises, of any class, is raised
    here. Either way threads end what they have begun, and begin no more.
    """
    upcoming, taking, stop = iter(values), threading.Lock(), threading.Event()
    told: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        failed = None
        try:
            while not stop.is_set():
                check()
                with taking:
                    value = next(upcoming, None)
                if value is None:
                    break
                do(value)
                told.put((value, None))
        except BaseException as error:
            stop.set()
            failed = error
        finally:
            connections.close_all()
            told.put((None, failed))

    team = [threading.Thread(target=work, name=f"side-{n}", daemon=True) for n in range(threads)]
    begun: list[threading.Thread] = []
    try:
        for one in team:
            one.start()
            begun.append(one)
        yield from _told(told, len(team), check)
    finally:
        stop.set()
        for one in begun:
            one.join()


def _told(
    told: "SimpleQueue[tuple[T | None, BaseException | None]]", working: int, check: Callable[[], None]
) -> Iterator[T]:
    """Yield what was done as long as a thread works; raise what one of them raised."""
    failed: BaseException | None = None
    while working:
        check()
        try:
            value, error = told.get(timeout=POLL_SECONDS)
        except Empty:
            continue
        if value is not None:
            yield value
            continue
        working -= 1
        failed = failed or error
    if failed is not None:
        raise failed
