"""The API of jobs: fetch with the access check, validate, call one verb, answer."""

import json
from typing import Annotated, Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router
from pydantic import ValidationError

from config import paging
from config.http import JsonBody, RowId, StrictQuery, answer, json_object
from config.problems import Problem, field_errors, from_errors, invalid
from ingestion import access, idempotency, lifecycle, serializers, streams, uploads, waiting, waits
from ingestion.admission import Refused
from ingestion.api_answers import EventsOut, ItemsOut, JobOut, JobsOut, ReadyOut, SourcesOut, WhyOut
from ingestion.api_requests import (
    AnswerIn,
    ItemFilter,
    JobFilter,
    PageFilter,
    ReadyFilter,
    RetryIn,
    SinceFilter,
    StartIn,
    WaitFilter,
    start_adapter,
)
from ingestion.models import ACTIVE, FINAL, OPEN, Job, JobEvent, JobItem, State
from ingestion.requested import acting_job, visible_job
from ingestion.source import registry
from realtime.epoch import current

READ = ["GET", "HEAD"]
MAX_WATCHED = 100  # active jobs of an object whose end is seen at once; of more, within a second
router = Router(tags=["jobs"])


# ---- lists ------------------------------------------------------------------------------------------------


@router.api_operation(READ, "/jobs", response=JobsOut, operation_id="list_jobs")
def list_jobs(request: HttpRequest, filters: Annotated[JobFilter, StrictQuery(...)]) -> HttpResponse:
    """List the jobs you may see, newest first."""
    asked = filters.dict(exclude={"limit", "cursor"}, exclude_none=True)
    scope = paging.Scope("jobs", _user_id(request), asked)
    after = paging.read_cursor(scope, filters.cursor)
    jobs = _filtered(access.visible_jobs(request.user), filters)
    newest = filters.ordering == "-created_at"
    if after is not None:
        jobs = jobs.filter(pk__lt=after) if newest else jobs.filter(pk__gt=after)
    rows = list(serializers.for_json(jobs).order_by("-pk" if newest else "pk")[: filters.limit + 1])
    shown, following = paging.page(rows, filters.limit, scope, lambda job: str(job.pk))
    now = timezone.now()
    return answer(
        {"jobs": [serializers.api_job(job, request.user, now=now) for job in shown], "next": following}
    )


def _filtered(jobs: QuerySet[Job], filters: JobFilter) -> QuerySet[Job]:
    if filters.state is not None:
        jobs = jobs.filter(state__in=filters.state.split(","))
    if filters.source is not None:
        jobs = jobs.filter(source=filters.source)
    if filters.object is not None:
        jobs = jobs.filter(object=filters.object)
    if filters.q is not None:
        jobs = jobs.filter(Q(title__icontains=filters.q) | Q(subject__icontains=filters.q))
    if filters.after is not None:
        jobs = jobs.filter(created_at__gte=filters.after)
    if filters.before is not None:
        jobs = jobs.filter(created_at__lt=filters.before)
    return jobs


@router.api_operation(READ, "/jobs/{job_id}/items", response=ItemsOut, operation_id="list_items")
def list_items(
    request: HttpRequest, job_id: RowId, filters: Annotated[ItemFilter, StrictQuery(...)]
) -> HttpResponse:
    """List a job's items in their order."""
    job = visible_job(request, job_id)
    scope = paging.Scope(f"items:{job.pk}", _user_id(request), {"state": filters.state})
    items: QuerySet[JobItem] = job.items.order_by("ordinal", "pk")
    if filters.state is not None:
        items = items.filter(state=filters.state)
    after = paging.read_cursor(scope, filters.cursor)
    if after is not None:
        items = items.filter(Q(ordinal__gt=after[0]) | Q(ordinal=after[0], pk__gt=after[1]))
    rows = list(items[: filters.limit + 1])
    shown, following = paging.page(rows, filters.limit, scope, lambda item: [item.ordinal, item.pk])
    return answer({"items": [serializers.item_data(item) for item in shown], "next": following})


@router.api_operation(READ, "/jobs/{job_id}/events", response=EventsOut, operation_id="list_events")
def list_events(
    request: HttpRequest, job_id: RowId, filters: Annotated[PageFilter, StrictQuery(...)]
) -> HttpResponse:
    """List a job's history, oldest first."""
    job = visible_job(request, job_id)
    scope = paging.Scope(f"events:{job.pk}", _user_id(request), {})
    events: QuerySet[JobEvent] = job.events.order_by("version")
    after = paging.read_cursor(scope, filters.cursor)
    if after is not None:
        events = events.filter(version__gt=after)
    rows = list(events[: filters.limit + 1])
    shown, following = paging.page(rows, filters.limit, scope, lambda event: event.version)
    return answer({"events": [serializers.event_data(event) for event in shown], "next": following})


