"""Rows with errors as a file: to correct in a spreadsheet and send again.

It is known by the columns that are added to it. Coming back, these are left out, and what was put before
cells so that no spreadsheet runs them is taken away.
"""

import csv
from collections.abc import Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from ingestion.downloads import safe_cell
from ingestion.sources.imports.columns import ADDED
from ingestion.sources.imports.models import Import
from ingestion.sources.imports.review import rows

CHUNK = 2000
NUMBERS = ("integer", "decimal")


class _Line:
    """What csv.writer writes to: gives the line back."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


def lines(imported: Import, which: str = "errors") -> Iterator[str]:
    """Yield the file's own columns, then the row's number and what is wrong, line by line."""
    writer = csv.writer(_Line())
    rules = imported.rules
    numeric = {
        match.index
        for match in imported.matches
        if (column := rules.column(match.target)) is not None and column.type in NUMBERS
    }
    header = list(imported.header)
    places = [place for place, name in enumerate(header) if name not in ADDED]
    yield "\ufeff"  # spreadsheets take a file without it for an old encoding
    yield writer.writerow([*(safe_cell(header[place]) for place in places), *ADDED])
    for row in rows(imported, which).iterator(chunk_size=CHUNK):
        cells = row.cells + [""] * len(header)
        safe = [_cell(cells[place], place in numeric) for place in places]
        said = [safe_cell(_in_words(problems or {})) for problems in (row.errors, row.warnings)]
        yield writer.writerow([*safe, row.number, *said])


def comes_back(header: Sequence[str]) -> bool:
    """Say whether a file is one that was given here."""
    return ADDED[0] in header


def unguarded(cells: list[str]) -> list[str]:
    """Return cells without the sign that kept a spreadsheet from running them."""
    return [cell[1:] if cell.startswith("'") and safe_cell(cell[1:]) == cell else cell for cell in cells]


def response(imported: Import, which: str) -> StreamingHttpResponse:
    """Return the rows as a download."""
    stem = imported.file_name.rsplit(".", 1)[0]
    return StreamingHttpResponse(
        lines(imported, which),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": content_disposition_header(True, f"{stem}-{which}.csv"),
            "X-Content-Type-Options": "nosniff",
        },
    )


def _cell(text: str, numeric: bool) -> str:
    """Return a cell that no spreadsheet runs; a negative number stays one."""
    if numeric:
        try:
            float(text.replace(",", "."))
        except ValueError:
            pass
        else:
            return text
    return safe_cell(text)


def _in_words(problems: dict[str, Any]) -> str:
    return "; ".join(f"{column} {problem['text']}".strip() for column, problem in problems.items())
