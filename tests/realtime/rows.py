"""Rows of jobs as the tests of the wire need them, written without the engine."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from ingestion.models import FINAL, Job, State


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
