"""How a job whose code returned has ended: judged by what became of its items."""

from typing import Any

from ingestion.history import Note
from ingestion.models import ItemState, Job, Level, State

QUIET = "quiet"  # in a job's result: its source says that nothing is new
LEVEL_OF = {
    State.COMPLETED: Level.SUCCESS,
    State.PARTIAL: Level.WARNING,
    State.FAILED: Level.ERROR,
    State.CANCELLED: Level.WARNING,
}


def judge(job: Job, partial_at: float, said_partial: bool) -> tuple[State, dict[str, str] | None]:
    """Decide how a job whose code returned has ended, from its items. said_partial: what its source says."""
    if not job.items_failed:
        return State.PARTIAL if said_partial else State.COMPLETED, None
    good = job.items_done + job.items_skipped
    if good and job.items_failed / (good + job.items_failed) < partial_at:
        return State.PARTIAL, None
    worst = job.items.filter(state__in=(ItemState.FAILED, ItemState.QUARANTINED)).order_by("ordinal").first()
    why = f" The first: {worst.error}" if worst and worst.error else ""
    return State.FAILED, {
        "code": "items_failed",
        "text": f"{job.items_failed} of {good + job.items_failed} items failed.{why}"[:500],
    }


def sentence(job: Job, state: State) -> str:
    """Say in words how a job has ended whose source says nothing."""
    if not job.items_failed:
        return "Done" if not job.items_total else f"Done: {job.items_done:,} of {job.items_total:,}"
    return f"{job.items_failed:,} of {job.items_total:,} failed"


def cancelled_note(job: Job) -> Note:
    """Return the event of a cancel that was asked for."""
    return Note("cancelled", by_whom("Cancelled by", job.cancel_requested_by), Level.WARNING)


def by_whom(what: str, user: Any) -> str:
    """Add who it was to what was done."""
    return f"{what} {user.get_username() if user is not None else 'the system'}"
