"""Is the data stable: of the system, of a source, of an object?

Stable means that nothing active works on it (DESIGN 4.1): one EXISTS over one partial index. Whoever waits
for a person, a time or a parent is not active, and neither is whatever has ended. The answer for the system
is kept in one row, which is the stream `system`; that row moves only when the answer does.
"""

from typing import Any

from django.db import transaction

from config.statements import execute
from ingestion.failpoints import hit
from ingestion.models import ACTIVE, Job, System
from realtime.publish import publish

STREAM = "system"
PATH = "/api/system-status/live"
GONE_SECONDS = 15  # without a beat; without any keeper nobody knows whether the answer still holds

_STATES = {True: "stable", False: "processing", None: "unknown"}


def is_stable(*, source: str | None = None, object: str | None = None) -> bool:
    """Say whether nothing active works on the system, or on one source or object (`company:12`) of it."""
    if source is None and object is None:
        ((stable,),) = execute("SELECT is_system_stable()")
        return bool(stable)
    active = Job.objects.filter(ACTIVE)
    if source is not None:
        active = active.filter(source=source)
    if object is not None:
        active = active.filter(object=object)
    return not active.exists()


_ALIVE = f"beat_at > clock_timestamp() - interval '{GONE_SECONDS} seconds'"
_FOUND = f"""
    is_system_stable() AS stable,
    NOT EXISTS (SELECT 1 FROM ingestion_process WHERE role = 'worker' AND {_ALIVE}) AS no_workers
"""  # nosec B608  # a number of ours
_DIFFERS = f"""
    SELECT NOT EXISTS (
        SELECT 1 FROM ingestion_system kept, (SELECT {_FOUND}) found
        WHERE kept.stable = found.stable AND kept.no_workers = found.no_workers
    )
"""  # nosec B608
_MOVE = f"""
    INSERT INTO ingestion_system AS kept (id, version, since, stable, no_workers)
    SELECT 1, 1, clock_timestamp(), {_FOUND}
    ON CONFLICT (id) DO UPDATE SET stable = excluded.stable, no_workers = excluded.no_workers,
        since = CASE WHEN kept.stable = excluded.stable THEN kept.since ELSE excluded.since END,
        version = kept.version + 1
    WHERE (kept.stable, kept.no_workers) IS DISTINCT FROM (excluded.stable, excluded.no_workers)
    RETURNING version
"""  # nosec B608
# First key 7: 1 to 6 are taken, and what users name (an idempotency key) can come to any second key of 2.
_LOCK = "SELECT pg_advisory_xact_lock(7, 0)"


def look() -> bool:
    """Bring the row to what is so, and push it where it changed. Return whether it did.

    Nothing is written while the answer stands.
    """
    ((differs,),) = execute(_DIFFERS)
    if not differs:
        return False
    with transaction.atomic():
        execute(_LOCK)
        # Its own statement: its snapshot is newer than the lock, so of two keepers the later one is right.
        moved = execute(_MOVE)
        for (version,) in moved:
            publish(STREAM, version, urgent=True)
        hit("stability.before_commit")
    return bool(moved)


_POSITION = f"""
    WITH doubted AS (
        UPDATE ingestion_system SET stable = NULL, since = clock_timestamp(), version = version + 1
        WHERE stable IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM ingestion_process
            WHERE role = 'keeper' AND {_ALIVE}
        ) RETURNING version
    ) SELECT coalesce((SELECT version FROM doubted), (SELECT version FROM ingestion_system), 0)
"""  # nosec B608  # a number of ours


def position() -> int:
    """Return where the stream stands; without a living keeper it first comes to stand at "unknown".

    Asked by every web process each second, so whoever looks at a page is told that nobody keeps it true.
    """
    ((version,),) = execute(_POSITION)
    return int(version)


def said(row: System | None) -> dict[str, Any]:
    """Return what the stream says of its row."""
    stable = None if row is None else row.stable
    since = None if row is None or stable is None else row.since.isoformat()
    no_workers = row is not None and row.no_workers
    return {"stable": stable, "state": _STATES[stable], "since": since, "no_workers": no_workers}


def kept() -> dict[str, Any]:
    """Return what the row says, for a page: {state, at}."""
    row = System.objects.first()
    return {"state": said(row)["state"], "at": None if row is None else row.since}


def message(data: dict[str, Any]) -> dict[str, Any]:
    """Return the message of /api/system-status/live (SEEDS S4.8, S4.21) for what the stream says."""
    return {"stable": data.get("stable")}
