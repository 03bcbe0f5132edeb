"""From a ticker to a company with its annual reports, and what happens when some of it fails."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from structlog.testing import capture_logs

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import Job
from ingestion.sources.companies import company_page, facts, source, storing, tasks
from ingestion.sources.companies.models import Company, Filing, Passage
from ingestion.sources.companies.sample import standin as bundled
from ingestion.testing import Killed, kill_at, lose_worker, resume_inline, run_inline
from tests.companies.standin import FACTS, Page, Standin, columns, document_path

pytestmark = pytest.mark.django_db
YEARS = [("10-K", f"{year + 1}-02-20", f"{year}-12-31") for year in range(2025, 2019, -1)]
LIST = "/files/company_tickers.json"


def start(owner: User, ticker: str, **params: Any) -> Job:
    return lifecycle.create("companies", {"ticker": ticker, **params}, owner=owner).job


def outcomes(job: Job) -> dict[str, str]:
    return {item.label: item.state for item in job.items.order_by("ordinal", "step")}


def documents_asked(sec: Standin) -> list[str]:
    return [path for path in sec.paths if path.startswith("/Archives/")]


def put_facts(sec: Standin, cik: int, *accessions: str, **values: Any) -> None:
    entries = [
        {"start": "2025-01-01", "end": "2025-12-31", "val": n, "accn": accession, "form": "10-K", **values}
        for n, accession in enumerate(accessions, 100)
    ]
    sec.put(FACTS.format(cik), {"facts": {"us-gaap": {"Revenues": {"units": {"USD": entries}}}}})


def test_the_sample_company_is_there_without_internet_or_contact(alice: User, settings: Any) -> None:
    settings.SEC_WWW_URL = settings.SEC_DATA_URL = "http://127.0.0.1:9"
    job = run_inline("companies", alice, ticker=bundled.TICKER)
    assert (job.state, job.message) == ("completed", "Lantern Hill Ferries, Inc. is ready")
    company = Company.objects.get()
    assert company.filings.filter(status="complete").count() == 6
    assert company.filings.get(form="10-K/A").amends == company.filings.get(fiscal_year=2023, form="10-K")
    revenue = company.facts.filter(concept="us-gaap:Revenues").order_by("end").values_list("value", flat=True)
    assert [int(value) for value in revenue] == [241500000, 318300000, 352800000, 377100000, 412600000]
    assert [one.name for one in company.former_names.all()] == ["Lantern Hill Steam Packet Co"]
    assert job.object == company.stream
    assert outcomes(job) == {
        **{f"{year} 10-K": "done" for year in range(2025, 2020, -1)},
        "10-K/A of 2023": "done",
        "Key figures": "done",
    }


@pytest.mark.seed("S1.32", "S1.34", "S1.35")
def test_the_five_latest_reports_are_brought(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(7, "ABC", *YEARS)
    put_facts(sec, 7, *accessions)
    job = run_inline("companies", alice, ticker="abc")
    assert job.state == "completed" and job.items_done == 6
    company = Company.objects.get()
    assert sorted(company.filings.values_list("accession", flat=True)) == sorted(accessions[:5])
    assert company.facts.count() == 5  # of the reports that are here
    messages = list(job.events.order_by("version").values_list("message", flat=True))
    assert messages[-1] == "ABC Corp is ready"
    assert Passage.objects.get(filing__accession=accessions[0]).text == "10-K of ABC for 2025-12-31"
    assert len(documents_asked(sec)) == 5


def test_what_is_here_is_not_fetched_again(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    sec.company(7, "ABC", *YEARS[1:4])
    put_facts(sec, 7)
    first = run_inline("companies", alice, ticker="ABC")
    assert first.state == "completed"
    sec.company(7, "ABC", *YEARS[1:4], YEARS[0])  # a new one, whose number is the fourth
    sec.asked.clear()
    job = run_inline("companies", alice, ticker="ABC")
    assert (job.state, job.items_done, job.items_skipped) == ("completed", 5, 1)
    assert documents_asked(sec) == [document_path(7, "0000000007-26-000004")]
    assert Filing.objects.count() == 4


@pytest.mark.seed("S1.38", "S1.44")
def test_one_failing_filing_stops_no_other_and_is_retried_alone(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(7, "ABC", *YEARS[:5])
    put_facts(sec, 7, *accessions)
    bad = document_path(7, accessions[2])
    page = sec.pages.pop(bad)
    job = run_inline("companies", alice, ticker="ABC")
    assert (job.state, job.items_done, job.items_failed) == ("partial", 5, 1)
    [failed] = job.items.filter(state="failed")
    assert (failed.label, failed.error_code) == ("2023 10-K", "sec_missing")
    assert failed.error == "The SEC lists this 10-K, and does not have its document."
    assert Filing.objects.get(accession=accessions[2]).status == "partial"

    sec.pages[bad] = page
    sec.asked.clear()
    again = resume_inline(lifecycle.retry(job, alice).job)
    assert (again.state, again.items_done) == ("completed", 6)
    assert documents_asked(sec) == [bad]
    assert Filing.objects.filter(status="complete").count() == 5


def test_a_report_without_text_failed_and_is_not_complete(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(7, "ABC", *YEARS[:2])
    sec.put(
        document_path(7, accessions[1]), b"<html><body><img src=scan.gif></body></html>", type="text/html"
    )
    job = run_inline("companies", alice, ticker="ABC", years=2)
    assert job.state == "partial"
    failed = job.items.get(state="failed")
    assert (failed.error_code, failed.error) == ("no_text", "This 10-K has no text that can be read.")
    assert Filing.objects.get(accession=accessions[1]).status == "partial"


@pytest.mark.seed("S1.39", "S1.41")
def test_what_fails_is_logged_by_its_name(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(7, "ABC", *YEARS[:2])
    sec.pages.pop(document_path(7, accessions[1]))
    put_facts(sec, 7)
    with capture_logs() as logs:
        run_inline("companies", alice, ticker="ABC", years=2)
        run_inline("companies", alice, ticker="NOBODY")
    [filing] = [line for line in logs if line["event"] == "filing_ingestion_failed"]
    assert (filing["ticker"], filing["filing"]) == ("ABC", "2024 10-K")
    assert filing["error"] == "The SEC lists this 10-K, and does not have its document."
    [whole] = [line for line in logs if line["event"] == "company_ingestion_failed"]
    assert whole["ticker"] == "NOBODY" and whole["error"]["code"] == "unknown_ticker"


@pytest.mark.seed("S1.44")
def test_all_failing_is_failed(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    sec.company(7, "ABC", *YEARS[:3])  # two years are skipped: they are no success
    for path in [path for path in sec.pages if path.startswith("/Archives/")]:
        del sec.pages[path]
    put_facts(sec, 7)
    job = run_inline("companies", alice, ticker="ABC")
    assert job.state == "failed" and job.error is not None and job.error["code"] == "filings_failed"
    assert job.error["text"].startswith("None of 3 filings could be read. The first: The SEC lists")


def test_a_year_without_a_report_is_skipped(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    sec.company(7, "ABC", YEARS[0], YEARS[2], ("NT 10-K", "2025-03-01", "2024-12-31"))
    job = run_inline("companies", alice, ticker="ABC", years=3)
    assert outcomes(job) == {
        "2025 10-K": "done",
        "2023 10-K": "done",
        "2024": "skipped",
        "Key figures": "skipped",
    }
    assert job.state == "completed"
    assert job.items.get(label="2024").error == "No annual report for 2024."


def test_amendments_come_with_what_they_amend(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    amended = ("10-K/A", "2025-04-30", "2024-12-31")
    accessions = sec.company(7, "ABC", *YEARS[:2], amended)
    job = run_inline("companies", alice, ticker="ABC", years=2)
    items = job.items.filter(step="filings").order_by("ordinal")
    assert [one.label for one in items] == ["2025 10-K", "2024 10-K", "10-K/A of 2024"]
    assert {one.state for one in items} == {"done"}
    filing = Filing.objects.get(accession=accessions[2])
    assert (filing.amends.accession, filing.status) == (accessions[1], "complete")  # type: ignore[union-attr]
    assert Filing.objects.get(accession=accessions[1]).passages.get().text.startswith("10-K of")


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (None, "sec_missing"),
        (b"<html><body><img src=scan.gif></body></html>", "no_text"),
    ],
    ids=["missing", "no text"],
)
def test_an_amendment_that_cannot_be_read_fails_alone(
    sec: Standin, alice: User, page: bytes | None, code: str
) -> None:
    sec.tickers(("ABC", 7))
    amended = ("10-K/A", "2025-04-30", "2024-12-31")
    accessions = sec.company(7, "ABC", *YEARS[:2], amended)
    bad = document_path(7, accessions[2])
    good = sec.pages.pop(bad)
    if page is not None:
        sec.put(bad, page, type="text/html")
    job = run_inline("companies", alice, ticker="ABC", years=2)
    assert job.state == "partial"
    assert outcomes(job) == {
        "2025 10-K": "done",
        "2024 10-K": "done",
        "10-K/A of 2024": "failed",
        "Key figures": "skipped",
    }
    assert job.items.get(state="failed").error_code == code
    told = [(one["year"], one["status"]) for one in tasks.task_of(job)["filings"]]
    assert told == [(2025, "completed"), (2024, "completed")]
    page_of = company_page.context(Company.objects.get(), alice)
    assert [one.filing.accession for one in page_of["failed"]] == [accessions[2]] and page_of["may_retry"]

    sec.pages[bad] = good
    sec.asked.clear()
    again = resume_inline(lifecycle.retry(job, alice).job)
    assert again.state == "completed" and documents_asked(sec) == [bad]
    assert Filing.objects.filter(status="complete").count() == 3


def test_an_amendment_counts_as_no_year_of_its_own(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    sec.company(7, "ABC", YEARS[0], YEARS[2], ("10-K/A", "2026-04-30", "2025-12-31"))
    values = source_of(sec, alice)
    assert [source._processing(values, n) for n in range(5)] == [
        "Processing 2025 filing (1/3)",
        "Processing 2025 filing (1/3)",
        "Processing 2023 filing (2/3)",
        "Processing 2024 filing (3/3)",
        "Processing 2024 filing (3/3)",
    ]


def source_of(sec: Standin, alice: User) -> list[Filing | int]:
    """Return what a job of three years goes through."""
    job = run_inline("companies", alice, ticker="ABC", years=3)
    found = job.memo["found"]
    return [*storing.in_order(found["filings"]), *found["missing"]]


def test_older_pages_are_read_as_far_as_needed_and_missing_ones_survived(sec: Standin, alice: User) -> None:
    sec.tickers(("ABC", 7))
    names = [f"CIK0000000007-submissions-00{n}.json" for n in (1, 2, 3)]
    files = [{"name": name, "filingTo": f"20{25 - n}-01-01"} for n, name in enumerate(names)]
    sec.company(7, "ABC", YEARS[0], ("10-K/A", "2025-05-01", "2024-12-31"), files=files[::-1])
    page = [("0000000007-25-000090", *YEARS[1]), ("0000000007-24-000091", *YEARS[2])]
    sec.put(f"/submissions/{names[1]}", columns(page))
    for accession, *_ in page:
        sec.put(document_path(7, accession), b"<p>old</p>")
    job = run_inline("companies", alice, ticker="ABC", years=3)
    assert job.state == "completed"
    assert [path for path in sec.paths if "submissions-" in path] == [f"/submissions/{n}" for n in names[:2]]
    assert Filing.objects.get(form="10-K/A").amends.accession == "0000000007-25-000090"  # type: ignore[union-attr]
    assert job.events.filter(message__contains="does not have it").count() == 1


def test_without_a_named_document_the_whole_submission_is_read(sec: Standin, alice: User) -> None:
    sec.tickers(("OLD", 7))
    [accession] = sec.company(7, "OLD", ("10-K405", "1999-03-30", "1998-12-31"))
    data = sec.pages["/submissions/CIK0000000007.json"]
    data.body = data.body.replace(b"main.htm", b"")
    whole = b"<SEC-DOCUMENT>\n<DOCUMENT>\n<TYPE>10-K405\n<TEXT>\nplain old text\n</TEXT>\n</DOCUMENT>"
    sec.put(document_path(7, accession, f"{accession}.txt"), whole, type="text/plain")
    assert run_inline("companies", alice, ticker="OLD", years=1).state == "completed"
    assert Passage.objects.get().text == "plain old text"


def test_a_foreign_filer_and_one_without_annual_reports(sec: Standin, alice: User) -> None:
    sec.tickers(("TSM", 7), ("SIE", 8))
    sec.company(7, "TSM", ("20-F", "2026-04-16", "2025-12-31"), ("6-K", "2026-05-01", ""), ein="000000000")
    sec.company(8, "SIE", ("13F-HR", "2026-02-01", "2025-12-31"), ein="000000000")
    assert outcomes(run_inline("companies", alice, ticker="TSM", years=1))["2025 20-F"] == "done"
    none = run_inline("companies", alice, ticker="SIE")
    assert (none.state, none.message) == ("completed", "SIE Corp files no annual reports")
    assert Company.objects.filter(ein="000000000").count() == 2


def test_an_unknown_ticker_fails_in_plain_words(sec: Standin, alice: User) -> None:
    sec.tickers(("MSFT", 789019))
    for ticker, text in (
        ("MSFO", "SEC EDGAR has no company with ticker MSFO. Did you mean MSFT?"),
        ("CIK99", "SEC EDGAR has no company with CIK 99."),
    ):
        job = run_inline("companies", alice, ticker=ticker)
        assert job.state == "failed" and job.error is not None and job.error["text"] == text


@pytest.mark.django_db(transaction=True)
def test_two_tickers_of_one_company_end_on_one_company(sec: Standin, alice: User, bob: User) -> None:
    sec.tickers(("GOOG", 7), ("GOOGL", 7))
    sec.company(7, "GOOG", *YEARS[:2])
    first = start(alice, "GOOG")  # nobody knows yet that both are one
    second = start(bob, "GOOGL")
    assert first.pk != second.pk
    seen: list[Job] = []

    def while_it_runs(path: str) -> None:
        if path.startswith("/Archives/") and not seen:
            seen.append(second)
            seen.append(resume_inline(second))
            connections.close_all()  # of the server's thread

    sec.before = while_it_runs
    done = resume_inline(first)
    other = seen[1]
    assert (done.state, other.state) == ("completed", "completed")
    assert other.message == "GOOG Corp is being ingested already"
    assert other.result_url == first.get_absolute_url() and other.items_total == 0
    assert Company.objects.count() == 1 and Filing.objects.count() == 2
    assert len(documents_asked(sec)) == 2

    third = start(alice, "GOOG")  # now the table knows
    assert lifecycle.create("companies", {"ticker": "GOOGL"}, owner=bob).job == third
    assert third.object == Company.objects.get().stream


def test_two_jobs_of_a_company_never_leave_it_to_each_other(sec: Standin, alice: User, bob: User) -> None:
    sec.tickers(("GOOG", 7), ("GOOGL", 7))
    sec.company(7, "GOOG", *YEARS[:2])
    first = start(alice, "GOOG", years=2)
    with kill_at("step.before_end", 1):  # the company is its own, and it is lost
        resume_inline(first)
    lose_worker(first)
    second = lifecycle.create("companies", {"ticker": "CIK7", "years": 2}, owner=bob).job
    assert second.object == Company.objects.get().stream  # from its start, before it has taken anything

    with kill_at("job.completed.before_commit"):  # it was about to leave the company to the first
        resume_inline(second)
    done = resume_inline(first)
    assert (done.state, done.message) == ("completed", "GOOG Corp is ready")
    assert resume_inline(lose_worker(second)).state == "completed"
    assert Filing.objects.filter(status="complete").count() == len(documents_asked(sec)) == 2


def test_who_left_a_company_to_a_job_that_failed_takes_it_after_all(
    sec: Standin, alice: User, bob: User
) -> None:
    sec.tickers(("GOOG", 7), ("GOOGL", 7))
    sec.company(7, "GOOG", *YEARS[:2])
    first, second = start(alice, "GOOG", years=2), start(bob, "GOOGL", years=2)
    with kill_at("step.before_end", 1):
        resume_inline(first)
    with kill_at("job.completed.before_commit"):  # second has seen that first has the company
        resume_inline(second)
    assert lifecycle.cancel(lose_worker(first), None).is_final
    assert resume_inline(lose_worker(second)).message == "GOOG Corp is ready"


def test_the_sample_is_no_company_of_a_production(alice: User, settings: Any) -> None:
    settings.PRODUCTION = True
    for ticker in (bundled.TICKER, "hw.sample"):
        with pytest.raises(Refused, match="made up"):
            start(alice, ticker)
    assert not Job.objects.exists()


def test_a_report_that_two_companies_filed_together_is_one(sec: Standin, alice: User) -> None:
    sec.tickers(("HLD", 7), ("SUB", 8))
    [accession] = sec.company(7, "HLD", YEARS[0])
    sec.company(8, "SUB", YEARS[0])
    page = sec.pages["/submissions/CIK0000000008.json"]
    page.body = page.body.replace(b"0000000008-26-000001", accession.encode())
    for ticker in ("HLD", "SUB"):
        assert run_inline("companies", alice, ticker=ticker, years=1).state == "completed"
    assert Filing.objects.get().companies.count() == 2
    assert len(documents_asked(sec)) == 1


@pytest.mark.parametrize(
    ("point", "n"), [("item.after_commit", 2), ("item.before_commit", 3), ("once.after_write", 1)]
)
def test_a_lost_worker_costs_no_filing_and_no_second_fetch(
    sec: Standin, alice: User, point: str, n: int
) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(7, "ABC", *YEARS[:5])
    put_facts(sec, 7, *accessions)
    job = start(alice, "ABC")
    with kill_at(point, n):
        try:
            resume_inline(job)
        except Killed:
            job = lose_worker(job)
    stored = {one.accession for one in Filing.objects.filter(status="complete")}
    sec.asked.clear()
    done = resume_inline(job)
    assert (done.state, done.items_done) == ("completed", 6)
    assert sorted(documents_asked(sec)) == sorted(document_path(7, a) for a in accessions if a not in stored)
    assert Filing.objects.filter(status="complete").count() == Passage.objects.count() == 5
    assert LIST not in sec.paths


@pytest.mark.django_db(transaction=True)
def test_a_block_is_said_by_the_job_that_waits(sec: Standin, alice: User, settings: Any) -> None:
    settings.SEC_BLOCK_SECONDS = 1
    sec.tickers(("ABC", 7))
    sec.company(7, "ABC", YEARS[0])
    said: list[str] = []

    def mood(path: str) -> Page | None:
        if path.startswith("/Archives/") and not said:
            said.append(threading.current_thread().name)
            return Page(b"<title>Request Rate Threshold Exceeded</title>", 429)
        return None

    sec.mood = mood
    job = run_inline("companies", alice, ticker="ABC", years=1)
    assert job.state == "completed"
    assert job.events.filter(message__startswith="sec.gov asked us to stop for 1 seconds").count() == 1


def test_odd_names_are_kept_as_they_are(sec: Standin, alice: User) -> None:
    name = "Company Name Three `!#$(),:;=.-;\\|@/{}&'\\WA\\ <script>alert(1)</script>"
    sec.tickers(("ODD", 7))
    former = [{"name": name, "from": f"19{n}-01-01T00:00:00.000Z", "to": None} for n in range(80, 99)]
    sec.company(7, "ODD", YEARS[0], name=name, formerNames=[*former, *former], fiscalYearEnd="0229")
    for _ in range(2):
        assert run_inline("companies", alice, ticker="ODD", years=1).state == "completed"
    company = Company.objects.get()
    assert (company.name, company.former_names.count(), company.fiscal_year_end) == (name, 19, "0229")


def test_figures_that_are_none_are_left_out() -> None:
    good = {"end": "2025-12-31", "val": 1.5, "accn": "a"}
    bad: list[Any] = [
        {**good, "val": None},
        {**good, "val": "7"},
        {**good, "end": "2025-13-01"},
        {"val": 1, "accn": "a"},
        {**good, "accn": "b"},
        {**good, "val": 1e300},
        7,
    ]
    content = {"facts": {"dei": {"X": {"units": {"USD": [good, *bad]}}, "Y": None}, "odd": []}}
    found = facts.parse(json.dumps(content).encode(), ["a"])
    assert [(one[0], one[1], str(one[4])) for one in found] == [("dei:X", "USD", "1.5")]


@pytest.mark.realdata
def test_the_recorded_company_is_ingested(sec: Standin, alice: User, real_data: Path) -> None:
    sec.record(real_data / "sec")
    job = run_inline("companies", alice, ticker="MRVL")
    # Its documents were not recorded: every filing fails, and is known.
    assert job.state == "failed" and job.error is not None and job.error["code"] == "filings_failed"
    assert Filing.objects.count() == 5
    apple = run_inline("companies", alice, ticker="AAPL", years=12)  # one more than the newest page has
    assert (apple.state, apple.items_failed, apple.items_done) == ("partial", 10, 1)
    assert apple.events.filter(message__contains="submissions-001.json, and does not have it").count() == 1
    assert Filing.objects.get(accession="0000320193-24-000123").characters > 190_000  # type: ignore[operator]
