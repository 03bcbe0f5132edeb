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


def of(topic: Topic, user: Any) -> str:
    """Return how often a user has a topic's feeds read, a key of EVERY, or an empty text."""
    row = _rows(topic, user).first()
    return next((name for name, (_, cron) in EVERY.items() if row and _cron(topic, cron) == row.cron), "")


def put(topic: Topic, user: Any, every: str) -> None:
    """Have a topic's feeds read by themselves from now on, or no more with an empty choice."""
    with transaction.atomic():
        _rows(topic, user).delete()
        if every in EVERY:
            schedules.put(
                Schedule(
                    name=f"Feeds of {topic.name}"[:200],
                    source=AutoCollect.kind,
                    params={"topic": topic.pk},
                    cron=_cron(topic, EVERY[every][1]),
                    zone="UTC",
                    owner=user,
                )
            )


def _rows(topic: Topic, user: Any) -> Any:
    return Schedule.objects.filter(owner=user, source=AutoCollect.kind, params={"topic": topic.pk})


def _cron(topic: Topic, cron: str) -> str:
    return cron.format(minute=topic.pk % 60)
