"""Cut a text into records, and a file into spans of whole records that can be read on their own.

A record is what a spreadsheet shows as a row: a quoted cell may hold line ends, and blank lines count.
"""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ingestion.source import SourceError

MAX_CELL = csv.field_size_limit()  # 131,072 characters, Python's own
MAX_RECORD = 2 << 20  # bytes; a quote that is still open then is never closed
MAX_ROWS = 10_000_000
SMALLEST, LARGEST = 16 << 10, 1 << 20  # of a span, bytes; its rows take about twenty times that in memory
SPANS_AT_LEAST = 20  # so that a small file's progress is seen moving


@dataclass(frozen=True)
class Layout:
    """How the records of a text are written.

    padded: a blank follows every separator.
    """

    separator: str
    padded: bool = False


@dataclass(frozen=True)
class Bad:
    """A record that cannot be read. problem: after "Row n:". raw: its text, the beginning."""

    code: str
    problem: str
    raw: str


class Unclosed(Exception):
    """A quote is open at the end of the text. done: lines before the record it is in."""

    def __init__(self, done: int) -> None:
        super().__init__(done)
        self.done = done


@dataclass(frozen=True)
class Span:
    """Bytes of a file that hold whole records.

    row, line: of the first record, from 1. rows: how many. long: one line beyond every limit, not read whole.
    """

    start: int
    end: int
    row: int
    line: int
    rows: int
    long: bool = False

    @property
    def last(self) -> int:
        """Return the number of the last row."""
        return self.row + self.rows - 1


def records(text: str, layout: Layout) -> Iterator[list[str] | Bad]:
    """Yield each record of a text, in order; blank lines as empty lists. Raises Unclosed at the end."""
    for _, record in _numbered(text, layout):
        yield record


def read(file: BinaryIO, span: Span, layout: Layout) -> Iterator[tuple[int, list[str] | Bad]]:
    """Yield (row number, record) of a span."""
    file.seek(span.start)
    if span.long:
        raw = file.read(200).decode(errors="ignore")
        yield span.row, Bad("csv_field_too_long", f"a cell is longer than {MAX_CELL:,} characters", raw)
        return
    text = file.read(span.end - span.start).decode()
    yield from enumerate(records(text, layout), span.row)


def plan(
    file: BinaryIO, start: int, size: int, layout: Layout, header_row: int, check: Callable[[], None]
) -> list[Span]:
    """Return the spans after the header row.

    start: where the text begins. size: bytes of the file. check: called for each block, raises to stop.
    Raises SourceError for what only the whole file shows: csv_nul, csv_unclosed_quote, csv_too_many_rows.
    """
    block = min(max(size // SPANS_AT_LEAST, SMALLEST), LARGEST)
    file.seek(start)
    spans: list[Span] = []
    position, row, line, rest = start, 1, 1, b""
    skip = header_row  # records that are not rows yet
    while True:
        check()
        fresh = file.read(block)
        data = rest + fresh
        if not data:
            return spans
        if (zero := fresh.find(b"\0")) >= 0:
            place = position + len(rest) + zero + 1
            raise SourceError("csv_nul", f"The file contains a zero byte (position {place:,}).")
        ended = len(fresh) < block
        cut = len(data) if ended else _whole_lines(data)
        if cut == 0:
            if len(data) < MAX_RECORD:
                rest = data
                continue
            data, length = b"", _skip_line(file, len(data))
            spans.append(Span(position, position + length, row, line, 1, long=True))
            position, row, line, rest = position + length, row + 1, line + 1, b""
            continue
        skipped, length, rows, lines = _measure(data[:cut], layout, skip)
        if length < cut and (ended or len(data) - length > MAX_RECORD):
            raise SourceError(
                "csv_unclosed_quote", f"A quote opened in line {line + lines:,} is never closed."
            )
        if rows > skipped:
            start_at = position + (_length(data, layout, skipped) if skipped else 0)
            spans.append(Span(start_at, position + length, row + skipped, line, rows - skipped))
        position, row, line, rest = position + length, row + rows, line + lines, data[length:]
        skip -= skipped
        if row - header_row > MAX_ROWS + 1:
            raise SourceError("csv_too_many_rows", f"The file has more than {MAX_ROWS:,} rows.")
        if ended:
            return spans


def _numbered(text: str, layout: Layout) -> Iterator[tuple[int, list[str] | Bad]]:
    """Yield (lines read so far, record)."""
    lines = list(io.StringIO(text, newline=""))
    feed = iter(lines)
    reader = csv.reader(feed, delimiter=layout.separator, skipinitialspace=layout.padded, strict=True)
    done = extra = 0
    while True:
        try:
            for cells in reader:
                done = reader.line_num + extra
                yield done, cells
            return
        except csv.Error as error:
            used = reader.line_num + extra
            raw = "".join(lines[done:used])
            if str(error).startswith("unexpected end"):
                raise Unclosed(done) from None
            bad = Bad("csv_quote", "misplaced quote", raw[:1000])
            if str(error).startswith("field larger"):
                bad = Bad("csv_field_too_long", f"a cell is longer than {MAX_CELL:,} characters", raw[:1000])
                inside = raw.count('"') % 2 == 1
                while inside:
                    following = next(feed, None)
                    if following is None:
                        raise Unclosed(done) from None
                    extra += 1
                    inside = following.count('"') % 2 == 0
                used = reader.line_num + extra
            done = used
            yield done, bad


def _measure(data: bytes, layout: Layout, skip: int) -> tuple[int, int, int, int]:
    """Return (skipped records, bytes, records, lines) of the whole records in `data`.

    Structure is ASCII, so Latin-1 is enough to see it, and a character is a byte.
    """
    returns = data.count(b"\r")
    if not skip and b'"' not in data and (returns == 0 or returns == data.count(b"\r\n")):
        rows = data.count(b"\n") + (not data.endswith(b"\n"))
        return 0, len(data), rows, rows
    text = data.decode("latin-1")
    count = lines = 0
    try:
        for lines, _ in _numbered(text, layout):  # noqa: B007
            count += 1
        length = len(data)
    except Unclosed as error:
        lines = error.done
        length = sum(map(len, list(io.StringIO(text, newline=""))[:lines]))
    return min(skip, count), length, count, lines


def _length(data: bytes, layout: Layout, count: int) -> int:
    """Return how many bytes the first `count` records take."""
    text = data.decode("latin-1")
    for number, (lines, _) in enumerate(_numbered(text, layout), 1):
        if number == count:
            return sum(map(len, list(io.StringIO(text, newline=""))[:lines]))
    return len(data)


def _whole_lines(data: bytes) -> int:
    return (data.rfind(b"\n") + 1) or (data.rfind(b"\r", 0, -1) + 1)


def _skip_line(file: BinaryIO, length: int) -> int:
    """Read on to the end of the line. Return the line's length."""
    while chunk := file.read(1 << 20):
        end = _whole_lines_start(chunk)
        if end:
            file.seek(end - len(chunk), 1)
            return length + end
        length += len(chunk)
    return length


def _whole_lines_start(chunk: bytes) -> int:
    return (chunk.find(b"\n") + 1) or (chunk.find(b"\r") + 1)
