"""An ingestion as S1 tells of it: the record that its polls answer with and its sockets push.

Its words and percentages are the seed's; what they are made of is the job's own JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ingestion import serializers
from ingestion.models import ItemState, Job, State

JsonObject = dict[str, Any]

# The seed has four words: who cancels has it end without a result, and an end with errors says which.
STATUS = {
    State.PENDING: "pending",
    State.RUNNING: "processing",
    State.WAITING: "processing",
    State.COMPLETED: "completed",
    State.PARTIAL: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
}
ASKED, FOUND, READ = 10, 20, 95  # percent when the SEC is asked, the company is found, all reports are read
_YEAR = {ItemState.DONE: "completed", ItemState.FAILED: "failed", ItemState.QUARANTINED: "failed"}


@dataclass(frozen=True)
class Beside:
    """What the job's JSON leaves out. errors: of its items, by key."""

    company: int | None = None
    errors: Mapping[str, str] = field(default_factory=dict)


def task(job: Mapping[str, Any], beside: Beside) -> JsonObject:
    """Return the record of an ingestion. (S1.20-S1.45)

    job: its JSON; what is null may be absent, as in streams.
    """
    status = STATUS[State(job["state"])]
    filings = {key: one for key, one in job.get("items_by_key", {}).items() if one["label"][:4].isdigit()}
    processed = sum(one["state"] not in (ItemState.PENDING, ItemState.RUNNING) for one in filings.values())
    error = _error(job) if status == "failed" else None
    return {
        "task_id": job["id"],
        "company_id": company_of(job.get("object")) or beside.company,
        "ticker": job["subject"],
        "status": status,
        "progress": _progress(job, status, processed, len(filings)),
        "message": _message(job, status, error),
        "steps_completed": processed,
        "total_steps": len(filings),
        "filings": [
            _filing(one, beside.errors.get(key, "")) for key, one in filings.items() if one["state"] in _YEAR
        ],
        "error": error,
    }


def update(job: Mapping[str, Any], beside: Beside) -> JsonObject:
    """Return the message that a socket pushes. (S1.45)"""
    return {"type": "ingestion_update", **task(job, beside)}


def task_of(job: Job) -> JsonObject:
    """Return the record of an ingestion from the database."""
    items = serializers.items_of([job]).get(job.pk, [])
    return task(serializers.job_data(job, items), beside(job))


def beside(job: Job) -> Beside:
    """Return what the JSON of a job leaves out, from the database."""
    failed = job.items.filter(state__in=(ItemState.FAILED, ItemState.QUARANTINED))
    known = (job.result or {}).get("company")  # of one that found its work being done by another
    return Beside(company_of(job.object) or known, dict(failed.values_list("key", "error")))


def needs_more(job: Mapping[str, Any]) -> bool:
    """Say whether the record of an ingestion needs what its JSON leaves out."""
    failed = job["items"]["failed"] > 0
    return failed or (job["state"] == State.COMPLETED and company_of(job.get("object")) is None)


def company_of(stream: str | None) -> int | None:
    """Return the id of the company that a job is about."""
    kind, _, key = (stream or "").partition(":")
    return int(key) if kind == "company" and key.isdigit() else None


def _progress(job: Mapping[str, Any], status: str, processed: int, total: int) -> int:
    if status == "completed":
        return 100
    if job["steps"].get("lookup", {}).get("state") == "completed":
        return FOUND + ((READ - FOUND) * processed // total if total else 0)
    return ASKED if job["attempt"] else 0


def _message(job: Mapping[str, Any], status: str, error: str | None) -> str:
    if status == "completed":
        return f"Ingestion of {job['subject']} completed"
    if status == "failed":
        return f"Failed to ingest {job['subject']}: {error}"
    return str(job["message"]) or f"Preparing to ingest {job['subject']}"


def _error(job: Mapping[str, Any]) -> str:
    told = (job.get("error") or {}).get("text") or job["message"]
    return str(told) if job["state"] != State.CANCELLED else "Cancelled."


def _filing(item: Mapping[str, Any], error: str) -> JsonObject:
    status = _YEAR[ItemState(item["state"])]
    said = {"year": int(item["label"][:4]), "status": status}
    return said | {"error": error or item.get("error_code")} if status == "failed" else said
