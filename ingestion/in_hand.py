"""Which job this process works on: every line of its log says so, whoever writes it."""

import sys

from config import logs


def register() -> None:
    """Have the log say which job is in hand."""
    logs.tell("job", job_in_hand)


def job_in_hand() -> str | None:
    """Return the id of the job whose attempt runs in this process, in whichever of its threads; else None."""
    worker = sys.modules.get("ingestion.worker")  # who is no worker has not loaded it, and need not
    run = worker._current_run if worker is not None else None
    return None if run is None else str(run.id)
