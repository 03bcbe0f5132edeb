"""What another session holds: waited for a moment only, so that nothing else waits behind it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected, LockNotAvailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

MOST_WAITS = 4  # moments that one round of `each` may cost


def is_held(error: BaseException) -> bool:
    """Say whether a statement gave up on what another session holds; its own session is well."""
    return isinstance(error.__cause__, LockNotAvailable | DeadlockDetected)


@contextmanager
def a_moment() -> Iterator[None]:
    """Be a transaction that waits half a second, no longer, for each thing that another session holds."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '500ms'")
        yield


def each(rows: Iterable[tuple[T, int | None]], do: Callable[[T], int | None]) -> int:
    """Do something with each row in a transaction of its own, and return the sum of what that returned.

    rows: with whose they are. What another session holds is left to the next round, with all else of the
    same person: their inbox is what most of it waits for. What breaks is recorded, and left as well. Raises
    Django's errors of a database that is away.
    """
    held: set[int | None] = set()
    waits = done = 0
    for row, whose in rows:
        if whose is not None and whose in held:
            continue
        try:
            with a_moment():
                done += do(row) or 0
        except (OperationalError, InterfaceError) as error:
            if not is_held(error):
                raise
            held.add(whose)
            waits += 1
            if waits == MOST_WAITS:
                break
        except Exception:
            log.exception("row_broke", row=str(row))
    if waits:
        log.warning("rows_held", waits=waits)
    return done
