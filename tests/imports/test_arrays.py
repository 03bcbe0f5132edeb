"""What is taken by its bytes is unremarkable, and what a pattern takes is taken here too."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.sources.imports import arrays, patterns
from ingestion.sources.imports.checks import judge
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.default import DEFAULT
from ingestion.sources.imports.definition import Column, Definition
from ingestion.sources.imports.matching import match
from ingestion.sources.imports.records import MAX_CELL
from tests.imports.test_patterns import texts

IDENTIFIER = next(one for one in DEFAULT.columns if one.name == "tax_ident")
OWN = [
    Column(name="needed", label="", required=True),
    Column(name="short", label="", longest=4),
    Column(name="amount", label="", type="decimal"),
    Column(name="number", label="", type="integer"),
    Column(name="count", label="", type="integer", least=0),
    Column(name="day", label="", type="date", required=True),
]
COLUMNS = [one for one in (*DEFAULT.columns, *OWN) if one is not IDENTIFIER and arrays.takes(one)]
WORDS = ("na", "n/a", "null", "-")
numbers = st.from_regex(r"\A-?[0-9]{0,17}(\.[0-9]{0,9})?\Z")
days = st.from_regex(r"\A[0-9]{3,5}-[0-3][0-9]-[0-4][0-9]\Z")


def reader(*columns: Column, empty: tuple[str, ...] = DEFAULT.empty, plus: int = 0) -> arrays.Reader:
    """Return one of a file with an identifier, these columns and `plus` that are no targets."""
    rules = Definition(name="mine", columns=(IDENTIFIER, *columns), empty=empty)
    header = [*(one.name for one in rules.columns), *(f"other {n}" for n in range(plus))]
    return arrays.Reader(Columns(rules, header, match(header, rules, {}), {}), {})


def is_taken(column: Column, text: str) -> bool:
    table = reader(column).read(f"1,{text}\n2,\n".encode(), ord(","))
    return table is not None and 0 not in table.odd


@settings(max_examples=200, deadline=None)
@given(text=(texts | numbers | days).filter(lambda text: not set('"\n\r,\x1f') & set(text)))
def test_what_is_taken_is_unremarkable_and_no_less_than_by_patterns(text: str) -> None:
    for column in COLUMNS:
        pattern = patterns.cell(column, DEFAULT)
        assert pattern is not None
        if is_taken(column, text):
            assert judge(text, column, DEFAULT) is None, (column.name, text)
        elif text.isascii() and len(text) > len("null"):
            assert not re.fullmatch(pattern, text), (column.name, text)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("day", [f"2024-{month:02d}-{day:02d}" for month in range(14) for day in range(33)]),
        ("day", ["0999-01-01", "2024/01-01", "2024-01/01", "20240101", "2024-01-010", "2024-01-0a"]),
        ("amount", [f"{sign}{whole}" for sign in ("", "-") for whole in ("0", "01", "9" * 15, "9" * 16)]),
        ("amount", [f"{whole}.{rest}" for whole in ("", "1", "1.") for rest in ("", "0", "9" * 8, "9" * 9)]),
        ("number", ["0", "-0", "-", "-1", "10", "01", "1.0", "1:", "1/", "9" * 15, "9" * 16]),
        ("count", ["0", "-1", "12", "1-"]),
        ("short", ["abcd", "abcde", " abc", "abc ", "a b"]),
        ("needed", ["", "x"]),
    ],
)
def test_cells_are_taken_as_by_their_pattern(name: str, said: list[str]) -> None:
    column = next(one for one in OWN if one.name == name)
    pattern = patterns.cell(column, DEFAULT) or ""
    for text in said:
        assert is_taken(column, text) == bool(re.fullmatch(pattern, text)), text


@pytest.mark.parametrize("text", ["nul", "nam", "NUF", "a", "N", "n/ab", "No", "none of it", "\u00d8rn"])
def test_what_only_looks_like_a_word_for_nothing_is_taken(text: str) -> None:
    assert is_taken(Column(name="name", label=""), text)


@pytest.mark.parametrize("text", ["NA", "nUll", "n/A", "-"])
def test_no_word_for_nothing_is_taken(text: str) -> None:
    table = reader(Column(name="name", label=""), empty=WORDS).read(f"1,x\n2,{text}\n".encode(), ord(","))
    assert table is not None and table.odd == [1]


def test_a_row_is_odd_by_what_none_of_its_columns_is_about() -> None:
    found = reader(plus=1)
    long = "x" * (patterns.FREE + 1)
    for odd in (f"7,{long}\n", "7,a\\b\n", "7,a\tb\n", "7,\u00a0\n", ",x\n"):
        table = found.read(("1,a b\n" * 8 + odd).encode(), ord(","))
        assert table is not None and table.odd == [8], odd


def test_uneven_and_endless_rows_and_many_odd_ones_go_another_way() -> None:
    found = reader(plus=1)
    usual = "1,x\n" * 16
    for text in (usual + "1\n", usual + "1,2,3\n", usual + "1\n1,2,3\n", usual + f"1,{'x' * MAX_CELL}\n"):
        assert found.read(text.encode(), ord(",")) is None, text[-20:]
    assert found.read(b",x\n" * 4 + b"1,x\n" * 12, ord(",")) is None
    assert found.read(b"1,\\\n" * 4 + b"1,x\n" * 12, ord(",")) is None


def test_lines_leave_odd_rows_out_and_are_cut_as_staged_ones() -> None:
    table = reader(plus=1).read(b"1;a\n2;\\\n3;c\n" + b"4;d\n" * 8, ord(";"))
    assert table is not None
    assert table.lines().split("\n")[:4] == ["1\x1fa", "", "3\x1fc", "4\x1fd"]
    assert table.cells(1) == ["2", "\\"]


@settings(max_examples=200, deadline=None)
@given(
    said=st.lists(st.text("09aZ\u00e9\u4e2d", min_size=1, max_size=9), min_size=9, max_size=12),
    odd=st.sampled_from([None, "", "5", "\u00e9\u00e9"]),
)
def test_the_ends_of_identifiers_that_ascend(said: list[str], odd: str | None) -> None:
    for row in (said, sorted(said)):
        found = reader(plus=1)
        lines = [f"{one},x\n" for one in row]
        if odd is not None:
            lines[4] = "old,\\\n"
        table = found.read("".join(lines).encode(), ord(","))
        assert table is not None
        known = {} if not odd else {4: odd}
        there = [*row[:4], *([odd] if odd else []), *row[5:]] if odd is not None else row
        wanted = (there[0], there[-1]) if there == sorted(set(there)) else None
        assert found.ends(table, known) == wanted
