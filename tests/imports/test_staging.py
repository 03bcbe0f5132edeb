"""Spans are judged column by column or row by row: what is staged is the same."""

import csv
import io
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion.sources.imports import checks, records
from ingestion.sources.imports.checks import Row
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.default import DEFAULT
from ingestion.sources.imports.matching import match
from ingestion.sources.imports.records import Layout, Span
from ingestion.sources.imports.rowtext import SEPARATOR
from ingestion.sources.imports.staging import Stager
from tests.imports.conftest import Run

HEADER = ["tax_ident", "name", "birth_date", "employees", "turnover", "web_address", "colour"]
COLUMNS = Columns(DEFAULT, HEADER, match(HEADER, DEFAULT, {}), {})

TEXTS = [
    "",
    " ",
    "NA",
    "null ",
    " nan",
    "x",
    "Bakery, Ltd",
    'the "Mill"',
    "a\tb",
    "back\\slash",
    "\x1f",
    "\u00a0",
]
NUMBERS = ["007", "12", "-3", "1,234", "1 234,5", "12.50", "012", "1e3", "9" * 20, "many"]
DATES = ["2020-01-31", "2020-02-30", "31.12.2020", "infinity"]
OTHERS = ["\u00a0", "http://x", "ftp://x", "x" * 600, "two\nlines", "  both  ", "\r", "\u00fc"]
words = st.sampled_from([*TEXTS, *NUMBERS, *DATES, *OTHERS])
cells = words | st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
even = st.lists(st.lists(cells, min_size=7, max_size=7), min_size=1, max_size=6)
uneven = st.lists(st.lists(cells, min_size=1, max_size=9), min_size=1, max_size=6)
separators = st.sampled_from([",", ";", "\t", "|"])


def both_ways(data: bytes, layout: Layout) -> tuple[list[bytes], list[bytes]]:
    """Return what is staged of a span, as quickly as can be, and row by row, each row as COPY takes it.

    Large spans are looked at as arrays, others by patterns: what comes of it is the same.
    """
    span = Span(0, len(data), 2, 2, 1)
    try:
        rows = checks.check_span(records.read(io.BytesIO(data), span, layout), COLUMNS)
    except records.Unclosed:
        return [], []
    found = staged_rows(Stager(5, COLUMNS, layout), data, span, rows)
    assert staged_rows(Stager(5, COLUMNS, layout, worth=0), data, span, rows) == found
    return found, sorted(row.copy_line(5).encode() for row in rows)


def staged_rows(stager: Stager, data: bytes, span: Span, rows: list[Row]) -> list[bytes]:
    """Return what is staged of a span as COPY takes it. rows: as they are read row by row."""
    staged = stager.encode(io.BytesIO(data), span)
    found = staged.noted.splitlines(keepends=True)
    for number, line in enumerate(staged.lines.split("\n"), 2):
        if line:
            found.append(Row(number, line.split(SEPARATOR)).copy_line(5).encode())
    assert staged.total == len(found)
    if staged.ends is not None:
        said = [(row.fixed or {}).get("0", row.cells[0]) or "" for row in rows if row.errors is None]
        said = list(filter(None, said)) or [""]
        assert staged.ends == (said[0], said[-1]) and said == sorted(set(said))
    return sorted(found)


@settings(max_examples=200, deadline=None)
@given(rows=even | uneven, separator=separators, dialect=st.sampled_from([csv.excel, csv.unix_dialect]))
@example(rows=[[""] * 7, ["1"] * 7], separator=",", dialect=csv.unix_dialect)
def test_what_a_writer_of_csv_wrote(rows: list[list[str]], separator: str, dialect: Any) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, dialect, delimiter=separator, lineterminator="\r\n").writerows(rows)
    quick, slow = both_ways(text.getvalue().encode(), Layout(separator))
    assert quick == slow


def test_a_tab_in_a_quoted_cell_of_a_file_with_tabs() -> None:
    quick, slow = both_ways(b'x\t"a\tb"' + b"\t" * 5 + b"\n", Layout("\t"))
    assert quick == slow and b"a\\tb" in quick[0]


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(st.lists(cells, max_size=9), max_size=8), ended=st.booleans(), separator=separators)
def test_any_text(lines: list[list[str]], ended: bool, separator: str) -> None:
    text = "\n".join(separator.join(line) for line in lines) + "\n" * ended
    quick, slow = both_ways(text.encode(), Layout(separator))
    assert quick == slow


usual = st.tuples(
    st.integers(0, 10**6).map(str),
    st.sampled_from(["Aspen Bakery", "Null & Sons", "\u00d8rn"]),
    st.sampled_from(["", "2020-01-31", "1999-12-01"]),
    st.sampled_from(["", "0", "12"]),
    st.sampled_from(["", "0.5", "12.50"]),
    st.sampled_from(["", "www.example.com", "https://example.com/a?b=c"]),
    st.sampled_from(["", "red", " two  words "]),
).map(list)
mixed = st.lists(usual, min_size=20, max_size=24)
strange = st.lists(st.tuples(st.integers(0, 23), st.integers(0, 6), cells), max_size=3)


@settings(max_examples=100, deadline=None)
@given(
    rows=mixed, changes=strange, separator=separators, dialect=st.sampled_from([csv.excel, csv.unix_dialect])
)
def test_a_few_odd_cells_among_usual_rows(
    rows: list[list[str]], changes: list[tuple[int, int, str]], separator: str, dialect: Any
) -> None:
    for row, place, text in changes:
        rows[row % len(rows)][place] = text
    file = io.StringIO(newline="")
    csv.writer(file, dialect, delimiter=separator, lineterminator="\n").writerows(rows)
    quick, slow = both_ways(file.getvalue().encode(), Layout(separator))
    assert quick == slow


@settings(max_examples=100, deadline=None)
@given(rows=mixed, place=st.integers(0, 23), line=st.text(alphabet='a,1\x1f\t\\" \u00a0', max_size=12))
def test_a_strange_line_among_usual_rows(rows: list[list[str]], place: int, line: str) -> None:
    lines = [",".join(row) for row in rows]
    lines[place % len(lines)] = line
    quick, slow = both_ways("\n".join(lines).encode(), Layout(","))
    assert quick == slow


@pytest.mark.django_db(transaction=True)
def test_a_cell_with_the_character_that_cuts_staged_rows_is_an_error(run: Run) -> None:
    imported = run("tax_ident,name,colour\n1,a,b\x1fc\n2,b,\n")
    (row,) = imported.rows.filter(errors__isnull=False)
    assert row.errors is not None and row.errors["colour"]["code"] == "bad_character"
    assert row.cells == ["1", "a", "b\ufffdc"]


@pytest.mark.django_db(transaction=True)
def test_cells_come_back_as_they_stand_in_the_file(run: Run) -> None:
    texts = ["1", ' a "b" ', "back\\slash", "two\nlines\tand a tab", ""]
    line = ",".join('"' + text.replace('"', '""') + '"' for text in texts)
    imported = run(f"tax_ident,name,x,y,z\n{line}\n", review="always")
    assert imported.rows.get().cells == texts
