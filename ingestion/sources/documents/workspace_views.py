"""The pages of workspaces: the list, one with its documents and its search, its settings and members."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from config import texts
from config.fields import Line, Plain
from config.spreadsheets import listed
from ingestion import embedders, lifecycle, sharing
from ingestion.admission import Refused
from ingestion.errors import NotPossible
from ingestion.sources.documents import acting, workspace_page
from ingestion.sources.documents import refresh as refreshing
from ingestion.sources.documents.models import (
    CHUNK_SIZES,
    MAX_TOP_K,
    DefaultRetrieval,
    Role,
    Workspace,
)
from ingestion.sources.documents.views import number_in, workspace_of
from ingestion.sources.documents.workspaces import Removal, Workspaces

# Of the files for a spreadsheet.
WORKSPACE_COLUMNS = {
    "Id": "pk",
    "Workspace": "name",
    "Description": "description",
    "Status": "status",
    "Documents": "n_all",
    "Ready": "n_ready",
    "Failed": "n_failed",
    "Made (UTC)": "created_at",
}
COLUMNS = {
    "Document": "name",
    "Title": "title",
    "Status": "status",
    "Why": "error",
    "Bytes": "size",
    "Type": "type",
    "Pages": "pages",
    "By": "added_by__username",
    "Added (UTC)": "created_at",
}
MOST = 200  # workspaces of one page


class SettingsForm(Plain, forms.Form):
    """What a workspace is called, and how its documents are cut and compared."""

    name = Line(max_length=100)
    description = Line(max_length=500, required=False)
    chunk_size = forms.IntegerField(
        min_value=CHUNK_SIZES[0], max_value=CHUNK_SIZES[1], label="Characters of a passage"
    )
    overlap = forms.IntegerField(
        min_value=0, max_value=CHUNK_SIZES[1] // 2, label="of which the next begins with"
    )
    embedder = forms.ChoiceField(label="Embedder")
    top_k = forms.IntegerField(min_value=1, max_value=MAX_TOP_K, label="Results of a search")
    as_default = forms.BooleanField(required=False, label="Begin my new workspaces with these settings")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = embedders.choices()
        now = self.initial.get("embedder")
        self.fields["embedder"].choices = known + [  # type: ignore[attr-defined]
            (now, f"{now}, not offered any more") for now in [now] if now and now not in dict(known)
        ]

    def clean(self) -> dict[str, Any]:
        """Refuse an overlap by which passages hardly advance."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("overlap", 0) * 2 > cleaned.get("chunk_size", CHUNK_SIZES[1]):
            self.add_error("overlap", "At most half a passage.")
        return cleaned


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def workspaces(request: HttpRequest) -> HttpResponseBase:
    """Show the user's workspaces, or make one."""
    typed: dict[str, str] = {}
    if request.method == "POST":
        typed = {name: request.POST.get(name, "").strip() for name in ("name", "description")}
        try:
            job = lifecycle.create(Workspaces.kind, typed, owner=request.user).job
        except Refused as refused:
            messages.error(request, " ".join(one["message"] for one in refused.errors) or refused.message)
        else:
            return redirect(Workspace.objects.get(job=job))
    before = number_in(request.GET, "before")
    rows = _counted(request.user).order_by("-pk")
    page = list((rows.filter(pk__lt=before) if before else rows)[: MOST + 1])
    context = {
        "workspaces": page[:MOST],
        "following": page[MOST - 1].pk if len(page) > MOST else None,
        "first": not before,
        "typed": {name: texts.marked(text[:500]) for name, text in typed.items()},
    }
    return render(request, "documents/list.html", context, status=422 if typed else 200)


@login_required
@require_safe
def workspaces_csv(request: HttpRequest) -> HttpResponseBase:
    """Give the user's workspaces as a file for a spreadsheet."""
    return listed(_counted(request.user), WORKSPACE_COLUMNS, "workspaces")


def _counted(user: Any) -> QuerySet[Workspace]:
    """Return the workspaces of a user, each with the counts of its documents."""
    ids = Workspace.objects.of(user).values("pk")
    return Workspace.objects.filter(pk__in=ids).annotate(
        n_all=Count("documents"),
        n_ready=Count("documents", filter=Q(documents__status="ready")),
        n_failed=Count("documents", filter=Q(documents__status="failed")),
    )


@login_required
@require_safe
def workspace(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show one workspace: its documents as they come, and what a search finds in those that are ready."""
    found = workspace_of(request, pk)
    context = workspace_page.context(found, request.user, request.GET)
    fragment = request.headers.get("HX-Target") == "workspace"
    template = "documents/_workspace.html" if fragment else "documents/workspace.html"
    return render(request, template, context)


@login_required
@require_safe
def documents_csv(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Give the documents of the list, all that stand where its filter says, as a file for a spreadsheet."""
    found = workspace_of(request, pk)
    rows = workspace_page.standing(found, request.GET.get("s", ""))
    return listed(rows, COLUMNS, f"documents-{found.pk}")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show or change what a workspace is called, how it is searched, and who its members are."""
    found = workspace_of(request, pk, owns=True)
    begin = {"name": found.name, "description": found.description, **found.retrieval.values}
    form = SettingsForm(request.POST or None, initial=begin)
    if request.method == "POST" and form.is_valid():
        try:
            left = _save(found, form.cleaned_data, request.user)
        except NotPossible as error:
            form.add_error(error.field or None, error.message)
        else:
            messages.success(request, "Saved.")
            if left:
                messages.error(request, f"The documents do not follow yet. {left}")
            return redirect(found)
    people = found.memberships.select_related("user").order_by("pk")
    context = {"workspace": found, "form": form, "people": people, "roles": Role.choices}
    return render(request, "documents/settings.html", context)


def _save(found: Workspace, values: dict[str, Any], user: Any) -> str:
    """Save the settings; return why no job makes the documents follow. Raises NotPossible."""
    left = ""
    try:
        acting.change(found, values, user)
    except Refused as refused:
        left = refused.message  # all but the job is there
    if values["as_default"]:
        retrieval = {name: values[name] for name in found.retrieval.values}
        DefaultRetrieval.objects.update_or_create(user=user, defaults=retrieval)
    return left


@login_required
@require_POST
def member(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a member, change a role, or take a member out; the last owner stays."""
    found = workspace_of(request, pk, owns=True)
    sharing.from_page(request, found, acting.set_role)
    return redirect("documents:settings", found.pk)


@login_required
@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Prepare a workspace again whose preparation failed."""
    found = workspace_of(request, pk, owns=True)
    try:
        if found.job is not None:
            lifecycle.retry(found.job, request.user)
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect(found)


@login_required
@require_POST
def refresh(request: HttpRequest, pk: int) -> HttpResponse:
    """Process again what was made with other settings."""
    found = workspace_of(request, pk, owns=True)
    try:
        lifecycle.create(refreshing.Refresh.kind, {"workspace": found.pk}, owner=request.user)
    except Refused as refused:
        messages.error(request, refused.message)
    return redirect(found)


@login_required
@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a workspace with everything in it, by a job."""
    found = workspace_of(request, pk, owns=True)
    if request.POST.get("name", "").strip() != found.name:
        messages.error(request, "Type the workspace's name to remove it.")
        return redirect("documents:settings", found.pk)
    try:
        lifecycle.create(Removal.kind, {"workspace": found.pk}, owner=request.user)
    except Refused as refused:
        messages.error(request, refused.message)
        return redirect(found)
    messages.success(request, f"{found.name} is being removed.")
    return redirect("documents:workspaces")
