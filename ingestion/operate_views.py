"""The pages of operators."""

from http import HTTPStatus

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from config import spreadsheets
from ingestion import audit_page
from ingestion.access import can_view_all


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
    return spreadsheets.streamed(spreadsheets.parts(audit_page.HEADS, found), "audit-log.csv", "text/csv")


def _not_yours(request: HttpRequest) -> HttpResponse:
    context = {
        "heading": "This page is for operators",
        "message": "Ask somebody who may see everybody's jobs.",
    }
    return render(request, "errors/403.html", context, status=HTTPStatus.FORBIDDEN)
