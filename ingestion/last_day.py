"""The last 24 hours by half hour: what ended, derived from jobs and attempts, and who answered."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Q
from django.utils import timezone

from config.statements import execute
from ingestion.models import JobAttempt

BLOCKS = 48  # of a strip, 30 minutes each
BLOCK_SECONDS = 1800
MOST_LOST = 5000  # workers that are counted

# Of a role nobody tells that it was away: it was, in the minutes of which others told and it did not. Not so
# before it was first seen, as something else may serve the pages, nor in minutes that are still told of.
_SEEN = """
    WITH seen AS (
        SELECT at, component, answered FROM ingestion_sighting WHERE at > now() - interval '24 hours'
    ), told AS (
        SELECT DISTINCT at FROM seen WHERE at < now() - interval '2 minutes'
    ), roles AS (
        SELECT component, min(at) AS since FROM ingestion_sighting
        WHERE component IN ('keeper', 'web') GROUP BY 1
    ), missed AS (
        SELECT told.at, roles.component, false FROM told JOIN roles ON told.at > roles.since
        WHERE NOT EXISTS (SELECT FROM seen WHERE seen.at = told.at AND seen.component = roles.component)
    )
    SELECT component, floor(extract(epoch FROM now() - at) / %s)::int,
        count(*) FILTER (WHERE answered), count(*) FILTER (WHERE NOT answered)
    FROM (TABLE seen UNION ALL TABLE missed) AS minutes GROUP BY 1, 2
"""


@dataclass
class Tally:
    """What ended of a source or of all workers, or the minutes in which a part answered, by half hour."""

    good: dict[int, int] = field(default_factory=dict)
    bad: dict[int, int] = field(default_factory=dict)

    def blocks(self) -> list[str]:
        """Return a day, oldest first. Where nothing ended, or nobody looked, nothing is known."""
        return [self._block(slot) for slot in reversed(range(BLOCKS))]

    def share(self) -> int | None:
        """Return how many percent are good, rounded down."""
        good, bad = sum(self.good.values()), sum(self.bad.values())
        return None if good + bad == 0 else 100 * good // (good + bad)

    def _block(self, slot: int) -> str:
        good, bad = self.good.get(slot, 0), self.bad.get(slot, 0)
        if not good + bad:
            return "unknown"
        return "complete" if not bad else "degraded" if good else "down"


class Day(NamedTuple):
    """A day: tallies by source, counts by queue {per_minute, failed}, of all workers, and by component."""

    sources: dict[str, Tally]
    queues: dict[str, dict[str, int]]
    workers: Tally
    seen: dict[str, Tally]


def count() -> Day:
    """Count what ended in the last 24 hours by source, worker and queue, and who answered."""
    sources: dict[str, Tally] = {}
    per_queue: dict[str, dict[str, int]] = {}
    for kind, queue, slot, good, bad, last in execute(
        """
        SELECT source, queue, floor(extract(epoch FROM now() - finished_at) / %s)::int,
            count(*) FILTER (WHERE state IN ('completed', 'partial')),
            count(*) FILTER (WHERE state = 'failed'),
            count(*) FILTER (WHERE finished_at > now() - interval '5 minutes')
        FROM ingestion_job WHERE finished_at > now() - interval '24 hours' GROUP BY 1, 2, 3
        """,
        [BLOCK_SECONDS],
    ):
        _add(sources.setdefault(kind, Tally()), slot, good, bad)
        counts = per_queue.setdefault(queue, {"per_minute": 0, "failed": 0})
        counts["failed"] += bad
        counts["per_minute"] += last
    for counts in per_queue.values():
        counts["per_minute"] = round(counts["per_minute"] / 5)
    workers = Tally()
    for tally in sources.values():
        for slot, good in [*tally.good.items(), *tally.bad.items()]:
            _add(workers, slot, good, 0)
    lost = JobAttempt.objects.filter(Q(outcome="lost") | Q(outcome="crashed"))
    now = timezone.now()
    times: Any = lost.filter(ended_at__gt=now - timedelta(days=1)).values_list("ended_at", flat=True)
    for ended in times[:MOST_LOST]:
        _add(workers, int((now - ended).total_seconds() // BLOCK_SECONDS), 0, 1)
    seen: dict[str, Tally] = {}
    for component, slot, good, bad in execute(_SEEN, [BLOCK_SECONDS]):
        _add(seen.setdefault(component, Tally()), slot, good, bad)
    return Day(sources, per_queue, workers, seen)


def _add(tally: Tally, slot: int, good: int, bad: int) -> None:
    slot = max(0, slot)
    if good:
        tally.good[slot] = tally.good.get(slot, 0) + good
    if bad:
        tally.bad[slot] = tally.bad.get(slot, 0) + bad
