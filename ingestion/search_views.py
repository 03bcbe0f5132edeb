"""The page of what the search of the top bar finds."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from ingestion import search


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show what was found, kind by kind."""
    query = search.plain(request.GET.get("q", ""))
    context = {"query": query, "groups": search.search(request.user, query), "most": search.MOST}
    return render(request, "ingestion/search.html", context)
