"""What people answered: in the order of the questions, within what a job may remember, its file taken."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from config import texts
from ingestion import uploads
from ingestion.admission import Refused, invalid
from ingestion.clock import ClockTimestamp, read_clock
from ingestion.models import Job, Upload
from ingestion.source import SourceError, find

MEMO_BYTES = 64 * 1024  # of what a job remembers: it is read with every attempt
# In a history; else by its name.
TOLD = {"approve": "Approved", "match": "Columns matched", "upload": "File sent"}
_FILE = "file"  # the name in `data` under which an answer to `upload` gives its file


def name_of(kind: str, number: int) -> str:
    """Return under which name a job remembers the answer to its n-th question of a kind."""
    return f"answer:{kind}:{number}"


def given_to(job: Job, kind: str) -> dict[str, Any] | None:
    """Return the last answer of a kind, also one that a retry took over from its ancestors; None: none."""
    own = job.answer is not None and job.answer["kind"] == kind
    given: dict[str, Any] | None = job.answer if own else job.memo.get(name_of(kind, _count(job, kind)))
    return given


def _count(job: Job, kind: str) -> int:
    return sum(name.startswith(name_of(kind, 0)[:-1]) for name in job.memo)


def fits(memo: Mapping[str, Any]) -> bool:
    """Say whether a job may remember this."""
    return len(json.dumps(memo).encode()) <= MEMO_BYTES


def accept(job: Job, answer: str, data: Mapping[str, Any], by: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an answer as its row keeps it, and the job's memo with it; take the file it gives.

    job: locked, and waiting. Raises Refused when the source does not take it, the file is not the answerer's
    to give, or nothing fits.
    """
    assert job.waiting_for is not None
    kind, source = job.waiting_for["kind"], find(job.source)
    position = texts.odd_at(str(data.get("reason") or ""), lines=True)
    if position is not None:
        raise invalid("data.reason", texts.ODD.format(n=position), "bad_character")
    if source is not None:
        if not source.may_answer(job, kind, by):
            raise Refused("permission_denied", "Somebody else has to answer this.")
        try:
            data = source.answered(job, kind, answer, data, by)
        except SourceError as error:
            raise Refused(error.code, error.message) from error
    given = {
        "kind": kind,
        "answer": answer,
        "data": dict(data),
        "by": by.get_username(),
        "at": read_clock().isoformat(),
    }
    memo = {**job.memo, name_of(kind, _count(job, kind) + 1): given}
    if not fits(memo):
        raise invalid("data", "The answer is too large: a job may remember at most 64 KB.")
    if kind == "upload" and answer != "reject":
        _take(job, data.get(_FILE), by)
    return given, memo


def _take(job: Job, given: Any, by: Any) -> None:
    """Make the file the job's. Somebody else's is the same as none."""
    field = f"data.{_FILE}"
    try:
        found = uploads.visible(by).select_for_update().filter(pk=UUID(str(given))).first()
    except ValueError:
        found = None
    if found is None:
        raise invalid(field, "This field is required." if given in (None, "") else "Not found.")
    uploads.check(found, find(job.source))
    free = Upload.objects.filter(pk=found.pk, job=None, expires_at__gt=ClockTimestamp())
    if not free.update(job=job, expires_at=None):
        raise Refused(
            "validation_failed",
            "This file is no longer available.",
            errors=[{"field": field, "code": "gone", "message": "This file is no longer available."}],
        )
