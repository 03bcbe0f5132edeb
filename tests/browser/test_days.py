"""The main case of S0: a person reads a partial day, a sync completes it, and the page updates itself."""

import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from ingestion import schedules
from ingestion.models import Job, Schedule, State
from ingestion.sources.lifelogs import accounts, limitless, spans
from ingestion.sources.lifelogs.models import Account, Day
from ingestion.testing import resume_inline, run_inline
from tests.lifelogs.service import KEY, Lifelogs, Server

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FULL = os.environ.get("HEADWAY_FAULTS") == "full"
LIVE = "#conn[data-status=live]"
# Everything of the calendar but the cell of one day; and how often the day was drawn.
REST = """(date) => [...document.querySelectorAll("#cal > *")].filter((one) => one.dataset.cell !== date)
    .map((one) => one.outerHTML).join()"""
COUNT = """() => {
  window.drawn = 0;
  window.kept = new Set(document.querySelectorAll("#cal > *"));
  const count = (event) => { if (event.detail.target.id === "day") window.drawn += 1; };
  document.addEventListener("htmx:afterSwap", count);
}"""
REDRAWN = "() => [...document.querySelectorAll('#cal > *')].filter((one) => !window.kept.has(one)).length"
# When the day was shown as complete, on the clock that the database reads, too.
WHEN_COMPLETE = """() => {
  new MutationObserver(() => {
    const complete = document.querySelector(".badge.lg")?.dataset.status === "complete";
    if (complete) window.completeAt ??= Date.now() / 1000;
  }).observe(document.body, {attributes: true, childList: true, subtree: true});
}"""
SOON = 2 if FULL else 8  # seconds from the commit to the page: promised, and what guards against hanging


@pytest.fixture
def service(settings: Any) -> Any:
    server = Server()
    settings.LIMITLESS_URL, settings.LIMITLESS_PER_MINUTE = server.url, 60_000
    yield server
    server.stop()


def put(service: Lifelogs, day: Any, hours: range) -> None:
    for hour in hours:
        at = datetime(day.year, day.month, day.day, hour, 5, tzinfo=UTC).isoformat()
        service.put(f"{day.isoformat()}-{hour:02}", at, title=f"At {hour}")


@pytest.mark.seed("S0.5", "S0.6", "S0.27", "S0.29", "S0.30", "S0.31")
def test_an_open_day_completes_itself_once_and_another_changes_only_its_cell(
    page, context, signed_in, alice, service, violations, picture, monkeypatch
):
    account = accounts.add(alice, "limitless", KEY, "UTC")
    now = datetime.now(UTC)
    day = (now - timedelta(days=3)).date()
    other = day - timedelta(days=1)
    evening = datetime(day.year, day.month, day.day, 18, tzinfo=UTC)
    clock = {"now": evening}
    monkeypatch.setattr(limitless, "read_clock", lambda: clock["now"])

    def sync(mode: str = "day", **more: Any) -> None:
        assert run_inline("lifelogs", alice, account=account.pk, mode=mode, **more).state == "completed"

    put(service, other, range(8, 10))
    put(service, day, range(6, 18))
    clock["now"] = now
    sync("range", start=(day + timedelta(days=1)).isoformat(), end=now.date().isoformat())
    clock["now"] = evening
    sync(date=day.isoformat())
    Account.objects.update(synced_from=evening)
    signed_in(alice, f"/days/{account.pk}/{day.isoformat()}/")
    expect(page.locator(LIVE)).to_be_visible()
    expect(page.locator(".badge.lg")).to_have_text("Partial")
    beside = context.new_page()
    beside.goto(page.url.replace(day.isoformat(), other.isoformat()))
    expect(beside.locator(LIVE)).to_be_visible()
    assert violations(page) == []
    picture(page, "day-partial")

    # The reader has an item open, has scrolled, and stands on a link.
    row = page.locator("[data-row]").nth(9)
    row.locator("summary").click()
    row.locator("summary").evaluate("(one) => one.scrollIntoView({block: 'start'})")
    row.locator("summary").focus()
    focused = row.locator("summary").get_attribute("id")
    top = row.evaluate("(one) => one.getBoundingClientRect().top")
    for one in (page, beside):
        one.evaluate(COUNT)
    page.evaluate(WHEN_COMPLETE)
    asked: dict[Any, list[str]] = {one: [] for one in (page, beside)}
    for one, urls in asked.items():
        one.on("request", lambda request, urls=urls: urls.append(request.url))
    rest = beside.evaluate(REST, day.isoformat())
    put(service, day, range(4, 6))  # above what is read, and
    put(service, day, range(19, 23))  # below
    clock["now"] = now
    # Its schedule is due: nobody asks for it.
    Schedule.objects.update(next_at=now)
    assert schedules.start_due() == 1
    scheduled = resume_inline(Job.objects.get(state=State.PENDING))
    assert (scheduled.state, scheduled.params["mode"]) == ("completed", "sync")
    expect(page.locator(".badge.lg")).to_have_text("Complete", timeout=10_000)
    committed = Day.objects.get(account=account, date=day).completed_at.timestamp()
    assert page.evaluate("window.completeAt") - committed < SOON
    expect(page.locator("#news")).to_contain_text("This day is now complete.")
    expect(page.locator("#news")).to_contain_text("6 items arrived while you were here.")
    expect(page.locator("[data-row] .badge")).to_have_count(6)
    assert page.evaluate("window.drawn") == 1
    assert focused and page.evaluate("document.activeElement.id") == focused
    opened = page.locator("details[id^=said][open]")
    expect(opened).to_contain_text("At 15")
    moved = opened.evaluate("(one) => one.closest('[data-row]').getBoundingClientRect().top")
    assert abs(moved - top) < 3
    assert violations(page) == []
    picture(page, "day-complete")

    cell = beside.locator(f"#cell-{day.isoformat()}")
    expect(cell).to_have_attribute("aria-label", re.compile(", complete$"))
    assert beside.evaluate("window.drawn") == 0 and beside.evaluate(REST, day.isoformat()) == rest
    assert beside.evaluate(REDRAWN) == 1
    # Nothing was polled: each asked for what it heard of.
    paths = {one: {urlsplit(url).path for url in urls} for one, urls in asked.items()}
    shown = f"/days/{account.pk}/{day.isoformat()}/"
    assert paths[page] <= {shown, f"{shown}cell/"} and len(asked[page]) <= 4, asked
    assert paths[beside] == {f"{shown}cell/"} and len(asked[beside]) == 1, asked

    # What it says while the reader has selected something: it offers, and waits.
    page.locator("h1").evaluate("(one) => getSelection().selectAllChildren(one)")
    put(service, day, range(23, 24))
    sync(date=day.isoformat())
    expect(page.locator("#offer")).to_be_visible()
    assert page.evaluate("window.drawn") == 1 and page.evaluate("String(getSelection())").startswith(
        f"{day:%A}"
    )
    page.locator("[data-update-day]").click()
    expect(page.locator("#news")).to_contain_text("7 items arrived")
    expect(page.locator(".page-head")).to_contain_text("Updated after completion")
    page.locator("#show-new").click()
    expect(page.locator("[data-row]")).to_have_count(7)
    page.wait_for_load_state()  # keys are heard from then on
    page.keyboard.press("ArrowLeft")
    expect(page.locator("h1")).to_have_text(f"{other:%A} {other.day} {other:%B %Y}")
    page.wait_for_load_state()
    page.keyboard.press("t")
    today = spans.today(account, now)
    expect(page.locator("h1")).to_have_text(f"{today:%A} {today.day} {today:%B %Y}")
    assert page.watched.wrong == []


