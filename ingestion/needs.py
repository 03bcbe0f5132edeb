"""What a job needs of others before it starts: how deep that goes, who waits, what has become of it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from ingestion.admission import invalid
from ingestion.models import FINAL, Job, JobNeed, PendingReason, State

MAX_DEPTH = 10


class Settled(NamedTuple):
    """A job that need not wait any longer, its row locked.

    unmet: the title of what did not end well, or "".
    """

    job: Job
    unmet: str


def check_depth(parents: Sequence[Job]) -> None:
    """Refuse a job whose parents wait for parents, too many deep. Raises Refused."""
    level = {parent.pk for parent in parents}
    for _ in range(MAX_DEPTH):
        level = set(JobNeed.objects.filter(job__in=level).values_list("parent", flat=True))
        if not level:
            return
    raise invalid("depends_on", f"At most {MAX_DEPTH} jobs deep.")


def add(job: Job, parents: Iterable[Job], strict: bool) -> None:
    """Write down that `job` needs these; `strict`: completed, not partial."""
    JobNeed.objects.bulk_create(JobNeed(job=job, parent=parent, strict=strict) for parent in parents)


def needing(job: Job) -> Iterable[UUID]:
    """Return the ids of the jobs that need this one."""
    return JobNeed.objects.filter(parent=job).values_list("job", flat=True)


def settled(ids: Iterable[UUID]) -> list[Settled]:
    """Lock those of these jobs that wait for others; return the ones that need not wait any longer."""
    wanted = sorted(ids)
    if not wanted:
        return []
    waiting = Job.objects.filter(
        pk__in=wanted, state=State.PENDING, pending_reason=PendingReason.DEPENDENCY
    ).order_by("pk")
    # Locked first, looked at in a new statement: two parents ending together would each see the other open.
    found = []
    for job in list(waiting.select_for_update()):
        needs = list(job.need_rows.values_list("parent__state", "strict", "parent__title"))
        unmet = next((title for state, strict, title in needs if _is_unmet(state, strict)), "")
        if unmet or all(state in FINAL for state, _, _ in needs):
            found.append(Settled(job, unmet))
    return found


def _is_unmet(state: str, strict: bool) -> bool:
    return state in (State.FAILED, State.CANCELLED) or (strict and state == State.PARTIAL)
