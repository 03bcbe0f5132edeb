"""Stage a span of a file: judge its cells, and keep its rows: as one text, and a row for each with a note.

Most rows are unremarkable, and one pattern says so of as many as follow each other; of large spans `arrays`
does, by their bytes. The odd ones between them go the way of `checks.check_span`, row by row. Where many are
odd, and all as wide as the header, the span is judged column by column: only the distinct values of each are
looked at. What neither can read, such as cells with line ends, goes row by row altogether. The verdicts are
the same on every way.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import lt
from typing import Any, BinaryIO

from django.db import connection

from config.statements import execute
from ingestion.sources.imports import arrays, checks, exports, patterns, records
from ingestion.sources.imports.checks import Row, Verdict, judge, without_doubt
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.dates import TYPES as DATES
from ingestion.sources.imports.definition import IDENTIFIER, Column, Definition
from ingestion.sources.imports.records import MAX_CELL, Layout, Span
from ingestion.sources.imports.rowtext import ESCAPED, SEPARATOR
from ingestion.sources.imports.values import BLANKS

_REMEMBERED = 20_000  # verdicts of a column; a file has few odd values, or many different ones
_FEW = 8  # where more than one row in so many is odd, the columns are looked at


@dataclass(frozen=True)
class Staged:
    """The rows of a span, as `StagedSpan` keeps them, and those with a note as COPY takes them."""

    total: int
    lines: str
    noted: bytes
    ends: tuple[str, str] | None = None  # the first and the last identifier, where they ascend


class Stager:
    """Judges spans of one import."""

    def __init__(self, import_id: int, columns: Columns, layout: Layout, worth: int = arrays.WORTH) -> None:
        """Make one. worth: from how many bytes on a span is looked at as arrays."""
        self._import_id, self._columns, self._layout = import_id, columns, layout
        self._came_back = exports.comes_back(columns.header)
        self._by_rows = self._came_back or layout.padded or len(columns.header) == 1
        self._judges = [
            (match.index, columns.header[match.index], _Judge(columns.target(match), columns.definition))
            for match in columns.matches
        ]
        self._skip = self._pattern()
        self._identifier = next(one.index for one in columns.matches if one.target == IDENTIFIER)
        self._worth = worth

    def encode(self, file: BinaryIO, span: Span) -> Staged:
        """Return the rows of a span."""
        if not span.long and not self._by_rows:
            file.seek(span.start)
            data = file.read(span.end - span.start)
            if b"\r" in data:
                data = data.replace(b"\r\n", b"\n")
            if (
                staged := self._quickly(span.row, data if data.endswith(b"\n") else data + b"\n")
            ) is not None:
                return staged
        found = records.read(file, span, self._layout)
        if self._came_back:
            found = ((n, exports.unguarded(one) if isinstance(one, list) else one) for n, one in found)
        rows = checks.check_span(found, self._columns)
        return Staged(len(rows), "", self._noted(rows))

    def _noted(self, rows: Iterable[Row]) -> bytes:
        return "".join([row.copy_line(self._import_id) for row in rows]).encode()

    def _pattern(self) -> Callable[[str, int], Any] | None:
        """Return what skips unremarkable rows, None where all rows have to be looked at."""
        cells: list[str | None] = [None] * len(self._columns.header)
        for place, _, one in self._judges:
            if one.pattern is None and one.column.type in DATES:
                return None  # what a date means may hang on those of other rows
            cells[place] = one.pattern
        found = patterns.rows(cells)
        return re.compile(found).match if found else None

    def _quickly(self, first: int, data: bytes) -> Staged | None:
        """Return the rows of whole lines, None where they have to be read row by row."""
        text, cut = None, self._layout.separator
        if b"\r" in data or SEPARATOR.encode() in data:
            return None
        if b'"' in data:
            if (text := self._unquoted(data)) is None:
                return None
            data, cut = text.encode(), SEPARATOR
        if len(data) >= self._worth and self._arrays is not None:
            table = self._arrays.read(data, ord(cut))
            if table is not None:
                return self._few_of_table(first, table)
        text = text or data.decode().replace(cut, SEPARATOR)
        lines = text.split("\n")
        del lines[-1]
        if max(map(len, lines)) <= MAX_CELL:
            if (odd := self._odd(text, len(lines))) is not None:
                return self._few(first, lines, odd)
            if (columns := _table(text, lines, len(self._columns.header))) is not None:
                return self._even(first, lines, columns)
        return None

    def _unquoted(self, data: bytes) -> str | None:
        """Return lines with SEPARATOR between cells, None if they cannot be written so."""
        text = data.decode()
        try:
            rows = list(
                csv.reader(io.StringIO(text, newline=""), delimiter=self._layout.separator, strict=True)
            )
        except csv.Error:
            return None
        if len(rows) != text.count("\n"):  # a cell holds a line end
            return None
        return "\n".join(map(SEPARATOR.join, rows)) + "\n"

    @cached_property
    def _arrays(self) -> arrays.Reader | None:
        """Return what finds odd rows by the bytes of a span, where there are patterns for all columns."""
        if self._skip is None or any(one.pattern is None for _, _, one in self._judges):
            return None
        others = {place: one.odd for place, _, one in self._judges if not arrays.takes(one.column)}
        return arrays.Reader(self._columns, others)

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

    def _few(self, first: int, lines: list[str], odd: Sequence[int]) -> Staged:
        """Return the rows of lines of which few are odd."""
        read = ((first + place, lines[place].split(SEPARATOR)) for place in odd)
        rows = checks.check_span(read, self._columns)
        total = len(lines) - len(odd) + len(rows)
        blank = SEPARATOR * len(self._columns.header)
        for place in odd:
            lines[place] = blank
        special: dict[int, Row] = {}
        for place, header, judge_of in self._judges:
            if judge_of.pattern is None:
                texts = [line.split(SEPARATOR, place + 1)[place] for line in lines]
                _mark(special, judge_of.odd(texts), texts, place, header)
        for place in odd:
            lines[place] = ""
            special.pop(place, None)
        rows += _taken_out(special, first, lines)
        return Staged(total, "\n".join(lines), self._noted(rows), self._ends(first, lines, rows))

    def _few_of_table(self, first: int, table: arrays.Table) -> Staged:
        """Return the rows of a table of which few are odd."""
        rows = checks.check_span(((first + place, table.cells(place)) for place in table.odd), self._columns)
        total = table.rows - len(table.odd) + len(rows)
        said = {row.number - first: text for row, text in self._said(rows)}
        ends = self._arrays.ends(table, said) if self._arrays else None
        return Staged(total, table.lines(), self._noted(rows), ends)

    def _said(self, odd: Sequence[Row]) -> Iterator[tuple[Row, str]]:
        """Yield good rows with their identifiers."""
        place = self._identifier
        for row in odd:
            if row.errors is None:
                yield row, (row.fixed or {}).get(str(place), row.cells[place]) or ""

    def _even(self, first: int, lines: list[str], columns: Sequence[Sequence[str]]) -> Staged:
        """Return the rows of lines that are all as wide as the header."""
        special: dict[int, Row] = {}
        for place, header, judge_of in self._judges:
            _mark(special, judge_of.odd(columns[place]), columns[place], place, header)
        blank = _blank_rows(columns[0], lines)
        for place in blank:
            lines[place] = ""
            special.pop(place, None)
        rows = _taken_out(special, first, lines)
        return Staged(len(lines) - len(blank), "\n".join(lines), self._noted(rows))

    def _ends(self, first: int, lines: Sequence[str], odd: Sequence[Row]) -> tuple[str, str] | None:
        """Return the first and the last identifier where each is above the one before it, else None.

        They are empty where there is none. lines: of unremarkable rows, empty at the place of an odd one.
        """
        place = self._identifier
        if place:
            said = [line.split(SEPARATOR, place + 1)[place] if line else "" for line in lines]
        else:
            said = [line.partition(SEPARATOR)[0] for line in lines]
        for row, text in self._said(odd):
            said[row.number - first] = text
        said = list(filter(None, said))
        if not said:
            return "", ""
        return (said[0], said[-1]) if all(map(lt, said, islice(said, 1, None))) else None


def _taken_out(special: Mapping[int, Row], first: int, lines: list[str]) -> list[Row]:
    """Return rows of their own, whose lines are emptied. special: by place."""
    for place, row in special.items():
        row.number, row.cells = first + place, lines[place].split(SEPARATOR)
        lines[place] = ""
    return list(special.values())


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

    def odd(self, texts: Iterable[str]) -> dict[str, Verdict]:
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


_WRITE = """
    INSERT INTO imports_stagedspan (import_id, first, rows, lines, total, low, high)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""


def write(import_id: int, span: Span, staged: Staged) -> None:
    """Keep the rows of a span, in the current transaction."""
    ends = staged.ends or (None, None)
    execute(_WRITE, [import_id, span.row, span.rows, staged.lines, staged.total, *ends])
    if staged.noted:
        statement = "COPY imports_notedrow (import_id, number, cells, fixed, errors, warnings) FROM STDIN"
        # Of a lost connection the engine hears by Django's name.
        with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(staged.noted)
