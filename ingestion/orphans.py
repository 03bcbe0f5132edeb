"""Jobs whose source is not installed here: nobody would ever claim them, so they end and say why."""

from datetime import timedelta
from uuid import uuid4

from config import patience
from ingestion import lifecycle
from ingestion.clock import ClockTimestamp
from ingestion.models import Job, State
from ingestion.source import registry

PATIENCE = timedelta(minutes=10)  # during a deploy the workers may know a source before the keeper does
PER_TICK = 100


def end_orphans() -> int:
    """Fail pending jobs of unknown sources. Return how many."""
    unknown = Job.objects.filter(state=State.PENDING, created_at__lt=ClockTimestamp() - PATIENCE)
    jobs = unknown.exclude(source__in=registry())[:PER_TICK]
    return patience.each([(job, job.owner_id) for job in jobs], _end)


def _end(job: Job) -> bool:
    token = uuid4()
    if lifecycle.start(job.pk, worker="keeper", token=token) is None:
        return False
    text = f"The source {job.source!r} is not installed here."
    return lifecycle.fail(job.pk, token, {"code": "unknown_source", "text": text})
