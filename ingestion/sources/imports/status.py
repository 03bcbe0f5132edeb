"""The words that S4 has for where an import is, and its line in the details of the system's status."""

from collections.abc import Sequence
from typing import Any

from django.db.models import F, FloatField, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from ingestion.models import ItemState, Job, JobItem, State
from ingestion.sources.imports.models import Import

# The first step that is not done yet -> what the import does.
DOING = {
    "read": "preparing_data",
    "match": "preparing_data",
    "check": "analysing_data",
    "load": "processing_data",
}
# Good, also when rows were left out; whoever cancels an import rejects it.
ENDED = {
    State.COMPLETED: "finished",
    State.PARTIAL: "finished",
    State.FAILED: "failed",
    State.CANCELLED: "rejected",
}
STATES = (
    "waiting_for_upload",
    "upload_completed",
    "preparing_data",
    "analysing_data",
    "waiting_for_review",
    "processing_data",
    "finished",
    "failed",
    "rejected",
)


def state_of(job: Job) -> str:
    """Return the state of an import by its job (SEEDS S4.55), one of STATES."""
    state = State(job.state)
    if state in ENDED:
        return ENDED[state]
    if state == State.WAITING:
        asked = (job.waiting_for or {}).get("kind")
        return "waiting_for_upload" if asked == "upload" else "waiting_for_review"  # matching is a review too
    steps = job.steps or {}
    done = [step for step in DOING if steps.get(step, {}).get("state") == "completed"]
    if not job.attempt and not done:
        return "upload_completed"
    return next((word for step, word in DOING.items() if step not in done), "processing_data")


def state(imported: Import) -> str:
    """Return the state of an import; of one whose job was deleted, how it had ended."""
    return imported.ended_as if imported.job is None else state_of(imported.job)


def rows(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Tell active imports, in their order (SEEDS S4.46)."""
    imports = {one.job_id: one for one in Import.objects.filter(job__in=jobs).defer("problems", "spans")}
    loaded = _loaded(jobs)
    return [
        {
            "id": str(job.pk),
            "slug": imports[job.pk].slug if job.pk in imports else job.title,
            "state": state_of(job),
            "total_rows": (imports[job.pk].rows_total if job.pk in imports else None) or 0,
            "imported_rows": loaded.get(job.pk, 0),
            "progress_pct": int(job.progress * 100 + 1e-9),
        }
        for job in jobs
    ]


def _loaded(jobs: Sequence[Job]) -> dict[Any, int]:
    """Return how many rows each job has written so far: its own batches and those it took over."""
    done = JobItem.objects.filter(job__in=jobs, step="load", state=ItemState.DONE).values("job")
    written = Cast(KT("result__created"), FloatField()) + Cast(KT("result__updated"), FloatField())
    sums = done.annotate(written=Sum(written)).values_list(F("job"), "written")
    return {pk: int(written or 0) for pk, written in sums}
