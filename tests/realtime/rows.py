"""Rows of jobs as the tests of the wire need them, written without the engine."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from ingestion.models import FINAL, Job, JobEvent, State
from realtime import publish


def make_job(owner: Any, *, state: str = "running", version: int = 1, **values: Any) -> Job:
    """Write a job that satisfies every constraint of its state."""
    now = timezone.now()
    values.setdefault("pending_reason", "queue" if state == State.PENDING else "")
    if state == State.RUNNING:
        values |= {"lease_token": uuid4(), "lease_until": now + timedelta(hours=1), "started_at": now}
    if state == State.FAILED:
        values.setdefault("error", {"code": "broken", "text": "It broke."})
    if state == State.WAITING:
        values.setdefault("waiting_for", {"kind": "review", "since": now.isoformat(), "text": "Look."})
    if state in FINAL:
        values.setdefault("finished_at", now)
    return Job.objects.create(
        source="test", queue="default", title="Test", owner=owner, state=state, version=version, **values
    )


def move(job: Job, *, event: str = "", urgent: bool = False, **values: Any) -> int:
    """Change what viewers see as the engine does: one UPDATE with the version, an event with it, then a hint.

    event: the kind of the event. Return the new version.
    """
    with transaction.atomic():
        Job.objects.filter(pk=job.pk).update(version=F("version") + 1, **values)
        version = Job.objects.values_list("version", flat=True).get(pk=job.pk)
        if event:
            JobEvent.objects.create(job=job, version=version, kind=event, message=f"{event} at {version}")
        publish.publish(job.stream, version, urgent=urgent or bool(event))
    return version


def finish(job: Job) -> int:
    """End a job well."""
    now = timezone.now()
    return move(
        job, event="completed", state=State.COMPLETED, finished_at=now, lease_token=None, lease_until=None
    )
