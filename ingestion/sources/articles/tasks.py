"""A job as S2 tells of it: the task that its polls answer with, and the messages that its sockets push.

The words and shapes are the seed's; what they are made of is the job's own JSON.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet

from ingestion import access, serializers
from ingestion.models import FINAL, ItemState, Job, JobItem, State
from ingestion.sources.articles.source import BATCH

JsonObject = dict[str, Any]

KINDS = ("bulk_analysis", "bulk_save", "auto_collect", "keyword_check")
# What a person must answer waits as what is queued does; an end with errors says which in `error`.
STATUS = {
    State.PENDING: "PENDING",
    State.RUNNING: "RUNNING",
    State.WAITING: "PENDING",
    State.COMPLETED: "COMPLETED",
    State.PARTIAL: "COMPLETED",
    State.FAILED: "FAILED",
    State.CANCELLED: "CANCELLED",
}
STATES = {word: [state for state, one in STATUS.items() if one == word] for word in STATUS.values()}


def of(user: Any) -> QuerySet[Job]:
    """Return the tasks that a user sees: their own, and those of their topics."""
    return access.visible_jobs(user).filter(source__in=KINDS)


def task(job: Mapping[str, Any]) -> JsonObject:
    """Return the record of a task. (S2.70 to S2.81)  job: its JSON, of the database or of its stream."""
    state = State(job["state"])
    return {
        "id": job["id"],
        "name": job["title"],
        "status": STATUS[state],
        "progress": percent(job),
        "processed_items": processed(job),
        "total_items": job["items"]["total"],
        "current_item": job["message"],
        "created_at": job["created_at"],
        "started_at": job.get("started_at"),
        "completed_at": job.get("finished_at"),
        "error": error_of(job),
    }


def task_of(job: Job) -> JsonObject:
    """Return the record of a task from the database."""
    return task(serializers.job_data(job))


def summary(rows: QuerySet[Job]) -> JsonObject:
    """Count tasks by their state. (S2.23)"""
    counts = dict.fromkeys(STATES, 0)
    for state, many in rows.order_by().values_list("state").annotate(many=Count("pk")):
        counts[STATUS[State(state)]] += many
    return {"total": sum(counts.values()), **{word.lower(): n for word, n in counts.items()}}


def processed(job: Mapping[str, Any]) -> int:
    """Return how many items have ended: done, failed and skipped. (S2.61, S2.83)"""
    items = job["items"]
    return int(items["done"] + items["failed"] + items["skipped"])


def percent(job: Mapping[str, Any]) -> float:
    """Return the progress from 0 to 100. (S2.60)"""
    if State(job["state"]) in (State.COMPLETED, State.PARTIAL):
        return 100.0
    return round(100 * float(job["progress"]), 2)


def error_of(job: Mapping[str, Any]) -> str | None:
    """Return why a task failed, or which part of it did."""
    told = (job.get("error") or {}).get("text")
    failed = job["items"]["failed"]
    if told is None and failed:
        told = f"{failed:,} of {job['items']['total']:,} could not be done."
    return told


# ---- messages ---------------------------------------------------------------------------------------------


def message(job: Mapping[str, Any], saved: int) -> JsonObject:
    """Return the message that says where a job is. (S2.56 to S2.69, S2.84)  saved: see `saved_in`."""
    state = State(job["state"])
    base: JsonObject = {"type": "job_update", "job_id": job["id"], "timestamp": _now()}
    if state in (State.COMPLETED, State.PARTIAL):
        came = {**results(job, saved), "status": "success" if state == State.COMPLETED else "partial"}
        return {**base, "status": "completed", "results": came, "message": job["message"]}
    if state in FINAL:
        what = error_of(job) or ("Cancelled." if state == State.CANCELLED else "Failed.")
        return {**base, "status": "error", "error": what}
    return {
        **base,
        "status": "progress",
        "progress": percent(job),
        "processed": processed(job),
        "total": job["items"]["total"],
        "message": job["message"],
        "stage": stage(job),
    }


def batch(job: Mapping[str, Any], before: int, saved: int) -> JsonObject | None:
    """Return the message of batches that were completed, or None. before: as many were told of. (S2.69)"""
    total = -(-int(job["items"]["total"]) // BATCH)
    done = total if processed(job) == job["items"]["total"] else processed(job) // BATCH
    if not total or done <= before:
        return None
    return {
        "type": "job_update",
        "job_id": job["id"],
        "timestamp": _now(),
        "status": "batch_update",
        "batch_completed": done,
        "total_batches": total,
        "results": results(job, saved),
    }


def results(job: Mapping[str, Any], saved: int) -> JsonObject:
    """Return what a job came to so far. (S2.66 to S2.68)"""
    return {"saved": saved, "errors": job["items"]["failed"], "processed": processed(job)}


def saved_in(pk: str, after: int, version: int) -> int:
    """Return how many items of a job brought something that is kept, between two of its versions.

    What was read and left out is processed, and not saved.
    """
    rows = JobItem.objects.filter(job=UUID(pk), version__gt=after, version__lte=version, state=ItemState.DONE)
    return rows.filter(result__saved=True).count()


def stage(job: Mapping[str, Any]) -> str:
    """Return the step that a job is at; before it has begun, why it waits. (S2.64)"""
    running = [name for name, one in job["steps"].items() if one["state"] == "running"]
    return running[0] if running else str(job.get("pending_reason") or job["state"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
