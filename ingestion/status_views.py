"""The status page, the details dialog, and the pauses that operators begin and end there."""

import json
from http import HTTPStatus

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from ingestion import details, pauses, status
from ingestion.access import can_operate
from ingestion.maintenance import begin, end
from ingestion.pause_form import PauseForm


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponseBase:
    """Show whether data is stable, what works on it, and who does the work."""
    context = status.context(request.user)
    template = (
        "ingestion/_status.html" if request.headers.get("HX-Request") == "true" else "ingestion/status.html"
    )
    return render(request, template, context | {"form": PauseForm()})


@login_required
@require_safe
def in_progress(request: HttpRequest) -> HttpResponseBase:
    """Show what is being processed: a page by itself, and what the dialog takes out of it."""
    asked = request.headers.get("HX-Request") == "true"
    template = "ingestion/details_parts.html" if asked else "ingestion/details.html"
    found, versions = details.read_at(request.user)
    linked = details.linked(request.user, found)
    context = {"found": found, "linked": linked, "versions": json.dumps(versions), "amount": status.amount()}
    return render(request, template, context)


@login_required
@require_POST
def pause(request: HttpRequest) -> HttpResponseBase:
    """Let nothing start in a scope, and tell everybody."""
    if not can_operate(request.user):
        return _not_yours(request)
    form = PauseForm(request.POST)
    if not form.is_valid():
        context = status.context(request.user) | {"form": form}
        return render(request, "ingestion/status.html", context, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    made = begin(
        form.cleaned_data["scope"], request.user, length=form.length(), reason=form.cleaned_data["reason"]
    )
    messages.success(request, f"{pauses.named(made.scope)} is paused. Everybody was told.")
    return redirect("ingestion:status")


@login_required
@require_POST
def resume(request: HttpRequest) -> HttpResponseBase:
    """End a pause, and tell everybody."""
    if not can_operate(request.user):
        return _not_yours(request)
    scope = request.POST.get("scope", "")
    if end(scope, request.user):
        messages.success(request, f"{pauses.named(scope)} goes on.")
    else:
        messages.info(request, "This pause had ended already.")
    return redirect("ingestion:status")


def _not_yours(request: HttpRequest) -> HttpResponse:
    context = {
        "heading": "Pausing is for operators",
        "message": "Ask somebody who may operate the system.",
    }
    return render(request, "errors/403.html", context, status=HTTPStatus.FORBIDDEN)
