"""Requests that wait: how many at once, and without holding a database connection meanwhile."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection

from config.problems import Problem

T = TypeVar("T")

MAX_WAITS_OF_USER = 20
MAX_WAITS = 500  # of this process
FIRST_PAUSE = 0.25  # seconds
LONGEST_PAUSE = 1.0

_waits: Counter[int] = Counter()


@contextmanager
def place(user: int) -> Iterator[None]:
    """Take one of the user's places. Raises Problem rate_limited, unavailable."""
    if _waits[user] >= MAX_WAITS_OF_USER:
        raise Problem("rate_limited", n=1, retry_after=1)
    if _waits.total() >= MAX_WAITS:
        raise Problem("unavailable", n=5, retry_after=5)
    _waits[user] += 1
    try:
        yield
    finally:
        _waits[user] -= 1
        if not _waits[user]:
            del _waits[user]


def without_connection(function: Callable[[], T]) -> Callable[[], T]:
    """Make a function give its database connection back when it is done."""

    def run() -> T:
        try:
            return function()
        finally:
            if not connection.in_atomic_block:
                connection.close()

    return run
