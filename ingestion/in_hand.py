"""Which run this process works on: every line of its log says so, whoever writes it."""

from typing import TYPE_CHECKING

from config import logs
from ingestion.interrupts import Released

if TYPE_CHECKING:
    from ingestion.run import Run  # who is no worker has not loaded it, and need not

run: "Run | None" = None  # for as long as an attempt lasts
leaving = False  # the process was told to stop, maybe while it had nothing in hand yet


def take(new: "Run | None") -> None:
    """Have a run in hand, or none any more; what begins after the process was told to stop is given back."""
    global run
    run = new
    if leaving:
        give_back()


def give_back() -> None:
    """Have the attempt in hand, or the next one, give its job back at its next checkpoint (SIGTERM)."""
    global leaving
    leaving = True
    if run is not None and run.interrupt is None:
        run.interrupt = Released


def register() -> None:
    """Have the log say which job is in hand."""
    logs.tell("job", job_in_hand)


def job_in_hand() -> str | None:
    """Return the id of the job whose attempt runs in this process, in whichever of its threads; else None."""
    found = run  # once: the attempt may end in between
    return None if found is None else str(found.id)
