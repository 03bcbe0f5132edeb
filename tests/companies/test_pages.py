"""The pages of companies: search, a company with its chart and filings, the text of a filing."""

import re
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils.timezone import now

from ingestion import lifecycle, schedules
from ingestion.models import Job, Schedule
from ingestion.sources.companies import charts, company_page, figures, search
from ingestion.sources.companies.figures import Year
from ingestion.sources.companies.models import Company, Fact, Filing, FormerName, Ticker
from ingestion.sources.companies.sample import standin as bundled
from ingestion.testing import resume_inline, run_inline
from tests.companies.standin import Page, Standin, document_path
from tests.sessions import at_once

pytestmark = pytest.mark.django_db
XSS = "<img src=x onerror=alert(1)>"


@pytest.fixture
def web(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def read(web: Client, url: str, **headers: str) -> str:
    answer = web.get(url, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def some_tickers() -> None:
    names = (("MSFT", 1, "MICROSOFT CORP"), ("MU", 2, "MICRON TECHNOLOGY INC"), ("META", 3, "META PLATFORMS"))
    for rank, (symbol, cik, name) in enumerate(names):
        Ticker.objects.create(symbol=symbol, cik=cik, name=name, rank=rank, listed=True)
    Ticker.objects.create(symbol="FB", cik=3, name="META PLATFORMS")


def test_only_who_is_signed_in_sees_them(client: Client) -> None:
    for url in ("/companies/", "/companies/1/", "/companies/filings/0000000007-26-000001/"):
        assert client.get(url).status_code == 302


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("msft", ["MSFT"]),
        ("mic", ["MSFT", "MU"]),
        ("M", ["MSFT", "META", "MU"]),
        ("techno micron", ["MU"]),
        ("FB", ["META"]),
        ("facebook", ["META"]),
        ("!&|:*", []),
        ("'; DROP", []),
    ],
)
def test_search_finds_tickers_former_ones_and_names(query: str, found: list[str]) -> None:
    some_tickers()
    FormerName.objects.create(company=Company.objects.create(cik=3, name="Meta"), name="Facebook Inc")
    assert sorted(one.ticker for one in search.search(query)) == sorted(found)


def test_what_was_typed_is_marked_in_names_as_text(web: Client) -> None:
    Ticker.objects.create(symbol="MSFT", cik=1, name="MICROSOFT <b>CORP & MIC", rank=1, listed=True)
    assert search.search("mic co")[0].pieces == [
        ("MIC", True),
        ("ROSOFT <b>", False),
        ("CO", True),
        ("RP & ", False),
        ("MIC", True),
    ]
    assert "<mark>MIC</mark>ROSOFT &lt;b&gt;<mark>CO</mark>RP &amp; <mark>MIC</mark>" in read(
        web, "/companies/?q=mic+co"
    )


def test_a_match_says_which_years_are_missing_and_how_long_a_job_takes_still(alice: User) -> None:
    Ticker.objects.create(symbol="ABC", cik=7, listed=True)
    company = Company.objects.create(cik=7, name="ABC Corp")
    for year in range(2021, 2026):
        whole = {"status": "complete", "completed_at": now()} if year == 2023 else {}
        one = Filing.objects.create(
            accession=f"0000000007-26-00{year}",
            form="10-K",
            filing_date=date(year + 1, 2, 1),
            fiscal_year=year,
            **whole,
        )
        one.companies.add(company)
    [match] = search.search("abc")
    assert (match.status, match.sub) == ("partial", "1 of 5 filings, 2025, 2024, 2022 and 1 more missing")
    job = lifecycle.create("companies", {"ticker": "ABC"}, owner=alice).job
    assert search.search("abc")[0].sub == "1 of 5 filings, waiting for a worker"
    assert lifecycle.start(job.pk, worker="w", token=uuid4())
    Job.objects.filter(pk=job.pk).update(eta_seconds=170, items_total=50, items_done=50)
    assert search.search("abc")[0].sub == "1 of 5 filings, 3 min left"
    Filing.objects.update(status="complete", completed_at=now())
    Job.objects.all().delete()
    assert (search.search("abc")[0].status, search.search("abc")[0].sub) == ("ready", "5 filings")