@router.api_operation(READ, "/sources", response=SourcesOut, operation_id="list_sources", tags=["sources"])
def list_sources(request: HttpRequest) -> HttpResponse:
    """List the kinds of ingestion and what they are asked for."""
    return answer({"sources": [serializers.source_data(source) for source in registry().values()]})


# ---- one job ----------------------------------------------------------------------------------------------


@router.api_operation(READ, "/jobs/{job_id}", response={200: JobOut, 304: None}, operation_id="get_job")
def get_job(
    request: HttpRequest, job_id: RowId, place: Annotated[SinceFilter, StrictQuery(...)]
) -> HttpResponse:
    """Return a job. `ETag` is its place in its stream: 304 when it stands where you know it."""
    job = visible_job(request, job_id)
    if place.since is not None or place.epoch is not None:
        behind = streams.events_after(job, place.since, place.epoch)
        return answer(_job_json(request, job) | behind)
    now = timezone.now()
    if serializers.display(job, now) == "stale":
        # The clock says it, not the row: the version stays, so an ETag would hide it.
        return _job_answer(request, job)
    etag = f'"{current()}:{job.version}"'
    if etag in [
        tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")
    ]:
        return HttpResponse(status=304, headers={"ETag": etag})
    return _job_answer(request, job, headers={"ETag": etag})


@router.api_operation(READ, "/jobs/{job_id}/why", response=WhyOut, operation_id="why_job_waits")
def why_job_waits(request: HttpRequest, job_id: RowId) -> HttpResponse:
    """Say in words why a pending job does not run yet, and how many are before it (1,000 at most).

    For any other job all is null.
    """
    found = waits.why(visible_job(request, job_id), request.user)
    return answer({name: getattr(found, name, None) for name in ("reason", "text", "before")})


@router.post("/jobs", response={200: JobOut, 201: JobOut}, operation_id="start_job")
def start_job(request: HttpRequest) -> HttpResponse:
    """Start a job, or join the open one that does the same work (200, `created` is false)."""
    body = json_object(request)
    return idempotency.once(request, lambda: _start(request, body))


