"""What a job looks like to everybody: the API, `--json`, the streams and the pages read these functions."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse

from ingestion import access
from ingestion.models import OPEN, ItemState, Job, JobEvent, JobItem, PendingReason, State, Upload
from ingestion.source import Source, find

JsonObject = dict[str, Any]

MAX_TEXT = 300  # characters of one text; with it a state of 60 items and 50 events fits one frame
MAX_ITEMS_BY_KEY = 60  # above this a page refetches its table and the stream carries counts only

_PENDING_DISPLAY = {
    PendingReason.QUEUE: "queued",
    PendingReason.SLOT: "queued",
    PendingReason.RETRY: "retrying",
    PendingReason.SCHEDULE: "scheduled",
    PendingReason.DEPENDENCY: "blocked",
}
_STATE_DISPLAY = {State.COMPLETED: "complete", State.PARTIAL: "completed_with_errors"}
_WAITING_DISPLAY = {"upload": "waiting_for_upload", "review": "waiting_for_review"}

_STEP_FIELDS = ("label", "state", "weight", "started_at", "finished_at", "done", "total")


def display(job: Job, now: datetime | None = None) -> str:
    """Return the word for a job's state that people read and that `data-status` carries.

    now: with it a running job whose lease is over is `stale`. Streams leave it out, because what they say
        may depend on the row alone.
    """
    if job.state == State.PENDING:
        return _PENDING_DISPLAY.get(PendingReason(job.pending_reason), "queued")
    if job.state == State.RUNNING:
        if job.cancel_requested_at is not None:
            return "cancelling"
        if now is not None and job.lease_until is not None and job.lease_until < now:
            return "stale"
    if job.state == State.WAITING:
        return _WAITING_DISPLAY.get((job.waiting_for or {}).get("kind", ""), "waiting_for_review")
    if job.state == State.CANCELLED and (job.error or {}).get("code") == "rejected":
        return "rejected"
    return _STATE_DISPLAY.get(State(job.state), job.state)


def steps_of(job: Job) -> list[tuple[str, dict[str, Any]]]:
    """Return a job's steps by name: the declared ones in order, then any others by their start.

    The column has an order of its own, which says nothing.
    """
    kind = find(job.source)
    order = {step.name: n for n, step in enumerate(kind.steps)} if kind else {}
    return sorted(
        (job.steps or {}).items(),
        key=lambda pair: (order.get(pair[0], len(order)), pair[1].get("started_at") or "~", pair[0]),
    )


def item_display(item: JobItem) -> str:
    """Return the word for an item's state that people read."""
    return "complete" if item.state == ItemState.DONE else item.state


