"""The staged rows of an import as pages and downloads read them: some at a time, in the file's order.

A row may have 2 MB (`records.MAX_RECORD`), so that what is read at once is bounded by bytes too.
"""

import time
from collections.abc import Iterator

from django.db.models import F, Func, IntegerField, QuerySet

from ingestion.sources.imports import preview
from ingestion.sources.imports.models import Import, ImportRow

FILTERS = {"errors": "Errors", "warnings": "Warnings", "updates": "Updates", "all": "All"}
WINDOW = 20_000  # rows among which updates are looked for with one query: each is looked up in the register
PATIENCE = 1.0  # seconds after which a page of updates shows what it has; the next one goes on from there
CHUNK = 2000  # rows of a download
MOST_BYTES = 4 << 20  # of cells that are read at once; one row may be larger than that


def rows(imported: Import, which: str) -> QuerySet[ImportRow]:
    """Return the staged rows of a filter, in the file's order."""
    found = imported.rows.order_by("number")
    if which == "errors":
        return found.filter(errors__isnull=False)
    if which == "updates":
        return preview.with_known(imported, found.filter(errors__isnull=True), only=True)
    return found.filter(warnings__isnull=False) if which == "warnings" else found


def page(imported: Import, which: str, after: int, limit: int) -> tuple[list[ImportRow], int | None]:
    """Return the next rows of a filter after a row, and the row to go on after; None at the end.

    There may be fewer than `limit` before the end: where rows are very long, and of updates, as few among a
    million take more than one look.
    """
    found = rows(imported, which)
    if which != "updates":
        numbers, more = _first(found.filter(number__gt=after), limit)
        return _read(imported, numbers), numbers[-1] if more else None
    last = max((span[2] + span[4] - 1 for span in imported.spans), default=0)
    numbers, until = [], time.monotonic() + PATIENCE
    while after < last:
        upto = min(after + WINDOW, last)
        some, more = _first(found.filter(number__gt=after, number__lte=upto), limit - len(numbers))
        numbers += some
        if more:
            return _read(imported, numbers), numbers[-1]
        after = upto
        if time.monotonic() > until and after < last:
            return _read(imported, numbers), after
    return _read(imported, numbers), None


def chunks(imported: Import, which: str) -> Iterator[list[ImportRow]]:
    """Yield all rows of a filter, some at a time: no more than those are held, and no cursor between them."""
    after, more = 0, True
    while more:
        numbers, more = _first(rows(imported, which).filter(number__gt=after), CHUNK)
        after = numbers[-1] if numbers else after
        yield list(imported.rows.filter(number__in=numbers).order_by("number"))


def _first(found: QuerySet[ImportRow], limit: int) -> tuple[list[int], bool]:
    """Return the numbers of the first rows, of as many as are read at once, and whether more follow."""
    size = Func(F("cells"), function="octet_length", output_field=IntegerField())
    numbers: list[int] = []
    left = MOST_BYTES
    for number, taken in found.annotate(size=size).values_list("number", "size")[: limit + 1]:
        left -= taken
        if len(numbers) == limit or (numbers and left < 0):
            return numbers, True
        numbers.append(number)
    return numbers, False


def _read(imported: Import, numbers: list[int]) -> list[ImportRow]:
    found = imported.rows.filter(number__in=numbers).order_by("number")
    return list(preview.with_known(imported, found))
