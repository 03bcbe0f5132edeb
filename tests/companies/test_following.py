"""Who follows a company hears of its new filings; words are found in what it filed; progress in place."""

import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ingestion import lifecycle, schedules
from ingestion.models import Job, Schedule
from ingestion.sources.companies import fulltext
from ingestion.sources.companies.models import Company, Filing
from ingestion.sources.companies.sample import standin as bundled
from ingestion.testing import kill_at, lose_worker, resume_inline, run_inline
from notifications import inbox
from notifications.models import Follow, Notification
from tests.companies.standin import Standin, document_path

pytestmark = pytest.mark.django_db
NEW = "companies.new_filings"


@pytest.fixture
def web(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def read(web: Client, url: str, **headers: str) -> str:
    answer = web.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status_code == 200
    return answer.content.decode()


def test_who_follows_a_company_hears_of_new_filings_once(
    sec: Standin, web: Client, alice: User, bob: User
) -> None:
    sec.tickers(("ABC", 7))
    sec.company(7, "ABC", ("10-K", "2025-02-20", "2024-12-31"))
    run_inline("companies", bob, ticker="ABC", years=1)
    company = Company.objects.get()
    url = company.get_absolute_url()
    web.post(f"{url}follow/", {"follow": "1"})
    assert Follow.objects.get(about=company.stream).user == alice
    assert re.search(r'id="follow"[^>]* checked>', read(web, url))
    run_inline("companies", bob, ticker="ABC", years=1)  # nothing new
    assert not Notification.objects.filter(type=NEW).exists()

    sec.company(7, "ABC", ("10-K", "2025-02-20", "2024-12-31"), ("10-K", "2026-02-20", "2025-12-31"))
    job = lifecycle.create("companies", {"ticker": "ABC", "years": 1}, owner=bob).job
    with kill_at("job.completed.before_commit"):
        resume_inline(job)
    resume_inline(lose_worker(job))
    told = Notification.objects.get(type=NEW)  # and not twice
    assert (told.recipient, told.text, told.url, told.about) == (alice, "2025 10-K", url, company.stream)
    assert told.title == "New filings of ABC Corp"
    web.post(f"{url}follow/")
    assert not Follow.objects.filter(about=company.stream).exists()


def test_a_switch_that_cannot_follow_says_so_at_once(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MOST_ABOUTS", 0)
    url = Company.objects.create(cik=7, name="ABC Corp").get_absolute_url()
    answer = web.post(f"{url}follow/", {"follow": "1"}, headers={"HX-Request": "true"})
    assert answer.status_code == 429  # page.js shows its text, and puts the switch back
    assert "You already have 0 things that you follow" in answer.text
    assert not Follow.objects.exists()


def test_a_daily_look_tells_its_owner_only_of_what_is_new(sec: Standin, web: Client, alice: User) -> None:
    sec.tickers(("ABC", 7))
    sec.company(7, "ABC", ("10-K", "2025-02-20", "2024-12-31"))
    run_inline("companies", alice, ticker="ABC", years=1)
    web.post(f"{Company.objects.get().get_absolute_url()}keep/", {"daily": "1"})
    schedule = Schedule.objects.get()

    def look() -> Notification:
        job = schedules.start_once(schedule.pk).last_job
        assert job is not None and resume_inline(job).state == "completed"
        return Notification.objects.get(recipient=alice, group_key=job.stream)

    assert look().read_at is not None
    sec.company(7, "ABC", ("10-K", "2025-02-20", "2024-12-31"), ("10-K", "2026-02-20", "2025-12-31"))
    assert look().read_at is None
    assert look().read_at is not None


def test_a_retry_tells_only_what_it_brought(sec: Standin, alice: User, bob: User) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(
        7, "ABC", ("10-K", "2026-02-20", "2025-12-31"), ("10-K", "2025-02-20", "2024-12-31")
    )
    page = sec.pages.pop(document_path(7, accessions[1]))
    job = lifecycle.create("companies", {"ticker": "ABC", "years": 2}, owner=bob).job
    company = Company.objects.create(cik=7, name="ABC Corp")
    inbox.follow(alice, company.stream)
    assert resume_inline(job).state == "partial"
    sec.pages[document_path(7, accessions[1])] = page
    assert resume_inline(lifecycle.retry(job, bob).job).state == "completed"
    told = Notification.objects.filter(type=NEW, recipient=alice).order_by("pk")
    assert [one.text for one in told] == ["2025 10-K", "2024 10-K"]


def test_words_are_found_in_filings_and_shown_as_text(web: Client, alice: User) -> None:
    run_inline("companies", alice, ticker=bundled.TICKER)
    company = Company.objects.get()
    text = read(web, "/companies/filings/?q=fog+ice")
    assert "<mark>Fog</mark>, <mark>ice</mark>" in text and "5 parts with fog ice" in text
    assert f"?part={company.filings.first().passages.get(item='1A').ordinal}" in text  # type: ignore[union-attr]
    company.filings.first().passages.create(ordinal=99, text="A walrus & 1 < 2 of its kind", digest="")  # type: ignore[union-attr]
    text = read(web, f"/companies/filings/?q=walrus&company={company.pk}")
    assert "<mark>walrus</mark> &amp; 1 &lt; 2 of its kind" in text and f"of {company}" in text
    assert "No filing here says that" in read(web, "/companies/filings/?q=zebra")
    assert "looked for as they stand" in read(web, "/companies/filings/")
    assert web.get("/companies/filings/?q=fog&company=99").status_code == 404
    assert 'name="company"' in read(web, company.get_absolute_url())


def test_words_are_looked_for_in_what_is_stored_and_texts_are_read_of_what_is_shown() -> None:
    """A phrase in some hundred filings would need the words of each made anew, for seconds."""
    filing = Filing.objects.create(
        accession="0000000007-26-000001", form="10-K", filing_date="2026-02-20", fiscal_year=2025
    )
    for n, text in enumerate(("The net income rose", "Income, net of tax", "nothing")):
        filing.passages.create(ordinal=n, text=text, digest="")
    with CaptureQueriesContext(connection) as asked:
        found = fulltext.around(fulltext.passages('"net income"'), '"net income"', 5)
    assert [one.passage.ordinal for one in found] == [0]
    statements = [one["sql"] for one in asked.captured_queries]
    assert not any(re.search(r"(?<!websearch_)to_ts(vector|query)", sql) for sql in statements)
    assert not any('"companies_passage"."words",' in sql for sql in statements)
    filing.passages.filter(ordinal=2).update(text="net income")
    assert {one.ordinal for one in fulltext.passages('"net income"')} == {0, 2}


@pytest.mark.seed("S1.64", "S1.66", "S1.67", "S1.72", "S1.75", "S1.76", "S1.77", "S1.79", "S1.80", "S1.82")
def test_a_company_that_is_not_here_comes_in_place(sec: Standin, web: Client, bob: User) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(
        7, "ABC", ("10-K", "2026-02-20", "2025-12-31"), ("10-K", "2025-02-20", "2024-12-31")
    )
    sec.pages.pop(document_path(7, accessions[1]))
    assert 'id="ingestion"' not in read(web, "/companies/?q=ABC")
    url = web.post("/companies/start/", {"ticker": "abc"})["Location"]
    job = Job.objects.get()
    assert url == f"/companies/?q=ABC&job={job.pk}"
    text = read(web, url)
    for part in (
        f'data-live="job:{job.pk}"',
        'data-field="message"',
        'role="progressbar"',
        "Could not establish real-time connection. Using fallback.",
        "Error checking ingestion status:",
        "Ingest ABC",
    ):
        assert part in text, part
    assert "Ask SEC EDGAR" not in text and "Ingestion failed" not in text

    resume_inline(job)  # five years are asked for, two reports are there, of which one fails
    text = read(web, url, HX_Target="ingestion")
    company = Company.objects.get()
    assert "<html" not in text and f'href="{company.get_absolute_url()}"' in text
    assert text.count('data-status="complete"') >= 1 and "Completed with errors" in text
    assert "2024 10-K" in text and "Try again" in text
    assert 'id="ingestion"' not in read(web, "/companies/?q=AB", HX_Target="matches")  # the next search

    web.force_login(bob)
    assert 'id="ingestion"' not in read(web, url)  # whose job it is not
    assert 'id="ingestion"' not in read(web, "/companies/?q=ABC&job=x")


def test_who_asked_by_another_ticker_is_led_to_the_job_that_does_it(
    sec: Standin, web: Client, alice: User, bob: User
) -> None:
    sec.tickers(("GOOG", 7), ("GOOGL", 7))
    sec.company(7, "GOOG", ("10-K", "2026-02-20", "2025-12-31"))
    first = lifecycle.create("companies", {"ticker": "GOOG"}, owner=bob).job
    url = web.post("/companies/start/", {"ticker": "GOOGL"})["Location"]
    with kill_at("step.before_end"):
        resume_inline(first)
    resume_inline(Job.objects.get(owner=alice))
    text = read(web, url)
    assert "GOOG Corp is being ingested already" in text
    assert f'href="{first.get_absolute_url()}">See how far it is</a>' in text
    assert web.get(first.get_absolute_url()).status_code == 200


def test_an_ingestion_that_fails_says_why_in_place(sec: Standin, web: Client) -> None:
    sec.tickers(("MSFT", 7))
    url = web.post("/companies/start/", {"ticker": "MSFO"})["Location"]
    resume_inline(Job.objects.get())
    text = read(web, url)
    assert "Ingestion failed: SEC EDGAR has no company with ticker MSFO. Did you mean MSFT?" in text
    assert Job.objects.get().state == "failed"


@pytest.mark.seed("S1.69")
def test_an_empty_search_says_what_is_missing(web: Client) -> None:
    assert "Please enter a ticker symbol" in read(web, "/companies/?q=+")
    assert "Please enter a ticker symbol" not in read(web, "/companies/")
