"""For authors' tests: run a source here and now, kill it at a chosen place, watch it as a page does."""

from typing import Any
from uuid import uuid4

from django.db import connection

from ingestion import lifecycle
from ingestion.failpoints import activate
from ingestion.models import Job, State
from ingestion.reporter import Reporter
from ingestion.run import Run
from ingestion.source import get
from ingestion.worker import attempt
from realtime.testing import assert_live_equals_fresh

__all__ = ["Killed", "assert_live_equals_fresh", "kill_at", "lose_worker", "resume_inline", "run_inline"]


class Killed(BaseException):
    """What `kill_at` ends an inline run with."""


def run_inline(kind: str, owner: Any = None, **params: Any) -> Job:
    """Create a job and run one attempt of it in this process, with the real tables. Return it as it ended."""
    return resume_inline(lifecycle.create(kind, params, owner=owner).job)


def resume_inline(job: Job) -> Job:
    """Run one more attempt of a pending job in this process. Return it as it ended."""
    token = uuid4()
    started = lifecycle.start(job.pk, worker="inline", token=token)
    if started is None:
        raise AssertionError(f"the job is {Job.objects.get(pk=job.pk).state}, not pending")
    run = Run(started, get(job.source), token)
    reporter = Reporter(run)  # never started: its figures go into the outcome
    outcome = attempt(run, get(job.source), started.params)
    outcome(reporter.figures())
    return Job.objects.get(pk=job.pk)


def lose_worker(job: Job, *, crashed: bool = True) -> Job:
    """Do to a running job what the keeper does when its worker is gone."""
    current = Job.objects.get(pk=job.pk)
    assert current.state == State.RUNNING and current.lease_token is not None
    lifecycle.rescue(current.pk, current.lease_token, crashed=crashed, expired=False)
    return Job.objects.get(pk=job.pk)


class kill_at:  # noqa: N801  reads as a verb
    """End, as a crash would, what passes a failpoint the n-th time: `kill_at("item.before_commit", 3)`."""

    def __init__(self, point: str, n: int = 1) -> None:
        self.text = f"{point}=raise*1@{n}"

    def __enter__(self) -> "kill_at":
        activate(self.text, Killed)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> bool:
        activate("")
        if connection.in_atomic_block is False:
            connection.close_if_unusable_or_obsolete()
        return kind is Killed
