"""Which job next: priority that grows with waiting, fairness between owners, limits, pauses.

The database is the queue of record. A claim locks its queue, then looks, in a second statement so that its
snapshot is newer than the lock: inside one statement limits leak.
"""

from typing import Any
from uuid import UUID

from config.statements import execute
from ingestion.source import registry

AGEING_SECONDS = 600  # a job climbs one priority class for each of these that it waited: nothing starves
_QUEUE_LOCK = 1  # first key of the advisory lock; the second is the queue's hash

# Rows that could run now but for a free slot: pending, their time has come, nothing needed, nothing paused.
DUE = """
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
FREE = "source_runs < slots AND (limit_key = '' OR key_runs < key_slots)"
_FREE = (
    "coalesce(of_source.n, 0) < slots AND (j.limit_key = '' OR coalesce(of_key.n, 0) < key_slots)"  # in `DUE`
)
_CLAIMABLE = f"({DUE}) due WHERE {FREE}"
ORDER = "class, owner_runs, created_at, id"
# A row that somebody holds is passed over: who waited for it would hold the lock of the queue meanwhile.
_PICK = f"""{DUE} AND {_FREE}
    AND NOT EXISTS (SELECT 1 FROM ingestion_job p
                    WHERE p.id = ANY(%(passed)s::uuid[]) AND p.owner_id IS NOT DISTINCT FROM j.owner_id)
    ORDER BY {ORDER} LIMIT 1 FOR NO KEY UPDATE OF j SKIP LOCKED"""  # nosec B608  # our own words
_COUNT = f"SELECT count(*) FROM (SELECT 1 FROM {_CLAIMABLE} LIMIT %(most)s) found"  # nosec B608
# A worker frozen inside the claim stops nobody longer than this; nor does one that waits for an inbox.
_LOCK = """
    SELECT set_config('idle_in_transaction_session_timeout', '2s', true),
           set_config('lock_timeout', '5s', true),
           pg_advisory_xact_lock(%s, hashtext(%s)),
           set_config('lock_timeout', '500ms', true)
"""


def lock(queue: str) -> None:
    """Let one worker at a time choose from a queue, until the end of the transaction."""
    execute(_LOCK, [_QUEUE_LOCK, queue])


def pick(queue: str, *passed: UUID) -> UUID | None:
    """Choose the best claimable job of a queue, none of the owners of `passed`; the caller holds its lock."""
    rows = execute(_PICK, {**facts(queue), "passed": list(passed)})
    return rows[0][0] if rows else None


def claimable(queue: str, most: int) -> int:
    """Count the claimable jobs of a queue, at most `most`."""
    return int(execute(_COUNT, {**facts(queue), "most": most})[0][0])


def facts(queue: str) -> dict[str, Any]:
    """Return the parameters of `DUE` for a queue."""
    sources = list(registry().values())  # all: a job stays in the queue it was made for
    return {
        "queue": queue,
        "ageing": AGEING_SECONDS,
        "sources": [source.kind for source in sources],
        "slots": [source.limit for source in sources],
        "key_slots": [source.key_limit for source in sources],
    }
