"""Who a filer is, in every shape that the SEC gives it (DATA B1)."""

import json
from pathlib import Path

import pytest

from ingestion.source import SourceError
from ingestion.sources.companies import submissions
from tests.companies.standin import filer

ODD = "Company Name Three `!#$(),:;=.-;\\|@/{}&'\\WA\\"


@pytest.mark.realdata
def test_old_and_new_shapes_say_the_same(real_data: Path) -> None:
    old = submissions.parse((real_data / "sec/submissions_old_shape/CIK0000320193.json").read_bytes(), 320193)
    new = submissions.parse((real_data / "sec/submissions/CIK0000320193.json").read_bytes(), 320193)
    assert (old.name, old.tickers, old.ein) == (new.name, new.tickers, new.ein)
    assert (old.fiscal_year_end, new.fiscal_year_end) == ("0930", "0926")
    assert old.older == new.older == ("CIK0000320193-submissions-001.json",)
    page = (real_data / "sec/submissions_old_shape/CIK0000320193-submissions-001.json").read_bytes()
    assert len(submissions.parse_older(page)) == 988


@pytest.mark.realdata
def test_persons_funds_and_test_filers_are_read_as_they_are(real_data: Path) -> None:
    found = {
        cik: submissions.parse((real_data / f"sec/submissions/CIK{cik:010}.json").read_bytes(), cik)
        for cik in (315090, 350001, 1800903, 940418)
    }
    assert (found[315090].fiscal_year_end, found[315090].ein, found[315090].tickers) == ("", "", ())
    assert found[350001].name == ODD and len(found[350001].former_names) == 19
    assert found[1800903].name == "&VEST Domestic Fund II LP"
    assert found[940418].ein == found[1800903].ein == "000000000"


def test_what_is_odd_is_left_out_and_markup_is_not_kept() -> None:
    data = filer(
        7,
        "ODD",
        [
            ("0000000007-20-000001", "10-K", "2020-03-01", ""),
            ("x", "10-K", "2020-03-01", ""),
            ("0000000007-20-000002", "10-K", "0001-03-01", "0001-01-01"),
        ],
    )
    data |= {
        "category": "Large accelerated filer<br>Well-known",
        "fiscalYearEnd": "1350",
        "lei": None,
        "cik": 7,
    }
    data["tickers"], data["exchanges"] = ["odd.a", "ODD/A", ""], []
    data["filings"]["recent"]["primaryDocument"] = []
    found = submissions.parse(json.dumps(data).encode(), 7)
    assert (found.category, found.fiscal_year_end) == ("Large accelerated filer; Well-known", "")
    assert found.tickers == (("ODD-A", ""),)
    [only] = found.rows
    assert (only.primary_document, only.report_date) == ("", None)


@pytest.mark.parametrize(
    ("period", "kept"),
    [
        ("2014-12-31", True),
        ("2015-03-01", True),
        ("2001-12-31", True),
        ("2105-12-31", False),
        ("0201-12-31", False),
    ],
)
def test_a_period_that_cannot_be_is_none(period: str, kept: bool) -> None:
    row = ("0000000007-15-000001", "10-K", "2015-03-01", period)
    [only] = submissions.parse(json.dumps(filer(7, "ODD", [row])).encode(), 7).rows
    assert str(only.report_date) == (period if kept else "None")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"cik": 7}', b'{"cik": 8, "filings": {"recent": {}}}', b'{"filings": {', b"\xff"],
)
def test_what_is_no_such_answer_is_asked_again(content: bytes) -> None:
    with pytest.raises(SourceError) as caught:
        submissions.parse(content, 7)
    assert (caught.value.code, caught.value.retryable) == ("sec_bad_answer", True)


@pytest.mark.parametrize("written", ["BRK.B", "brk/b", "BRK B", "Brk-b "])
def test_class_shares_are_written_with_a_dash(written: str) -> None:
    assert submissions.normal(written) == "BRK-B"
