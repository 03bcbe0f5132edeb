"""The bell, the count and the messages of every page (UX 26, 33)."""

import re

import pytest
from django.contrib.auth.models import Permission
from playwright.sync_api import expect

from ingestion.testing import run_inline
from notifications.models import Inbox, Notification
from tests.browser.test_inbox import LIVE, counted, five
from tests.imports.conftest import store
from tests.pages import rows
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_bell_opens_closes_gives_the_focus_back_and_reads_all(page, signed_in, alice, violations):
    for note in five(alice):
        assert note.read_at is None
    signed_in(alice)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    bell = page.locator("#bell-btn")
    bell.focus()
    page.keyboard.press("Enter")
    dropdown = page.get_by_role("dialog", name="Notifications")
    expect(dropdown.locator(".notice")).to_have_count(5)
    assert violations(page) == []
    page.keyboard.press("Tab")
    expect(dropdown.get_by_role("button", name="Mark all read")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dropdown).to_be_hidden()
    expect(bell).to_be_focused()
    bell.click()
    dropdown.get_by_role("button", name="Mark all read").click()
    counted(page, 0)
    expect(dropdown.locator("[data-unread]")).to_have_count(0)
    until(lambda: Inbox.objects.get(user=alice).unread == 0, what="all read")
    dropdown.locator(".title").first.click()
    page.wait_for_url("**/jobs/")
    page.locator("#bell-btn").click()
    page.get_by_role("link", name="Open inbox").click()
    page.wait_for_url("**/inbox/")
    assert page.watched.wrong == []


def test_mark_all_read_of_the_bell_leaves_what_came_since_its_list(page, signed_in, alice):
    five(alice)
    signed_in(alice)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.click("#bell-btn")
    page.locator("#bell-body .notice").nth(1).hover()
    rows.note(alice, "News")
    expect(page.locator("[data-bell-new]")).to_be_visible()
    page.get_by_role("button", name="Mark all read").click()
    counted(page, 1)
    left = Notification.objects.filter(read_at=None).values_list("title", flat=True)
    until(lambda: list(left.all()) == ["News"], what="only what came since unread")


def test_the_bell_says_when_it_cannot_be_loaded_and_tries_again(page, signed_in, alice):
    five(alice)
    signed_in(alice)
    page.route("**/inbox/bell/", lambda route: route.fulfill(status=503))
    page.click("#bell-btn")
    expect(page.get_by_text("The notifications could not be loaded.")).to_be_visible()
    page.unroute("**/inbox/bell/")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#bell-body .notice")).to_have_count(5)


def test_news_in_an_open_bell_wait_while_the_pointer_is_there(page, signed_in, alice):
    """UX 26."""
    five(alice)
    signed_in(alice)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.click("#bell-btn")
    page.locator("#bell-body .notice").nth(1).hover()
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/inbox/")[2]))
    rows.note(alice, "News")
    expect(page.locator("[data-bell-new]")).to_be_visible()
    page.evaluate("fetch('/healthz')")  # whatever was asked before it has been noted now
    until(lambda: any(url.endswith("/healthz") for url in asked), what="the request")
    assert "bell/" not in asked
    page.locator("[data-bell-new]").click()
    expect(page.locator("#bell-body .title").first).to_have_text("News")


def test_news_that_were_asked_for_wait_when_the_pointer_came_meanwhile(page, signed_in, alice):
    """What would be clicked would be gone at that moment."""
    five(alice)
    signed_in(alice)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.click("#bell-btn")
    expect(page.locator("#bell-body .notice")).to_have_count(5)
    held = []
    page.route("**/inbox/bell/", lambda route: held.append(route))
    page.get_by_role("heading", name="Notifications").hover()
    rows.note(alice, "News")
    until(lambda: held or page.wait_for_timeout(20), what="the question")
    page.locator("#bell-body .notice").nth(1).hover()
    page.evaluate("document.querySelector('#bell-body .title').kept = true")
    held[0].continue_()
    expect(page.locator("[data-bell-new]")).to_be_visible()
    assert page.evaluate("document.querySelector('#bell-body .title').kept")
    page.unroute("**/inbox/bell/")
    page.locator("[data-bell-new]").click()
    expect(page.locator("#bell-body .title").first).to_have_text("News")


def test_what_arrives_is_said_in_three_messages_at_most_and_takes_no_focus(page, signed_in, alice):
    signed_in(alice)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.locator("#search").focus()
    rows.note(alice, "Topic is ready", text="24 filings.", level="success", url="/jobs/")
    toast = page.locator(".toast")
    expect(toast).to_have_text(re.compile("Topic is ready.*24 filings", re.S))
    expect(page.locator("#search")).to_be_focused()
    assert toast.get_by_role("link").get_attribute("href") == "/jobs/"
    for n in range(5):
        rows.note(alice, f"Failed {n}", level="error")
    expect(page.locator(".toast", has_text="Failed 4")).to_be_visible()
    expect(toast).to_have_count(3)
    assert "Topic is ready" not in page.locator("#toasts").inner_text()
    counted(page, 6)
    page.click("#bell-btn")
    expect(toast).to_have_count(0)  # the dropdown says all of it
    expect(page.locator("#bell-body .title").first).to_have_text("Failed 4")


def test_a_message_waits_while_the_pointer_is_on_it(page, signed_in, alice):
    """UX 3.5."""
    page.clock.install()
    signed_in(alice)
    say = "document.dispatchEvent(new CustomEvent('message', {detail: {title: 'Hello'}}))"
    page.evaluate(say)
    toast = page.locator(".toast")
    toast.hover()
    page.clock.run_for(20_000)
    expect(toast).to_be_visible()
    page.mouse.move(5, 5)
    page.clock.run_for(5_000)
    expect(toast).to_be_visible()
    page.clock.run_for(2_000)
    expect(toast).to_have_count(0)


def test_no_message_of_a_job_whose_page_is_in_front_and_it_is_read_there(
    page, context, signed_in, site, alice
):
    """UX 33."""
    job = rows.job(alice, "running")
    about = {"about": job.stream, "url": job.get_absolute_url(), "group_key": job.stream}
    signed_in(alice, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    rows.note(alice, "Shelves is done", version=1000, **about)
    until(lambda: Notification.objects.get().read_at, what="it read")
    rows.note(alice, "Something else")
    expect(page.locator(".toast")).to_have_count(1)
    expect(page.locator(".toast")).to_contain_text("Something else")
    assert re.match(r"\d+% Shelves", page.title())  # a job's page says how far the job is


def test_no_message_of_the_import_that_a_reviewer_has_in_front(page, signed_in, alice, bob):
    """UX 33: their page follows the import, their row is about its job."""
    bob.user_permissions.add(Permission.objects.get(codename="review"))
    job = run_inline("imports", alice, file=store(alice, "tax_ident,name\n1,a\n"), review="always")
    row = Notification.objects.get(recipient=bob)
    signed_in(bob, row.url)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    until(lambda: Notification.objects.get(pk=row.pk).read_at, what="it read")
    rows.note(bob, "Asked once more", about=job.stream, url="/imports/")
    rows.note(bob, "Something else", url=row.url)
    expect(page.locator(".toast")).to_have_count(1)
    expect(page.locator(".toast")).to_contain_text("Something else")
