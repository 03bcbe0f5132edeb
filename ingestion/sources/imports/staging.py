"""Stage a span of a file: judge its cells, and write its rows with COPY.

Most rows are unremarkable, and one pattern says so of as many as follow each other. The odd ones between them
go the way of `checks.check_span`, row by row. Where many are odd, and all as wide as the header, the span is
judged column by column: only the distinct values of each are looked at. What neither can read, such as cells
with line ends, goes row by row altogether. The verdicts are the same on every way.
"""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from django.db import connection

from ingestion.sources.imports import checks, exports, patterns, records
from ingestion.sources.imports.checks import Row, Verdict, judge, without_doubt
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.dates import TYPES as DATES
from ingestion.sources.imports.definition import Column, Definition
from ingestion.sources.imports.records import MAX_CELL, Layout, Span
from ingestion.sources.imports.rowtext import ESCAPED, SEPARATOR
from ingestion.sources.imports.values import BLANKS

_UNREMARKABLE = "\t\\N\t\\N\t\\N\n"  # the end of most rows: nothing fixed, no errors, no warnings
_REMEMBERED = 20_000  # verdicts of a column; a file has few odd values, or many different ones
_FEW = 8  # where more than one row in so many is odd, the columns are looked at


class Stager:
    """Judges spans of one import and turns them into what COPY takes."""

    def __init__(self, import_id: int, columns: Columns, layout: Layout) -> None:
        self._import_id, self._columns, self._layout = import_id, columns, layout
        self._came_back = exports.comes_back(columns.header)
        self._by_rows = self._came_back or layout.padded or len(columns.header) == 1
        self._judges = [
            (match.index, columns.header[match.index], _Judge(columns.target(match), columns.definition))
            for match in columns.matches
        ]
        self._skip = self._pattern()

    def encode(self, file: BinaryIO, span: Span) -> tuple[int, bytes]:
        """Return how many rows a span has, and the rows as `write` takes them."""
        if not span.long and not self._by_rows and (text := self._text(file, span)) is not None:
            lines = text.split("\n")
            del lines[-1]
            if max(map(len, lines)) <= MAX_CELL:
                if (odd := self._odd(text, len(lines))) is not None:
                    return self._few(span.row, lines, odd)
                if (columns := _table(text, lines, len(self._columns.header))) is not None:
                    return self._even(span.row, lines, columns)
        found = records.read(file, span, self._layout)
        if self._came_back:
            found = ((n, exports.unguarded(one) if isinstance(one, list) else one) for n, one in found)
        rows = checks.check_span(found, self._columns)
        return len(rows), "".join([row.copy_line(self._import_id) for row in rows]).encode()

    def _pattern(self) -> Callable[[str, int], Any] | None:
        """Return what skips unremarkable rows, None where all rows have to be looked at."""
        cells: list[str | None] = [None] * len(self._columns.header)
        for place, _, one in self._judges:
            if one.pattern is None and one.column.type in DATES:
                return None  # what a date means may hang on those of other rows
            cells[place] = one.pattern
        found = patterns.rows(cells)
        return re.compile(found).match if found else None

    def _text(self, file: BinaryIO, span: Span) -> str | None:
        """Return a span as a line a row and SEPARATOR between cells, None if it cannot be written so."""
        file.seek(span.start)
        text = file.read(span.end - span.start).decode().replace("\r\n", "\n").removesuffix("\n") + "\n"
        separator = self._layout.separator
        if SEPARATOR in text or "\r" in text:
            return None
        if '"' not in text:
            return text.replace(separator, SEPARATOR)
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
        except csv.Error:
            return None
        if len(rows) != text.count("\n"):  # a cell holds a line end
            return None
        return "\n".join(map(SEPARATOR.join, rows)) + "\n"

    def _odd(self, text: str, count: int) -> list[int] | None:
        """Return the places of the lines that may be remarkable, None if they are many. count: of lines."""
        if self._skip is None:
            return None
        odd: list[int] = []
        position = line = 0
        while (end := self._skip(text, position).end()) < len(text):
            line += text.count("\n", position, end)
            odd.append(line)
            if len(odd) > count // _FEW + 1:
                return None
            position = text.index("\n", end) + 1
            line += 1
        return odd

    def _few(self, first: int, lines: Sequence[str], odd: Sequence[int]) -> tuple[int, bytes]:
        """Return how many rows there are, and the rows as staged, of lines of which few are odd."""
        even = list(lines)
        for place in odd:
            even[place] = SEPARATOR * len(self._columns.header)
        special: dict[int, Row] = {}
        for place, header, judge_of in self._judges:
            if judge_of.pattern is None:
                texts = [line.split(SEPARATOR, place + 1)[place] for line in even]
                _mark(special, judge_of.odd(texts), texts, place, header)
        staged = self._staged(first, lines, special)
        for place in odd:
            staged[place] = ""
        read = ((first + place, lines[place].split(SEPARATOR)) for place in odd)
        rows = checks.check_span(read, self._columns)
        for row in rows:
            staged[row.number - first] = row.copy_line(self._import_id)
        return len(lines) - len(odd) + len(rows), "".join(staged).encode()

    def _even(self, first: int, lines: Sequence[str], columns: Sequence[Sequence[str]]) -> tuple[int, bytes]:
        """Return the same of lines that are all as wide as the header."""
        special: dict[int, Row] = {}
        for place, header, judge_of in self._judges:
            _mark(special, judge_of.odd(columns[place]), columns[place], place, header)
        staged = self._staged(first, lines, special)
        blank = _blank_rows(columns[0], lines)
        for place in blank:
            staged[place] = ""
        return len(lines) - len(blank), "".join(staged).encode()

    def _staged(self, first: int, lines: Sequence[str], special: Mapping[int, Row]) -> list[str]:
        own = f"{self._import_id}\t"
        staged = [f"{own}{number}\t{line}{_UNREMARKABLE}" for number, line in enumerate(lines, first)]
        for place, row in special.items():
            row.number, row.cells = first + place, lines[place].split(SEPARATOR)
            staged[place] = row.copy_line(self._import_id)
        return staged


