"""Files made from a job: its failed items for a spreadsheet, its events as text."""

import csv
import io

from django.http import HttpResponse

from config import security_log
from config.spreadsheets import safe_cell
from ingestion.job_items import FAILED
from ingestion.models import Job

MAX_ROWS = 100_000  # of a download; a job has no more items than that


def failed_csv(job: Job) -> str:
    """Return the failed items, one a line, with why."""
    out = io.StringIO()
    writer = csv.writer(out)  # RFC 4180: comma, CRLF
    writer.writerow(["step", "key", "label", "error_code", "error", "tries", "url"])
    rows = job.items.filter(state__in=FAILED).order_by("ordinal", "pk")
    fields = ("step", "key", "label", "error_code", "error", "tries", "url")
    for row in rows.values_list(*fields)[:MAX_ROWS].iterator():
        writer.writerow([value if isinstance(value, int) else safe_cell(value) for value in row])
    return out.getvalue()


def events_text(job: Job) -> str:
    """Return all events, oldest first, one a line."""
    rows = job.events.order_by("version").values_list("at", "level", "message")[:MAX_ROWS]
    return "".join(
        f"{at:%Y-%m-%d %H:%M:%S} {level:7} {' '.join(text.split())}\n" for at, level, text in rows.iterator()
    )


def attachment(text: str, name: str, content_type: str) -> HttpResponse:
    """Return a text as a file to save, never shown by the browser; the log is told who took it."""
    security_log.taken(name)
    return HttpResponse(
        text,
        content_type=f"{content_type}; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        },
    )
