"""Whether a job may be made: its params, its uploads, its parents, and the room there is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from pydantic import ValidationError

from config.problems import field_errors, from_errors
from config.statements import execute
from ingestion.clock import ClockTimestamp, read_clock
from ingestion.models import FINAL, ItemState, Job, JobItem, State, Upload
from ingestion.settings import MAX_QUEUED, MAX_QUEUED_PER_USER
from ingestion.source import Source, SourceParams, find, upload_fields

MAX_PARENTS = 50
CAPACITY_LOCK = 3  # first key of the advisory lock; 1 is the claim's, 2 the idempotency keys'


@dataclass(frozen=True)
class Created:
    """The job that does the work, and whether this call made it."""

    job: Job
    created: bool


class Refused(Exception):
    """A verb was refused; `code` and `message` are of the error catalogue."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        errors: list[dict[str, str]] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.errors, self.retry_after = code, message, errors or [], retry_after


def validated(kind: str, params: Mapping[str, Any] | SourceParams) -> tuple[Source, Any]:
    """Return a source and its params, checked. Raises Refused, also with unknown_field, bad_character."""
    source = find(kind)
    if source is None:
        raise invalid("source", f"There is no source called {kind!r}.")
    if isinstance(params, SourceParams):
        params = params.model_dump(mode="json")
    try:
        return source, source.params.model_validate(dict(params))
    except ValidationError as error:
        problems = [
            {**one, "field": one["field"] or "params"}
            for one in field_errors(error.errors(include_url=False))
        ]
        found = from_errors(problems)
        raise Refused(found.code, found.detail, errors=problems) from error


def invalid(name: str, message: str, code: str = "invalid") -> Refused:
    """Return the refusal of one field."""
    errors = [{"field": name, "code": code, "message": message}]
    found = from_errors(errors)
    return Refused(found.code, found.detail, errors=errors)


def take_uploads(job: Job, p: SourceParams) -> None:
    """Give a new job the files that its params name. Raises Refused when one is not its owner's to give."""
    if job.retry_of_id is not None:  # its parent's: those of its params, and those it was answered with
        # An earlier retry, which has ended, took them from it, and one of that retry from that.
        holders = last = {job.retry_of_id}
        while last:
            last = set(Job.objects.filter(retry_of__in=last, state__in=FINAL).values_list("pk", flat=True))
            holders = holders | last
        Upload.objects.filter(job__in=holders).update(job=job)
    for name in upload_fields(type(p)):
        given = getattr(p, name)
        if given is None:
            continue
        free = Q(job=None, expires_at__gt=ClockTimestamp()) | Q(job=job)
        taken = Upload.objects.filter(free, pk=given, owner=job.owner).update(job=job, expires_at=None)
        if not taken:
            raise invalid(name, "This file is no longer available.")


def let_wait(job: Job, kind: str, text: str) -> None:
    """Have a job that is not stored yet wait for a person from its first moment."""
    job.state, job.pending_reason, job.message = State.WAITING, "", text[:300]
    job.waiting_for = {"kind": kind, "since": read_clock().isoformat(), "text": text}


_WAITING = """
    WITH waiting AS NOT MATERIALIZED (
        SELECT owner_id, source FROM ingestion_job
        WHERE state = 'pending' AND pending_reason IN ('queue', 'slot')
    ) SELECT
        (SELECT count(*) FROM (SELECT 1 FROM waiting
            WHERE owner_id IS NOT DISTINCT FROM %s AND source = %s LIMIT %s) mine),
        (SELECT count(*) FROM (SELECT 1 FROM waiting LIMIT %s) everybodys)
"""


def check_capacity(job: Job) -> None:
    """Refuse a job that nobody would come to: quota_exceeded of its owner, queue_full of all."""
    # Counted alone: two that count at once would both find the last place. Held until the job is committed,
    # and taken before any row's lock, as the claim's is.
    execute(
        "SELECT pg_advisory_xact_lock(%s, hashtext(%s))",
        [CAPACITY_LOCK, f"{job.owner_id or '-'}:{job.source}"],
    )
    mine, everybodys = execute(_WAITING, [job.owner_id, job.source, MAX_QUEUED_PER_USER, MAX_QUEUED])[0]
    if mine >= MAX_QUEUED_PER_USER:
        raise Refused(
            "quota_exceeded",
            f"You already have {MAX_QUEUED_PER_USER} queued jobs, which is the limit.",
            retry_after=60,
        )
    if everybodys >= MAX_QUEUED:
        raise Refused(
            "queue_full", "The service is busy. Nothing was created. Try again in 60 seconds.", retry_after=60
        )


def inherit(job: Job, rows: QuerySet[JobItem]) -> None:
    """Give a retry the items of its parent that it does not do again; open ones count as failed."""
    copies = [
        JobItem(
            job=job,
            step=row.step,
            key=row.key,
            label=row.label,
            ordinal=row.ordinal,
            state=ItemState.FAILED if row.state in (ItemState.PENDING, ItemState.RUNNING) else row.state,
            error_code=row.error_code,
            error=row.error,
            tries=row.tries,
            result=row.result,
            url=row.url,
            started_at=row.started_at,
            finished_at=row.finished_at,
            version=1,
        )
        for row in rows
    ]
    JobItem.objects.bulk_create(copies, batch_size=1000)
    count = {state: sum(row.state == state for row in copies) for state in ItemState}
    Job.objects.filter(pk=job.pk).update(
        items_total=len(copies),
        items_done=count[ItemState.DONE],
        items_skipped=count[ItemState.SKIPPED],
        items_failed=count[ItemState.FAILED] + count[ItemState.QUARANTINED],
    )


def not_waiting(job: Job) -> Refused:
    """Return why a job takes no answer: who gave it first, and when."""
    if job.answer:
        who, when = job.answer["by"], job.answer["at"]
        return Refused("already_answered", f"Already answered ({job.answer['answer']}) by {who} at {when}.")
    return Refused("not_waiting", "This job does not wait for an answer.")
