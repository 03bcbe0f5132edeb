"""Live pages with real workers: what a reader sees without touching anything."""

import re

import pytest
from playwright.sync_api import expect

from ingestion import lifecycle
from ingestion.models import Job
from realtime import publish
from tests.browser.test_wire import hide
from tests.engine import ended
from tests.pages import rows
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LIVE = "#conn[data-status=live]"


@pytest.fixture
def works(engine):
    """A worker and a keeper that really run what is started."""
    engine.keeper()
    engine.worker()
    return engine


def same_page(page) -> bool:
    return bool(page.evaluate("window.same === true"))


def test_a_job_reaches_100_percent_without_a_reload(page, signed_in, alice, works, violations):
    """UX 1, 11, 12."""
    signed_in(alice, "/?kind=shelves")
    page.fill("[name=start-n]", "40")
    page.fill("[name=start-wait]", "0.1")
    page.click("#start button[type=submit]")
    page.wait_for_url("**/jobs/*/")
    page.evaluate("window.same = true")
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    expect(page.locator(".badge.lg")).to_have_text("Running", timeout=20_000)
    expect(page.locator("[data-field=percent]")).to_have_text(re.compile(r"[1-9]\d?%"), timeout=20_000)
    until(lambda: re.match(r"\d+% Shelves", page.title()), what="the percentage in the tab's title")
    expect(page.locator(".badge.lg")).to_have_text("Complete", timeout=40_000)
    expect(page.locator("#items .chip[data-status=complete]")).to_have_count(40, timeout=10_000)
    until(lambda: page.title().startswith("✓"), what="the tick in the tab's title")
    assert same_page(page)
    assert violations(page) == []
    assert page.watched.wrong == []


def test_a_filter_that_is_being_typed_stays_when_news_come(page, signed_in, alice):
    job = rows.job(alice, "running")
    rows.items(job, {"done": 61, "pending": 9})  # more than a page shows without a filter
    signed_in(alice, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.fill("#item-filter", "Box 6")
    page.press("#item-filter", "ArrowLeft")
    rows.event(job, "The shelf is half full")
    publish.publish(job.stream, job.version)
    expect(page.locator("#feed")).to_contain_text("The shelf is half full")
    page.keyboard.type("00")
    expect(page.locator("#item-filter")).to_have_value("Box 006")
    assert page.watched.wrong == []


def test_home_and_list_follow_a_job_to_its_end(page, context, signed_in, alice, works):
    job = lifecycle.create("shelves", {"n": 15, "wait": 0.2, "fail": ["k0003"]}, owner=alice).job
    signed_in(alice, "/jobs/")
    page.evaluate("window.same = true")
    home = context.new_page()
    home.goto(page.url.replace("/jobs/", "/"))
    home.evaluate("window.same = true")
    row = page.locator(f"#row-{job.pk}")
    expect(row.locator(".badge")).to_have_text("Running", timeout=20_000)
    expect(home.locator("#home .list .badge")).to_have_text("Running", timeout=20_000)
    expect(row.locator(".badge")).to_have_text("Completed with errors", timeout=40_000)
    expect(home.get_by_text("Nothing is running")).to_be_visible(timeout=10_000)
    assert same_page(page) and same_page(home)
    assert page.watched.wrong == []


# A press that lasts 5 s counts as over: on a slow machine this one may.
LONG_PRESS = """{
    const after = window.setTimeout;
    window.setTimeout = (what, ms, ...rest) => (ms === 5000 ? 0 : after(what, ms, ...rest));
}"""


def pressed(page, row) -> bool:
    """Press the pointer in a row; say whether it was still there: a banner above may have moved it."""
    row.locator("td").nth(2).hover()
    page.mouse.down()
    if row.evaluate("row => row.matches(':active')"):
        return True
    page.mouse.up()
    return False


def test_nothing_is_replaced_under_a_pressed_pointer(page, signed_in, alice):
    """The click would be lost: what came meanwhile is shown after it."""
    job = lifecycle.create("shelves", {"n": 3}, owner=alice).job
    page.add_init_script(LONG_PRESS)
    signed_in(alice, "/jobs/")
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    row = page.locator(f"#row-{job.pk}")
    expect(row.locator(".badge")).to_have_text("Queued")
    until(lambda: pressed(page, row), what="the pointer pressed in the row")
    page.evaluate("id => { document.getElementById(id).kept = true }", f"row-{job.pk}")
    with page.expect_response(lambda answer: answer.url.endswith(f"/jobs/{job.pk}/")):
        lifecycle.cancel(job, by=alice)
    page.wait_for_function("() => !document.querySelector('.htmx-request')")
    assert page.evaluate("id => document.getElementById(id).kept", f"row-{job.pk}")
    page.mouse.up()
    expect(row.locator(".badge")).to_have_text("Cancelled", timeout=10_000)
    page.wait_for_function("id => !document.getElementById(id).kept", arg=f"row-{job.pk}")


def test_new_jobs_wait_behind_a_button(page, signed_in, alice, site):
    """UX 26 of the jobs list: nothing moves under the reader."""
    lifecycle.create("shelves", {"name": "first"}, owner=alice)
    signed_in(alice, "/jobs/")
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.check("input[name=job]")
    lifecycle.create("shelves", {"name": "second"}, owner=alice)
    expect(page.locator("#show-new")).to_have_text("1 new job, show", timeout=10_000)
    assert page.locator("tbody tr").count() == 1
    assert page.locator("input[name=job]").is_checked()
    page.click("#show-new")
    expect(page.locator("tbody tr")).to_have_count(2)


def test_cancel_is_said_at_once_and_done_soon(page, signed_in, alice, works):
    job = lifecycle.create("shelves", {"n": 500, "wait": 0.1}, owner=alice).job
    signed_in(alice, job.get_absolute_url())
    expect(page.locator(".badge.lg")).to_have_text("Running", timeout=20_000)
    page.locator("#cancel", has_text="Cancel job").click()  # not the one of the queue, which asks nothing
    page.click("#confirm-cancel button[type=submit]")
    expect(page.locator(".badge.lg")).to_have_text("Cancelled", timeout=20_000)
    expect(page.locator("#retry")).to_have_text("Continue")
    stored = ended(job).items_done
    page.click("#retry")
    page.wait_for_url(lambda url: str(job.pk) not in url)
    child = Job.objects.get(retry_of=job)
    assert child.items_done >= stored


def test_a_question_appears_and_its_answer_goes_on(page, signed_in, alice, works):
    job = lifecycle.create("door", {}, owner=alice).job
    signed_in(alice, job.get_absolute_url())
    expect(page.get_by_text("Somebody is at the door. Open it?").first).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".badge.lg")).to_have_text("Complete", timeout=20_000)
    expect(page.get_by_text("approve by alice").first).to_be_visible()


