"""Stage a span of a file: judge its cells column by column, and write its rows with COPY.

A span whose rows are all as wide as the header is never taken apart row by row: of each column only the
distinct values are looked at, and of most of those only whether one pattern fits. Everything else goes the
way of `checks.check_span`, row by row, with the same verdicts.
"""

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from django.db import connection

from ingestion.sources.imports import checks, exports, records
from ingestion.sources.imports.checks import Row, Verdict, judge, without_doubt
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.definition import Column, Definition
from ingestion.sources.imports.records import MAX_CELL, Layout, Span
from ingestion.sources.imports.rowtext import ESCAPED, SEPARATOR
from ingestion.sources.imports.values import BLANKS

_UNREMARKABLE = "\t\\N\t\\N\t\\N\n"  # the end of most rows: nothing fixed, no errors, no warnings
_REMEMBERED = 20_000  # verdicts of a column; a file has few odd values, or many different ones


class Stager:
    """Judges spans of one import and turns them into what COPY takes."""

    def __init__(self, import_id: int, columns: Columns, layout: Layout) -> None:
        self._import_id, self._columns, self._layout = import_id, columns, layout
        self._came_back = exports.comes_back(columns.header)
        self._judges = [
            (match.index, columns.header[match.index], _Judge(columns.target(match), columns.definition))
            for match in columns.matches
        ]

    def encode(self, file: BinaryIO, span: Span) -> tuple[int, bytes]:
        """Return how many rows a span has, and the rows as `write` takes them."""
        table = None if span.long or self._came_back else self._table(file, span)
        if table is not None:
            return self._even(span.row, *table)
        found = records.read(file, span, self._layout)
        if self._came_back:
            found = ((n, exports.unguarded(one) if isinstance(one, list) else one) for n, one in found)
        rows = checks.check_span(found, self._columns)
        return len(rows), "".join([row.copy_line(self._import_id) for row in rows]).encode()

    def _table(self, file: BinaryIO, span: Span) -> tuple[list[Sequence[str]], list[str]] | None:
        """Return (columns, rows as staged text) of a span whose rows are even, else None."""
        file.seek(span.start)
        text = file.read(span.end - span.start).decode().replace("\r\n", "\n").removesuffix("\n")
        separator, width = self._layout.separator, len(self._columns.header)
        special = ESCAPED - {separator}
        if width == 1 or self._layout.padded or SEPARATOR in text or any(one in text for one in special):
            return None
        if '"' in text:
            return _quoted(text, separator, width)
        lines = text.replace(separator, SEPARATOR).split("\n")
        if max(map(len, lines)) > MAX_CELL:
            return None
        # Every line end becomes a cell of its own: all rows are even if these stand where they must.
        flat = text.replace("\n", f"{separator}\n{separator}").split(separator)
        ends = flat[width :: width + 1]
        if len(flat) != len(lines) * (width + 1) - 1 or ends.count("\n") != len(ends):
            return None
        return [flat[place :: width + 1] for place in range(width)], lines

    def _even(self, first: int, columns: list[Sequence[str]], lines: list[str]) -> tuple[int, bytes]:
        special: dict[int, Row] = {}
        for place, header, judge_of in self._judges:
            odd = judge_of.odd(columns[place])
            if odd:
                _mark(special, odd, columns[place], place, header)
        blank = _blank_rows(columns[0], lines)
        own = f"{self._import_id}\t"
        staged = [f"{own}{number}\t{line}{_UNREMARKABLE}" for number, line in enumerate(lines, first)]
        for place, row in special.items():
            row.number, row.cells = first + place, lines[place].split(SEPARATOR)
            staged[place] = row.copy_line(self._import_id)
        for place in blank:
            staged[place] = ""
        return len(lines) - len(blank), "".join(staged).encode()


