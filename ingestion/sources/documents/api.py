"""The API of workspaces, their documents and search. What you are no member of is not there."""

from typing import Annotated, Any

from django.db.models import Count
from django.http import FileResponse, HttpRequest, HttpResponse
from ninja import Router

from config import paging
from config.http import JsonBody, StrictQuery, answer
from config.problems import Problem, invalid
from ingestion import idempotency, lifecycle, sharing, uploads
from ingestion.api_requests import PageFilter
from ingestion.errors import NotPossible
from ingestion.sources.documents import acting, members, refresh, search
from ingestion.sources.documents.api_shapes import (
    LARGEST_ID,
    DocumentFilter,
    DocumentOut,
    DocumentsOut,
    JobStartedOut,
    MembersOut,
    PassageFilter,
    PassagesFilter,
    PassagesFoundOut,
    PassagesOut,
    RoleIn,
    WorkspaceChange,
    WorkspaceIn,
    WorkspaceOut,
    WorkspacesOut,
    WorkspaceStartedOut,
)
from ingestion.sources.documents.models import Document, DocumentStatus, Membership, Role, Workspace
from ingestion.sources.documents.source import Documents
from ingestion.sources.documents.workspaces import Removal, Workspaces

READ = ["GET", "HEAD"]
router = Router(tags=["workspaces"])
STARTED = {200: JobStartedOut, 201: JobStartedOut}


# ---- workspaces -------------------------------------------------------------------------------------------


@router.api_operation(READ, "/workspaces", response=WorkspacesOut, operation_id="list_workspaces")
def list_workspaces(request: HttpRequest, asked: Annotated[PageFilter, StrictQuery(...)]) -> HttpResponse:
    """List the workspaces that you are a member of, the newest first."""
    scope = paging.Scope("workspaces", request.user.pk or 0, {})
    after = paging.read_cursor(scope, asked.cursor)
    rows = Workspace.objects.of(request.user).select_related("retrieval").order_by("-pk")
    if after is not None:
        rows = rows.filter(pk__lt=after)
    shown, following = paging.page(list(rows[: asked.limit + 1]), asked.limit, scope, lambda one: one.pk)
    return answer({"workspaces": _told(request, shown), "next": following})


@router.post(
    "/workspaces",
    response={200: WorkspaceStartedOut, 201: WorkspaceStartedOut},
    operation_id="create_workspace",
)
def create_workspace(request: HttpRequest, body: Annotated[WorkspaceIn, JsonBody(...)]) -> HttpResponse:
    """Make a workspace; a job prepares it."""

    def do() -> tuple[int, dict[str, Any]]:
        made = lifecycle.create(Workspaces.kind, body.model_dump(), owner=request.user)
        found = Workspace.objects.select_related("retrieval").get(job=made.job)
        return 201, {**_told(request, [found])[0], "created": made.created}

    return idempotency.once(request, do)


@router.api_operation(
    READ, "/workspaces/{int:workspace_id}", response=WorkspaceOut, operation_id="get_workspace"
)
def get_workspace(request: HttpRequest, workspace_id: int) -> HttpResponse:
    """Return a workspace: where it stands, its settings, and how many documents stand where."""
    return answer(_told(request, [_workspace(request, workspace_id)])[0])


@router.patch("/workspaces/{int:workspace_id}", response=WorkspaceOut, operation_id="change_workspace")
def change_workspace(
    request: HttpRequest, workspace_id: int, body: Annotated[WorkspaceChange, JsonBody(...)]
) -> HttpResponse:
    """Change its name, description or settings. Owners only."""
    found = _workspace(request, workspace_id, Role.OWNER)
    try:
        acting.change(found, body.model_dump(exclude_none=True), request.user)
    except NotPossible as error:
        raise invalid(error.field, error.message) from error
    return answer(_told(request, [_workspace(request, workspace_id)])[0])


@router.delete("/workspaces/{int:workspace_id}", response=STARTED, operation_id="delete_workspace")
def delete_workspace(request: HttpRequest, workspace_id: int) -> HttpResponse:
    """Remove a workspace with everything in it, in a job; nobody sees it from now on. Owners only."""
    found = _workspace(request, workspace_id, Role.OWNER)
    return _started(request, Removal.kind, {"workspace": found.pk})


@router.post("/workspaces/{int:workspace_id}/refresh", response=STARTED, operation_id="refresh_workspace")
def refresh_workspace(request: HttpRequest, workspace_id: int) -> HttpResponse:
    """Process again what was made with other settings. Owners only."""
    found = _workspace(request, workspace_id, Role.OWNER)
    return _started(request, refresh.Refresh.kind, {"workspace": found.pk})


