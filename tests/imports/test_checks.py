"""What cells may say, and what is wrong in words, by source column."""

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from ingestion.source import SourceError
from ingestion.sources.imports import matching, values
from ingestion.sources.imports.default import DEFAULT
from ingestion.sources.imports.definition import Definition
from ingestion.sources.imports.models import Unit
from tests.imports.conftest import Run, errors_of


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2016-10-01", "2016-10-01"),
        ("01.10.2016", "2016-10-01"),
        ("1/10/2016", "2016-10-01"),
        ("01-10-2016", "2016-10-01"),
        ("2016-10-01 00:00:00", "2016-10-01"),
    ],
)
def test_dates_are_read_as_registers_write_them(text: str, read: str) -> None:
    assert values.read_date(text) == read


@pytest.mark.parametrize(
    "text", ["03/14/2019", "31.02.2020", "13-01-01", "infinity", "0", "2016", "2016-10-01x", "1/10.2016"]
)
def test_other_texts_are_no_dates(text: str) -> None:
    with pytest.raises(values.Unreadable):
        values.read_date(text)


@given(st.dates())
def test_every_day_is_read_in_every_form(day) -> None:
    year = f"{day.year:04d}"
    for text in (day.isoformat(), f"{day.day}.{day.month}.{year}", f"{day.day:02d}/{day.month:02d}/{year}"):
        assert values.read_date(text) == day.isoformat()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("81,20416129", "81.20416129"),
        ("1 234,5", "1234.5"),
        ("-5", "-5"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("7.", "7"),
    ],
)
def test_decimals_have_a_point_or_a_comma(text: str, read: str) -> None:
    assert values.read_decimal(text) == read


@pytest.mark.parametrize("text", ["1,234.56", "12 34", "abc", "1e99", "--1", "0x10", "nan", "1" * 41])
def test_other_texts_are_no_numbers(text: str) -> None:
    with pytest.raises(values.Unreadable):
        values.read_decimal(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("20.0", "20"),
        ("20,00", "20"),
        ("20.0000", "20"),
        ("0.000", "0"),
        ("1 000", "1000"),
        ("2024.000", "2024"),
    ],
)
def test_whole_numbers_may_end_in_zeros(text: str, read: str) -> None:
    assert values.read_integer(text) == read


@pytest.mark.parametrize("text", ["1,000", "20.000", "-1.000", "+100,000", "1,500", "1,000,000"])
def test_thousands_are_never_read_as_ones(text: str) -> None:
    with pytest.raises(values.Unreadable):
        values.read_integer(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("javascript:alert(1)", "url_scheme"),
        ("JAVASCRIPT:1+1", "url_scheme"),
        ("data:text/html,x", "url_scheme"),
        ("file:///etc/passwd", "url_scheme"),
        ("java\nscript:alert(1)", "bad_character"),
        ("\x01javascript:alert(1)", "bad_character"),
        ("http://", "url_no_host"),
        ("http:///x", "url_no_host"),
        ("https:example.com", "url_no_host"),
        ("http://[::1/", "url_no_host"),
        ("http://user:pw@example.com/", "url_credentials"),
    ],
)
def test_a_web_address_with_a_scheme_is_judged(text: str, code: str) -> None:  # UP28
    with pytest.raises(values.Unreadable) as caught:
        values.read_web(text)
    assert caught.value.code == code
    assert "pw" not in caught.value.text


@pytest.mark.parametrize(
    "text", ["www.example.com", "HTTP://EXAMPLE.COM/a", "example.com:8080/x", "Mia Finance"]
)
def test_other_web_addresses_are_kept_as_they_stand(text: str) -> None:
    assert values.read_web(text) == text


@pytest.mark.django_db(transaction=True)
def test_a_row_with_a_web_address_that_runs_script_is_bad(run: Run) -> None:
    """UP28: empty and `n/a` are nothing, as in every column that may be empty."""
    imported = run(
        "tax_ident,name,web_address\n1,a,\n2,b,n/a\n3,c,javascript:alert(1)\n4,d,www.example.com\n"
    )
    assert errors_of(imported) == {4: {"web_address": "url_scheme"}}
    assert imported.rows.get(number=4).errors["web_address"]["text"] == "must start with http:// or https://"


def test_names_come_before_synonyms() -> None:
    found = matching.match(["id", "Company Name", "tax_ident", "name"], DEFAULT)
    assert [(one.header, one.target) for one in found] == [("tax_ident", "tax_ident"), ("name", "name")]


def test_usual_headers_are_recognised() -> None:
    header = [
        " CompanyNumber".strip(),
        "CompanyName",
        "RegAddress.PostCode",
        "SICCode.SicText_1",
        "IncorporationDate",
    ]
    found = {one.header: one.target for one in matching.match(header, DEFAULT)}
    assert found["CompanyNumber"] == "tax_ident"
    assert found["RegAddress.PostCode"] == "physical_postcode"
    assert found["SICCode.SicText_1"] == "primary_activity_category_code"