def test_a_lost_connection_is_said_and_what_was_missed_arrives(page, context, signed_in, alice):
    """UX 4, 5: the old figures stay, marked; after the return the page is right without a reload."""
    job = lifecycle.create("shelves", {}, owner=alice).job
    signed_in(alice, job.get_absolute_url())
    page.evaluate("window.same = true")
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    context.set_offline(True)
    expect(page.locator("#conn")).not_to_have_attribute("data-status", "live", timeout=10_000)
    lifecycle.cancel(job, alice)
    expect(page.locator(".badge.lg")).to_have_text("Queued")
    context.set_offline(False)
    expect(page.locator(LIVE)).to_be_visible(timeout=40_000)
    expect(page.locator(".badge.lg")).to_have_text("Cancelled", timeout=10_000)
    assert same_page(page)


def test_the_feed_follows_until_the_reader_scrolls_up(page, signed_in, alice):
    """UX 23."""
    from tests.pages import rows

    job = rows.job(alice, "running")
    for n in range(60):
        rows.event(job, f"line {n}")
    signed_in(alice, job.get_absolute_url())
    feed = page.locator("#feed")
    at_end = "e => e.scrollTop + e.clientHeight >= e.scrollHeight - 8"
    assert feed.evaluate(at_end)
    feed.evaluate("e => { e.scrollTop = 0 }")
    page.wait_for_timeout(100)
    for n in range(3):
        rows.event(job, f"more {n}")
    again = "htmx.ajax('GET', location.pathname, {target: '#job', swap: 'outerHTML', select: '#job'})"
    page.evaluate(f"async () => {{ await {again} }}")
    expect(page.locator("[data-feed-new] button")).to_have_text("3 new events")
    assert feed.evaluate("e => e.scrollTop") < 20
    page.click("[data-feed-new] button")
    assert feed.evaluate(at_end)
    expect(page.locator("[data-feed-new]")).to_be_hidden()


def test_a_job_that_stands_still_says_so_instead_of_an_estimate(page, signed_in, alice, works):
    """UX 16: no estimate without a basis, and none that has stopped moving."""
    job = lifecycle.create("nap", {"seconds": 300}, owner=alice).job
    signed_in(alice, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    expect(page.locator(".badge.lg")).to_have_text("Running", timeout=20_000)
    eta = page.locator("[data-field=eta]").first
    expect(eta).to_have_text("")
    expect(eta).to_have_text(re.compile(r"no progress for \d+ s"), timeout=60_000)


def test_an_operators_list_asks_while_it_is_seen_and_moves_no_row(page, signed_in, alice, staff):
    """Nobody's stream tells an operator of other people's new jobs."""
    first = rows.job(alice, "pending")
    answers = []
    page.on("response", lambda r: "since=" in r.url and answers.append(r.status))
    signed_in(staff, "/jobs/")
    page.evaluate("window.same = true")
    page.locator("#list-state-failed").focus()
    until(lambda: page.wait_for_timeout(50) or 304 in answers, 20, "an answer that nothing is new")
    rows.job(alice, "running")
    expect(page.locator("#show-new")).to_have_text("1 new job, show", timeout=20_000)
    expect(page.locator("#list-counts")).to_contain_text("1 running")
    expect(page.locator("#list-state-active")).to_have_text("Active 2")
    expect(page.locator("#list-state-failed")).to_be_focused()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(f"#row-{first.pk}")).to_be_visible()

    hide(page, True)
    rows.job(alice, "failed")
    before = len(answers)
    page.evaluate("new Promise((done) => setTimeout(done, 6000))")  # its own clock, past the time of asking
    assert len(answers) == before
    hide(page, False)
    expect(page.locator("#show-new")).to_have_text("2 new jobs, show", timeout=20_000)
    assert same_page(page)
    assert page.watched.wrong == []
