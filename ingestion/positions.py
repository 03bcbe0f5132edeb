"""What waiting jobs are told of their place: "3 of 3 busy, 2 before yours"."""

from django.db.models import F

from config.statements import execute
from ingestion.claims import DUE, FREE, ORDER, facts
from ingestion.models import Job, State
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


def tell(queue: str) -> None:
    """Write the place of each waiting job of a queue where it changed."""
    for job_id, reason, words in execute(_OUTDATED, facts(queue)):
        rows = Job.objects.filter(pk=job_id, state=State.PENDING, run_after=None).exclude(
            pending_reason=reason, message=words
        )
        if rows.update(pending_reason=reason, message=words, version=F("version") + 1):
            publish(f"job:{job_id}", Job.objects.values_list("version", flat=True).get(pk=job_id))
