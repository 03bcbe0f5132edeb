"""Whether a connection is a session: what leases, wake-ups and advisory locks of sessions stand on."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connection

REFUSED = (
    "DATABASE_URL leads through a transaction pooler, where no session belongs to a process. "
    "Use PostgreSQL's own address, or a pool of sessions."
)
_WHO = "SELECT pg_backend_pid()"
Ask = Callable[[str], int]  # executes a statement on a connection of its own; what it selects, or 0


def shared() -> bool:
    """Say whether the database's address hands each transaction to whatever session is free."""
    if settings.EMBEDDED_POSTGRES:
        return False
    first, second = connection.copy(), connection.copy()
    try:
        return change_hands(asker(first), asker(second))
    finally:
        first.close()
        second.close()


def change_hands(first: Ask, second: Ask) -> bool:
    """Say whether a second client's transaction takes the session that the first one had."""
    before = first(_WHO)
    second("BEGIN")
    second(_WHO)
    after = first(_WHO)
    second("ROLLBACK")
    return before != after


def asker(of: Any) -> Ask:
    """Return what executes a statement on this connection."""

    def ask(sql: str) -> int:
        with of.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.fetchone()[0]) if cursor.description else 0

    return ask