def _start(request: HttpRequest, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    given = _validated(body)
    source = registry()[given.source]
    uploads.check_params(request.user, given.params, source)
    parents = _parents(request, given.depends_on)
    try:
        made = lifecycle.create(
            given.source,
            given.params,
            owner=request.user,
            priority=given.priority_value,
            run_after=given.run_after,
            depends_on=parents,
            strict=given.strict,
        )
    except Refused as refused:
        raise _of_params(refused) from refused
    if not made.created and made.job in parents:
        raise Problem("dependency_cycle")
    return (201 if made.created else 200), _job_json(request, made.job, created=made.created)


def _validated(body: dict[str, Any]) -> Any:
    kinds = registry()
    kind = body.get("source")
    if kind is not None and not isinstance(kind, str):
        raise invalid("source", "Must be text.", "string_type")
    if kind is None:
        raise invalid("source", "This field is required.", "required")
    if kind not in kinds:
        raise invalid("source", f"Must be one of: {', '.join(kinds)}.", "literal_error")
    try:
        # As JSON, and strict: "10" and true are no numbers here, while ids and dates are texts.
        return start_adapter().validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
        for one in found:
            # The union's tag comes first in the path of a field; it is no field.
            if one["loc"][:1] == (kind,):
                one["loc"] = one["loc"][1:]
        raise from_errors(field_errors(found)) from error


def _parents(request: HttpRequest, ids: list[UUID]) -> list[Job]:
    found = {job.pk: job for job in access.visible_jobs(request.user).filter(pk__in=ids)} if ids else {}
    errors = [
        {"field": f"depends_on.{n}", "code": "not_found", "message": "Not found."}
        for n, pk in enumerate(ids)
        if pk not in found
    ]
    if errors:
        raise Problem("validation_failed", errors=errors)
    return list(found.values())


def _of_params(refused: Refused) -> Problem:
    """Return the problem for what the engine refused; the fields it names are those of the params."""
    own = set(StartIn.model_fields) | {"source"}
    errors = [
        {**error, "field": error["field"] if error["field"] in own else f"params.{error['field']}"}
        for error in refused.errors
    ]
    return Problem(refused.code, detail=refused.message, errors=errors, retry_after=refused.retry_after)


@router.post("/jobs/{job_id}/cancel", response={202: JobOut}, operation_id="cancel_job")
def cancel_job(request: HttpRequest, job_id: RowId) -> HttpResponse:
    """Ask for a job to be cancelled. Asking twice is fine."""
    job = acting_job(request, job_id)
    return _job_answer(request, lifecycle.cancel(job, request.user), 202)


@router.post("/jobs/{job_id}/retry", response={200: JobOut, 201: JobOut}, operation_id="retry_job")
def retry_job(
    request: HttpRequest, job_id: RowId, body: Annotated[RetryIn | None, JsonBody(...)] = None
) -> HttpResponse:
    """Start a job that does what an ended one left undone, or join its open retry (200)."""
    job = acting_job(request, job_id)
    wanted = body or RetryIn()

    def do() -> tuple[int, dict[str, Any]]:
        made = lifecycle.retry(job, request.user, keys=wanted.keys, error_code=wanted.error_code)
        return (201 if made.created else 200), _job_json(request, made.job, created=made.created)

    return idempotency.once(request, do)


@router.post("/jobs/{job_id}/answer", response=JobOut, operation_id="answer_job")
def answer_job(request: HttpRequest, job_id: RowId, body: Annotated[AnswerIn, JsonBody(...)]) -> HttpResponse:
    """Answer a waiting job."""
    job = acting_job(request, job_id)
    return _job_answer(request, lifecycle.answer(job, body.answer, body.data, request.user))


@router.delete("/jobs/{job_id}", response={204: None}, operation_id="delete_job")
def delete_job(request: HttpRequest, job_id: RowId) -> HttpResponse:
    """Remove an ended job with its items and events."""
    lifecycle.delete(acting_job(request, job_id), request.user)
    return HttpResponse(status=204)


# ---- waiting ----------------------------------------------------------------------------------------------


@router.api_operation(READ, "/jobs/{job_id}/wait", response=JobOut, operation_id="wait_for_job")
async def wait_for_job(
    request: HttpRequest, job_id: RowId, filters: Annotated[WaitFilter, StrictQuery(...)]
) -> HttpResponse:
    """Answer when the job has ended or needs a person, or, with `version`, when it stands above it."""

    def is_so(state: str, version: int) -> bool:
        if filters.version is not None and version > filters.version:
            return True
        return state in FINAL or (filters.version is None and state == State.WAITING)

    with waiting.place(_user_id(request)):
        job = await waiting.in_thread(lambda: visible_job(request, job_id))
        if filters.timeout and not is_so(job.state, job.version):
            await waiting.until_job(
                request,
                job.stream,
                lambda frame: is_so((frame.data or {})["state"], frame.version or 0),
                filters.timeout,
            )
        return await waiting.in_thread(lambda: _job_answer(request, visible_job(request, job_id)))


@router.api_operation(READ, "/ready", response=ReadyOut, operation_id="is_ready", tags=["ready"])
async def is_ready(request: HttpRequest, filters: Annotated[ReadyFilter, StrictQuery(...)]) -> HttpResponse:
    """Say whether nothing works on an object, at once or, with `timeout`, as soon as it is so.

    What waits for a person, a time or another job is open, and works on nothing.
    """
    open_jobs = Job.objects.filter(object=filters.object, state__in=OPEN)
    active = open_jobs.filter(ACTIVE)

    def open_streams() -> list[str]:
        if not access.can_ask_about(request.user, filters.object):
            raise Problem("not_found")
        return [f"job:{pk}" for pk in active.order_by("pk").values_list("pk", flat=True)[:MAX_WATCHED]]

    with waiting.place(_user_id(request)):
        if await waiting.in_thread(open_streams) and filters.timeout:
            await waiting.until_none(request, open_streams, filters.timeout)
        counts = {"works": Count("pk", filter=ACTIVE), "open": Count("pk")}
        found = await waiting.in_thread(lambda: open_jobs.aggregate(**counts))
    return answer({"object": filters.object, "ready": found["works"] == 0, "open": found["open"]})


# ---- inside -----------------------------------------------------------------------------------------------


def _user_id(request: HttpRequest) -> int:
    return int(request.user.pk or 0)


def _job_json(request: HttpRequest, job: Job, *, created: bool = False) -> dict[str, Any]:
    if created:
        fresh, items = job, serializers.items_of([job]).get(job.pk, []) if job.items_total else []
        fresh.retried_by_id = None  # type: ignore[attr-defined]  # as `for_json` would find
    else:
        # Read again: a verb's row has no `retried_by`, and joining an open job is what makes it visible.
        fresh = serializers.for_json(Job.objects.filter(pk=job.pk)).first() or job
        items = serializers.items_of([fresh]).get(fresh.pk, [])
    return serializers.api_job(fresh, request.user, items=items, created=created, now=timezone.now())


def _job_answer(
    request: HttpRequest, job: Job, status: int = 200, *, headers: dict[str, str] | None = None
) -> HttpResponse:
    return answer(_job_json(request, job), status, headers)
