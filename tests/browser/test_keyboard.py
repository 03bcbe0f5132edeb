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
    page.wait_for_url("**/search/?q=*")
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


LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 390)}


@pytest.mark.parametrize("look", LOOKS)
def test_the_shortcuts_are_listed_in_a_dialog(look, page, signed_in, alice, violations, picture):
    scheme, width = LOOKS[look]
    page.set_viewport_size({"width": width, "height": 600})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    signed_in(alice)
    if look == "phone":
        page.click(".menu-btn")
    page.locator("[data-open-keys]").click()
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture(page, f"keys-{look}")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator(".menu-btn" if look == "phone" else "[data-open-keys]")).to_be_focused()
    assert page.watched.wrong == []


def test_the_dialog_gives_the_focus_back_and_hides_the_page_from_keys(page, signed_in, alice):
    rows.job(alice, "pending")
    signed_in(alice, "/jobs/")
    page.keyboard.press("j")
    row = page.locator("tbody a").first
    expect(row).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    for key in "jx/gh":
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    expect(page.locator("[name=job]")).not_to_be_checked()
    page.keyboard.press("Enter")
    expect(page.locator("#keys")).to_be_hidden()
    expect(row).to_be_focused()


def test_single_keys_can_be_turned_off_for_good_and_in_every_tab(page, context, signed_in, site, alice):
    """WCAG 2.1.4, UX 31."""
    rows.job(alice, "pending")
    signed_in(alice, "/jobs/")
    other = context.new_page()
    other.goto(f"{site}/jobs/")
    page.keyboard.press("?")
    page.get_by_role("switch").uncheck()
    page.keyboard.press("Escape")
    expect(other.locator("[data-single-keys]")).not_to_be_checked()
    for tab in (page, other):
        nothing_but_named_keys_work(tab)
    page.reload()
    nothing_but_named_keys_work(page)
    page.click("[data-open-keys]")
    page.get_by_role("switch").check()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()


def nothing_but_named_keys_work(page):
    for key in ["?", "/", "j", "g", "j"]:
        page.keyboard.press(key)
    assert (
        page.evaluate(
            "document.activeElement.closest('#search, td') ?? document.querySelector('dialog[open]')"
        )
        is None
    )
    page.keyboard.press("F6")
    expect(page.locator("#toasts")).to_be_focused()


def test_a_range_is_selected_and_cleared(page, signed_in, alice):
    for n in range(4):
        rows.job(alice, "pending", subject=f"n{n}")
    signed_in(alice, "/jobs/")
    for key in ["j", "x", "j", "j", "Shift+X"]:
        page.keyboard.press(key)
    expect(page.locator("[data-picked]")).to_have_text("3 selected")
    page.keyboard.press("Escape")
    expect(page.locator("[name=job]:checked")).to_have_count(0)
    expect(page.locator("[data-actionbar]")).to_be_hidden()


def test_keys_of_a_job(page, signed_in, alice):
    job = rows.job(alice, "running")
    for n in range(60):
        rows.event(job, f"Box {n} stored")
    signed_in(alice, job.get_absolute_url())
    page.evaluate("document.querySelector('#feed').scrollTop = 0")
    at_the_end = """() => { const feed = document.querySelector("#feed");
                            return feed.scrollTop + feed.clientHeight >= feed.scrollHeight - 8 }"""
    assert not page.evaluate(at_the_end)
    page.keyboard.press("f")
    assert page.evaluate(at_the_end)
    page.keyboard.press("c")
    expect(page.get_by_text("Keep it running")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#cancel")).to_be_focused()
    assert Job.objects.get().cancel_requested_at is None


def test_the_top_bar_finds_everything_without_a_mouse(page, signed_in, alice, violations):
    job = rows.job(alice, "completed", subject="otters")
    rows.job(alice, "completed", subject="otters too")
    signed_in(alice, "/inbox/settings/")
    page.locator("h1").click()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("otters")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search/?q=otters")
    assert violations(page) == []
    page.locator("h1").click()
    for _ in range(2):
        page.keyboard.press("j")
    expect(page.locator("main .list a").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{job.get_absolute_url()}")
    for key, path in {"c": "/companies/", "w": "/workspaces/"}.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**{path}")
    assert page.watched.wrong == []