def test_the_exact_ticker_comes_first() -> None:
    Ticker.objects.create(symbol="ABCD", cik=1, rank=1, listed=True)
    Ticker.objects.create(symbol="ABC", cik=2, rank=900, listed=True)
    assert [one.ticker for one in search.search("abc")] == ["ABC", "ABCD"]


@pytest.mark.seed("S1.1")
def test_each_match_says_its_state_and_an_unknown_ticker_gets_a_suggestion(web: Client) -> None:
    some_tickers()
    Company.objects.create(cik=2, name="Micron", checked_at="2026-01-01T00:00:00Z")
    text = read(web, "/companies/?q=mic")
    assert "2 matches for “mic”" in text and "Ingest MSFT" in text and "Files no annual reports" in text
    text = read(web, "/companies/?q=MSFO", HX_Target="matches")
    assert 'Did you mean <a href="/companies/?q=MSFT">MSFT</a>' in text and "<html" not in text
    assert "Ask SEC EDGAR for MSFO" in text


@pytest.mark.parametrize(
    ("query", "asks"),
    [
        ("crr", "CRR"),  # begins CRRX, and is another
        ("crrx", ""),
        ("fb", ""),  # the former ticker of a match
        ("micron", "MICRON"),
        ("micron technology", ""),
        ("320193", "320193"),
        ("CIK2", ""),
        ("2", ""),
    ],
)
def test_a_ticker_that_is_none_of_the_matches_can_be_asked_for(web: Client, query: str, asks: str) -> None:
    some_tickers()
    Ticker.objects.create(symbol="CRRX", cik=9, name="320193 CORP", rank=9, listed=True)
    Company.objects.create(cik=2, name="Micron")
    text = read(web, f"/companies/?q={query}")
    assert "Nobody here is called" not in text and "Not listed?" in text
    asked = re.findall(r"Ask SEC EDGAR for ([^<]*)<", text)
    assert asked == ([asks] if asks else [])


@pytest.mark.parametrize("query", ["2", "CIK2", "cik0000000002"])
def test_a_company_that_is_here_is_found_by_its_cik(query: str) -> None:
    Company.objects.create(cik=2, name="Micron")
    Ticker.objects.create(symbol="2X", cik=5, rank=1, listed=True)
    assert search.search(query)[0].cik == 2


@pytest.mark.seed("S1.2", "S1.3", "S1.71", "S1.72")
def test_a_company_that_is_not_here_is_brought_and_then_shown(web: Client, alice: User) -> None:
    answer = web.post("/companies/start/", {"ticker": bundled.TICKER})
    job = Job.objects.get()
    assert answer["Location"] == f"/companies/?q={bundled.TICKER}&job={job.pk}" and job.owner == alice
    done = resume_inline(job)
    company = Company.objects.get()
    assert done.result_url == company.get_absolute_url()
    assert web.post("/companies/start/", {"ticker": bundled.TICKER})["Location"] == done.result_url


@pytest.mark.seed("S1.69")
def test_what_is_no_ticker_is_refused_in_words(web: Client) -> None:
    assert "Please enter a ticker symbol" in web.post("/companies/start/", follow=True).content.decode()
    assert not Job.objects.exists()


def test_the_page_shows_filings_figures_and_a_chart(web: Client, alice: User) -> None:
    run_inline("companies", alice, ticker=bundled.TICKER)
    company = Company.objects.get()
    text = read(web, company.get_absolute_url())
    for part in (
        "Lantern Hill Ferries, Inc.",
        "CIK 9999999001",
        "Fiscal year ends 31 December",
        "Fiscal 2025: revenue 412.6, net income 38.9.",
        "<dd>$412.6 m</dd>",
        "US$ million, fiscal years",
        "6 of 6</span>",
        "<dt>Complete years</dt><dd>2021, 2022, 2023, 2024, 2025</dd>",
        '<th scope="row">2022</th><td class="num">$318.3 m</td><td class="num">-$6.2 m</td>',
        "Lantern Hill Steam Packet Co",
        f'data-live="company:{company.pk}"',
    ):
        assert part in text, part
    assert text.count('class="chip" data-status="complete"') == 6
    filing = company.filings.get(fiscal_year=2025)
    risk = filing.passages.get(item="1A")
    part = read(web, f"/companies/filings/{filing.accession}/?part={risk.ordinal}")
    assert "Item 1A. Risk factors" in part and "Fog, ice and high wind" in part


