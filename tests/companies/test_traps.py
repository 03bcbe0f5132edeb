"""What real files of the SEC hold that a reader would not expect (DATA B1)."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ingestion.models import Pause
from ingestion.source import SourceError
from ingestion.sources.companies import documents, reports, sections, submissions, tickers
from ingestion.sources.companies.client import Sec
from ingestion.sources.companies.models import Company, Ticker
from ingestion.sources.companies.submissions import Filer, Row
from tests.asking import Job
from tests.companies.standin import Page, Standin, filer

APPLE, TESLA, IMUNON, WOLFSPEED, MARVELL, SIEMENS = 320193, 1318605, 749647, 895419, 1835632, 940418


def parsed(real_data: Path, cik: int) -> Filer:
    """Return a filer as recorded."""
    return submissions.parse((real_data / f"sec/submissions/CIK{cik:010}.json").read_bytes(), cik)


def with_pages(real_data: Path, cik: int) -> list[Row]:
    """Return a filer's rows and those of its older pages that were recorded."""
    one = parsed(real_data, cik)
    pages = [(real_data / "sec/submissions" / name).read_bytes() for name in one.older]
    return [*one.rows, *(row for page in pages for row in submissions.parse_older(page))]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("file", "status", "code", "asked_again"),
    [
        ("403_archives_AccessDenied.xml", 403, "sec_missing", False),
        ("404_submissions_NoSuchKey.xml", 404, "sec_missing", False),
        ("503_getcurrent_too_deep.html", 503, "sec_status", True),
        ("rate_exceeded.html", 429, "sec_blocked", True),
        ("rate_exceeded.html", 403, "sec_blocked", True),
    ],
)
@pytest.mark.django_db
def test_recorded_refusals_mean_what_they_are_known_to_mean(
    sec: Standin, settings: Any, real_data: Path, file: str, status: int, code: str, asked_again: bool
) -> None:
    settings.SEC_BLOCK_SECONDS = 0
    kind = "application/xml" if file.endswith("xml") else "text/html"
    sec.mood = lambda path: Page((real_data / "sec/http" / file).read_bytes(), status, kind)
    with Sec(Job()) as asking, pytest.raises(SourceError) as caught:  # type: ignore[arg-type]
        asking.submissions(1)
    assert (caught.value.code, len(sec.asked) > 1) == (code, asked_again)
    assert Pause.objects.filter(scope="host:sec.gov").exists() == (code == "sec_blocked")


@pytest.mark.realdata
@pytest.mark.parametrize("cik", [APPLE, WOLFSPEED, MARVELL])
def test_years_of_52_and_53_weeks_are_one_report_each(real_data: Path, cik: int) -> None:
    one = parsed(real_data, cik)
    found = reports.annual_reports(one.rows, 30)
    ends = {f"{report.row.report_date:%m%d}" for report in found}
    years = [reports.fiscal_year(report.row, one.fiscal_year_end) for report in found]
    assert len(ends) > 1, "the day moves"
    assert years == list(range(years[0], years[0] - len(years), -1))


@pytest.mark.realdata
def test_two_reports_filed_in_one_year_are_of_two_years_and_have_no_named_document(
    sec: Standin, real_data: Path
) -> None:
    rows = with_pages(real_data, IMUNON)
    found = [one.row for one in reports.annual_reports(rows, 60)]
    filed = [row for row in found if row.filing_date.year == 1999]
    assert [str(row.filing_date) for row in filed] == ["1999-12-29", "1999-01-13"]
    assert len({reports.fiscal_year(row, "0930") for row in filed}) == 2
    assert [row.primary_document for row in filed] == ["", ""]
    with Sec(Job()) as asking:  # type: ignore[arg-type]
        for row in filed:
            address = asking.document_url(IMUNON, row.accession, row.primary_document)
            assert address.endswith(f"/{row.accession}.txt")


