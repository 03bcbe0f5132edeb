"""Files to save: a job's failed items for a spreadsheet, its events as text, and what is sent bit by bit."""

import csv
import io
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header

from ingestion.job_page import FAILED
from ingestion.models import Job

MAX_ROWS = 100_000  # of a download; a job has no more items than that

# A spreadsheet takes a cell that starts like this for a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")


def safe_cell(text: str) -> str:
    """Return a text that a spreadsheet shows instead of running it."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


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
    """Return a text as a file to save; never shown by the browser."""
    return HttpResponse(
        text,
        content_type=f"{content_type}; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def streamed(parts: Iterator[str], name: str, content_type: str) -> StreamingHttpResponse:
    """Return what an iterator gives as a file to save; it is asked while the file is being sent."""
    return StreamingHttpResponse(
        _aside(parts),
        content_type=f"{content_type}; charset=utf-8",
        headers={
            "Content-Disposition": content_disposition_header(True, name),
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _aside(given: Iterator[str]) -> AsyncIterator[str]:
    """Yield what an iterator gives, asked in a thread for one at a time.

    Django would read one that is not asynchronous to its end before it sends anything.
    """
    ask = sync_to_async(_next, thread_sensitive=False)
    while (part := await ask(given)) is not None:
        yield part


def _next(given: Iterator[str]) -> str | None:
    """Return what comes next, on a connection that is neither too old nor broken, and not kept afterwards."""
    close_old_connections()
    try:
        return next(given, None)
    finally:
        close_old_connections()