@router.api_operation(
    READ, "/workspaces/{int:workspace_id}/members", response=MembersOut, operation_id="list_members"
)
def list_members(request: HttpRequest, workspace_id: int) -> HttpResponse:
    """List the members of a workspace."""
    return answer(_members(_workspace(request, workspace_id)))


@router.put(
    "/workspaces/{int:workspace_id}/members/{username}", response=MembersOut, operation_id="set_member"
)
def set_member(
    request: HttpRequest, workspace_id: int, username: str, body: Annotated[RoleIn, JsonBody(...)]
) -> HttpResponse:
    """Add a member, or give one another role. Owners only."""
    return _set_role(request, workspace_id, username, body.role)


@router.delete(
    "/workspaces/{int:workspace_id}/members/{username}", response=MembersOut, operation_id="remove_member"
)
def remove_member(request: HttpRequest, workspace_id: int, username: str) -> HttpResponse:
    """Take a member out; the last owner stays. Owners only."""
    return _set_role(request, workspace_id, username, "")


@router.api_operation(
    READ, "/workspaces/{int:workspace_id}/search", response=PassagesFoundOut, operation_id="search_workspace"
)
def search_workspace(
    request: HttpRequest, workspace_id: int, asked: Annotated[PassagesFilter, StrictQuery(...)]
) -> HttpResponse:
    """Find passages by meaning and by words, in documents that are ready; say in how many."""
    filters = search.Filters(tuple(asked.document), tuple(asked.format), asked.name)
    found = search.search(_workspace(request, workspace_id), asked.q, asked.limit, filters)
    return answer(
        {
            "query": asked.q,
            "ready": found.ready,
            "not_ready": found.not_ready,
            "by_words_only": found.by_words_only,
            "hits": [hit.as_json() for hit in found.hits],
        }
    )


# ---- documents --------------------------------------------------------------------------------------------


@router.api_operation(
    READ, "/workspaces/{int:workspace_id}/documents", response=DocumentsOut, operation_id="list_documents"
)
def list_documents(
    request: HttpRequest, workspace_id: int, asked: Annotated[DocumentFilter, StrictQuery(...)]
) -> HttpResponse:
    """List the documents of a workspace, the newest first. New ones come by `POST /api/jobs`."""
    found = _workspace(request, workspace_id)
    chosen = {"status": asked.status, "name": asked.name}
    scope = paging.Scope(f"documents:{found.pk}", request.user.pk or 0, chosen)
    after = paging.read_cursor(scope, asked.cursor)
    rows = found.documents.select_related("added_by").order_by("-pk")
    if asked.status is not None:
        rows = rows.filter(status=asked.status)
    if asked.name:
        rows = rows.filter(name__icontains=asked.name)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    shown, following = paging.page(list(rows[: asked.limit + 1]), asked.limit, scope, lambda one: one.pk)
    return answer({"documents": [as_json(one) for one in shown], "next": following})


@router.api_operation(READ, "/documents/{int:document_id}", response=DocumentOut, operation_id="get_document")
def get_document(request: HttpRequest, document_id: int) -> HttpResponse:
    """Return a document and how far it is."""
    return answer(as_json(_document(request, document_id)))


@router.delete("/documents/{int:document_id}", response={204: None}, operation_id="delete_document")
def delete_document(request: HttpRequest, document_id: int) -> HttpResponse:
    """Remove a document with its passages and its file. Editors only."""
    acting.take_away(_document(request, document_id, Role.EDITOR), request.user)
    return HttpResponse(status=204)


@router.post("/documents/{int:document_id}/process", response=STARTED, operation_id="process_document")
def process_document(request: HttpRequest, document_id: int) -> HttpResponse:
    """Process a document again, from its file. Editors only."""
    found = _document(request, document_id, Role.EDITOR)
    return _started(request, Documents.kind, {"document": found.pk})


@router.api_operation(
    READ, "/documents/{int:document_id}/passages", response=PassagesOut, operation_id="list_passages"
)
def list_passages(
    request: HttpRequest, document_id: int, asked: Annotated[PassageFilter, StrictQuery(...)]
) -> HttpResponse:
    """Return what was read of a document, passage by passage; nothing before it is ready."""
    found = _document(request, document_id)
    rows = found.chunks.filter(generation=found.generation or 0, ordinal__gt=asked.after)
    ready = found.status == DocumentStatus.READY
    page = list(rows.order_by("ordinal").defer("words")[: asked.limit + 1]) if ready else []
    shown = page[: asked.limit]
    passages = [
        {"ordinal": one.ordinal, "page": one.page, "heading": one.heading, "text": one.text} for one in shown
    ]
    return answer({"passages": passages, "next": shown[-1].ordinal if len(page) > len(shown) else None})


