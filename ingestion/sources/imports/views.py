"""The pages of imports and of the register they fill."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from config.filters import visible_text
from config.problems import PROBLEMS, Problem
from config.spreadsheets import listed
from ingestion import lifecycle, source, uploads
from ingestion.admission import Refused
from ingestion.forms import KEPT, source_form
from ingestion.source import SourceError
from ingestion.sources.imports import decisions, exports, finding, review, staged
from ingestion.sources.imports.models import Import

PAGE = 50
LARGEST_ID = 2**63 - 1
MAX_REASON = 500  # characters
MAX_SAME = 3  # earlier imports of a file that are named
# Of the files for a spreadsheet.
IMPORT_COLUMNS = {
    "Import": "slug",
    "File": "file_name",
    "Bytes": "file_size",
    "By": "owner__username",
    "State": "job__state",
    "Message": "job__message",
    "Made (UTC)": "created_at",
}
UNIT_COLUMNS = {
    "Identifier": "tax_ident",
    "Second identifier": "stat_ident",
    "Name": "name",
    "Valid from": "valid_from",
    "Valid to": "valid_to",
    "Region": "physical_region_code",
    "Activity": "primary_activity_category_code",
    "Employees": "employees",
    "Turnover": "turnover",
}
ARRIVES = ("later",)  # params about a file that is not there yet


@login_required
@require_GET
def imports(request: HttpRequest) -> HttpResponse:
    """List the imports this user may see, newest first."""
    shown = Import.objects.visible_to(request.user).select_related("job", "owner").defer("spans")
    found = shown.order_by("-pk")
    before = _number(request, "before")
    if before:
        found = found.filter(pk__lt=before)
    page = list(found[: PAGE + 1])
    context = {
        "imports": [{"imported": one, "display": review.display_of(one)} for one in page[:PAGE]],
        "following": page[PAGE - 1].pk if len(page) > PAGE else None,
        "first": not before,
    }
    return render(request, "imports/list.html", {**context, **_limits()})


@login_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Keep a file, and go to where its import is started; a script is told where that is."""
    wants_json = request.headers.get("Accept") == "application/json"
    file = request.FILES.get("file")
    try:
        if file is None:
            raise Refused("validation_failed", "Choose a file.")
        kept = uploads.store(request.user, file.name or "", file, source=source.get("imports"))
    except (Problem, Refused) as refused:
        told = refused.detail if isinstance(refused, Problem) else refused.message
        status = PROBLEMS[refused.code][0]
        if wants_json:
            return JsonResponse({"detail": told}, status=status)
        return render(request, "imports/upload.html", {"refused": told, **_limits()}, status=status)
    url = reverse("imports:start", args=[kept.pk])
    return JsonResponse({"url": url}) if wants_json else redirect(url)


