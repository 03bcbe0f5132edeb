"""What is known of hosts is forgotten when nobody has asked for a month, and how often a service was."""

from datetime import timedelta

from django.db.models.functions import Now

from ingestion.retention import BATCH
from ingestion.sources.articles.models import Robots, ServiceCalls

ROBOTS_DAYS = 30  # read again after a day; whoever has not been asked since is not asked any more
CALLS_DAYS = 400  # a year can be looked back on


def forget_robots(batches: int) -> int:
    """Delete what hosts said to robots long ago; return how many rows. batches: of 1,000 rows."""
    gone = 0
    for _ in range(batches):
        old = Robots.objects.filter(read_at__lt=Now() - timedelta(days=ROBOTS_DAYS)).values("pk")[:BATCH]
        deleted, _ = Robots.objects.filter(pk__in=old).delete()
        gone += deleted
        if deleted < BATCH:
            break
    return gone


def forget_calls(batches: int) -> int:
    """Delete how often the service was asked long ago; return how many rows, a day each."""
    return ServiceCalls.objects.filter(day__lt=Now() - timedelta(days=CALLS_DAYS)).delete()[0]
