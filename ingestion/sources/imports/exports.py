"""Rows with errors as a file: to correct in a spreadsheet and send again.

It is known by the columns that are added to it. Coming back, these are left out, and what was put before
cells so that no spreadsheet runs them is taken away.
"""

import csv
from collections.abc import Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

from config import security_log
from config.spreadsheets import safe_cell, streamed
from ingestion.sources.imports.columns import ADDED
from ingestion.sources.imports.models import Import, ImportRow
from ingestion.sources.imports.staged import chunks

NUMBERS = ("integer", "decimal")


class _Line:
    """What csv.writer writes to: gives the line back."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


def parts(imported: Import, which: str = "errors") -> Iterator[str]:
    """Yield the file's own columns, then the row's number and what is wrong, some lines at a time."""
    writer = csv.writer(_Line())
    rules = imported.rules
    numeric = {
        match.index
        for match in imported.matches
        if (column := rules.column(match.target)) is not None and column.type in NUMBERS
    }
    header = list(imported.header)
    places = [place for place, name in enumerate(header) if name not in ADDED]

    def line(row: ImportRow) -> str:
        cells = row.cells + [""] * len(header)
        safe = [_cell(cells[place], place in numeric) for place in places]
        said = [safe_cell(_in_words(problems or {})) for problems in (row.errors, row.warnings)]
        return str(writer.writerow([*safe, row.number, *said]))

    # Spreadsheets take a file without the first sign for an old encoding.
    yield "\ufeff" + writer.writerow([*(safe_cell(header[place]) for place in places), *ADDED])
    for some in chunks(imported, which):
        yield "".join(map(line, some))


def comes_back(header: Sequence[str]) -> bool:
    """Say whether a file is one that was given here."""
    return ADDED[0] in header


def unguarded(cells: list[str]) -> list[str]:
    """Return cells without the sign that kept a spreadsheet from running them."""
    return [cell[1:] if cell.startswith("'") and safe_cell(cell[1:]) == cell else cell for cell in cells]


def response(imported: Import, which: str) -> StreamingHttpResponse:
    """Return the rows as a download."""
    stem = imported.file_name.rsplit(".", 1)[0]
    security_log.taken(f"import-{imported.pk}-{which}")
    return streamed(parts(imported, which), f"{stem}-{which}.csv", "text/csv")


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