def test_a_cell_whose_request_is_refused_or_slow_shows_the_newest_in_the_end(
    page, signed_in, alice, service, monkeypatch
):
    account = accounts.add(alice, "limitless", KEY, "UTC")
    now = datetime.now(UTC)
    day = (now - timedelta(days=3)).date()
    before, after = day - timedelta(days=1), day + timedelta(days=1)
    clock = {"now": datetime(day.year, day.month, day.day, 18, tzinfo=UTC)}
    monkeypatch.setattr(limitless, "read_clock", lambda: clock["now"])
    cell = page.locator(f"#cell-{day.isoformat()}")
    beside = page.locator(f"#cell-{before.isoformat()}")
    held: list[Any] = []

    def sync(first: Any, last: Any) -> None:
        days = {"start": first.isoformat(), "end": last.isoformat()}
        job = run_inline("lifelogs", alice, account=account.pk, mode="range", **days)
        assert job.state == "completed"

    def hold(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))  # what is true now, told later

    # Whoever is refused asks again.
    refusals = [503, 429]
    page.route(
        f"**/{day.isoformat()}/cell/*",
        lambda route: route.fulfill(status=refusals.pop()) if refusals else route.continue_(),
    )
    signed_in(alice, f"/days/{account.pk}/{after.isoformat()}/")
    expect(page.locator(LIVE)).to_be_visible()
    sync(day, day)
    expect(cell).to_have_attribute("aria-label", re.compile(", partial$"), timeout=15_000)
    assert refusals == []

    # The day changes; before the answer comes it is complete. The cell of another says that this was heard.
    page.unroute(f"**/{day.isoformat()}/cell/*")
    page.route(f"**/{day.isoformat()}/cell/*", hold)
    put(service, day, range(6, 8))
    sync(day, day)
    page.wait_for_function(
        "(id) => document.getElementById(id).dataset.version === 'Infinity'", arg=f"cell-{day.isoformat()}"
    )
    clock["now"] = now
    sync(day, day)
    sync(before, before)
    expect(beside).to_have_attribute("aria-label", re.compile(", complete$"))
    [(route, answer)] = held
    route.fulfill(response=answer)
    expect(cell).to_have_attribute("aria-label", re.compile(", complete$"))


def test_calendar_accounts_and_search_can_be_used_by_everybody(
    page, signed_in, alice, service, violations, picture
):
    account = accounts.add(alice, "limitless", KEY, "UTC")
    run_inline("lifelogs", alice, account=account.pk, mode="incomplete")
    for path, name in (
        (f"/days/{account.pk}/", "days-year"),
        ("/days/accounts/", "days-accounts"),
        ("/days/search/?q=otters", "days-search"),
    ):
        signed_in(alice, path)
        expect(page.locator(LIVE)).to_be_visible()
        assert violations(page) == [], path
        picture(page, name)
    assert page.watched.wrong == []
