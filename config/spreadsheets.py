"""Lists as files for a spreadsheet: nothing in them runs, and no list is held in memory."""

import csv
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from config import security_log
from config.paging import NEWEST, Order

BATCH = 1000  # rows that are read and sent at once
MAX_ROWS = 100_000  # of one file; filters find what lies behind

# A spreadsheet takes a cell that starts like this for a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")


class _Line:
    """What csv.writer writes to: gives the line back."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


def safe_cell(text: str) -> str:
    """Return a text that a spreadsheet shows instead of running it."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def listed(
    rows: QuerySet[Any], columns: Mapping[str, str], name: str, order: Order = NEWEST
) -> StreamingHttpResponse:
    """Return rows as a file.

    columns: heading -> field, which may be another table's. name: of the file, without its ending.
    """
    return tabled(list(columns), _pages(rows, list(columns.values()), order), name)


def tabled(
    heads: Sequence[str], pages: Iterable[Iterable[Sequence[Any]]], name: str
) -> StreamingHttpResponse:
    """Return a table as a file; the log is told who took it. name: without its ending."""
    security_log.taken(name)
    return streamed(parts(heads, pages), f"{name}.csv", "text/csv")


def parts(heads: Sequence[str], pages: Iterable[Iterable[Sequence[Any]]]) -> Iterator[str]:
    """Yield a table in CSV (RFC 4180) in parts; of more than MAX_ROWS rows the first, and that it is so."""
    writer = csv.writer(_Line())
    # Spreadsheets take a file without the first sign for an old encoding.
    yield "\ufeff" + str(writer.writerow(heads))
    left = MAX_ROWS
    for page in pages:
        rows = list(page)
        yield "".join(str(writer.writerow(map(_cell, row))) for row in rows[:left])
        if len(rows) > left:  # said in the file: nobody takes it for the whole list
            yield str(writer.writerow([f"Only the first {MAX_ROWS:,} rows are here. Filters find the rest."]))
            return
        left -= len(rows)


def streamed(parts: Iterator[str], name: str, content_type: str) -> StreamingHttpResponse:
    """Return what an iterator gives as a file to save; it is asked while the file is being sent."""
    return StreamingHttpResponse(
        _aside(parts),
        content_type=f"{content_type}; charset=utf-8",
        headers={
            "Content-Disposition": content_disposition_header(True, name),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


def _pages(
    rows: QuerySet[Any], fields: Sequence[str], order: Order = NEWEST
) -> Iterator[list[Sequence[Any]]]:
    """Yield rows some at a time, each found by where the last one ended."""
    last, width = None, len(order.key)
    while True:
        page = rows if last is None else order.after(rows, last)
        some = list(page.order_by(*order.by).values_list(*order.key, *fields)[:BATCH])
        yield [row[width:] for row in some]
        if len(some) < BATCH:
            return
        last = some[-1][:width]


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"  # as spreadsheets know it; UTC in every file
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, dict):  # an error: {code, text}
        value = value.get("text", "")
    return safe_cell(str(value))


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
