"""Every action by keyboard (UX 47)."""

import pytest
from playwright.sync_api import expect

from ingestion.models import Job
from tests.pages import rows
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_first_tab_skips_to_the_content(page, signed_in, alice):
    signed_in(alice)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.wait_for_url("**#main")


def test_every_button_and_link_can_be_reached_and_is_seen(page, signed_in, alice):
    job = rows.job(alice, "partial", steps=rows.steps(look="completed", fill="failed"))
    rows.items(job, {"done": 5, "failed": 2})
    signed_in(alice, job.get_absolute_url())
    wanted = page.evaluate(
        """[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea")]
           .filter((e) => e.checkVisibility() && !e.disabled).length"""
    )
    reached = page.evaluate("new Array()")
    for _ in range(wanted + 8):
        page.keyboard.press("Tab")
        here = page.evaluate(
            """() => { const e = document.activeElement; if (!e || e === document.body) return null;
               window.seen ??= new Set(); window.seen.add(e);
               const box = e.getBoundingClientRect();
               const top = document.querySelector(".top").getBoundingClientRect();
               const style = getComputedStyle(e);
               const outlined = style.outlineStyle !== "none" || e.classList.contains("skip");
               const hidden = !e.closest(".top, .side, .skip") && box.bottom <= top.bottom && box.bottom > 0;
               return {outlined, hidden, what: e.outerHTML.slice(0, 100)} }"""
        )
        if here:
            reached.append(here)
    assert [one for one in reached if not one["outlined"] or one["hidden"]] == []
    missed = page.evaluate(
        """[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea")]
           .filter((e) => e.checkVisibility() && !e.disabled && !window.seen.has(e))
           .map((e) => e.outerHTML.slice(0, 90))"""
    )
    assert missed == []


def test_slash_searches_and_escape_closes_the_account(page, signed_in, alice):
    signed_in(alice)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("gj shelf/x")  # letters of shortcuts are text here
    expect(page.locator("#search")).to_have_value("gj shelf/x")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/?q=*")
    page.locator("[popovertarget=account]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#account")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#account")).to_be_hidden()
    expect(page.locator("[popovertarget=account]")).to_be_focused()


def test_g_j_goes_to_the_jobs_and_j_k_x_choose(page, signed_in, alice):
    for n in range(3):
        rows.job(alice, "pending", subject=f"n{n}")
    signed_in(alice)
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url("**/jobs/")
    for key in "jjk":
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 1
    page.keyboard.press("x")
    expect(page.locator("[data-picked]")).to_have_text("1 selected")
    expect(page.locator("[data-count-cancel]")).to_have_text("Cancel 1")
    expect(page.locator("[data-actionbar] [value=retry]")).to_be_disabled()


def test_cancel_asks_first_and_gives_the_focus_back(page, signed_in, alice):
    job = rows.job(alice, "running")
    signed_in(alice, job.get_absolute_url())
    page.locator("#cancel").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Keep it running")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#cancel")).to_be_focused()
    assert Job.objects.get().cancel_requested_at is None
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    until(lambda: Job.objects.get().cancel_requested_at is not None, what="the request")
    expect(page.locator("h1 + .badge")).to_have_text("Cancelling")


def test_the_bulk_bar_says_how_many_can(page, signed_in, alice):
    rows.job(alice, "pending")
    rows.job(alice, "failed")
    rows.job(alice, "completed")
    signed_in(alice, "/jobs/")
    expect(page.locator("[data-actionbar]")).to_be_hidden()
    page.check("[data-pick-all]")
    expect(page.locator("[data-count-cancel]")).to_have_text("Cancel 1 of 3")
    expect(page.locator("[data-count-retry]")).to_have_text("Retry 1 of 3")


def test_the_kind_switches_without_a_reload(page, signed_in, alice):
    signed_in(alice)
    page.evaluate("window.same = true")
    page.click("#kind-nap")
    expect(page.locator("[name=start-seconds]")).to_be_visible()
    assert page.evaluate("window.same") is True
    assert page.url.endswith("/?kind=nap")
    page.reload()
    expect(page.locator("[name=start-seconds]")).to_be_visible()