@router.api_operation(
    READ,
    "/documents/{int:document_id}/file",
    response=bytes,
    operation_id="get_document_file",
    openapi_extra={
        "responses": {
            200: {
                "description": "The file as it was uploaded",
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        }
    },
)
def get_file(request: HttpRequest, document_id: int) -> FileResponse:
    """Return the file as it was uploaded."""
    try:
        return uploads.serve(_document(request, document_id))
    except (FileNotFoundError, IsADirectoryError) as error:  # no file, or none was kept yet
        raise Problem("not_found", detail="The file is no longer kept.") from error


# ---- inside -----------------------------------------------------------------------------------------------

_RANKS = {Role.VIEWER: 0, Role.EDITOR: 1, Role.OWNER: 2}


def as_json(document: Document) -> dict[str, Any]:
    """Return a document as API and commands tell it."""
    plain = ("id", "name", "type", "size", "sha256", "status", "title", "pages", "characters", "chunk_count")
    return {
        **{name: getattr(document, name) for name in plain},
        **{name: getattr(document, name) or None for name in ("stage", "error", "error_code", "embedder")},
        **{name: getattr(document, name) for name in ("chunk_size", "overlap", "notes", "created_at")},
        "workspace": document.workspace_id,
        "added_by": document.added_by.get_username() if document.added_by else None,
        "ready_at": document.ready_at,
        "job": document.job_id,
        "url": document.get_absolute_url(),
    }


def _workspace(request: HttpRequest, pk: int, least: str = Role.VIEWER) -> Workspace:
    rows = Workspace.objects.of(request.user).select_related("retrieval")
    found = rows.filter(pk=pk).first() if pk <= LARGEST_ID else None
    if found is None:
        raise Problem("not_found")
    _check(request, pk, least)
    return found


def _document(request: HttpRequest, pk: int, least: str = Role.VIEWER) -> Document:
    rows = Document.objects.select_related("workspace", "job", "added_by")
    mine = rows.filter(workspace__in=Workspace.objects.of(request.user))
    found = mine.filter(pk=pk).first() if pk <= LARGEST_ID else None
    if found is None:
        raise Problem("not_found")
    _check(request, found.workspace_id, least)
    return found


def _check(request: HttpRequest, workspace: int, least: str) -> None:
    role = members.role_of(request.user, workspace)
    if role not in _RANKS:
        raise Problem("not_found")
    if _RANKS[Role(role)] < _RANKS[Role(least)]:
        raise Problem("permission_denied")


def _told(request: HttpRequest, rows: list[Workspace]) -> list[dict[str, Any]]:
    ids = [one.pk for one in rows]
    roles = dict(
        Membership.objects.filter(user=request.user.pk, workspace__in=ids).values_list("workspace", "role")
    )
    counts: dict[int, dict[str, int]] = {pk: dict.fromkeys(DocumentStatus.values, 0) for pk in ids}
    counted = Document.objects.filter(workspace__in=ids).values_list("workspace", "status")
    for pk, status, n in counted.annotate(n=Count("pk")):
        counts[pk][status] = n
    return [
        {
            "id": one.pk,
            "name": one.name,
            "description": one.description,
            "status": one.status,
            "message": one.status_message or None,
            "role": roles[one.pk],
            "documents": counts[one.pk],
            "settings": one.retrieval.values,
            "job": one.job_id,
            "created_at": one.created_at,
            "stream": one.stream,
            "url": one.get_absolute_url(),
        }
        for one in rows
        if one.pk in roles
    ]


def _members(workspace: Workspace) -> dict[str, Any]:
    rows = workspace.memberships.select_related("user").order_by("pk")
    return {"members": [{"user": one.user.get_username(), "role": one.role} for one in rows]}


def _set_role(request: HttpRequest, workspace_id: int, username: str, role: str) -> HttpResponse:
    found = _workspace(request, workspace_id, Role.OWNER)
    sharing.from_api(found, username, role, acting.set_role)
    return answer(_members(found))


def _started(request: HttpRequest, kind: str, params: dict[str, Any]) -> HttpResponse:
    def do() -> tuple[int, dict[str, Any]]:
        made = lifecycle.create(kind, params, owner=request.user)
        return 201 if made.created else 200, {"job": str(made.job.pk), "created": made.created}

    return idempotency.once(request, do)