@pytest.mark.django_db(transaction=True)
def test_open_pages_hear_of_a_job_that_comes_and_ends(
    sec: Standin, web: Client, alice: User, bob: User
) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(
        7, "ABC", ("10-K", "2026-02-20", "2025-12-31"), ("10-K", "2025-02-20", "2024-12-31")
    )
    bad = sec.pages.pop(document_path(7, accessions[1]))
    assert run_inline("companies", bob, ticker="ABC", years=2).state == "partial"
    company = Company.objects.get()
    text = read(web, company.get_absolute_url())
    assert "2024 10-K failed." in text and "Retry 1 failed" not in text  # bob's job: bob retries it
    assert web.post(f"{company.get_absolute_url()}retry/").status_code == 404

    before = company.place
    job = lifecycle.create("companies", {"ticker": "ABC", "years": 2}, owner=alice).job
    assert company.place == before + 1
    text = read(web, company.get_absolute_url())
    assert f'data-live="job:{job.pk}"' in text and "An update is running already" in text
    sec.pages[document_path(7, accessions[1])] = bad
    assert resume_inline(job).state == "completed"
    company.refresh_from_db()
    assert company.place > before + 2
    text = read(web, company.get_absolute_url())
    assert "Ready" in text and 'data-live="job:' not in text.partition('id="company"')[2]


def test_who_may_retries_what_failed_from_the_page(sec: Standin, web: Client, alice: User) -> None:
    sec.tickers(("ABC", 7))
    accessions = sec.company(
        7, "ABC", ("10-K", "2026-02-20", "2025-12-31"), ("10-K", "2025-02-20", "2024-12-31")
    )
    sec.pages.pop(document_path(7, accessions[1]))
    job = run_inline("companies", alice, ticker="ABC", years=2)
    url = Company.objects.get().get_absolute_url()
    assert "Retry 1 failed" in read(web, url)
    web.post(f"{url}retry/")
    assert Job.objects.get(retry_of=job).owner == alice


def test_gaps_and_failures_stay_while_a_job_waits_and_after_one_that_failed(
    sec: Standin, web: Client, alice: User
) -> None:
    """UX 36."""
    sec.tickers(("ABC", 7))
    years = [("10-K", f"{year + 1}-02-20", f"{year}-12-31") for year in (2025, 2023, 2022)]
    accessions = sec.company(7, "ABC", *years)
    sec.pages.pop(document_path(7, accessions[2]))
    first = run_inline("companies", alice, ticker="ABC", years=5)
    assert first.state == "partial"
    company = Company.objects.get()
    url = company.get_absolute_url()
    assert missing(company, alice) == [2024, 2021]
    years = re.findall(
        r'<th scope="row">(\d+)</th><td>|<th scope="row">(\d+)</th><td colspan', read(web, url)
    )
    assert years == [("2025", ""), ("", "2024"), ("2023", ""), ("2022", ""), ("", "2021")]
    assert company_page.context(company, alice)["coverage"] == [
        ("Complete years", "2023, 2025"),
        ("Failed", "10-K 2022"),
        ("No report", "2021, 2024"),
    ]

    job = lifecycle.create("companies", {"ticker": "ABC"}, owner=alice).job
    assert missing(company, alice) == [2024, 2021]
    text = read(web, url)
    assert "2022 10-K failed." in text and "Retry 1 failed" not in text  # while another is on its way
    sec.mood = lambda path: Page(b"", 400)
    assert resume_inline(job).state == "failed"
    assert missing(company, alice) == [2024, 2021]
    text = read(web, url)
    assert "2022 10-K failed." in text and "The SEC answered 400." in text and "Retry 1 failed" in text
    web.post(f"{url}retry/")
    assert Job.objects.get(retry_of=first).owner == alice

    Job.objects.all().delete()  # what ended long ago is forgotten
    assert missing(company, alice) == [2024]