def _quoted(text: str, separator: str, width: int) -> tuple[list[Sequence[str]], list[str]] | None:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        return None
    if len(rows) != text.count("\n") + 1 or any(len(row) != width for row in rows):
        return None
    lines = list(map(SEPARATOR.join, rows))
    if separator in ESCAPED and any(separator in line for line in lines):  # a quoted cell holds a tab
        return None
    return list(zip(*rows, strict=True)), lines


def _blank_rows(first: Sequence[str], lines: list[str]) -> list[int]:
    """Return the places of the rows in which nothing stands; they are no rows."""
    starts = [place for place, text in enumerate(first) if not text or text.isspace() or text[0] in BLANKS]
    return [place for place in starts if not lines[place].replace(SEPARATOR, "").strip(BLANKS)]


def _mark(
    special: dict[int, Row], odd: dict[str, Verdict], texts: Sequence[str], place: int, header: str
) -> None:
    for number, text in enumerate(texts):
        verdict = odd.get(text)
        if verdict is not None:
            verdict.mark(special.setdefault(number, Row(0, [])), place, header)


class _Judge:
    """Finds what is remarkable about the values of a column."""

    def __init__(self, column: Column, definition: Definition) -> None:
        self._column, self._definition = column, definition
        self._is_plain = plain(column, definition)
        # As many plain values as follow each other, one a line: a call for all costs half of one for each.
        self._skip = re.compile(f"(?:(?:{_pattern(column, definition)})\n)*+").match
        self._known: dict[str, Verdict | None] = {}

    def odd(self, texts: Sequence[str]) -> dict[str, Verdict]:
        """Return the verdicts about those of these values that have one."""
        known = self._known
        found = {}
        for text in self._not_plain(set(texts)):
            if text not in known:
                if len(known) >= _REMEMBERED:
                    known.clear()
                known[text] = judge(text, self._column, self._definition)
            verdict = known[text]
            if verdict is not None:
                found[text] = verdict
        return without_doubt(found)

    def _not_plain(self, texts: set[str]) -> list[str]:
        joined = "\n".join(texts) + "\n"
        if joined.count("\n") != len(texts):
            return [text for text in texts if not self._is_plain(text)]
        found, place = [], 0
        while (match := self._skip(joined, place)) and (place := match.end()) < len(joined):
            end = joined.index("\n", place)
            found.append(joined[place:end])
            place = end + 1
        return found


def plain(column: Column, definition: Definition) -> Callable[[str], Any]:
    """Return what says true of values that are certainly unremarkable. It may say false of any value."""
    return re.compile(_pattern(column, definition)).fullmatch


def _pattern(column: Column, definition: Definition) -> str:
    """Return a pattern of certainly unremarkable values, none of which has a line end."""
    pattern = "(?!)"
    no_number_is_empty = not any(word[:1].isdigit() for word in definition.empty)
    any_number = (column.least is None or column.least <= 0) and column.most is None and column.longest > 30
    if column.type in ("text", "code"):
        # Longer than every word for nothing, and without blanks at its ends.
        least = max(map(len, definition.empty), default=0) + 1
        edge = f"[^{re.escape(BLANKS)}]"
        if column.longest >= max(least, 2):
            pattern = f"{edge}[^\n]{{{max(least - 2, 0)},{column.longest - 2}}}{edge}"
        if no_number_is_empty:
            pattern = f"[0-9]{{1,{column.longest}}}|{pattern}"
    elif column.type in ("date", "end_date") and column.longest >= 10 and no_number_is_empty:
        pattern = "[1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    elif column.type == "integer" and any_number and no_number_is_empty:
        pattern = "0|[1-9][0-9]{0,17}"
    elif column.type == "decimal" and any_number and no_number_is_empty:
        pattern = r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,8})?"
    return pattern


def write(encoded: bytes) -> None:
    """Write rows with COPY, in the current transaction."""
    statement = "COPY imports_importrow (import_id, number, cells, fixed, errors, warnings) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(encoded)
