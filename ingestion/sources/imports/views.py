"""The pages of imports and of the register they fill."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from ingestion.sources.imports import exports, review
from ingestion.sources.imports.models import Import, Unit

PAGE = 50
MAX_QUERY = 200  # characters
MAX_WORDS = 8
LARGEST_ID = 2**63 - 1


@login_required
@require_GET
def imports(request: HttpRequest) -> HttpResponse:
    """List the imports this user may see, newest first."""
    found = Import.objects.visible_to(request.user).select_related("job", "owner").order_by("-pk")
    before = _number(request, "before")
    if before:
        found = found.filter(pk__lt=before)
    page = list(found[: PAGE + 1])
    context = {
        "imports": [{"imported": one, "display": review.display_of(one)} for one in page[:PAGE]],
        "following": page[PAGE - 1].pk if len(page) > PAGE else None,
        "first": not before,
    }
    return render(request, "imports/list.html", context)


@login_required
@require_GET
def import_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one import: what was found, what is wrong, and the decision."""
    found = _visible(request, pk)
    context = review.context(found, request.user, request.GET.get("f", ""), _number(request, "after"))
    fragment = request.headers.get("HX-Target") == "import"
    return render(request, "imports/_import.html" if fragment else "imports/import.html", context)


@login_required
@require_GET
def errors(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Give the rows with errors, or those with warnings, as a CSV file."""
    which = "warnings" if request.GET.get("f") == "warnings" else "errors"
    return exports.response(_visible(request, pk), which)


@login_required
@require_GET
def units(request: HttpRequest) -> HttpResponse:
    """Show the register, the newest units first, or those that match a search."""
    query = request.GET.get("q", "").replace("\0", "").strip()[:MAX_QUERY]
    before = _number(request, "before")
    found = search(query).order_by("-pk")
    if before:
        found = found.filter(pk__lt=before)
    page = list(found[: PAGE + 1])
    context = {
        "units": page[:PAGE],
        "query": query,
        "following": page[PAGE - 1].pk if len(page) > PAGE else None,
        "first": not before,
    }
    return render(request, "imports/units.html", context)


def search(query: str) -> QuerySet[Unit]:
    """Return the units with this identifier, or with words that begin like these in their name."""
    found = Unit.objects.all()
    words = "".join(letter if letter.isalnum() else " " for letter in query).split()[:MAX_WORDS]
    if not query:
        return found
    if not words:
        return found.filter(tax_ident=query)
    raw = SearchQuery(" & ".join(f"{word}:*" for word in words), config="simple", search_type="raw")
    by_name = found.annotate(words=SearchVector("name", config="simple")).filter(words=raw).values("pk")
    return found.filter(Q(tax_ident=query) | Q(stat_ident=query) | Q(pk__in=by_name))


def _visible(request: HttpRequest, pk: int) -> Import:
    found = Import.objects.visible_to(request.user).select_related("job", "owner").filter(pk=pk).first()
    if found is None:
        raise Http404("This import does not exist, it was removed, or it is not yours to see.")
    return found


def _number(request: HttpRequest, name: str) -> int:
    """Return a position of the query string; anything else is the beginning."""
    text: Any = request.GET.get(name, "")
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return min(value, LARGEST_ID)