def test_a_person_may_say_which_column_is_which() -> None:
    found = matching.match(
        ["x", "id", "n"], DEFAULT, matching.parse_choices(["x = tax_ident", "n=name", "id ="])
    )
    assert {one.header: one.target for one in found} == {"x": "tax_ident", "n": "name"}
    for wrong in (["x"], ["y = name"], ["x = nothing"], ["x = name", "n = name"]):
        with pytest.raises(SourceError):
            matching.match(["x", "id", "n"], DEFAULT, matching.parse_choices(wrong))


def test_the_definition_survives_its_copy() -> None:
    assert Definition.from_json(DEFAULT.as_json()) == DEFAULT


def test_every_target_is_a_column_of_the_register() -> None:
    fields = {field.name for field in Unit._meta.concrete_fields}
    assert {column.name for column in DEFAULT.columns} <= fields


@pytest.mark.django_db(transaction=True)
def test_wrong_cells_are_errors_of_their_column(run: Run) -> None:
    imported = run(
        "Company Number,Name,Founded,Employees,Turnover,Lat\n"
        "1,a,2020-01-01,5,1,1\n"
        ",b,,,,\n"
        "3,NULL,,,,\n"
        "4,d,31.02.2020,1.5,1.2.3,91\n"
        "5,e,n/a,-1,NaN,None\n"
    )
    assert errors_of(imported) == {
        3: {"Company Number": "is_empty"},
        4: {"Name": "is_empty"},
        5: {
            "Founded": "not_a_date",
            "Employees": "not_an_integer",
            "Turnover": "not_a_number",
            "Lat": "out_of_range",
        },
        6: {"Employees": "out_of_range"},
    }
    assert imported.rows.get(number=5).errors["Lat"]["text"] == "is more than 90"
    assert imported.job.message == "5 rows checked, 4 have errors. Load the other 1?"


@pytest.mark.django_db(transaction=True)
def test_a_comma_that_may_mean_thousands_is_a_warning(run: Run) -> None:
    imported = run('tax_ident,name,turnover\n1,a,"1,234"\n')
    assert imported.job.state == "completed"
    assert imported.rows.get().warnings["turnover"]["code"] == "doubtful"
    assert (imported.rows_doubtful, str(Unit.objects.get().turnover.normalize())) == (1, "1.234")


@pytest.mark.django_db(transaction=True)
def test_the_same_identifier_is_legal_only_in_another_period(run: Run) -> None:
    imported = run(
        "tax_ident,name,valid_from,valid_to\n"
        "1,a,2024-01-01,2024-12-31\n"
        "1,b,2025-01-01,infinity\n"
        "2,c,2024-01-01,\n"
        "2,d,2024-06-01,2024-06-30\n"
        "3,e,2024-02-01,2024-01-01\n"
        " 4 ,f,,\n"
        "4,g,,2024-01-01\n"
        "5,h,2024-01-01,2030-01-01\n"
        "5,i,2024-02-01,2024-02-02\n"
        "5,j,2025-02-01,2025-02-02\n"
    )
    assert errors_of(imported) == {
        4: {"tax_ident": "period_overlaps"},
        5: {"tax_ident": "period_overlaps"},
        6: {"valid_to": "ends_before"},
        7: {"tax_ident": "period_overlaps"},
        8: {"tax_ident": "period_overlaps"},
        9: {"tax_ident": "period_overlaps"},
        10: {"tax_ident": "period_overlaps"},
        11: {"tax_ident": "period_overlaps"},
    }
    # The row with the furthest end is named, not the one just before.
    assert (
        imported.rows.get(number=11).errors["tax_ident"]["text"]
        == "also in row 9, for a period that overlaps"
    )


@pytest.mark.django_db(transaction=True)
def test_rows_are_compared_once_when_statistics_know_only_an_earlier_import(run: Run) -> None:
    rows = "".join(f"{n:06d},Unit {n}\n" for n in range(5000))
    run("tax_ident,name\n" + rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE imports_stagedspan, imports_notedrow")
        cursor.execute("SET statement_timeout = '10s'")  # it takes 0.1 s; one pass for each row, a minute
    try:
        imported = run("tax_ident,name\n" + rows + "000007,Again\n", review="always")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")
    assert (imported.rows_total, imported.rows_bad) == (5001, 2)


@pytest.mark.django_db(transaction=True)
def test_problems_are_grouped_by_cause(run: Run) -> None:
    imported = run("tax_ident,name,birth_date\n" + "".join(f"{n},Unit {n},14/14/2019\n" for n in range(30)))
    assert imported.problems == [
        {
            "key": imported.problems[0]["key"],
            "level": "error",
            "column": "birth_date",
            "code": "not_a_date",
            "text": "is not a day of the calendar; expected day before month",
            "rows": 30,
            "first": 2,
            "example": "14/14/2019",
        }
    ]
