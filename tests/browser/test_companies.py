"""A company found by keyboard, watched while it comes."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from ingestion import lifecycle
from ingestion.models import Job
from ingestion.sources.companies.models import Company, Ticker
from ingestion.sources.companies.sample import standin
from ingestion.testing import run_inline
from tests.companies.standin import FACTS, Standin, document_path
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LIVE = "#conn[data-status=live]"
REPORTS = [("10-K", f"{year + 1}-02-20", f"{year}-12-31") for year in (2025, 2024, 2022)]


@pytest.fixture
def held() -> "Iterator[tuple[Standin, threading.Event]]":
    """A stand-in that gives no document before the event is set."""
    sec, go = Standin(), threading.Event()

    def hold(path: str) -> None:
        if path.startswith("/Archives/"):
            go.wait(60)

    sec.before = hold
    yield sec, go
    go.set()
    sec.stop()


def work(engine, sec):
    """Start a keeper and a worker that asks the stand-in."""
    engine.keeper()
    contact = "Example Org admin@example.org"
    engine.worker(HEADWAY_SEC_WWW_URL=sec.url, HEADWAY_SEC_DATA_URL=sec.url, HEADWAY_SEC_CONTACT=contact)


BAR = """() => {
  const bar = document.querySelector("#company-job .bar"), look = getComputedStyle(bar);
  const part = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  bar.querySelector("svg").append(part);
  const {transitionDuration, transitionTimingFunction, transitionProperty} = getComputedStyle(part);
  part.remove();
  return [look.height, parseFloat(look.borderRadius) >= 4, transitionProperty, transitionDuration,
          transitionTimingFunction];
}"""


@pytest.mark.seed("S1.78", "S1.81", "S1.83", "S1.93")
def test_a_company_is_found_by_keyboard_and_comes_live(
    page, context, signed_in, alice, engine, held, violations, picture
):
    sec, go = held
    sec.tickers(("MICR", 7), ("MU", 8))
    accessions = sec.company(7, "MICR", *REPORTS)
    entries = [
        {"start": f"{y}-01-01", "end": f"{y}-12-31", "val": (y - 2000) * 10**7, "accn": a}
        for y, a in zip((2025, 2024, 2022), accessions, strict=True)
    ]
    sec.put(FACTS.format(7), {"facts": {"us-gaap": {"Revenues": {"units": {"USD": entries}}}}})
    for rank, (symbol, cik, name) in enumerate(
        (("MICR", 7, "MICRO LANTERN CORP"), ("MU", 8, "MICRON TECHNOLOGY"))
    ):
        Ticker.objects.create(symbol=symbol, cik=cik, name=name, rank=rank, listed=True)
    work(engine, sec)
    signed_in(alice, "/companies/")
    page.fill("[data-company-search]", "micx")
    expect(page.locator("#matches")).to_contain_text("Did you mean MICR?")
    assert violations(page) == []
    page.fill("[data-company-search]", "micro")
    expect(page.locator("[data-match]")).to_have_count(2)
    page.press("[data-company-search]", "ArrowDown")
    page.press("[data-company-search]", "ArrowDown")
    page.press("[data-company-search]", "ArrowUp")
    expect(page.locator("[data-match].on")).to_contain_text("MICR")
    assert violations(page) == []
    picture(page, "companies")
    page.press("[data-company-search]", "Enter")
    page.wait_for_url("**/companies/?q=MICR&job=*")  # in place
    expect(page.locator("#ingestion .chip")).to_have_count(5, timeout=40_000)
    expect(page.locator("#ingestion [data-connection]").first).to_be_hidden()
    assert violations(page) == []
    picture(page, "companies-in-place")

    page.goto(page.url.split("/companies/")[0] + Company.objects.get().get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    expect(page.locator("#company-job")).to_contain_text("Filling in as filings arrive.")
    expect(page.locator(".chip[data-status=pending]")).to_have_count(3)
    assert page.evaluate(BAR) == ["8px", True, "width, x", "0.3s, 0.3s", "ease, ease"]
    page.evaluate("window.same = true")
    go.set()
    expect(page.locator(".chip[data-status=complete]")).to_have_count(3, timeout=40_000)
    expect(page.locator(".badge.lg")).to_have_text("Ready", timeout=20_000)
    expect(page.locator("#company")).to_contain_text("drawn as a gap, never as zero")
    expect(page.locator("svg.chart .gap")).to_have_count(2)  # 2023, and before the first report
    assert page.evaluate("window.same === true"), "the page was loaded again"
    assert violations(page) == []
    picture(page, "company")
    page.click("#figures summary")
    expect(page.locator("#figures tbody tr")).to_have_count(5)
    page.check("#daily")
    expect(page.locator("#daily-when")).to_contain_text("They are looked for every day.")
    expect(page.locator("#daily")).to_be_checked()
    assert violations(page) == []
    assert page.watched.wrong == []
    assert Job.objects.get().state == "completed"

    page.goto(page.url.split("/companies/")[0] + "/companies/?q=micr")
    page.press("[data-company-search]", "ArrowDown")
    page.press("[data-company-search]", "Enter")
    page.wait_for_url("**/companies/*/")  # it is here: shown at once
    assert Job.objects.count() == 1
    page.set_viewport_size({"width": 390, "height": 900})
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(page, "company-phone-dark")


def test_words_in_filings_are_found_and_read(page, signed_in, alice, violations, picture):
    run_inline("companies", alice, ticker=standin.TICKER)
    signed_in(alice, "/companies/filings/?q=fog+ice")
    expect(page.locator("mark").first).to_have_text("Fog")
    page.set_viewport_size({"width": 390, "height": 900})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture(page, f"texts-phone-{scheme}")
    page.fill("main input[type=search]", "zebra")
    page.press("main input[type=search]", "Enter")
    expect(page.locator("main")).to_contain_text("No filing here says that")
    assert violations(page) == []
    page.go_back()
    page.locator(".list a").first.click()
    expect(page.locator("main h2").first).to_contain_text("Item 1A. Risk factors")
    assert page.watched.wrong == []


def test_an_unknown_ticker_is_told_a_year_that_fails_is_retried_and_a_sign_out_stops_nothing(
    page, context, signed_in, alice, engine, held, violations
):
    sec, go = held
    sec.tickers(("MICR", 7))
    accessions = sec.company(7, "MICR", *REPORTS)
    failing = document_path(7, accessions[1])
    document = sec.pages.pop(failing)
    work(engine, sec)
    signed_in(alice, "/companies/")
    page.fill("[data-company-search]", "micx")
    page.click("text=Ask SEC EDGAR for micx")
    page.wait_for_url("**/companies/?q=MICX&job=*")  # in place
    told = "SEC EDGAR has no company with ticker MICX. Did you mean MICR?"
    expect(page.locator("main")).to_contain_text(told, timeout=40_000)
    assert (Job.objects.get().state, Company.objects.count()) == ("failed", 0)

    job = lifecycle.create("companies", {"ticker": "MICR"}, owner=alice).job
    until(lambda: Company.objects.exists() and Job.objects.get(pk=job.pk).items_total, 60, "the look-up")
    path = Company.objects.get().get_absolute_url()
    signed_in(alice, path)
    expect(page.locator(LIVE)).to_be_visible(timeout=20_000)
    other = context.new_page()
    other.goto(page.url)
    other.click("[popovertarget=account]")
    other.click("#account button[type=submit]")
    expect(page.locator("#conn[data-status=signed-out]")).to_be_visible(timeout=20_000)
    expect(page.locator(".chip[data-status=complete]")).to_have_count(0)
    go.set()
    until(lambda: Job.objects.get(pk=job.pk).is_final, 60, "the end")
    expect(page.locator(".chip[data-status=complete]")).to_have_count(0)  # who is gone is told nothing

    signed_in(alice, path)
    expect(page.locator(LIVE)).to_be_visible(timeout=20_000)
    expect(page.locator(".chip[data-status=complete]")).to_have_count(2)
    expect(page.locator("#company")).to_contain_text("2024 10-K failed. The SEC lists this 10-K")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []
    sec.pages[failing] = document
    asked = len(sec.asked)
    page.click("text=Retry 1 failed")
    expect(page.locator(".chip[data-status=complete]")).to_have_count(3, timeout=60_000)
    expect(page.locator(".badge.lg")).to_have_text("Ready", timeout=20_000)
    expect(page.locator("text=Retry 1 failed")).to_have_count(0)
    assert [one.path for one in sec.asked[asked:] if one.path.startswith("/Archives/")] == [failing]
    assert page.watched.wrong == []
