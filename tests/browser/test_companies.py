"""A company found by keyboard, watched while it comes."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from ingestion.models import Job
from ingestion.sources.companies.models import Company, Ticker
from tests.companies.standin import FACTS, Standin

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
    engine.keeper()
    contact = "Example Org admin@example.org"
    engine.worker(HEADWAY_SEC_WWW_URL=sec.url, HEADWAY_SEC_DATA_URL=sec.url, HEADWAY_SEC_CONTACT=contact)

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
    page.wait_for_url("**/jobs/*/")
    expect(page.locator(".chip")).to_have_count(5, timeout=40_000)

    page.goto(page.url.split("/jobs/")[0] + Company.objects.get().get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    expect(page.locator("#company-job")).to_contain_text("Filling in as filings arrive.")
    expect(page.locator(".chip[data-status=pending]")).to_have_count(3)
    page.evaluate("window.same = true")
    go.set()
    expect(page.locator(".chip[data-status=complete]")).to_have_count(3, timeout=40_000)
    expect(page.locator(".badge.lg")).to_have_text("Ready", timeout=20_000)
    expect(page.locator("#company")).to_contain_text("drawn as a gap, never as zero")
    expect(page.locator("svg.chart .gap")).to_have_count(2)  # 2023, and before the first report
    assert page.evaluate("window.same === true"), "the page was loaded again"
    assert violations(page) == []
    picture(page, "company")
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
