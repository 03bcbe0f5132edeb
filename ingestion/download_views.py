"""Jobs as files: a list or the items of one for a spreadsheet, its events as text."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_GET

from config.spreadsheets import listed
from ingestion import downloads, job_items, lists
from ingestion.access import visible_jobs
from ingestion.visible_job import visible


@login_required
@require_GET
def failed_csv(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Give the failed items as a file for a spreadsheet."""
    found = visible(request.user, pk)
    return downloads.attachment(downloads.failed_csv(found), f"failed-{found.pk}.csv", "text/csv")


@login_required
@require_GET
def items_csv(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Give the items of a job, all that match the filters of its page, as a file for a spreadsheet."""
    found = visible(request.user, pk)
    rows = job_items.as_listed(found, request.GET)
    return listed(rows, job_items.COLUMNS, f"items-{found.pk}", job_items.ORDER)


@login_required
@require_GET
def jobs_csv(request: HttpRequest) -> HttpResponseBase:
    """Give the jobs of the list, all that match its filters, as a file for a spreadsheet."""
    filters = lists.Filters.from_query(request.GET)
    return listed(filters.apply(visible_jobs(request.user)), lists.COLUMNS, "jobs")


@login_required
@require_GET
def events_text(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Give all events as text."""
    found = visible(request.user, pk)
    return downloads.attachment(downloads.events_text(found), f"events-{found.pk}.txt", "text/plain")
