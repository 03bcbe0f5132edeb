"""When the feeds of a topic are read by themselves: a schedule of the member who chose it."""

from typing import Any

from django.db import transaction

from ingestion import schedules
from ingestion.models import Schedule
from ingestion.sources.articles.collecting import AutoCollect
from ingestion.sources.articles.models import Topic

# choice: (label, cron); not all topics in one minute.
EVERY = {
    "hour": ("Every hour", "{minute} * * * *"),
    "quarter": ("Every 6 hours", "{minute} */6 * * *"),
    "day": ("Every day", "{minute} 5 * * *"),
}
OWN = "own"  # its member has paused the schedule, or given it other times
ZONE = "UTC"


def of(topic: Topic, user: Any) -> str:
    """Return how often a user has a topic's feeds read: a key of EVERY, OWN, or an empty text."""
    row = _rows(topic, user).first()
    if row is None:
        return ""
    known = {} if row.paused or row.zone != ZONE else EVERY
    return next((name for name, (_, cron) in known.items() if _cron(topic, cron) == row.cron), OWN)


def choices(now: str) -> list[tuple[str, str]]:
    """Return what may be chosen, as (value, label). now: what `of` returned."""
    labels = [(name, label) for name, (label, _) in EVERY.items()]
    return [*labels, (OWN, "As its schedule says")] if now == OWN else labels


def put(topic: Topic, user: Any, every: str) -> None:
    """Have a topic's feeds read by themselves from now on, no more with an empty choice. OWN: as it is."""
    if every == OWN:
        return
    with transaction.atomic():
        _rows(topic, user).delete()
        if every in EVERY:
            schedules.put(
                Schedule(
                    name=f"Feeds of {topic.name}"[:200],
                    source=AutoCollect.kind,
                    params={"topic": topic.pk},
                    cron=_cron(topic, EVERY[every][1]),
                    zone=ZONE,
                    owner=user,
                )
            )


def _rows(topic: Topic, user: Any) -> Any:
    return Schedule.objects.filter(owner=user, source=AutoCollect.kind, params={"topic": topic.pk})


def _cron(topic: Topic, cron: str) -> str:
    return cron.format(minute=topic.pk % 60)
