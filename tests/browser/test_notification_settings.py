"""The settings of notifications in a browser, its notifications, and what titles must not do there."""

import pytest
from playwright.sync_api import expect

from notifications import broadcasts, inbox, preferences, webhooks
from notifications.models import Delivery, Webhook
from tests.notifications.polyglots import POLYGLOTS
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = "/inbox/settings/"
# The browser's own door to the desktop, with a list of what went through, and a page that can be put away.
SPY = """
    window.shown = [];
    window.asked = 0;
    window.Notification = class {
        constructor(title, options) { window.shown.push({title, ...options}); }
        close() {}
        static get permission() { return window.permission ?? "default"; }
        static async requestPermission() { window.asked += 1; return (window.permission = "granted"); }
    };
    Object.defineProperty(document, "hidden", {get: () => window.away === true});
    window.go = (away) => {
        window.away = away;
        document.dispatchEvent(new Event("visibilitychange"));
    };
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_accessible(page, signed_in, alice, violations, picture, scheme, width):
    webhooks.put(alice.pk, "https://example.org/h")
    inbox.mute(alice, "company:12")
    inbox.follow(alice, "company:13")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    signed_in(alice, PAGE)
    picture(page, f"settings-{scheme}-{width}")
    assert violations(page) == [] and page.watched.wrong == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everything_works_by_its_forms(page, signed_in, alice):
    signed_in(alice, PAGE)
    page.get_by_label("Failed jobs: E-mail").uncheck()
    page.get_by_role("button", name="Save", exact=True).first.click()
    expect(page.get_by_text("Your choices are saved")).to_be_visible()
    assert "email" not in preferences.of_users([alice.pk], "job_failed")[alice.pk]

    page.get_by_label("Address").fill("https://example.org/h")
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page.locator("[data-secret]")).to_contain_text("whsec_")
    page.get_by_role("button", name="Remove").click()
    until(lambda: not Webhook.objects.exists(), what="the webhook's end")


@pytest.mark.seed("S2.111")
def test_the_browser_is_asked_by_a_click_and_tells_what_was_chosen(page, signed_in, alice):
    preferences.choose(alice.pk, "system", "browser", True)
    page.add_init_script(SPY)
    signed_in(alice, PAGE)
    assert page.evaluate("window.asked") == 0
    page.get_by_role("button", name="Allow in this browser").click()
    expect(page.get_by_text("Allowed in this browser.")).to_be_visible()
    expect(page.locator("#conn")).to_have_attribute("data-status", "live")

    inbox.notify([alice], "system", "While it is looked at")
    expect(page.locator(".toast", has_text="While it is looked at")).to_be_visible()
    page.evaluate("go(true)")
    inbox.notify([alice], "job_failed", "Not chosen")
    inbox.notify([alice], "system", "12 documents are ready", text="Search them now.", url="/jobs/")
    until(lambda: page.evaluate("window.shown.length"), what="the browser's notification")
    inbox.notify([alice], "system", "Second")
    until(lambda: page.evaluate("window.shown.length") == 2, what="the second")

    first, second = page.evaluate("window.shown")
    assert (first["title"], first["body"], second["title"]) == (
        "12 documents are ready",
        "Search them now.",
        "Second",
    )


def test_the_browser_tells_what_everybody_is_told_where_that_was_chosen(page, signed_in, alice):
    page.add_init_script(SPY + "window.permission = 'granted';")
    signed_in(alice, PAGE)
    expect(page.get_by_text("It is neither mailed nor sent to webhooks.")).to_be_visible()
    expect(page.locator("#conn")).to_have_attribute("data-status", "live")
    page.evaluate("go(true)")
    broadcasts.broadcast("Not chosen yet")
    expect(page.locator("#bell-btn .count")).to_have_text("1")
    asked = "performance.getEntriesByType('resource').some((one) => /preferences$/.test(one.name))"
    until(lambda: page.evaluate(asked), what="the page asking what was chosen")
    preferences.choose(alice.pk, "system", "browser", True)
    preferences.choose(alice.pk, "system", "inbox", False)
    broadcasts.broadcast("Maintenance at noon", text="For an hour.")
    until(lambda: page.evaluate("window.shown.length"), what="the browser's notification")
    assert [one["title"] for one in page.evaluate("window.shown")] == ["Maintenance at noon"]
    expect(page.locator("#bell-btn .count")).to_have_text("2")
    assert not Delivery.objects.exists()


def test_the_browser_is_silent_while_any_page_is_looked_at(page, context, signed_in, site, alice):
    """The page that speaks is put away, another one is in front and says what arrives."""
    preferences.choose(alice.pk, "system", "browser", True)
    context.add_init_script(SPY + "window.permission = 'granted';")
    signed_in(alice, "/jobs/")
    expect(page.locator("#conn")).to_have_attribute("data-status", "live")
    held = "navigator.locks.query().then(({held}) => held.map(({name}) => name))"
    until(lambda: "headway-desktop" in page.evaluate(held), what="the page to be the one that speaks")
    front = context.new_page()
    front.goto(f"{site}/jobs/")
    expect(front.locator("#conn")).to_have_attribute("data-status", "live")
    page.evaluate("go(true)")
    asked = []
    page.on("request", lambda request: asked.append(request.url))

    inbox.notify([alice], "system", "Said by the page in front")
    for tab in (front, page):
        expect(tab.locator("#bell-btn .count")).to_have_text("1")
    expect(front.locator(".toast", has_text="Said by the page in front")).to_be_visible()
    front.evaluate("go(true)")
    until(lambda: "headway-in-front" not in page.evaluate(held), what="no page in front")
    inbox.notify([alice], "system", "Said by the browser")
    until(lambda: page.evaluate("window.shown.length"), what="the browser's notification")
    assert [one["title"] for one in page.evaluate("window.shown")] == ["Said by the browser"]
    assert front.evaluate("window.shown") == []
    assert sum("/preferences" in url for url in asked) == 1  # of the first there was no thought


@pytest.mark.seed("S2.105", "SEC34", "SEC35")
def test_whatever_titles_hold_is_text_on_page_toast_and_bell(page, signed_in, alice):
    """SEC34, SEC35."""
    for text in POLYGLOTS:
        inbox.notify([alice], "system", text, text=text)
    signed_in(alice, "/inbox/")
    texts = page.locator(".notice .title").all_text_contents()
    for text in POLYGLOTS:
        assert text.strip() in [one.strip() for one in texts], text

    signed_in(alice, "/jobs/")
    expect(page.locator("#conn")).to_have_attribute("data-status", "live")
    for text in POLYGLOTS[:6]:
        inbox.notify([alice], "system", text, text=text)
        expect(page.locator(".toast strong", has_text=text).first).to_be_visible()
    page.locator("#bell-btn").click()
    expect(page.locator("#bell .title").first).to_be_visible()
    assert page.watched.wrong == []