def for_json(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """Make a query bring what `job_data` and `api_job` read, so that a list costs no query a row."""
    newest_retry = Job.objects.filter(retry_of=OuterRef("pk")).order_by("-id").values("pk")[:1]
    return jobs.annotate(retried_by_id=Subquery(newest_retry)).select_related("owner").defer("memo", "result")


def items_of(jobs: Iterable[Job]) -> dict[UUID, list[JobItem]]:
    """Return the items of those jobs that have few enough to be told one by one, in one query."""
    found: dict[UUID, list[JobItem]] = {job.pk: [] for job in jobs if job.items_total <= MAX_ITEMS_BY_KEY}
    if found:
        for item in JobItem.objects.filter(job__in=found).defer("result").order_by("ordinal", "id"):
            found[item.job_id].append(item)
    return found


def job_data(job: Job, items: Sequence[JobItem] | None = None) -> JsonObject:
    """Return the Job JSON: what the stream says, and the base of what the API says.

    items: all of the job's, or None; they are left out above 60. `retried_by` costs a query for a job
        that did not come through `for_json`.
    """
    retried_by = _retried_by(job)
    data: JsonObject = {
        "id": str(job.pk),
        "source": job.source,
        "title": _cut(job.title),
        "subject": _cut(job.subject),
        "object": job.object,
        "state": str(job.state),
        "display": display(job),
        "pending_reason": str(job.pending_reason) or None,
        "run_after": _time(job.run_after),
        "waiting_for": _waiting_for(job),
        "message": _cut(job.message),
        "error": _error(job),
        "progress": round(job.progress, 4),
        "items": {
            "total": job.items_total,
            "done": job.items_done,
            "failed": job.items_failed,
            "skipped": job.items_skipped,
        },
        "items_total": job.items_total,
        "items_done": job.items_done,
        "items_failed": job.items_failed,
        "rate": None if job.rate is None else round(job.rate, 1),
        "eta_seconds": None if job.eta_seconds is None else round(job.eta_seconds, 1),
        "steps": {name: _step(step) for name, step in steps_of(job)},
        "attempt": job.attempt,
        "cancel_requested_at": _time(job.cancel_requested_at),
        "created_at": _time(job.created_at),
        "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at),
        "result_url": job.result_url or None,
        "retry_of": None if job.retry_of_id is None else str(job.retry_of_id),
        "retried_by": retried_by,
        "version": job.version,
        "links": _links(job, retried_by),
    }
    if items is not None and job.items_total <= MAX_ITEMS_BY_KEY:
        data["items_by_key"] = items_by_key(items)
    return data


def api_job(
    job: Job,
    user: Any,
    *,
    items: Sequence[JobItem] | None = None,
    created: bool = False,
    now: datetime | None = None,
) -> JsonObject:
    """Return the Job JSON with what only the API says: it depends on who asks, or on the clock."""
    data = job_data(job, items)
    acts = access.can_act(user, job)
    mine = job.owner_id is not None and job.owner_id == user.pk
    data["display"] = display(job, now)
    data["created"] = created
    data["owner"] = None if job.owner is None else job.owner.get_username()
    data["mine"] = mine
    data["worker_seen_at"] = _time(_worker_seen_at(job))
    data["can"] = can(job, user) if acts else []
    if mine or user.is_staff:
        data["params"] = job.params
    return data


def can(job: Job, user: Any) -> list[str]:
    """Return what a user who may act on this job can do to it now."""
    verbs = []
    if job.state in OPEN and job.cancel_requested_at is None:
        verbs.append("cancel")
    if job.leaves_work:
        verbs.append("retry")
    if job.state == State.WAITING:
        kind = find(job.source)
        if kind is None or kind.may_answer(job, (job.waiting_for or {}).get("kind", ""), user):
            verbs.append("answer")
    return verbs


def items_by_key(items: Iterable[JobItem]) -> dict[str, JsonObject]:
    """Return the items by key, in their order; a key that a second step uses again gets that step's name."""
    found: dict[str, JsonObject] = {}
    for item in items:
        key = item.key if item.key not in found else f"{item.step}/{item.key}"
        found[key] = {
            "label": _cut(item.label),
            "state": str(item.state),
            "error_code": item.error_code or None,
            "url": _cut(item.url) or None,
        }
    return found


def item_data(item: JobItem) -> JsonObject:
    """Return an item as `/items` lists it."""
    return {
        "step": item.step,
        "key": item.key,
        "label": _cut(item.label),
        "ordinal": item.ordinal,
        "state": str(item.state),
        "display": item_display(item),
        "error": {"code": item.error_code, "text": _cut(item.error)} if item.error_code else None,
        "tries": item.tries,
        "result": item.result,
        "url": item.url or None,
        "started_at": _time(item.started_at),
        "finished_at": _time(item.finished_at),
        "version": item.version,
    }


def event_data(event: JobEvent) -> JsonObject:
    """Return a line of a job's history, as the stream and `/events` say it."""
    return {
        "version": event.version,
        "at": _time(event.at),
        "level": str(event.level),
        "kind": event.kind,
        "message": _cut(event.message),
        "data": event.data,
    }


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _time(value: datetime | None) -> str | None:
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _error(job: Job) -> JsonObject | None:
    if not job.error:
        return None
    return {"code": job.error.get("code", ""), "text": _cut(job.error.get("text", ""))}


def _waiting_for(job: Job) -> JsonObject | None:
    if not job.waiting_for:
        return None
    asked = job.waiting_for
    return {"kind": asked.get("kind"), "since": asked.get("since"), "text": _cut(asked.get("text") or "")}


def _step(step: Mapping[str, Any]) -> JsonObject:
    data = {name: step.get(name) for name in _STEP_FIELDS}
    data["label"] = _cut(data["label"] or "")
    return data


def _worker_seen_at(job: Job) -> datetime | None:
    """Return when the worker last renewed its lease."""
    if job.lease_until is None:
        return None
    return job.lease_until - timedelta(seconds=settings.JOB_LEASE_SECONDS)


def _retried_by(job: Job) -> str | None:
    try:
        newest = job.retried_by_id  # type: ignore[attr-defined]  # annotated by for_json
    except AttributeError:
        newest = Job.objects.filter(retry_of=job).order_by("-id").values_list("pk", flat=True).first()
    return None if newest is None else str(newest)


def _links(job: Job, retried_by: str | None) -> JsonObject:
    own = f"/api/jobs/{job.pk}"
    links = {"self": own, "items": f"{own}/items", "events": f"{own}/events", "page": job.get_absolute_url()}
    if job.retry_of_id is not None:
        links["retry_of"] = reverse("ingestion:job", args=[job.retry_of_id])
    if retried_by is not None:
        links["retried_by"] = reverse("ingestion:job", args=[retried_by])
    return links


def upload_data(upload: Upload) -> JsonObject:
    """Return a stored file as the API tells it."""
    return {
        "id": str(upload.pk),
        "name": upload.name,
        "size": upload.size,
        "sha256": upload.sha256,
        "type": upload.type,
        "expires_at": _time(upload.expires_at),
    }


def source_data(source: Source) -> JsonObject:
    """Return a kind of ingestion and what it is asked for."""
    return {
        "kind": source.kind,
        "label": source.label,
        "description": source.description,
        "item_noun": source.item_noun,
        "steps": [{"name": step.name, "label": step.label, "weight": step.weight} for step in source.steps],
        "params": source.params.model_json_schema(),
    }