def _table(text: str, lines: Sequence[str], width: int) -> list[Sequence[str]] | None:
    """Return the columns of lines that are all so wide, else None."""
    if any(one in text for one in ESCAPED):
        return None
    # Every line end becomes a cell of its own: all rows are even if these stand where they must.
    flat = text.replace("\n", f"{SEPARATOR}\n{SEPARATOR}").split(SEPARATOR)
    ends = flat[width :: width + 1]
    if len(flat) != len(lines) * (width + 1) + 1 or ends.count("\n") != len(ends):
        return None
    return [flat[place : -1 : width + 1] for place in range(width)]


def _blank_rows(first: Sequence[str], lines: Sequence[str]) -> list[int]:
    """Return the places of the rows in which nothing stands; they are no rows."""
    starts = [place for place, text in enumerate(first) if not text or text.isspace() or text[0] in BLANKS]
    return [place for place in starts if not lines[place].replace(SEPARATOR, "").strip(BLANKS)]


def _mark(
    special: dict[int, Row], odd: Mapping[str, Verdict], texts: Sequence[str], place: int, header: str
) -> None:
    if not odd:
        return
    for number, text in enumerate(texts):
        verdict = odd.get(text)
        if verdict is not None:
            verdict.mark(special.setdefault(number, Row(0, [])), place, header)


class _Judge:
    """Finds what is remarkable about the values of a column. pattern: see `patterns.cell`."""

    def __init__(self, column: Column, definition: Definition) -> None:
        self.column, self._definition = column, definition
        self.pattern = patterns.cell(column, definition)
        # As many plain values as follow each other, one a line: a call for all costs half of one for each.
        self._skip = re.compile(f"(?:{self.pattern or '(?!)'}\n)*+").match
        self._known: dict[str, Verdict | None] = {}

    def odd(self, texts: Sequence[str]) -> dict[str, Verdict]:
        """Return the verdicts about those of these values that have one."""
        known = self._known
        found = {}
        for text in self._not_plain(set(texts)):
            if text not in known:
                if len(known) >= _REMEMBERED:
                    known.clear()
                known[text] = judge(text, self.column, self._definition)
            verdict = known[text]
            if verdict is not None:
                found[text] = verdict
        return without_doubt(found)

    def _not_plain(self, texts: set[str]) -> list[str]:
        joined = "\n".join(texts) + "\n"
        if joined.count("\n") != len(texts):
            return list(texts)
        found, place = [], 0
        while (match := self._skip(joined, place)) and (stop := match.end()) < len(joined):
            start = joined.rfind("\n", 0, stop) + 1  # Python before 3.11.5 may stop inside a line (gh-106052)
            end = joined.index("\n", start)
            found.append(joined[start:end])
            place = end + 1
        return found


def write(encoded: bytes) -> None:
    """Write rows with COPY, in the current transaction."""
    statement = "COPY imports_importrow (import_id, number, cells, fixed, errors, warnings) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(encoded)
