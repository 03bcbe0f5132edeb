"""Jobs that live through every verb, at random, and what their people's rows must then say (P13)."""

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import FINAL, Job, JobEvent, State
from ingestion.serializers import display
from ingestion.source import Outcome
from notifications import inbox
from notifications.models import Notification

ERROR = {"code": "x", "text": "It did not work out."}
# The events of moves: a job's row stands at the version of the last one. Others leave the state as it is.
MOVES = ["started", *State.values, "released", "retrying", "rescued", "crashed", "quarantined", "rejected"]
MOVES += ["answered"]
NEXT = {
    State.PENDING: ["start"] * 9 + ["cancel"],
    State.RUNNING: [
        *["complete", "partial", "fail", "stop", "wait", "wait"],
        *["release", "try_again", "crash", "lose"],
    ],
    State.WAITING: ["approve", "approve", "reject", "cancel"],
    State.PARTIAL: ["retry"],
    State.FAILED: ["retry"],
    State.CANCELLED: ["retry"],
}


def perform(verb: str, job_id: UUID, token: UUID, staff_id: int) -> None:
    """Do one verb, as a web process, worker or keeper does it."""
    staff = User.objects.get(pk=staff_id)
    job = Job.objects.get(pk=job_id)
    match verb:
        case "start":
            with transaction.atomic():
                lifecycle.start(job_id, worker="w", token=token)
        case "complete" | "partial":
            lifecycle.finish(job_id, token, Outcome())
        case "fail":
            lifecycle.fail(job_id, token, ERROR)
        case "stop":
            lifecycle.stop(job_id, token)
        case "wait":
            lifecycle.wait(job_id, token, "review", "Is this right?")
        case "release":
            lifecycle.release(job_id, token)
        case "try_again":
            lifecycle.try_again(job_id, token, ERROR)
        case "crash" | "lose":
            lifecycle.rescue(job_id, token, crashed=verb == "crash", expired=False)
        case "approve" | "reject":
            lifecycle.answer(job, verb, {}, staff)
        case "cancel":
            lifecycle.cancel(job, staff)
        case "retry":
            lifecycle.retry(job, staff)
        case _:
            raise ValueError(verb)


@dataclass
class Life:
    """A job, those it is retried with, and one that needs it.

    owner, follower and watcher (who follows its source) are told, reviewer when it waits, staff moves it.
    """

    owner: User
    follower: User
    watcher: User
    reviewer: User
    staff: User
    chance: random.Random
    token: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.job = lifecycle.create("faulty", {}, owner=self.owner).job
        inbox.follow(self.follower, self.job.stream, limited=False)
        self.jobs = [self.job.pk]
        if self.chance.random() < 0.3:
            child = lifecycle.create("ping", {}, owner=self.owner, depends_on=[self.job]).job
            inbox.follow(self.follower, child.stream, limited=False)
            self.jobs.append(child.pk)

    def steps(self) -> Iterator[str]:
        """Yield verbs that fit the job as it is, until it has completed or was tried often enough."""
        yield from self._moves()
        # One owner lives through thousands, and may have a hundred queued.
        for job in Job.objects.filter(pk__in=self.jobs).exclude(state__in=FINAL):
            lifecycle.cancel(job, self.staff)

    def _moves(self) -> Iterator[str]:
        while len(self.jobs) < 6:
            self.job = Job.objects.get(pk=self.job.pk)
            if self.job.state == State.COMPLETED:
                return
            verb = self.chance.choice(NEXT[State(self.job.state)])
            if verb == "start":
                self.token = uuid4()
            if verb == "partial":
                Job.objects.filter(pk=self.job.pk).update(items_total=3, items_done=2, items_failed=1)
            yield verb
            again = Job.objects.filter(retry_of=self.job).first()
            if again is not None:
                self.job = again
                self.jobs.append(again.pk)
                inbox.follow(self.follower, again.stream, limited=False)

    def perform(self, verb: str) -> None:
        """Do a verb in this process."""
        perform(verb, self.job.pk, self.token, self.staff.pk)

    def again(self, verb: str) -> None:
        """Do a verb that broke once more; it may have happened, where only its answer was lost."""
        with suppress(Refused):
            self.perform(verb)

    def wrong(self) -> list[str]:
        """Return what is wrong with the rows that people have of these jobs."""
        return wrong(self.jobs, [self.owner.pk, self.follower.pk], [self.watcher.pk], self.reviewer.pk)


def wrong(jobs: Sequence[UUID], always: Sequence[int], at_rest: Sequence[int], reviewer: int) -> list[str]:
    """Return where people's rows differ from what the jobs' own rows and events say.

    always: who has a row from a job's start on. at_rest: who must have one where it waits or has ended.
    reviewer: who has one since it first waited for review, unread while it does.
    """
    found = []
    asked = set(JobEvent.objects.filter(job__in=jobs, kind="waiting").values_list("job", flat=True))
    moves = JobEvent.objects.filter(job__in=jobs, kind__in=MOVES).values_list("job")
    versions = dict(moves.annotate(Max("version")))
    rows: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
    told = Notification.objects.filter(group_key__in=[f"job:{pk}" for pk in jobs])
    for key, user, *says, read_at in told.values_list(
        "group_key", "recipient", "version", "data__status", "read_at"
    ):
        rows.setdefault((key, user), []).append((*says, read_at is None))
    for job in Job.objects.filter(pk__in=jobs):
        version = versions.get(job.pk)
        rests = job.state in FINAL or job.state == State.WAITING
        for user in [*always, *at_rest] if rests or not version else always:
            says = rows.get((job.stream, user), [])
            if says != ([(version, display(job), rests)] if version else []):
                found.append(f"{job.source} {job.state} at {version}: user {user} has {says}")
        says = rows.get((job.stream, reviewer), [])
        if says != ([(version, display(job), job.state == State.WAITING)] if job.pk in asked else []):
            found.append(f"{job.source} {job.state} at {version}: the reviewer has {says}")
    return found
