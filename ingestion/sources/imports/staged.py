"""The staged rows of an import as pages and downloads read them: some at a time, in the file's order.

A row may have 2 MB (`records.MAX_RECORD`), so that what is read at once is bounded by bytes too.
"""

import time
from bisect import bisect
from collections.abc import Iterator
from typing import Any

from django.db.models import F, Func, IntegerField, Q, QuerySet

from ingestion.sources.imports import preview, recognition
from ingestion.sources.imports.models import Import, ImportRow

FILTERS = {"errors": "Errors", "warnings": "Warnings", "updates": "Updates", "all": "All"}
NOTED = ("errors", "warnings")
SHORT = 500  # rows among which a page is looked for
WINDOW = 20_000  # rows among which updates are looked for with one query: each is looked up in the register
PATIENCE = 1.0  # seconds after which a page of updates shows what it has; the next one goes on from there
CHUNK = 2000  # rows of a download
MOST_BYTES = 4 << 20  # of cells that are read at once; one row may be larger than that


def near(imported: Import, first: int, last: int) -> Q:
    """Return a condition that leaves only spans unpacked which have one of these rows."""
    spans = [span.row for span in recognition.spans(imported) if span.row <= last and first <= span.last]
    return Q(span=None) | Q(span__in=spans)


def page(imported: Import, which: str, after: int, limit: int) -> tuple[list[ImportRow], int | None]:
    """Return the next rows of a filter after a row, and the row to go on after; None at the end.

    There may be fewer than `limit` before the end: where rows are very long, and of updates, as few among a
    million take more than one look.
    """
    if which in NOTED:
        noted = imported.noted.filter(**{f"{which}__isnull": False}).order_by("number")
        numbers, more = _first(noted.filter(number__gt=after), limit)
        return _read(imported, numbers, noted=True), numbers[-1] if more else None
    last = max((span.last for span in recognition.spans(imported)), default=0)
    numbers, until = [], time.monotonic() + PATIENCE
    while after < last:
        upto = min(after + (WINDOW if which == "updates" else max(SHORT, limit)), last)
        found = imported.rows.filter(near(imported, after + 1, upto), number__gt=after, number__lte=upto)
        if which == "updates":
            found = preview.with_known(imported, found.filter(errors__isnull=True), only=True)
        some, more = _first(found.order_by("number"), limit - len(numbers))
        numbers += some
        if more:
            return _read(imported, numbers), numbers[-1]
        after = upto
        if time.monotonic() > until and after < last:
            return _read(imported, numbers), after
    return _read(imported, numbers), None


def chunks(imported: Import, which: str) -> Iterator[list[ImportRow]]:
    """Yield all rows of a filter, some at a time: no more than those are held, and no cursor between them."""
    after: int | None = 0
    while after is not None:
        found, after = page(imported, which, after, CHUNK)
        yield found


def _first(found: QuerySet[Any], limit: int) -> tuple[list[int], bool]:
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


def _read(imported: Import, numbers: list[int], *, noted: bool = False) -> list[ImportRow]:
    """Return these rows; of a whole file's, few spans are unpacked. noted: all of them are noted."""
    if not numbers:
        return []
    firsts = [] if noted else [span.row for span in recognition.spans(imported)]
    spans = {firsts[bisect(firsts, number) - 1] for number in numbers} if firsts else set()
    found = imported.rows.filter(Q(span=None) | Q(span__in=spans), number__in=numbers)
    return list(preview.with_known(imported, found.order_by("number")))
