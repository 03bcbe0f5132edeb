"""Which job next: priority that grows with waiting, fairness between owners, limits, pauses.

The database is the queue of record. A claim locks its queue, then looks, in a second statement so that its
snapshot is newer than the lock: inside one statement limits leak.
"""

from typing import Any
from uuid import UUID

from django.db import connection

from ingestion.source import registry

AGEING_SECONDS = 600  # a job climbs one priority class for each of these that it waited: nothing starves
POSITIONS_SHOWN = 100  # of a source; those behind read "more than 100 before yours"
_QUEUE_LOCK = 1  # first key of the advisory lock; the second is the queue's hash

# Rows that could run now but for a free slot: pending, their time has come, nothing needed, nothing paused.
_DUE = """
    SELECT j.id, j.source, j.limit_key, j.owner_id, j.created_at, j.pending_reason, j.message,
           limits.slots, limits.key_slots,
           coalesce(of_source.n, 0) AS source_runs, coalesce(of_key.n, 0) AS key_runs,
           coalesce(of_owner.n, 0) AS owner_runs,
           j.priority - floor(extract(epoch FROM clock_timestamp() - coalesce(j.run_after, j.created_at))
                              / %(ageing)s) AS class
    FROM ingestion_job j
    JOIN unnest(%(sources)s::text[], %(slots)s::int[], %(key_slots)s::int[])
         AS limits(source, slots, key_slots) ON limits.source = j.source
    LEFT JOIN (SELECT source, count(*) AS n FROM ingestion_job WHERE state = 'running' GROUP BY 1)
         AS of_source ON of_source.source = j.source
    LEFT JOIN (SELECT source, limit_key, count(*) AS n FROM ingestion_job
               WHERE state = 'running' GROUP BY 1, 2)
         AS of_key ON of_key.source = j.source AND of_key.limit_key = j.limit_key AND j.limit_key <> ''
    LEFT JOIN (SELECT owner_id, count(*) AS n FROM ingestion_job WHERE state = 'running' GROUP BY 1)
         AS of_owner ON of_owner.owner_id = j.owner_id
    WHERE j.state = 'pending' AND j.pending_reason <> 'dependency' AND j.queue = %(queue)s
      AND (j.run_after IS NULL OR j.run_after <= clock_timestamp())
      AND NOT EXISTS (SELECT 1 FROM ingestion_pause p
                      WHERE (p.until IS NULL OR p.until > clock_timestamp())
                        AND p.scope IN ('all', 'queue:' || j.queue, 'source:' || j.source))
"""
_FREE = "source_runs < slots AND (limit_key = '' OR key_runs < key_slots)"
_CLAIMABLE = f"({_DUE}) due WHERE {_FREE}"
_ORDER = "class, owner_runs, created_at, id"


def lock(queue: str) -> None:
    """Let one worker at a time choose from a queue, until the end of the transaction."""
    with connection.cursor() as cursor:
        # A worker frozen inside the claim stops nobody longer than this.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '2s'; SET LOCAL lock_timeout = '5s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_QUEUE_LOCK, queue])


def pick(queue: str) -> UUID | None:
    """Choose the best claimable job of a queue; the caller holds the queue's lock."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {_CLAIMABLE} ORDER BY {_ORDER} LIMIT 1", _facts(queue))  # nosec B608
        row = cursor.fetchone()
    return None if row is None else row[0]


def claimable(queue: str, most: int) -> int:
    """Count the claimable jobs of a queue, at most `most`."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {_CLAIMABLE} LIMIT %(most)s) found",  # nosec B608
            {**_facts(queue), "most": most},
        )
        return int(cursor.fetchone()[0])


def positions(queue: str) -> list[tuple[UUID, str, str]]:
    """Return (id, reason, message) of due jobs whose words about their place are out of date."""
    before = "least(place - 1, %(shown)s)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT id, reason, words FROM (
                SELECT id, pending_reason, message, place,
                       CASE WHEN {_FREE} THEN 'queue' ELSE 'slot' END AS reason,
                       CASE WHEN {_FREE} AND place = 1 THEN ''
                            ELSE CASE WHEN {_FREE} THEN '' ELSE
                                 CASE WHEN source_runs >= slots THEN slots || ' of ' || slots
                                      ELSE key_slots || ' of ' || key_slots END || ' busy, ' END ||
                                 CASE WHEN place > %(shown)s THEN 'more than %(shown)s'
                                      ELSE ({before})::text END || ' before yours' END AS words
                FROM (SELECT due.*, row_number() OVER (PARTITION BY source ORDER BY {_ORDER}) AS place
                      FROM ({_DUE}) due WHERE pending_reason IN ('queue', 'slot')) placed
            ) told
            WHERE (pending_reason, message) <> (reason, words) AND place <= %(shown)s + 1
            """,  # nosec B608  # our own words
            {**_facts(queue), "shown": POSITIONS_SHOWN},
        )
        rows: list[tuple[UUID, str, str]] = cursor.fetchall()
    return rows


def _facts(queue: str) -> dict[str, Any]:
    sources = list(registry().values())  # all: a job stays in the queue it was made for
    return {
        "queue": queue,
        "ageing": AGEING_SECONDS,
        "sources": [source.kind for source in sources],
        "slots": [source.limit for source in sources],
        "key_slots": [source.key_limit for source in sources],
    }