@pytest.mark.realdata
def test_amendments_stay_with_their_report_across_pages(real_data: Path) -> None:
    rows = with_pages(real_data, TESLA)
    found = reports.annual_reports(rows, 60)
    assert [one.row.form for one in found] == ["10-K"] * len(found)
    amendments = [(one.row, amendment) for one in found for amendment in one.amendments]
    assert len(amendments) == sum(row.form == "10-K/A" for row in rows) > 3
    assert all(report.report_date == amendment.report_date for report, amendment in amendments)


@pytest.mark.realdata
def test_who_files_no_annual_report_is_found_and_has_none(real_data: Path) -> None:
    for cik in (SIEMENS, 315090, 350001, 1800903, 1830056):
        assert reports.annual_reports(parsed(real_data, cik).rows, 5) == []
    assert parsed(real_data, 1800903).sic == ""


@pytest.mark.realdata
@pytest.mark.django_db
def test_the_list_and_what_filers_say_differ_and_both_find_their_company(
    sec: Standin, real_data: Path
) -> None:
    listed = json.loads((real_data / "sec/company_tickers.json").read_bytes())
    symbols = {entry["ticker"]: entry["cik_str"] for entry in listed.values()}
    assert "VINC" in symbols and "SMEGF" not in symbols and "FB" not in symbols and "CRR" not in symbols
    sec.record(real_data / "sec")
    with Sec(Job()) as asking:  # type: ignore[arg-type]
        assert tickers.find_cik(asking, "VINC") == symbols["VINC"]
        energy = parsed(real_data, 1830056)
        tickers.report(Company.objects.create(cik=energy.cik, name=energy.name), energy.tickers)
        assert tickers.find_cik(asking, "SMEGF") == 1830056
        with pytest.raises(SourceError, match="has no company with ticker CRR"):
            tickers.find_cik(asking, "CRR")
        assert tickers.find_cik(asking, "CIK1009672") == 1009672  # in neither list, and files all the same
    several = Ticker.objects.filter(cik=symbols["GOOGL"], listed=True).values_list("symbol", flat=True)
    assert {"GOOG", "GOOGL"} <= set(several)


@pytest.mark.realdata
def test_of_every_recorded_document_the_text_is_kept_whole(real_data: Path) -> None:
    for path in sorted((real_data / "sec/filings").glob("*.htm*")):
        if path.stat().st_size > 800_000:  # those have tests of their own
            continue
        form = "20-F" if path.name.startswith("20-F") else "10-K"
        text = documents.text_of(path.read_bytes(), form)
        parts = sections.split(text, form)
        assert "".join("".join(part.text.split()) for part in parts) == "".join(text.split()), path.name
        assert "\0" not in text and "<TYPE>" not in text[:2000], path.name


def test_the_order_is_that_of_filing_days_whatever_the_hour_of_acceptance_says() -> None:
    rows = [
        ("0000000007-25-000001", "10-K", "2025-03-01", "2024-12-31"),
        ("0000000007-24-000001", "10-K", "2024-03-01", "2023-12-31"),
    ]
    data = filer(7, "ABC", rows)
    data["filings"]["recent"]["acceptanceDateTime"] = ["2025-02-28T17:31:00.000Z", "2026-01-01T00:00:00.000Z"]
    one = submissions.parse(json.dumps(data).encode(), 7)
    days = [report.row.filing_date for report in reports.annual_reports(one.rows, 5)]
    assert days == [date(2025, 3, 1), date(2024, 3, 1)]


def test_columns_may_be_missing_or_more_than_known() -> None:
    data = filer(7, "ABC", [("0000000007-25-000001", "10-K", "2025-03-01", "2024-12-31")])
    data |= {"ownerOrg": "01", "lei": None}
    data["filings"]["recent"] |= {"core_type": ["10-K"], "isXBRL": [1]}
    del data["filings"]["recent"]["reportDate"]
    [row] = submissions.parse(json.dumps(data).encode(), 7).rows
    assert (row.form, row.report_date) == ("10-K", None)
