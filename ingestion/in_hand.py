"""Which run this process works on: every line of its log says so, whoever writes it."""

from typing import TYPE_CHECKING

from config import logs

if TYPE_CHECKING:
    from ingestion.run import Run  # who is no worker has not loaded it, and need not

run: "Run | None" = None  # set by the worker for as long as an attempt lasts


def register() -> None:
    """Have the log say which job is in hand."""
    logs.tell("job", job_in_hand)


def job_in_hand() -> str | None:
    """Return the id of the job whose attempt runs in this process, in whichever of its threads; else None."""
    found = run  # once: the attempt may end in between
    return None if found is None else str(found.id)