@login_required
@require_GET
def start(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    """Say what is known of a file before its import starts: its like was imported already, perhaps."""
    kept = uploads.visible(request.user).filter(pk=upload_id, job=None).first()
    if kept is None:
        raise Http404("This file was imported or removed already, or it is not yours.")
    like = Import.objects.visible_to(request.user).filter(upload__sha256=kept.sha256).order_by("-pk")
    kind = source.get("imports")
    form = source_form(kind, initial={f"file{KEPT}": str(kept.pk)})
    hidden = ("file", f"file{KEPT}", *ARRIVES)
    fields = [form[name] for name in form.fields if name not in hidden]
    context = {"upload": kept, "same": list(like.select_related("job")[:MAX_SAME]), "fields": fields}
    return render(request, "imports/start.html", {**context, "kept": form[f"file{KEPT}"]})


def _limits() -> dict[str, int]:
    """Return what a file is refused for before it is sent."""
    return {"most_bytes": uploads.max_bytes(source.get("imports"))}


@login_required
@require_GET
def import_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one import: what was found, what is wrong, and the decision."""
    found = _visible(request, pk)
    context = review.context(found, request.user, request.GET.get("f", ""), _number(request, "after"))
    return render(request, _template(request), context)


@login_required
@require_POST
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Decide what becomes of the rows of a cause."""

    def act(imported: Import) -> None:
        choice = request.POST.get("choice", "")
        value: Any = request.POST.get("value", "")
        if choice == "map":
            value = _codes(request)
        key = request.POST.get("key", "")
        decisions.decide(imported, key, choice, value, _revision(request), request.user)

    return _done(request, pk, act, "#problems-h")


@login_required
@require_POST
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve what was shown, or reject it with a reason."""

    def act(imported: Import) -> None:
        said = request.POST.get("answer", "")
        reason = request.POST.get("reason", "").strip()[:MAX_REASON]
        if said not in ("approve", "reject"):
            raise SourceError("validation_failed", "Approve or reject.")
        if said == "reject" and not reason:
            raise SourceError("validation_failed", "Say why, so that it can be put right.")
        data = {"reason": reason} if said == "reject" else {"revision": _revision(request)}
        _answer(imported, said, data, request.user)

    return _done(request, pk, act)


@login_required
@require_POST
def match(request: HttpRequest, pk: int) -> HttpResponse:
    """Say which column is which."""

    def act(imported: Import) -> None:
        said = _columns(request)
        columns = {one.header: said.get(one.index, one.target) for one in imported.proposed}
        _answer(imported, "match", {"columns": columns}, request.user)

    return _done(request, pk, act)


def _codes(request: HttpRequest) -> dict[str, str]:
    """Return {value: code} of a decision that maps values."""
    pairs = zip(request.POST.getlist("from"), request.POST.getlist("to"), strict=False)
    return {text: code for text, code in pairs if code.strip()}


def _columns(request: HttpRequest) -> dict[int, str]:
    """Return {place: target} of the columns that were matched."""
    given = {name.removeprefix("column-"): text for name, text in request.POST.items() if "column-" in name}
    return {int(place): str(text)[:MAX_REASON] for place, text in given.items() if place.isdecimal()}


def _typed(request: HttpRequest) -> review.Typed:
    """Return what a refused form said, so that nobody types it again."""
    key, choice, value = (request.POST.get(name, "") for name in ("key", "choice", "value"))
    return review.Typed(key, choice, value, _codes(request), _columns(request))


def _revision(request: HttpRequest) -> int:
    return decisions.read_revision(request.POST.get("revision"))


def _answer(imported: Import, said: str, data: dict[str, Any], user: Any) -> None:
    if imported.job is None:
        raise SourceError("not_found", "There is nothing to decide.")
    lifecycle.answer(imported.job, said, data, user)


def _done(request: HttpRequest, pk: int, act: Callable[[Import], None], place: str = "") -> HttpResponse:
    """Do something to an import, and show its page; what is refused is said on it, with what stands now."""
    found = _visible(request, pk)
    if not decisions.may_decide(request.user, found):
        owner = found.owner.get_username() if found.owner else "the system"
        told = {"heading": "This import is not yours to decide", "message": f"It belongs to {owner}."}
        return render(request, "errors/403.html", told, status=HTTPStatus.FORBIDDEN)
    which = request.POST.get("f", "")
    try:
        act(found)
    except (Refused, SourceError) as refused:
        status = PROBLEMS[refused.code][0] if refused.code in PROBLEMS else HTTPStatus.UNPROCESSABLE_ENTITY
        context = review.context(_visible(request, pk), request.user, which, 0, _typed(request))
        context["refused"] = refused.message
        return render(request, _template(request), context, status=status)
    query = f"?f={which}" if which in staged.FILTERS else ""
    return redirect(f"{found.get_absolute_url()}{query}{'' if _is_fragment(request) else place}")


def _is_fragment(request: HttpRequest) -> bool:
    return request.headers.get("HX-Target") == "import"


def _template(request: HttpRequest) -> str:
    return "imports/_import.html" if _is_fragment(request) else "imports/import.html"


@login_required
@require_GET
def errors(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Give the rows with errors, or those with warnings, as a CSV file."""
    which = "warnings" if request.GET.get("f") == "warnings" else "errors"
    imported = _visible(request, pk)
    if imported.forgotten_at is not None:
        raise Http404("The rows of this file are no longer kept.")
    return exports.response(imported, which)


@login_required
@require_GET
def units(request: HttpRequest) -> HttpResponse:
    """Show the register by identifier, or the units that match a search."""
    query = visible_text(request.GET, "q", finding.MAX_QUERY)
    cursor = request.GET.get("cursor")
    try:
        shown, following = finding.page(request.user, query, cursor, PAGE)
    except Problem:  # of another search, or none of ours
        cursor = None
        shown, following = finding.page(request.user, query, cursor, PAGE)
    context = {
        "units": shown,
        "query": query,
        "names_follow": bool(query) and finding.names_follow(),
        "following": following,
        "first": cursor is None,
    }
    return render(request, "imports/units.html", context)


@login_required
@require_GET
def imports_csv(request: HttpRequest) -> HttpResponseBase:
    """Give the imports this user may see as a file for a spreadsheet."""
    return listed(Import.objects.visible_to(request.user), IMPORT_COLUMNS, "imports")


@login_required
@require_GET
def units_csv(request: HttpRequest) -> HttpResponseBase:
    """Give the units of the register that match the search as a file for a spreadsheet."""
    query = visible_text(request.GET, "q", finding.MAX_QUERY)
    return listed(finding.search(query), UNIT_COLUMNS, "register", finding.ORDER)


def _visible(request: HttpRequest, pk: int) -> Import:
    # A thousand numbers for each million rows, of no use to a page.
    shown = Import.objects.visible_to(request.user).select_related("job", "owner").defer("spans")
    found = shown.filter(pk=pk).first()
    if found is None:
        raise Http404("This import does not exist, it was removed, or it is not yours to see.")
    return found


def _number(request: HttpRequest, name: str) -> int:
    """Return a position of the query string; anything else is the beginning."""
    text: Any = request.GET.get(name, "")
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return min(value, LARGEST_ID)
