"""One verb for all jobs that match a filter: counted, confirmed by that count, done in bounded batches."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from config import audit, patience
from ingestion import lifecycle
from ingestion.access import can_act, can_operate, visible_jobs
from ingestion.admission import Refused
from ingestion.lists import Filters
from ingestion.models import FINAL, OPEN, Job, State

MOST = 5_000  # jobs that may match; a filter that finds more must be narrowed
MOST_OF_USER = 500  # for who does not operate: each row is asked whether it is theirs to change
BATCH = 100  # jobs that are read at once
SECONDS = 10.0  # of one request; what is left then is confirmed again
HELD = "Something else is at work on it. Try again in a moment."
NOT_YOURS = "It is not yours to change. Ask whoever started it."
LATE = "There was no time for it. Do it again for those that are left."
MOST_REASONS = 5  # that are told
DRIFT = 0.1  # share by which the count may have moved since it was shown, ...
DRIFT_FREE = 5  # ... or so many jobs


@dataclass(frozen=True)
class Verb:
    """What can be done to many jobs. able: which of them it would do anything to."""

    act: Callable[[Job, Any], Any]
    able: Q
    label: str
    past: str


VERBS = {
    "cancel": Verb(lifecycle.cancel, Q(state__in=OPEN, cancel_requested_at=None), "Cancel", "cancelled"),
    "retry": Verb(
        lifecycle.retry,
        # As `Job.leaves_work` says.
        Q(state__in=(State.FAILED, State.CANCELLED)) | Q(state=State.PARTIAL, items_failed__gt=0),
        "Retry",
        "retried",
    ),
    "delete": Verb(lifecycle.delete, Q(state__in=FINAL), "Delete", "deleted"),
}


@dataclass
class Found:
    """The jobs that a verb would be done to: how many, and whether there are more than may be."""

    count: int
    more: bool
    newest: str  # id of the newest one: those made later are not meant


@dataclass
class Done:
    """What came of it. left: how many were not reached. refusals: why not, and how often.

    until: on the monotonic clock; none is begun after it.
    """

    until: float | None = None
    count: int = 0
    left: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def one(self, act: Callable[[], Any]) -> bool:
        """Act on one in a transaction of its own, which waits for no other session longer than a moment.

        Return whether it was done.
        """
        if self.until is not None and monotonic() >= self.until:
            self.refusals[LATE] += 1
            return False
        try:
            with patience.a_moment():
                act()
        except Refused as refused:  # it moved meanwhile, or its source refuses
            self.refusals[refused.message] += 1
            return False
        except OperationalError as error:
            if not patience.is_held(error):
                raise
            self.refusals[HELD] += 1
            return False
        self.count += 1
        return True

    def if_theirs(self, user: Any, job: Job, act: Callable[[], Any]) -> None:
        """Act on a job of which somebody may say so; else count that they may not."""
        if can_act(user, job):
            self.one(act)
        else:
            self.refusals[NOT_YOURS] += 1

    def reasons(self) -> list[str]:
        """Return why some were refused, as a person is told, the most frequent reasons first."""
        told = self.refusals.most_common(MOST_REASONS)
        texts = [text if count == 1 else f"{count:,} jobs: {text}" for text, count in told]
        rest = self.refusals.total() - sum(count for _, count in told)
        return [*texts, f"{rest:,} more for other reasons."] if rest else texts


def in_a_request() -> Done:
    """Return what counts what one request does to jobs: it ends in time for its answer."""
    return Done(until=monotonic() + SECONDS)


def find(user: Any, filters: Filters, verb: str, newest: str = "") -> Found:
    """Count the jobs that match, that the verb changes, and that this user may act on."""
    jobs = _meant(user, filters, verb, newest).order_by("-pk")
    if can_operate(user):
        ids = list(jobs.values_list("pk", flat=True)[: MOST + 1])
        return Found(min(len(ids), MOST), len(ids) > MOST, str(ids[0]) if ids else "")
    rows = list(jobs.only("pk", "owner", "object")[: MOST_OF_USER + 1])
    may: dict[tuple[int | None, str | None], bool] = {}  # one answer for all jobs about an object
    for job in rows[:MOST_OF_USER]:
        key = (job.owner_id, job.object)
        if key not in may:
            may[key] = can_act(user, job)
    mine = [job for job in rows[:MOST_OF_USER] if may[job.owner_id, job.object]]
    more = len(rows) > MOST_OF_USER
    return Found(MOST_OF_USER if more else len(mine), more, str(mine[0].pk) if mine else "")


def anybodys(user: Any, filters: Filters, verb: str) -> bool:
    """Say whether a verb would change any job that this user sees, theirs to change or not."""
    return _meant(user, filters, verb, "").exists()


def moved(shown: int, now: int) -> bool:
    """Say whether a count is too far from the one that was confirmed."""
    return abs(now - shown) > max(DRIFT_FREE, DRIFT * shown)


def act(user: Any, filters: Filters, verb: str, newest: str) -> Done:
    """Do a verb to all jobs that `find` counts, oldest last, each in its own transaction.

    newest: from `find`, so that nothing made meanwhile is touched. Whatever is not reached in time is left.
    """
    until, done = monotonic() + SECONDS, Done()
    jobs = _meant(user, filters, verb, newest).select_related("owner").order_by("-pk")
    for job in islice(_in_turn(jobs), MOST):
        if monotonic() >= until:  # asked before each: one with many items can take seconds
            done.left = find(user, filters, verb, str(job.pk)).count
            break
        if can_act(user, job):
            done.one(partial(VERBS[verb].act, job, user))
    if done.count:
        with transaction.atomic():
            audit.write("job.bulk", "jobs", user, verb=verb, count=done.count, filter=filters.query())
    return done


def _in_turn(jobs: QuerySet[Job]) -> Iterator[Job]:
    after = None
    while True:
        batch = list((jobs if after is None else jobs.filter(pk__lt=after))[:BATCH])
        yield from batch
        if len(batch) < BATCH:
            return
        after = batch[-1].pk


def _meant(user: Any, filters: Filters, verb: str, newest: str) -> QuerySet[Job]:
    jobs = filters.apply(visible_jobs(user)).filter(VERBS[verb].able)
    if verb == "retry":  # what was retried is cared for, unless that was cancelled
        retries = Job.objects.filter(retry_of=OuterRef("pk")).exclude(state=State.CANCELLED)
        jobs = jobs.filter(~Exists(retries))
    return jobs.filter(pk__lte=newest) if newest else jobs
