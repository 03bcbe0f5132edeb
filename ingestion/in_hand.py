"""Which job this process works on: every line of its log says so, whoever writes it."""

import sys

from config import logs


def register() -> None:
    """Have the log say which job is in hand."""
    logs.tell("job", job_in_hand)


def job_in_hand() -> str | None:
    """Return the id of the job whose attempt runs in this process, in whichever of its threads; else None."""
    worker = sys.modules.get("ingestion.worker")  # who is no worker has not loaded it, and need not
    run = getattr(worker, "_current_run", None)  # half loaded it has none yet, and no line may fail
    return None if run is None else str(run.id)