def missing(company: Company, user: User) -> list[int]:
    return list(company_page.context(company, user)["missing"])


def test_a_user_keeps_a_company_up_to_date(sec: Standin, web: Client, alice: User, bob: User) -> None:
    company = Company.objects.create(cik=7, name="ABC Corp")
    Ticker.objects.create(symbol="ABC", cik=7, listed=True)
    url = company.get_absolute_url()
    for _ in range(2):
        web.post(f"{url}keep/", {"daily": "1"})
    schedule = Schedule.objects.get()
    assert (schedule.owner, schedule.params, schedule.next_at is not None) == (alice, {"ticker": "ABC"}, True)
    assert "They are looked for every day. Next: " in read(web, url)
    assert re.search(r'id="daily"[^>]* checked>', read(web, url))
    web.force_login(bob)
    text = read(web, url)
    assert "Nobody looks for new filings" in text and not re.search(r'id="daily"[^>]* checked>', text)
    web.post(f"{url}keep/")
    assert Schedule.objects.count() == 1
    web.force_login(alice)
    schedules.set_paused(schedule.pk, True)
    text = read(web, url)
    assert "is paused: nobody looks" in text and re.search(r'id="daily"[^>]* checked>', text)
    web.post(f"{url}keep/", {"daily": "1"})
    assert Schedule.objects.get().paused  # it is theirs to resume, on its own page
    web.post(f"{url}keep/")
    assert not Schedule.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_clicks_at_once_make_one_schedule(web: Client) -> None:
    company = Company.objects.create(cik=7, name="ABC Corp")
    url = f"{company.get_absolute_url()}keep/"
    answers = at_once(lambda: web.post(url, {"daily": "1"}).status_code, company.stream)
    assert answers == [302, 302] and Schedule.objects.count() == 1


@pytest.mark.seed("SEC34")
def test_names_are_shown_literally(web: Client) -> None:
    company = Company.objects.create(cik=7, name=XSS, sic_description=XSS)
    Ticker.objects.create(symbol="ODD", cik=7, name=XSS, exchange=XSS, listed=True)
    FormerName.objects.create(company=company, name=XSS)
    filing = Filing.objects.create(
        accession="0000000007-26-000001", form="10-K", filing_date=date(2026, 2, 1), fiscal_year=2025
    )
    filing.companies.add(company)
    filing.passages.create(ordinal=0, title=XSS, text=XSS, digest="")
    for url in (
        "/companies/",
        "/companies/?q=odd",
        f"/companies/{company.pk}/",
        f"/companies/filings/{filing.accession}/",
    ):
        text = read(web, url)
        assert XSS not in text and "&lt;img src=x" in text


def test_what_is_not_there_is_not_found(web: Client) -> None:
    for url in (
        "/companies/99/",
        f"/companies/{2**70}/",
        "/companies/filings/x/",
        "/companies/filings/0000000007-26-000001/",
    ):
        assert web.get(url).status_code == 404


def test_a_missing_year_is_a_gap_with_words_and_never_a_zero() -> None:
    """UX 36."""
    years = [
        Year(2023, Decimal(-50), Decimal(20), "USD"),
        Year(2024, None, None, ""),
        Year(2025, Decimal(100), None, "USD"),
    ]
    drawn = charts.chart(years, {2024: "failed"})
    assert drawn is not None
    gap = drawn.columns[1]
    assert (gap.gap, gap.revenue, gap.income, drawn.gaps) == ("failed", None, None, [2024])
    assert drawn.text == (
        "Fiscal 2025: revenue 100.0, net income not known. 2024: failed. "
        "Fiscal 2023: revenue -50.0, net income 20.0."
    )
    loss = drawn.columns[0].revenue
    gain = drawn.columns[2].revenue
    assert loss is not None and gain is not None
    assert gain.y + gain.height == pytest.approx(loss.y)  # both stand on the line of zero
    assert [text for _, text in drawn.ticks] == ["-50", "0", "50", "100"]
    assert charts.chart([Year(2024, None, None, "")], {}) is None


