"""The pages of documents: upload, read, try again, take away. Members of the workspace alone see them."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from config.problems import PROBLEMS, Problem
from ingestion import lifecycle, source, uploads
from ingestion.admission import Refused
from ingestion.sources.documents import acting, members
from ingestion.sources.documents.models import Document, DocumentStatus, Role, Workspace
from ingestion.sources.documents.source import Documents
from ingestion.sources.documents.workspace_page import shown

PASSAGES = 40  # of one page
MAX_AT_ONCE = 20  # files of one upload without script
LARGEST_ID = 2**63 - 1


@login_required
@require_POST
def upload(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep files and start to process each; a script sends one, and is told what became of it."""
    workspace = workspace_of(request, pk, edits=True)
    given = request.FILES.getlist("file")
    files = given[:MAX_AT_ONCE]
    replaces = number_in(request.POST, "replaces") or None if len(files) == 1 else None
    wants_json = request.headers.get("Accept") == "application/json"
    refused: list[tuple[str, int]] = [] if files else [("Choose a file.", 400)]
    for file in files:
        try:
            _take(request, workspace, file, replaces)
        except Problem as problem:
            refused.append((f"{uploads.clean_name(file.name or '')}: {problem.detail}", problem.status))
        except Refused as problem:
            told = " ".join(one["message"] for one in problem.errors) or problem.message
            status = PROBLEMS[problem.code][0] if problem.code in PROBLEMS else 400
            refused.append((f"{uploads.clean_name(file.name or '')}: {told}", status))
    if left := len(given) - len(files):
        refused.append((f"At most {MAX_AT_ONCE} files at a time: the last {left} were not taken.", 413))
    if wants_json:
        if refused:
            return JsonResponse({"detail": refused[0][0]}, status=refused[0][1])
        return JsonResponse({"url": workspace.get_absolute_url()})
    for text, _ in refused:
        messages.error(request, text)
    return redirect(workspace)


@login_required
@require_safe
def same_name(request: HttpRequest, pk: int) -> JsonResponse:
    """Say which document of a workspace has the name of a file that is to be sent, null for none."""
    workspace = workspace_of(request, pk, edits=True)
    name = uploads.clean_name(request.GET.get("name", ""))
    found = workspace.documents.filter(name=name).order_by("-pk").values_list("pk", flat=True).first()
    return JsonResponse({"document": found})


def _take(request: HttpRequest, workspace: Workspace, file: Any, replaces: int | None) -> None:
    kept = uploads.store(request.user, file.name or "", file, source=source.get(Documents.kind))
    with uploads.given_to_a_job(kept):
        same = Document.objects.filter(workspace=workspace, sha256=kept.sha256).first()
        if same is not None and same.status != DocumentStatus.FAILED:
            added = f"{same.created_at:%-d %B %Y}"
            raise Problem("already_open", detail=f"Same file as {same.name}, added {added}.")
        params = {"file": str(kept.pk), "workspace": workspace.pk, "replaces": replaces}
        lifecycle.create(Documents.kind, params, owner=request.user)


@login_required
@require_safe
def document(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show a document: where it stands, what it says of itself, and its passages."""
    found = document_of(request, pk)
    at = number_in(request.GET, "at")
    first = at - at % PASSAGES
    rows = (
        found.chunks.filter(generation=found.generation or 0, ordinal__gte=first)
        .order_by("ordinal")
        .defer("words")
    )
    page = list(rows[: PASSAGES + 1]) if found.status == DocumentStatus.READY else []
    context = {
        "document": found,
        "workspace": found.workspace,
        "row": shown(found),
        "edits": members.may_edit(members.role_of(request.user, found.workspace_id)),
        "passages": page[:PASSAGES],
        "at": at if "at" in request.GET else None,
        "before": first - PASSAGES if first else None,
        "following": first + PASSAGES if len(page) > PASSAGES else None,
    }
    fragment = request.headers.get("HX-Target") == "document"
    return render(request, "documents/_document.html" if fragment else "documents/document.html", context)


@login_required
@require_safe
def download(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Give the file as it was uploaded, as a download that no browser runs."""
    found = document_of(request, pk)
    try:
        return uploads.serve(found)
    except (FileNotFoundError, IsADirectoryError) as error:  # no file, or none was kept yet
        raise Http404("The file is no longer kept.") from error


@login_required
@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Process a document again, from its file."""
    found = document_of(request, pk, edits=True)
    try:
        lifecycle.create(Documents.kind, {"document": found.pk}, owner=request.user)
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect(found.workspace)


@login_required
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop what works on a document."""
    found = document_of(request, pk, edits=True)
    try:
        if found.job is not None:
            lifecycle.cancel(found.job, request.user)
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect(found.workspace)


@login_required
@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a document away: its job is cancelled, its file and its passages go."""
    found = document_of(request, pk, edits=True)
    acting.take_away(found, request.user)
    messages.success(request, f"{found.name} was removed.")
    return redirect(found.workspace)


def workspace_of(request: HttpRequest, pk: int, *, edits: bool = False, owns: bool = False) -> Workspace:
    """Return a workspace of which the user is a member with that right. Raises Http404, PermissionDenied."""
    found = None
    if pk <= LARGEST_ID:
        rows = Workspace.objects.of(request.user).select_related("retrieval", "job")
        found = rows.filter(pk=pk).first()
    if found is None:
        raise Http404("This workspace does not exist, it was removed, or it is not yours to see.")
    role = members.role_of(request.user, pk)
    if (edits and not members.may_edit(role)) or (owns and role != Role.OWNER):
        raise PermissionDenied
    return found


def document_of(request: HttpRequest, pk: int, *, edits: bool = False) -> Document:
    """Return a document of a workspace of the user. Raises Http404, PermissionDenied."""
    found = None
    if pk <= LARGEST_ID:
        rows = Document.objects.select_related("workspace__retrieval", "job", "added_by")
        found = rows.filter(pk=pk, workspace__in=Workspace.objects.of(request.user)).first()
    if found is None:
        raise Http404("This document does not exist, it was removed, or it is not yours to see.")
    if edits and not members.may_edit(members.role_of(request.user, found.workspace_id)):
        raise PermissionDenied
    return found


def number_in(given: Mapping[str, str], name: str) -> int:
    """Return a number of a query string or form; anything else is 0."""
    text = given.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
