"""The page of dead letters, and what is done about those that are ticked."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from config.filters import texts_of
from config.spreadsheets import listed
from ingestion import bulk, dead_letters, lifecycle
from ingestion.access import can_act, visible_jobs
from ingestion.models import Job
from ingestion.tagged import part

# What can be done to those that are ticked -> how it is told.
VERBS: dict[str, tuple[Callable[[Job, Any, str], Any], str]] = {
    "retry": (lambda job, by, reason: lifecycle.retry(job, by), "retried"),
    "dismiss": (dead_letters.dismiss, "dismissed"),
    "put_back": (lambda job, by, reason: dead_letters.put_back(job, by), "put back"),
}


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """List what failed for good and was not looked after, or the rows that a live page asks for."""
    context = dead_letters.context(request.user, dead_letters.Filters.from_query(request.GET))
    if request.headers.get("HX-Target") != "dead":
        return render(request, "operate/dead.html", context)
    return part(request, "operate/_dead.html", context)


@login_required
@require_safe
def as_csv(request: HttpRequest) -> HttpResponseBase:
    """Give the dead letters of the list, all that match its filters, as a file for a spreadsheet."""
    filters = dead_letters.Filters.from_query(request.GET)
    rows = dead_letters.find(request.user, dismissed=filters.show == "dismissed", kind=filters.source)
    return listed(rows, dead_letters.COLUMNS, "dead-letters")


@login_required
@require_POST
def act(request: HttpRequest) -> HttpResponse:
    """Retry, dismiss or put back what is ticked, and say how many."""
    if request.POST.get("verb") not in VERBS:
        return render(request, "errors/400.html", status=HTTPStatus.BAD_REQUEST)
    verb, past = VERBS[request.POST["verb"]]
    chosen = _chosen(request)
    if chosen and not any(can_act(request.user, job) for job in chosen):
        return _not_yours(request)
    reason = texts_of(request.POST, ["reason"])["reason"]
    done = bulk.in_a_request()
    for job in chosen:
        done.if_theirs(request.user, job, partial(verb, job, request.user, reason))
    if not chosen:
        messages.info(request, "Nothing was ticked.")
    elif done.count:
        messages.success(request, f"{done.count:,} of {len(chosen):,} {past}.")
    for text in done.reasons():
        messages.warning(request, text)
    query = dead_letters.Filters.from_query(request.POST).query()
    return redirect(f"{reverse('ingestion:dead')}{'?' if query else ''}{query}")


def _chosen(request: HttpRequest) -> list[Job]:
    ids = []
    for text in request.POST.getlist("job")[: dead_letters.PAGE]:
        try:
            ids.append(UUID(text))
        except ValueError:
            continue
    return list(visible_jobs(request.user).select_related("owner").filter(pk__in=ids).order_by("pk"))


def _not_yours(request: HttpRequest) -> HttpResponse:
    context = {"heading": "These jobs are not yours to change", "message": "Ask whoever started them."}
    return render(request, "errors/403.html", context, status=HTTPStatus.FORBIDDEN)
