"""The crash brake: where most of what starts ends its worker, as after a bad deployment, nothing starts.

It lasts a minute; without it three such crashes would fail one job after the other. One poison job, or
item, is not enough: that is set aside by itself. Nor are the many of one owner, while others' go well.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog
from django.db.models import QuerySet

from ingestion.clock import read_clock
from ingestion.models import JobAttempt, Pause

log = structlog.get_logger(__name__)

WINDOW = timedelta(minutes=2)
HELD = timedelta(seconds=60)
FEWEST = 5  # jobs that must have crashed
REASON = "Processing is paused because of repeated errors."

# When everything was last seen paused: of a pause that a person ended no row is left.
_paused_at = datetime.min.replace(tzinfo=UTC)


def look() -> bool:
    """Pause everything if more than half of the jobs started lately, and of their owners, crashed at last."""
    now = read_clock()
    since = _since(now)
    if since is None or _crashed(since) < FEWEST:
        return False
    by_owner = _last_outcomes(since)
    outcomes = [one for each in by_owner.values() for one in each]
    crashed = outcomes.count("crashed")
    if crashed < FEWEST or not _most(one == "crashed" for one in outcomes):
        return False
    if len(by_owner) > 1:  # that nobody's own jobs go well says little of what people asked for
        by_owner.pop(None, None)
    if not _most(_most(one == "crashed" for one in each) for each in by_owner.values()):
        return False
    # Made, never changed: a pause that a person, or another keeper, began just now stays as it is.
    Pause.objects.filter(scope="all", until__lte=now).delete()
    _, made = Pause.objects.get_or_create(scope="all", defaults={"until": now + HELD, "reason": REASON})
    if made:
        log.error("crash_brake", crashed=crashed, started=len(outcomes), owners=len(by_owner))
    return made


def _since(now: datetime) -> datetime | None:
    """Return from when on crashes count: not those before the last pause. None while everything is paused."""
    global _paused_at
    ends: list[datetime | None] = list(Pause.objects.filter(scope="all").values_list("until", flat=True))
    if any(end is None or end > now for end in ends):
        _paused_at = now
        return None
    return max([now - WINDOW, _paused_at, *(end for end in ends if end is not None)])


def _crashed(since: datetime) -> int:
    """Count the jobs of lost attempts: a look into a small partial index, most of the time all there is."""
    rows = JobAttempt.objects.filter(ended_at__gt=since, outcome="crashed")
    return rows.values("job").distinct().count()


def started(since: datetime) -> QuerySet[JobAttempt]:
    """Return the last attempt of each job that was started after a time."""
    return JobAttempt.objects.filter(started_at__gt=since).order_by("job", "-number").distinct("job")


def _last_outcomes(since: datetime) -> dict[int | None, list[str]]:
    """Return owner -> how the last attempt of each of his jobs that was started lately ended."""
    by_owner: dict[int | None, list[str]] = defaultdict(list)
    for owner, outcome in started(since).values_list("job__owner", "outcome"):
        by_owner[owner].append(outcome)
    return by_owner


def _most(facts: Iterable[bool]) -> bool:
    known = list(facts)
    return 2 * sum(known) > len(known)