def test_a_figure_is_the_usual_concept_as_the_latest_report_tells_it() -> None:
    company = Company.objects.create(cik=7, name="ABC")
    end = date(2025, 12, 31)

    def fact(concept: str, value: int, accession: str, **more: Any) -> None:
        values = {"unit": "USD", "start": date(2025, 1, 1), "end": end, **more}
        Fact.objects.create(company=company, concept=concept, value=value, accession=accession, **values)

    fact(figures.REVENUE[1], 5, "0000000007-26-000001")
    fact(figures.REVENUE[0], 7, "0000000007-26-000001")
    fact(figures.REVENUE[0], 8, "0000000007-27-000001")
    fact(figures.REVENUE[0], 9, "0000000007-99-000001")  # of 1999
    fact(figures.REVENUE[0], 2, "0000000007-27-000001", start=date(2025, 10, 1))  # a quarter
    assert figures.by_period(company, figures.REVENUE, "USD")[end].value == 8


@pytest.mark.parametrize("first", ["CNY", "USD"])
def test_all_figures_are_of_one_currency_and_not_its_translation(first: str) -> None:
    """Foreign filers tell the newest year in dollars as well, under the same concept."""
    company = Company.objects.create(cik=7, name="ABC")
    ends = [date(2024, 12, 31), date(2025, 12, 31)]

    def told(concept: str, value: int, end: date, unit: str) -> None:
        start = None if "Assets" in concept else end.replace(month=1, day=1)
        Fact.objects.create(
            company=company,
            concept=concept,
            value=value,
            unit=unit,
            start=start,
            end=end,
            accession="0000000007-26-000001",
        )

    for unit in sorted(("CNY", "USD"), key=lambda one: one != first):
        for end in ends if unit == "CNY" else ends[1:]:
            told("ifrs-full:Revenue", 700 if unit == "CNY" else 100, end, unit)
            told("ifrs-full:ProfitLoss", 70 if unit == "CNY" else 10, end, unit)
            told("ifrs-full:DilutedEarningsLossPerShare", 7 if unit == "CNY" else 1, end, f"{unit}/shares")
    told("ifrs-full:Assets", 100, ends[1], "USD")
    drawn = figures.years(company, [(end.year, end) for end in ends])
    assert [(one.revenue, one.net_income, one.unit) for one in drawn] == [
        (Decimal(700), Decimal(70), "CNY")
    ] * 2
    assert figures.latest(company, ends[1]) == [
        ("Revenue", "700 CNY"),
        ("Net income", "70 CNY"),
        ("Diluted EPS", "7.00 CNY"),
    ]


def test_of_two_currencies_told_alike_it_is_not_the_dollar() -> None:
    company = Company.objects.create(cik=7, name="ABC")
    seen = [figures.currency(company)]
    for unit in ("USD", "CNY"):
        Fact.objects.create(
            company=company,
            concept="us-gaap:Revenues",
            value=1,
            unit=unit,
            end=date(2025, 12, 31),
            start=date(2025, 1, 1),
            accession="0000000007-26-000001",
        )
        seen.append(figures.currency(company))
    assert seen == ["", "USD", "CNY"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("281700000000", "USD", "$281.7 bn"),
        ("-6200000", "USD", "-$6.2 m"),
        ("13.64", "USD/shares", "$13.64"),
        ("950", "EUR", "950 EUR"),
    ],
)
def test_figures_are_said_as_people_say_them(value: str, unit: str, text: str) -> None:
    assert figures.in_words(Decimal(value), unit) == text


def test_the_search_page_has_its_script_and_no_inline_one(web: Client) -> None:
    text = read(web, "/companies/")
    assert re.search(r"headway/companies\S*\.js", text) and 'hx-trigger="input changed delay:200ms' in text
