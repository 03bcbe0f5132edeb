"""Recognise how a file is written from its beginning: separator, header, lines before the header."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from ingestion import encodings
from ingestion.source import SourceError
from ingestion.sources.imports import files
from ingestion.sources.imports.columns import ADDED
from ingestion.sources.imports.definition import Definition
from ingestion.sources.imports.matching import listed, plain
from ingestion.sources.imports.records import Bad, Layout, Unclosed, records
from ingestion.sources.imports.sheets import MAX_COLUMNS
from ingestion.sources.imports.values import BLANKS

MAX_HEADER = 1000  # characters of one column's name
SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

_LOOKED_AT = 50  # records
_PREAMBLE = 20  # records among which the header is looked for
_SEP_LINE = re.compile(r'"?sep=([,;|\t])"?[ \t]*(?:\r\n|\r|\n|$)', re.IGNORECASE)
_OTHER_SEPARATORS = re.compile(r"\w([~^:#\\/])\w")


@dataclass(frozen=True)
class Dialect:
    """How the records are written and where they begin.

    header: trimmed. header_row: its row number, from 1; the rows before it are no data.
    """

    layout: Layout
    header: list[str]
    header_row: int


def judge_head(name: str, head: bytes, size: int, definition: Definition) -> Dialect | None:
    """Refuse a file whose first bytes show that it cannot be imported.

    name: of the file. head: its first 64 KB. size: of the whole. Returns None when only the whole file can
    tell. Raises SourceError: file_empty, file_type, file_encoding, csv_separator, csv_columns, csv_no_rows.
    """
    whole = len(head) >= size
    kind, text_head = files.unpacked_head(name, head)
    if kind == "workbook":
        return None
    if text_head is not head:
        whole = whole and len(text_head) < files.HEAD
    found = encodings.recognise_head(text_head, whole)
    if found is None:
        return None
    encoding, mark = found
    # A character cut in two at the end of the head is left out.
    text = text_head[mark:].decode(encoding, errors="strict" if whole else "ignore")
    return recognise(text, whole, definition)


def recognise(text: str, whole: bool, definition: Definition) -> Dialect:
    """Return the dialect of a text from its beginning. whole: nothing follows. Raises SourceError."""
    if (zero := text.find("\0")) >= 0:
        byte = len(text[:zero].encode()) + 1
        raise SourceError("csv_nul", f"The file contains a zero byte (position {byte:,}).")
    if not text:
        raise SourceError("file_empty", "The file is empty.")
    if not text.strip(BLANKS):
        raise SourceError("csv_no_rows", "The file has no rows.")
    told = _SEP_LINE.match(text)
    separators = [told[1]] if told else SEPARATORS
    known = {plain(spelling) for column in definition.columns for spelling in (column.name, *column.synonyms)}
    readings = [_Reading.of(text, whole, separator, known, bool(told)) for separator in separators]
    best = _best(readings)
    rows = best.rows
    if (place := best.place) is None:
        raise SourceError("csv_field_too_long", f"Row 1: the line is longer than {files.HEAD:,} characters.")
    header = _checked_header(rows[place], place + 1)
    if whole and not any(_said(row) for row in rows[place + 1 :]):
        raise SourceError("csv_no_rows", "The file has a header but no rows.")
    return Dialect(best.layout, header, place + 1)


@dataclass(frozen=True)
class _Reading:
    """The beginning of a file read with one separator."""

    layout: Layout
    rows: list[list[str] | Bad]
    place: int | None  # of the header in rows
    width: int
    direct: bool  # the first thing said is the header
    known: int  # header cells that the definition knows
    even: float  # share of rows as wide as the header

    @classmethod
    def of(cls, text: str, whole: bool, separator: str, known: set[str], told: bool) -> "_Reading":
        first_line = text.split("\n", 1)[0]
        count = first_line.count(separator)
        padded = separator != "\t" and count > 0 and count == first_line.count(separator + " ")
        layout = Layout(separator, padded)
        rows: list[list[str] | Bad] = []
        try:
            for row in islice(records(text, layout), 10 * _LOOKED_AT):
                rows.append(row)
            cut = len(rows) < 10 * _LOOKED_AT and not whole
        except Unclosed as error:
            if whole and not rows:
                line = error.done + 1
                raise SourceError(
                    "csv_unclosed_quote", f"A quote opened in line {line:,} is never closed."
                ) from None
            cut = False
        if cut:
            rows.pop()  # the head may end in the middle of it
        place = _header_place(rows, 1 if told else 0)
        if place is None:
            return cls(layout, rows, None, 0, False, 0, 0)
        header = rows[place]
        cells = header if isinstance(header, list) else []
        following = [row for row in rows[place + 1 : place + 1 + _LOOKED_AT] if _said(row)]
        same = sum(isinstance(row, list) and len(row) == len(cells) for row in following)
        even = same / len(following) if following else 1.0
        direct = not any(_said(row) and not _is_comment(row) for row in rows[int(told) : place])
        return cls(layout, rows, place, len(cells), direct, sum(plain(cell) in known for cell in cells), even)


def _best(readings: Sequence[_Reading]) -> _Reading:
    def rank(reading: _Reading) -> tuple[bool, bool, int, float, int]:
        return reading.width > 1, reading.direct, reading.known, reading.even, reading.width

    ranked = sorted(readings, key=rank, reverse=True)
    best = ranked[0]
    if best.width > 1:
        if len(ranked) > 1 and rank(ranked[1])[:-1] == rank(best)[:-1]:
            raise SourceError("csv_separator", "The separator could not be recognised.")
        return best
    lines = [row[0] for row in best.rows[:_LOOKED_AT] if isinstance(row, list) and len(row) == 1]
    signs = [set(_OTHER_SEPARATORS.findall(line)) for line in lines if line.strip()]
    if signs and set.intersection(*signs):
        raise SourceError("csv_separator", "The separator could not be recognised.")
    return best


def _header_place(rows: Sequence[list[str] | Bad], first: int) -> int | None:
    """Return where the header is: after blank lines, comments and a title above the table."""
    shown = [
        (place, _said(row))
        for place, row in enumerate(rows[: first + _PREAMBLE])
        if place >= first and _said(row) and not _is_comment(row)
    ]
    if not shown:
        return None
    place, cells = shown[0]
    if cells == 1:
        place = next((later for later, count in shown if count > 1), place)
    return place


def _said(row: list[str] | Bad) -> int:
    """Return how many cells say something."""
    return 1 if isinstance(row, Bad) else sum(1 for cell in row if cell.strip(BLANKS))


def _is_comment(row: list[str] | Bad) -> bool:
    return isinstance(row, list) and row[0].lstrip(BLANKS).startswith("#")


def _checked_header(row: list[str] | Bad, number: int) -> list[str]:
    if isinstance(row, Bad):
        raise SourceError(row.code, f"Row {number}: {row.problem}.")
    header = [cell.strip(BLANKS) for cell in row]
    if len([cell for cell in header if cell not in ADDED]) > MAX_COLUMNS:
        raise SourceError("csv_columns", f"At most {MAX_COLUMNS} columns. Found: {len(header):,}.")
    for place, cell in enumerate(header, 1):
        if not cell:
            raise SourceError("csv_columns", f"Column {place} has no name. Found: {listed(header)}.")
        if len(cell) > MAX_HEADER:
            raise SourceError(
                "csv_columns", f"The name of column {place} is longer than {MAX_HEADER:,} characters."
            )
        if header.index(cell) != place - 1:
            raise SourceError("csv_columns", f'Column "{cell}" appears twice. Found: {listed(header)}.')
    return header


assert csv.field_size_limit() >= files.HEAD  # a head can be read in one piece
