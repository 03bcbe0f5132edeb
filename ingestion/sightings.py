"""Who answers, minute by minute: what keepers and web processes see of themselves, the database and Redis.

Each looks every 15 s, with one statement that writes only what nobody has told of this minute: at most six
rows a minute, however many look. What was seen without a database is written when it is back. Where nobody
looked there is no row, and nothing is known.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Thread
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from config.statements import execute
from ingestion import queues

LOOK_SECONDS = 15.0  # within a minute by far: one without a look of some role is one without that role
MOST_KEPT = 24 * 3600 // 15  # looks in memory: a day without a database

# Rows are only ever added, in order: who looks waits for nobody, and a minute that was told costs no write.
_TELL = """
    INSERT INTO ingestion_sighting (at, component, answered)
    SELECT DISTINCT date_trunc('minute', statement_timestamp() - make_interval(secs => ago)), component,
        answered
    FROM unnest(%s::float[], %s::text[], %s::bool[]) AS looks (ago, component, answered)
    ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING
"""


class _Look(NamedTuple):
    at: float
    database: bool | None  # None: not known
    redis: bool


class Lookout:
    """What one process sees. role: its own, keeper or web. clock: seconds that never go back."""

    def __init__(self, role: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._role = role
        self._clock = clock
        self._due = clock()
        self._untold: deque[_Look] = deque(maxlen=MOST_KEPT)
        self._thread: Thread | None = None

    def is_due(self) -> bool:
        """Say once every 15 s that it is time to look."""
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + LOOK_SECONDS
        return True

    def look(self) -> None:
        """Look, and tell it with all that was not told yet."""
        look = self._seen(database=True)
        try:
            self._tell([*self._untold, look], look.at)
            self._untold.clear()
        except (OperationalError, InterfaceError):
            # A web process asks through the pool of its requests, which may be full: that says nothing.
            self._untold.append(look._replace(database=None if self._role == "web" else False))
            connection.close()
        except DatabaseError:  # it answered; it was not migrated yet, or lets nobody write
            pass

    def miss(self) -> None:
        """Note that the database did not answer somebody else just now."""
        self._untold.append(self._seen(database=False))

    def look_aside(self) -> None:
        """Look if it is time to, in a thread, for an event loop: one that hangs does not ask for it."""
        if (self._thread is None or not self._thread.is_alive()) and self.is_due():
            self._thread = Thread(target=self._look_and_leave, name="lookout", daemon=True)
            with suppress(RuntimeError):  # no thread is to be had: that must not end the server
                self._thread.start()

    def _look_and_leave(self) -> None:
        try:
            self.look()
        finally:
            connection.close()  # back into the pool that requests use

    def _seen(self, *, database: bool) -> _Look:
        return _Look(self._clock(), database, redis=not queues.trouble())

    def _tell(self, looks: Iterable[_Look], now: float) -> None:
        rows = [
            (now - look.at, component, answered)
            for look in looks
            for component, answered in (
                (self._role, True),
                ("database", look.database),
                ("redis", look.redis),
            )
            if answered is not None
        ]
        execute(_TELL, [list(column) for column in zip(*rows, strict=True)])
