"""The API of imports: what a file turned out to be, what is wrong in it, what was loaded."""

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from ninja import Router

from config import paging
from config.http import JsonBody, StrictQuery, answer
from config.problems import Problem
from ingestion import access, idempotency, lifecycle, source, uploads, uploads_api
from ingestion.admission import Refused
from ingestion.api_requests import AnswerIn, PageFilter
from ingestion.models import Priority, State
from ingestion.source import SourceError
from ingestion.sources.imports import decisions, finding, review, staged, status
from ingestion.sources.imports.api_shapes import (
    DecisionIn,
    FileName,
    ImportIn,
    ImportOut,
    ImportsOut,
    RowFilter,
    RowsOut,
    UnitFilter,
    UnitOut,
    UnitsOut,
)
from ingestion.sources.imports.models import Import, Unit

READ = ["GET", "HEAD"]
router = Router(tags=["imports"])


@router.api_operation(READ, "/imports", response=ImportsOut, operation_id="list_imports")
def list_imports(request: HttpRequest, filters: Annotated[PageFilter, StrictQuery(...)]) -> HttpResponse:
    """List the imports you may see, newest first."""
    scope = paging.Scope("imports", request.user.pk or 0, {})
    after = paging.read_cursor(scope, filters.cursor)
    found = Import.objects.visible_to(request.user).select_related("job").order_by("-pk")
    if after is not None:
        found = found.filter(pk__lt=after)
    shown, following = paging.page(list(found[: filters.limit + 1]), filters.limit, scope, lambda one: one.pk)
    return answer({"imports": [_import(one) for one in shown], "next": following})


@router.post("/imports", response={201: ImportOut}, operation_id="await_import")
def await_import(request: HttpRequest, body: Annotated[ImportIn, JsonBody(...)]) -> HttpResponse:
    """Make an import that waits for its file; nothing works on it until then."""

    def do() -> tuple[int, dict[str, Any]]:
        params = {"later": True, **body.model_dump(mode="json", exclude={"priority"})}
        priority = Priority[body.priority.upper()]
        job = lifecycle.create("imports", params, owner=request.user, priority=priority).job
        return 201, _import(_visible(request, Import.objects.get(job=job).pk))

    return idempotency.once(request, do)


@router.post(
    "/imports/{int:import_id}/file",
    response=ImportOut,
    operation_id="send_import_file",
    openapi_extra=uploads_api.BODY,
)
def send_file(
    request: HttpRequest, import_id: int, filters: Annotated[FileName, StrictQuery(...)]
) -> HttpResponse:
    """Give an import the file it waits for: the multipart field `file`, or the raw body with `?name=`."""
    imported = _visible(request, import_id)
    job = imported.job
    if job is None:
        raise Problem("not_waiting")
    if not access.can_act(request.user, job) or not _may_touch(request, imported):
        raise Problem("permission_denied")
    if job.state != State.WAITING or (job.waiting_for or {}).get("kind") != "upload":
        raise Problem("not_waiting")
    name, content = uploads_api.given(request, filters.name)
    try:
        upload = uploads.store(request.user, name, content, source=source.get("imports"))
    except UnreadablePostError as error:
        raise Problem("bad_request") from error
    with uploads.given_to_a_job(upload):
        lifecycle.answer(job, "upload", {"file": str(upload.pk)}, request.user)
    return answer(_import(_visible(request, import_id)))


@router.api_operation(READ, "/imports/{int:import_id}", response=ImportOut, operation_id="get_import")
def get_import(request: HttpRequest, import_id: int) -> HttpResponse:
    """Return one import."""
    return answer(_import(_visible(request, import_id)))


@router.post("/imports/{int:import_id}/decisions", response=ImportOut, operation_id="decide_import")
def decide(request: HttpRequest, import_id: int, body: Annotated[DecisionIn, JsonBody(...)]) -> HttpResponse:
    """Decide what becomes of the rows of a cause (`problems[].choices` says what can be)."""
    imported = _to_decide(request, import_id)
    try:
        imported = decisions.decide(
            imported, body.cause, body.choice, body.value, body.revision, request.user
        )
    except SourceError as error:
        raise Refused(error.code, error.message) from error
    return answer(_import(imported))


