"""Why a job waits, in words, and how many are before it: asked when somebody looks, stored nowhere."""

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from config.statements import execute
from ingestion import pauses, queues
from ingestion.access import visible_jobs
from ingestion.claims import DUE, FREE, ORDER, facts
from ingestion.clock import read_clock
from ingestion.figures import duration
from ingestion.models import OPEN, Job, PendingReason, State
from ingestion.source import find

MAX_NAMED = 3  # jobs that another one needs, and that are named

MAX_BEFORE = 1000  # counted; of more it is said that there are more

# The last column counts the due jobs that are taken first: all of the queue that could be taken where this
# one could, else those that wait for the same slot: of its source, or of its source and limit key. They are
# counted, as sorting a queue of 100,000 costs far more.
_PLACE = f"""
    SELECT me.free, me.source_runs >= me.slots, me.slots, me.key_slots, (
        SELECT count(*) FROM (
            SELECT FROM ({DUE}) due
            WHERE ({ORDER}) < (me.class, me.owner_runs, me.created_at, me.id)
              AND CASE WHEN me.free THEN {FREE}
                       ELSE source = me.source
                            AND (me.source_runs >= me.slots OR limit_key = me.limit_key) END
            LIMIT {MAX_BEFORE} + 1
        ) earlier
    )
    FROM (SELECT due.*, {FREE} AS free FROM ({DUE}) due WHERE id = %(job)s) me
"""  # nosec B608  # our own words


@dataclass(frozen=True)
class Why:
    """Why a job waits. reason: for programs.

    before: how many are taken first, at most MAX_BEFORE; None where nobody queues.
    """

    reason: str
    text: str
    before: int | None = None


def why(job: Job, user: Any) -> Why | None:
    """Return why a pending job does not run yet, as this user may know it; None for any other."""
    if job.state != State.PENDING:
        return None
    if job.pending_reason == PendingReason.DEPENDENCY:
        return Why("dependency", _needs(job, user))
    now = read_clock()
    if job.run_after is not None and job.run_after > now:
        return _later(job, (job.run_after - now).total_seconds())
    scopes = ("all", f"queue:{job.queue}", f"source:{job.source}")
    pause = pauses.current().filter(scope__in=scopes).first()
    if pause is not None:
        until = f"until {_clock(pause.until)}" if pause.until else "until somebody resumes it"
        return Why("paused", f"{pauses.named(pause.scope)} is paused {until}: {pause.reason}")
    workers = queues.live_workers(job.queue)
    if not workers:
        return Why("no_worker", f"No worker of the queue {job.queue} is alive. It starts when one is back.")
    placed = execute(_PLACE, {**facts(job.queue), "job": job.pk})
    if not placed:  # taken at this moment, or its source is not installed here
        return Why("queue", "It starts in a moment.")
    free, source_full, slots, key_slots, before = placed[0]
    ahead, before = _ahead(before), min(before, MAX_BEFORE)
    if free:
        running = Job.objects.filter(queue=job.queue, state=State.RUNNING).count()
        busy = "The only worker is" if workers == 1 else f"All {workers} workers are"
        text = f"{busy} busy. {ahead}" if running >= workers else f"It starts in a moment. {ahead}"
        return Why("queue", text, before)
    source = find(job.source)
    label = source.label if source is not None else job.source
    said = f"{slots} of {slots} run" if source_full else f"{key_slots} of {key_slots} run for the same"
    return Why("slot", f"{label}: {said}, which is the limit. {ahead}", before)


def _needs(job: Job, user: Any) -> str:
    """Name what a job waits for, as far as this user sees it."""
    needed = Job.objects.filter(dependant_rows__job=job, state__in=OPEN)
    count = needed.count()
    seen = visible_jobs(user).filter(pk__in=needed.values("pk")).order_by("pk")[:MAX_NAMED]
    names = [one.name for one in seen]
    others = count - len(names)
    if others:
        names.append(f"{others} other job{'' if others == 1 else 's'}" if names else _jobs(others))
    if not count:
        return "It starts in a moment."
    return f"It starts when {_and(names)} {'has' if count == 1 else 'have'} ended."


def _later(job: Job, seconds: float) -> Why:
    assert job.run_after is not None
    if job.pending_reason == PendingReason.RETRY:
        return Why("retry", f"The last try failed. The next begins in {duration(max(seconds, 1))}.")
    return Why("schedule", f"It was asked for at {_clock(job.run_after)}, in {duration(max(seconds, 1))}.")


def _ahead(before: int) -> str:
    if before > MAX_BEFORE:
        return f"More than {MAX_BEFORE:,} jobs are before it."
    return {0: "It is the next.", 1: "1 job is before it."}.get(before, f"{before:,} jobs are before it.")


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _clock(at: Any) -> str:
    here = timezone.localtime(at)
    today = here.date() == timezone.localdate()
    return f"{here:%H:%M}" if today else f"{here.day} {here:%b %H:%M}"
