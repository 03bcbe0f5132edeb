"""What waiting jobs are told of their place: "3 of 3 busy, 2 before yours"."""

from config.statements import execute
from ingestion.claims import DUE, FREE, ORDER, facts
from realtime.publish import publish

SHOWN = 100  # of a source; those behind read "more than 100 before yours"

_OUTDATED = f"""
    SELECT id, reason, words FROM (
        SELECT id, pending_reason, message, place,
               CASE WHEN {FREE} THEN 'queue' ELSE 'slot' END AS reason,
               CASE WHEN {FREE} AND place = 1 THEN ''
                    ELSE CASE WHEN {FREE} THEN '' ELSE
                         CASE WHEN source_runs >= slots THEN slots || ' of ' || slots
                              ELSE key_slots || ' of ' || key_slots END || ' busy, ' END ||
                         CASE WHEN place > {SHOWN} THEN 'more than {SHOWN}'
                              ELSE least(place - 1, {SHOWN})::text END || ' before yours' END AS words
        FROM (SELECT due.*, row_number() OVER (PARTITION BY source ORDER BY {ORDER}) AS place
              FROM ({DUE}) due WHERE pending_reason IN ('queue', 'slot')) placed
    ) told
    WHERE (pending_reason, message) <> (reason, words) AND place <= {SHOWN} + 1
"""  # nosec B608  # our own words


# Each end of a job moves all that wait: one statement for them, not two for each. A row that somebody holds
# is left to the next tick; two keepers that wait for each other's rows would be a deadlock.
_TELL = f"""
    WITH outdated AS MATERIALIZED ({_OUTDATED}),
    free AS (
        SELECT j.id, o.reason, o.words FROM ingestion_job j JOIN outdated o ON o.id = j.id
        WHERE j.state = 'pending' AND j.run_after IS NULL
          AND (j.pending_reason, j.message) <> (o.reason, o.words)
        FOR NO KEY UPDATE OF j SKIP LOCKED
    )
    UPDATE ingestion_job j SET pending_reason = free.reason, message = free.words, version = j.version + 1
    FROM free WHERE j.id = free.id RETURNING j.id, j.version
"""  # nosec B608  # our own words


def tell(queue: str) -> None:
    """Write the place of each waiting job of a queue where it changed."""
    for job_id, version in execute(_TELL, facts(queue)):
        publish(f"job:{job_id}", version)
