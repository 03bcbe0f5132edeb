"""Jobs whose source is not installed here: nobody would ever claim them, so they end and say why."""

from datetime import timedelta
from uuid import uuid4

from ingestion import lifecycle
from ingestion.clock import ClockTimestamp
from ingestion.models import Job, State
from ingestion.source import registry

PATIENCE = timedelta(minutes=10)  # during a deploy the workers may know a source before the keeper does
PER_TICK = 100


def end_orphans() -> int:
    """Fail pending jobs of unknown sources. Return how many."""
    unknown = Job.objects.filter(state=State.PENDING, created_at__lt=ClockTimestamp() - PATIENCE)
    ended = 0
    for job in unknown.exclude(source__in=registry())[:PER_TICK]:
        token = uuid4()
        if lifecycle.start(job.pk, worker="keeper", token=token) is not None:
            text = f"The source {job.source!r} is not installed here."
            ended += lifecycle.fail(job.pk, token, {"code": "unknown_source", "text": text})
    return ended
