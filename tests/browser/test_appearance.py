"""Zone, theme and shortcuts of the account, in a browser."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from account.models import Appearance
from tests.pages import rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_what_the_account_says_holds_until_this_browser_says_otherwise(page, signed_in, alice):
    Appearance.objects.create(user=alice, zone="Asia/Kathmandu", theme="dark", single_keys=False)
    begun = datetime(2026, 1, 5, 20, 30, tzinfo=UTC)
    job = rows.job(alice, "failed", created_at=begun, started_at=begun, finished_at=begun)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    signed_in(alice, job.get_absolute_url())
    # Written by the script, too: it repaints every time of the page.
    expect(page.locator("[data-zone]")).to_have_text("Asia/Kathmandu")
    titles = page.eval_on_selector_all("main time", "times => times.map((time) => time.title)")
    assert titles and all("UTC+05:45" in title for title in titles)
    assert "6 January 2026, 02:15:00 UTC+05:45" in titles
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    page.click("[data-switch-theme]")
    page.goto(page.url)
    expect(root).to_have_attribute("data-theme", "light")
    # What is said for all devices ends what was switched here.
    page.click('[popovertarget="account"]')
    page.get_by_role("link", name="Your account").click()
    page.get_by_label("Shortcuts of a single key", exact=True).check()
    page.locator("form", has=page.get_by_role("heading", name="Pages")).get_by_role("button").click()
    expect(page.get_by_text("Saved, for all your devices.")).to_be_visible()
    expect(root).to_have_attribute("data-theme", "dark")
    page.wait_for_load_state()  # keys are heard from then on
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
