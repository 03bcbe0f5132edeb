"""The pages of operators."""

from http import HTTPStatus

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from config.spreadsheets import tabled
from ingestion import audit_page, overview
from ingestion.access import can_view_all
from ingestion.tagged import part


@login_required
@require_safe
def audit_log(request: HttpRequest) -> HttpResponse:
    """Show who did what to what, and from where."""
    if not can_view_all(request.user):
        return _not_yours(request)
    filters = audit_page.Filters.from_query(request.GET)
    return render(request, "operate/audit.html", audit_page.context(filters))


@login_required
@require_safe
def audit_csv(request: HttpRequest) -> HttpResponseBase:
    """Give what the filters find in the audit log as a file for a spreadsheet."""
    if not can_view_all(request.user):
        return _not_yours(request)
    found = audit_page.lines(audit_page.Filters.from_query(request.GET))
    return tabled(audit_page.HEADS, found, "audit-log")


@login_required
@require_safe
def overview_page(request: HttpRequest) -> HttpResponse:
    """Show what runs, what waits, who works and what fails, or the part that a live page asks for."""
    if not can_view_all(request.user):
        return _not_yours(request)
    context = overview.context(request.user, request.GET.get("within", ""))
    if request.headers.get("HX-Target") != "overview":
        return render(request, "operate/overview.html", context)
    return part(request, "operate/_overview.html", context)


def _not_yours(request: HttpRequest) -> HttpResponse:
    context = {
        "heading": "This page is for operators",
        "message": "Ask somebody who may see everybody's jobs.",
    }
    return render(request, "errors/403.html", context, status=HTTPStatus.FORBIDDEN)