@router.post("/imports/{int:import_id}/answer", response=ImportOut, operation_id="answer_import")
def answer_import(
    request: HttpRequest, import_id: int, body: Annotated[AnswerIn, JsonBody(...)]
) -> HttpResponse:
    """Approve or reject an import, or say which column is which; reviewers need not see its job."""
    job = _to_decide(request, import_id).job
    assert job is not None  # nothing is to decide without one
    if (job.waiting_for or {}).get("kind") == "upload" and not access.can_act(request.user, job):
        raise Problem("permission_denied")  # the file is the matter of whose import it is
    lifecycle.answer(job, body.answer, body.data, request.user)
    return answer(_import(_visible(request, import_id)))


@router.api_operation(
    READ, "/imports/{int:import_id}/rows", response=RowsOut, operation_id="list_import_rows"
)
def list_rows(
    request: HttpRequest, import_id: int, filters: Annotated[RowFilter, StrictQuery(...)]
) -> HttpResponse:
    """List an import's rows with errors (or `filter=warnings`, `updates`, `all`) in the file's order.

    A page may have fewer rows than asked for before the last one, when rows are very long or updates are far
    apart: only `next` tells the end.
    """
    if filters.filter not in staged.FILTERS:
        raise Problem("bad_parameter", name="filter", reason=f"one of {', '.join(staged.FILTERS)}")
    imported = _visible(request, import_id)
    scope = paging.Scope(f"rows:{imported.pk}", request.user.pk or 0, {"filter": filters.filter})
    after = paging.read_cursor(scope, filters.cursor) or 0
    shown, following = staged.page(imported, filters.filter, after, filters.limit)
    data = [
        {"number": row.number, "cells": row.cells, "errors": row.errors or {}, "warnings": row.warnings or {}}
        for row in shown
    ]
    further = None if following is None else paging.make_cursor(scope, following)
    return answer({"rows": data, "next": further})


@router.api_operation(READ, "/units", response=UnitsOut, operation_id="list_units")
def list_units(request: HttpRequest, filters: Annotated[UnitFilter, StrictQuery(...)]) -> HttpResponse:
    """List the units of the register by identifier; `q`: an identifier or words of the name."""
    if len(filters.q) > finding.MAX_QUERY:
        raise Problem("bad_parameter", name="q", reason=f"at most {finding.MAX_QUERY} characters")
    shown, following = finding.page(request.user, filters.q.strip(), filters.cursor, filters.limit)
    return answer({"units": [_unit(one) for one in shown], "next": following})


def _to_decide(request: HttpRequest, pk: int) -> Import:
    """Return an import about which this user, with this token, may decide. Raises Problem."""
    imported = _visible(request, pk)
    if not decisions.may_decide(request.user, imported) or not _may_touch(request, imported):
        raise Problem("permission_denied")
    return imported


def _may_touch(request: HttpRequest, imported: Import) -> bool:
    """Say whether a request's token is for other people's imports too, where this one is not its user's."""
    token = getattr(request, "token", None)
    return imported.owner_id == request.user.pk or token is None or "operate" in token.scopes


def _visible(request: HttpRequest, pk: int) -> Import:
    found = None
    if pk < 2**63:
        found = Import.objects.visible_to(request.user).select_related("job").filter(pk=pk).first()
    if found is None:
        raise Problem("not_found")
    return found


def _import(imported: Import) -> dict[str, Any]:
    plain = (
        "slug",
        "valid_from",
        "valid_to",
        "file_name",
        "file_size",
        "created_at",
        "header",
        "rows_total",
        "rows_bad",
        "rows_new",
        "revision",
        "proposals",
        "created",
        "updated",
        "forgotten_at",
    )
    job = imported.job
    return {
        "id": imported.pk,
        "job": imported.job_id,
        "state": status.state(imported),
        "priority": job and Priority(job.priority).name.lower(),
        "error": job and job.error,
        "definition": imported.definition.get("slug") or imported.definition["name"],
        "display": review.display_of(imported),
        "mapping": {match.header: match.target for match in imported.matches},
        "rows_updated": None if imported.rows_total is None else imported.rows_known,
        "problems": [
            {
                **cause,
                "choices": decisions.choices(imported, cause),
                "choice": decisions.chosen(imported, cause),
                "decided": imported.decisions.get(cause["key"]),
            }
            for cause in imported.problems
        ],
        **{name: getattr(imported, name) for name in plain},
    }


def _unit(unit: Unit) -> dict[str, Any]:
    names = [name for name in UnitOut.model_fields if name != "loaded_by"]
    return {**{name: getattr(unit, name) for name in names}, "loaded_by": unit.loaded_by_id}
