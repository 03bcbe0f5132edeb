"""Which filings are a company's annual reports, and of what year (DATA B1)."""

import json
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from ingestion.sources.companies import reports, submissions
from ingestion.sources.companies.reports import Report
from ingestion.sources.companies.submissions import Row


def row(accession: int, form: str, filed: str, period: str | None) -> Row:
    return Row(
        f"0000000001-00-{accession:06}",
        form,
        date.fromisoformat(filed),
        date.fromisoformat(period) if period else None,
        "a.htm",
        "",
    )


def forms(found: list[Report]) -> list[tuple[str, str, list[str]]]:
    return [(one.row.form, str(one.row.filing_date), [a.form for a in one.amendments]) for one in found]


@pytest.mark.realdata
@pytest.mark.parametrize("ticker", ["AAPL", "TSLA", "IMNN", "ALZN", "MRVL", "WOLF", "UNCY", "STI"])
def test_every_recorded_company_has_exactly_its_reports(ticker: str, real_data: Path) -> None:
    expected = json.loads((real_data / "sec/EXPECTED_10K_2021_2025.json").read_text())[ticker]
    cik = expected["cik"]
    filer = submissions.parse((real_data / f"sec/submissions/CIK{cik:010}.json").read_bytes(), cik)
    found = reports.annual_reports(filer.rows, 30)
    for way in ("by_filing_year", "by_report_year"):
        years: dict[str, list[str]] = {str(year): [] for year in range(2021, 2026)}
        for one in found:
            day = one.row.filing_date if way == "by_filing_year" else one.row.report_date
            assert day is not None
            years.get(str(day.year), []).append(one.row.accession)
        assert years == expected[way], way
    amended = sorted(
        a.accession for one in found for a in one.amendments if 2021 <= a.filing_date.year <= 2025
    )
    assert amended == sorted(chain(*expected["amendments_by_filing_year"].values()))
    latest = [one.row.accession for one in reports.annual_reports(filer.rows, 5)]
    assert latest == [one.row.accession for one in found[:5]]


def test_notices_and_amendments_are_no_reports() -> None:
    rows = [
        row(5, "NT 10-K", "2024-03-01", "2023-12-31"),
        row(4, "10-K/A", "2024-04-20", "2023-12-31"),
        row(3, "10-K", "2024-03-15", "2023-12-31"),
        row(2, "10-K/A", "2023-06-01", "2022-12-31"),
        row(1, "ABS-15G/A", "2023-05-01", None),
    ]
    assert forms(reports.annual_reports(rows, 5)) == [("10-K", "2024-03-15", ["10-K/A"])]


def test_old_foreign_and_transition_forms_are_reports() -> None:
    rows = [
        row(n, form, f"20{n:02}-03-01", f"20{n - 1:02}-12-31")
        for n, form in enumerate(("10-K405", "10-KT", "20-F", "40-F", "6-K", "10-Q"), 10)
    ]
    found = [one.row.form for one in reports.annual_reports(rows, 9)]
    assert found == ["40-F", "20-F", "10-KT", "10-K405"]
    amended = [*rows, row(90, "10-K/A", "2010-05-01", "2009-12-31"), row(91, "20-F/A", "2012-05-01", None)]
    by_form = {one.row.form: [a.form for a in one.amendments] for one in reports.annual_reports(amended, 9)}
    assert by_form == {"40-F": [], "20-F": ["20-F/A"], "10-KT": [], "10-K405": ["10-K/A"]}


@pytest.mark.parametrize(
    ("ends", "amended", "of"),
    [
        (["2021-01-03", "2020-12-29"], "2020-12-31", 1),  # a year of 53 weeks; the nearest
        (["2020-12-31", "2020-06-30"], "2020-06-30", 1),
        (["2021-01-03", None], "2020-12-31", 0),
        (["2022-12-31", None], "2020-12-31", 1),  # one that says no period may be it
        (["2022-12-31", "2021-12-31"], "2020-12-31", None),  # its report is on a page that was not read
        (["2022-12-31", "2021-12-31"], None, 0),
    ],
)
def test_an_amendment_is_of_the_report_whose_period_is_near(
    ends: list[str | None], amended: str | None, of: int | None
) -> None:
    rows = [row(n, "10-K", f"2023-03-{20 - n}", end) for n, end in enumerate(ends)]
    found = reports.annual_reports([*rows, row(9, "10-K/A", "2023-05-01", amended)], 5)
    amends = [int(one.row.accession[-1]) for one in found if one.amendments]
    assert amends == ([] if of is None else [of])


def test_two_reports_of_one_year_are_two_and_the_latest_filed_comes_first() -> None:
    rows = [row(1, "10-K", "2020-09-28", "2020-06-30"), row(2, "10-K", "2021-03-30", "2020-12-31")]
    assert [one.row.accession[-1] for one in reports.annual_reports(rows, 5)] == ["2", "1"]
    assert [reports.fiscal_year(one, "1231") for one in rows] == [2020, 2020]


@pytest.mark.parametrize(
    ("filed", "period", "year_end", "year"),
    [
        ("2025-10-31", "2025-09-27", "0926", 2025),
        ("2025-02-26", "2025-01-26", "0131", 2025),  # the year that the filer calls 2025
        ("2022-03-01", "2022-01-01", "1231", 2021),  # a year of 52 weeks that ends in the next January
        ("2022-02-01", "2022-01-02", "0102", 2022),
        ("1999-12-29", None, "0930", 1999),
        ("1999-01-13", None, "0930", 1998),
        ("1999-01-13", None, "", 1998),
    ],
)
def test_the_year_is_the_one_its_period_ends_in(filed: str, period: Any, year_end: str, year: int) -> None:
    assert reports.fiscal_year(row(1, "10-K", filed, period), year_end) == year


def test_years_without_a_report_are_named() -> None:
    assert reports.missing_years([2024, 2023, 2022], 5) == [2021, 2020]
    assert reports.missing_years([2025, 2023, 2022, 2021, 2020], 5) == [2024]
    assert reports.missing_years([], 5) == []
    assert reports.missing_years([2024, 1998], 5) == list(range(2023, 2013, -1))  # not a quarter of a century
    assert reports.missing_years([2024], 20) == list(range(2023, 2004, -1))


def test_a_year_end_is_a_day_of_any_year() -> None:
    ends = [reports.end_of_year(text) for text in ("0229", "0630", "", "1345")]
    assert ends == ["29 February", "30 June", "", ""]
