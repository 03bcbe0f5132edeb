"""The page that cancels, retries or deletes all jobs that match a filter, and says before how many."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from ingestion import bulk, lists


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Show how many jobs each verb would change; do one where the count that was shown still holds."""
    if request.method != "POST":
        return _preview(request, lists.Filters.from_query(request.GET))
    filters = lists.Filters.from_query(request.POST)
    verb, shown, newest = (request.POST.get(name, "") for name in ("verb", "shown", "newest"))
    if (
        verb not in bulk.VERBS
        or not (shown.isascii() and shown.isdigit() and len(shown) < 7)
        or not _is_id(newest)
    ):
        return render(request, "errors/400.html", status=HTTPStatus.BAD_REQUEST)
    found = bulk.find(request.user, filters, verb, newest)
    if not found.count and bulk.anybodys(request.user, filters, verb):
        return _not_yours(request)
    if found.more or bulk.moved(int(shown), found.count):
        text = f"{int(shown):,} were shown, by now it would be {found.count:,}. Nothing was done."
        if found.more:
            text = f"More than {found.count:,} match. Nothing was done: filter further."
        messages.error(request, text)
        return _preview(request, filters, HTTPStatus.CONFLICT)
    done = bulk.act(request.user, filters, verb, newest)
    messages.success(request, f"{done.count:,} {bulk.VERBS[verb].past}.")
    for text in done.reasons():
        messages.warning(request, text)
    query = filters.query()
    if done.left:
        messages.info(request, f"{done.left:,} are left: go on here.")
        return redirect(f"{reverse('ingestion:bulk_all')}{'?' if query else ''}{query}")
    return redirect(f"{reverse('ingestion:jobs')}{'?' if query else ''}{query}")


def _preview(request: HttpRequest, filters: lists.Filters, status: int = HTTPStatus.OK) -> HttpResponse:
    verbs: list[dict[str, Any]] = [
        {"name": name, "verb": verb, "found": bulk.find(request.user, filters, name)}
        for name, verb in bulk.VERBS.items()
    ]
    context = {
        "verbs": verbs,
        "filters": filters,
        "query": filters.query(),
        "words": lists.words(filters),
        "filter_values": filters.chosen,
    }
    return render(request, "ingestion/bulk.html", context, status=status)


def _is_id(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def _not_yours(request: HttpRequest) -> HttpResponse:
    context = {"heading": "These jobs are not yours to change", "message": "Ask whoever started them."}
    return render(request, "errors/403.html", context, status=HTTPStatus.FORBIDDEN)
