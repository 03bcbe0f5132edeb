"""What a pattern takes is unremarkable, and what is usual is taken."""

import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.sources.imports import patterns
from ingestion.sources.imports.checks import judge
from ingestion.sources.imports.default import DEFAULT
from ingestion.sources.imports.definition import Column, Definition
from ingestion.sources.imports.rowtext import SEPARATOR
from ingestion.sources.imports.values import EMPTY
from tests.imports.test_staging import cells

BOUNDED = [
    Column(name=f"{kind} {least} {most}", label="", type=kind, least=least, most=most)
    for kind in ("integer", "decimal")
    for least, most in [(None, 90), (-90, 90), (-90, 180), (-0.5, 7.5), (0.5, 7), (3, 9), (-9, -3), (0, 1007)]
]
LISTS = [
    Column(
        name="enum", label="", type="enum", codes={"AS": "Ltd", "NA": "none", " x": "blank", "a|b": "sign"}
    ),
    Column(name="short", label="", longest=4),
]
COLUMNS = [*DEFAULT.columns, *BOUNDED, *LISTS]
numbers = st.from_regex(r"\A-?[0-9]{0,5}[.,]?[0-9]{0,9}\Z")
texts = (
    cells
    | numbers
    | st.dates().map(str)
    | st.sampled_from(["AS", "as", "NA", "x", "a|b", "Ltd", "n/a", "-0"])
)


def takes(column: Column, text: str, definition: Definition = DEFAULT) -> bool:
    pattern = patterns.cell(column, definition)
    return pattern is not None and re.fullmatch(pattern, text) is not None


@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_what_is_taken_is_unremarkable(text: str) -> None:
    for column in COLUMNS:
        if takes(column, text):
            assert judge(text, column, DEFAULT) is None, (column.name, text)


@settings(max_examples=150, deadline=None)
@given(
    least=st.none() | st.integers(-2000, 0),
    most=st.none() | st.integers(1, 2000),
    value=st.integers(-2100, 2100),
)
def test_bounds_of_numbers(least: int | None, most: int | None, value: int) -> None:
    for kind in ("integer", "decimal"):
        column = Column(name="n", label="", type=kind, least=least, most=most)
        inside = (least is None or least <= value) and (most is None or value <= most)
        assert not takes(column, str(value)) or inside
        if most is not None and 0 <= value < most:
            assert takes(column, str(value))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tax_ident", "007"),
        ("name", "Nan & Sons"),
        ("name", "N"),
        ("birth_date", "2024-02-28"),
        ("birth_date", "2024-12-31"),
        ("birth_date", ""),
        ("employees", "12"),
        ("employees", "0"),
        ("turnover", "1250000.50"),
        ("physical_latitude", "-59.913868"),
        ("physical_longitude", "179.99"),
        ("web_address", "www.example.com/a-b?c=1"),
        ("web_address", "https://example.com"),
        ("email_address", "a@example.com"),
    ],
)
def test_what_is_usual_is_taken(name: str, text: str) -> None:
    column = DEFAULT.column(name)
    assert column is not None and takes(column, text)


def test_codes_of_a_list_are_taken_as_they_are_written() -> None:
    column = LISTS[0]
    assert takes(column, "AS") and takes(column, "a|b")
    assert not takes(column, "as") and not takes(column, "NA") and not takes(column, "a")


def test_no_letter_of_another_script_makes_a_word_for_nothing_pass() -> None:
    column = Column(name="x", label="")
    definition = Definition(name="", columns=(column,), empty=(*EMPTY, "skip", "-"))
    for other in map(chr, range(sys.maxunicode + 1)):
        letter = other.lower()
        if other.isascii() or not letter.isascii():
            continue
        for word in definition.empty:
            if letter in word:
                assert not takes(column, word.replace(letter, other), definition)


def test_rows_end_where_one_is_odd() -> None:
    columns = [DEFAULT.column(name) for name in ("tax_ident", "employees")]
    cells_of = [patterns.cell(column, DEFAULT) for column in columns if column]
    pattern = patterns.rows([*cells_of, None])
    assert pattern is not None
    plain = [f"{n}{SEPARATOR}{n}{SEPARATOR}any thing \n" for n in range(5)]
    for odd in (
        "",
        "1\x1f2",
        "1\x1f2\x1f3\x1f4",
        "1\x1fmany\x1f",
        "\x1f2\x1f",
        "1\x1f2\x1f\t",
        "1\x1f2\x1f\\",
    ):
        found = re.match(pattern, "".join([*plain, odd + "\n", *plain]))
        assert found is not None and found.end() == sum(map(len, plain)), odd


def test_there_is_no_pattern_of_rows_in_which_nothing_need_stand() -> None:
    optional = Column(name="x", label="")
    assert patterns.rows([patterns.cell(optional, DEFAULT), None]) is None


def test_a_column_that_may_hold_nothing_has_no_pattern() -> None:
    assert patterns.cell(Column(name="none", label="", longest=0), DEFAULT) is None
