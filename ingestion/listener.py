"""The keeper's ear: a thread that looks as soon as the database says that a state moved (SEEDS S4.13, S4.14).

PostgreSQL replays nothing to a listener that was away, so it looks once whenever it has begun to listen; the
keeper's tick looks each second all the same.
"""

import threading
from collections.abc import Callable
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connection
from psycopg import Error as PsycopgError

from ingestion.failpoints import hit

log = structlog.get_logger(__name__)

CHANNEL = "headway_state"
NAME = "headway-listener"
POLL_SECONDS = 0.5  # how long a stop can be unheard
RETRY_SECONDS = (0.2, 1.0, 5.0)  # before the first, second and every further try to listen again


class Listener(threading.Thread):
    """Calls `heard` after every commit that moved a state, and tries for ever to keep hearing.

    heard: brings something up to date; called once for all that was told while it ran.
    """

    def __init__(self, heard: Callable[[], Any]) -> None:
        super().__init__(name="listener", daemon=True)
        self.heard = heard
        self.listening = threading.Event()
        self._halt = threading.Event()
        self._failures = 0

    def run(self) -> None:
        """Listen until told to stop."""
        while not self._halt.is_set():
            try:
                self._listen()
            except (DatabaseError, InterfaceError, PsycopgError, OSError) as error:
                log.warning("listener_without_database", error=type(error).__name__)
            except Exception:
                log.exception("listener_failed")
            self.listening.clear()
            connection.close()
            wait = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
            self._failures += 1
            self._halt.wait(wait)
        connection.close()

    def _listen(self) -> None:
        connection.ensure_connection()
        raw: Any = connection.connection
        raw.execute(f"SET application_name = '{NAME}'")  # who looks at the sessions knows this one
        raw.execute(f"LISTEN {CHANNEL}")
        self.heard()  # what was told while nobody listened
        self._failures = 0
        self.listening.set()
        while not self._halt.is_set():
            # All that has arrived by then is one reason to look; a steady flow delays nothing.
            if list(raw.notifies(timeout=POLL_SECONDS, stop_after=1)):
                list(raw.notifies(timeout=0))
                hit("listener.heard")
                self.heard()

    def stop(self) -> None:
        """End the thread."""
        self._halt.set()
        if self.is_alive():
            self.join(2)
