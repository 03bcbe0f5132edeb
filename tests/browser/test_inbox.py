"""The inbox as a reader meets it (UX 25 to 32)."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import expect

from ingestion.models import Job
from notifications import acting, broadcasts, listing, telling
from notifications.models import Inbox, Mute, Notification
from tests.notifications.polyglots import POLYGLOTS
from tests.pages import rows
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LIVE = "#conn[data-status=live]"
INBOX = "/inbox/"
MINUTE = timedelta(minutes=1)


def titles(page):
    return page.locator("#inbox-list .title").all_inner_texts()


def row(page, title):
    return page.locator("#inbox-list .notice", has=page.get_by_text(title, exact=True))


def shown_counts(page):
    """Return what bell, menu and title of a page say."""
    found = page.locator("#bell-btn .count, #nav [data-unread-count]").all_inner_texts()
    in_title = re.match(r"\((\d+)\) ", page.title())
    return [int(text or 0) for text in found] + [int(in_title[1]) if in_title else 0]


def counted(page, number):
    until(lambda: shown_counts(page) == [number] * 3, what=f"{number} in bell, menu and title")


@pytest.fixture
def inbox(page, signed_in, alice):
    """Return a function that opens the inbox of alice, live, after its first look."""

    def open_it(query="", looks=True):
        answered = []
        page.on("requestfinished", lambda request: answered.append(request.headers.get("hx-target")))
        signed_in(alice, f"{INBOX}{query}")
        expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
        # Playwright says what happened while it is asked something.
        until(lambda: page.title() and ("inbox" in answered or not looks), what="the look")
        page.evaluate("window.same = true")
        return page

    return open_it


def five(alice):
    return [rows.note(alice, f"Note {n}", n * 20 * MINUTE, url="/jobs/") for n in range(5)]


def test_archive_removes_at_once_and_z_restores_at_the_same_place(page, inbox, alice):
    """UX 27."""
    five(alice)
    inbox()
    row(page, "Note 2").hover()
    page.get_by_role("button", name="Archive: Note 2").click()
    expect(page.locator(".toast strong")).to_have_text("Archived 1 notification")
    assert titles(page) == ["Note 0", "Note 1", "Note 3", "Note 4"]
    until(lambda: Notification.objects.exclude(archived_at=None).exists(), what="it in the database")
    counted(page, 4)
    page.keyboard.press("z")
    expect(page.locator("#inbox-list .title")).to_have_count(5)
    assert titles(page) == [f"Note {n}" for n in range(5)]
    until(lambda: not Notification.objects.exclude(archived_at=None).exists(), what="it back")
    counted(page, 5)
    assert page.evaluate("window.same") is True
    assert page.watched.wrong == []


def seen():
    return set(Notification.objects.exclude(seen_at=None).values_list("title", flat=True))


def test_what_was_on_the_screen_is_seen_and_stays_unread(page, inbox, signed_in, alice):
    for n in range(40):
        rows.note(alice, f"Note {n}", (n + 1) * 20 * MINUTE, url="/jobs/")
    signed_in(alice, "/jobs/")
    assert seen() == set()
    page.click("#bell-btn")
    until(lambda: seen() == {f"Note {n}" for n in range(6)}, what="the rows of the bell seen")
    inbox()
    until(lambda: len(seen()) > 6, what="those on the screen seen")
    assert "Note 39" not in seen()
    row(page, "Note 39").scroll_into_view_if_needed()
    until(lambda: "Note 39" in seen(), what="what was scrolled to seen")
    counted(page, 40)
    note = Notification.objects.get(title="Note 39")
    assert (note.read_at, Inbox.objects.get(user=alice).unread) == (None, 40)


def test_what_says_something_new_in_place_is_seen_again(page, inbox, alice):
    job = rows.job(alice, "running")
    rows.told(job)
    inbox()
    until(lambda: Notification.objects.exclude(seen_at=None).exists(), what="it seen")
    first = Notification.objects.get().seen_at
    page.locator("#inbox-list .notice").hover()
    rows.end(job, "partial", done=21, failed=3, message="21 of 24 filings.")
    rows.told(job)
    expect(page.locator("#inbox-list .title")).to_have_text("Shelves finished with 3 errors")
    until(lambda: (Notification.objects.get().seen_at or first) > first, what="it seen again")


def test_moves_of_jobs_do_not_have_the_inbox_asked_for_anew(page, inbox, alice):
    page.clock.install()
    inbox()
    asked, answered = [], []
    page.on("request", lambda request: asked.append(request.headers.get("hx-target")))
    page.on("requestfinished", lambda request: answered.append(request.headers.get("hx-target")))

    def moved(n):
        """Move the stream by a job alone, and wait until the page has heard of it, and so of all before."""
        rows.job(alice, "running")
        with transaction.atomic():
            telling.tell([], moving=[alice.pk])
        expect(page.locator("#nav [data-field='jobs.active']")).to_have_text(str(n))

    for n in range(1, 4):
        moved(n)
    page.evaluate("fetch('/healthz', {headers: {'HX-Target': 'mark'}})")
    until(lambda: page.title() and "mark" in asked, what="all that was asked before it")
    assert "inbox" not in asked
    rows.note(alice, "News")
    expect(page.locator("#inbox-list .title")).to_have_text("News")
    until(lambda: Notification.objects.get().seen_at, what="it seen")

    # What frames do not show: it is not among the newest six, and was read already.
    with transaction.atomic():
        old = [rows.note(alice, f"Old {n}", (n + 1) * 20 * MINUTE, read=True) for n in range(7)][-1]
    expect(row(page, "Old 6")).to_be_visible()
    moved(4)
    until(lambda: page.title() and answered.count("inbox") == asked.count("inbox"), what="all answers")
    acting.archive(alice, [old.pk])
    moved(5)
    expect(row(page, "Old 6")).to_be_visible()
    page.clock.run_for(31_000)
    expect(row(page, "Old 6")).to_have_count(0)


def test_undo_of_a_move_to_the_inbox_snoozes_again(page, inbox, alice):
    at = timezone.now() + timedelta(days=2)
    acting.snooze(alice, [rows.note(alice, "Put off", 20 * MINUTE, url="/jobs/").pk], at)
    inbox("?view=snoozed")
    row(page, "Put off").hover()
    page.get_by_role("button", name="Move to the inbox: Put off").click()
    expect(page.locator("#inbox-list .title")).to_have_count(0)
    counted(page, 1)
    page.keyboard.press("z")
    expect(row(page, "Put off")).to_be_visible()
    counted(page, 0)
    until(lambda: Notification.objects.get().snoozed_until == at, what="it snoozed again")


def test_a_frame_of_before_an_act_does_not_bring_the_old_count_back(page, inbox, alice):
    """It was on its way when the server answered."""
    held, free = [], []

    def carry(ws):
        server = ws.connect_to_server()

        def pass_on(text):
            if free or '"user:' not in text:
                ws.send(text)
            else:
                held.append((ws, text))

        server.on_message(pass_on)

    page.route_web_socket("**/ws/live/", carry)
    five(alice)
    inbox(looks=False)
    page.evaluate(
        """async stream => {
             const script = document.querySelector('script[type="module"][src*="/realtime/live."]');
             const live = await import(script.src);
             window.told = 0;
             live.follow(stream, () => { window.told += 1; });
           }""",
        f"user:{alice.pk}",
    )
    until(lambda: page.wait_for_timeout(20) or held, what="the frame")
    row(page, "Note 2").hover()
    page.get_by_role("button", name="Archive: Note 2").click()
    counted(page, 4)
    ws, text = held[0]
    ws.send(text)
    page.wait_for_function("() => window.told")
    assert shown_counts(page) == [4] * 3
    free.append(True)
    rows.note(alice, "News")
    counted(page, 5)


def test_what_changed_nothing_offers_no_undo_and_shows_what_is_stored(page, inbox, alice):
    """Somebody archived it elsewhere, and this page has not heard of it."""
    notes = five(alice)
    inbox()
    Notification.objects.filter(pk=notes[1].pk).update(archived_at=timezone.now())
    row(page, "Note 1").hover()
    page.get_by_role("button", name="Archive: Note 1").click()
    toast = page.locator(".toast")
    expect(toast.locator("strong")).to_have_text("Nothing changed")
    expect(toast.get_by_role("button", name="Undo")).to_have_count(0)
    page.keyboard.press("z")
    row(page, "Note 2").hover()
    page.get_by_role("button", name="Archive: Note 2").click()
    expect(page.locator(".toast strong").last).to_have_text("Archived 1 notification")
    expect(page.locator(".toast").last.get_by_role("button", name="Undo")).to_be_visible()
    assert titles(page) == ["Note 0", "Note 3", "Note 4"]


@pytest.mark.parametrize("answer", ["500", "cut", "422"])
def test_a_refused_act_is_shown_undone_with_a_message(answer, page, inbox, alice):
    """UX 27."""
    five(alice)
    inbox()
    refuse = {
        "500": lambda route: route.fulfill(status=500, body="<h1>oops</h1>"),
        "422": lambda route: route.fulfill(status=422, json={"detail": "Choose until when."}),
        "cut": lambda route: route.abort(),
    }[answer]
    page.route("**/inbox/act/", refuse)
    row(page, "Note 1").hover()
    page.get_by_role("button", name="Archive: Note 1").click()
    toast = page.locator(".toast[data-status=failed]")
    expect(toast).to_contain_text("Not archived")
    expect(toast).to_contain_text("Choose until when." if answer == "422" else "did not answer")
    assert titles(page) == [f"Note {n}" for n in range(5)]
    row(page, "Note 0").hover()
    page.get_by_role("button", name="Mark as read: Note 0").click()
    expect(page.locator(".toast", has_text="Not marked as read")).to_be_visible()
    assert row(page, "Note 0").get_attribute("data-unread") is not None
    assert Inbox.objects.get(user=alice).unread == 5


def test_keys_move_select_open_archive_turn_snooze_undo_and_search(page, inbox, alice):
    """UX 31."""
    five(alice)
    inbox()
    focused = page.locator(".title:focus")
    for key, title in [("j", "Note 0"), ("j", "Note 1"), ("j", "Note 2"), ("k", "Note 1")]:
        page.keyboard.press(key)
        expect(focused).to_have_text(title)
    page.keyboard.press("x")
    expect(page.locator("[data-picked]")).to_have_text("1 selected")
    page.keyboard.press("Escape")
    expect(page.locator("[data-picked]")).to_have_text("Select all 5")
    page.keyboard.press("i")
    expect(row(page, "Note 1")).not_to_have_attribute("data-unread", "")
    counted(page, 4)
    page.keyboard.press("u")
    expect(row(page, "Note 1")).to_have_attribute("data-unread", "")
    counted(page, 5)
    page.keyboard.press("e")
    expect(page.locator("#inbox-list .title")).to_have_count(4)
    expect(focused).to_have_text("Note 2")
    page.keyboard.press("z")
    expect(page.locator("#inbox-list .title")).to_have_count(5)
    expect(focused).to_have_text("Note 2")
    page.keyboard.press("h")
    menu = page.get_by_role("dialog", name="Snooze")
    expect(menu).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(focused).to_have_text("Note 2")
    page.keyboard.press("h")
    menu.get_by_role("button", name="In 1 hour").click()
    expect(page.locator(".toast strong").last).to_have_text("Snoozed 1 notification")
    until(lambda: Notification.objects.get(title="Note 2").snoozed_until, what="the snooze")
    page.keyboard.press("z")
    expect(page.locator("#inbox-list .title")).to_have_count(5)
    page.keyboard.press("/")
    expect(page.locator("#inbox-q")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/")
    until(lambda: Notification.objects.get(title="Note 0").read_at, what="it read")
    assert page.watched.wrong == []


def test_no_key_fires_in_a_text_field_or_with_the_switch_off(page, inbox, alice):
    """UX 31."""
    five(alice)
    inbox()
    row(page, "Note 0").get_by_role("checkbox").check()
    page.locator("#inbox-q").fill("")
    page.locator("#inbox-q").press_sequentially("jkxeuihz")
    expect(page.locator("#inbox-q")).to_have_value("jkxeuihz")
    page.locator("#inbox-q").fill("")
    page.keyboard.press("?")
    page.locator("#inbox-list .title").first.focus()
    page.keyboard.press("?")
    for text in ("Archive, or move back", "Mark as unread", "Snooze", "Undo"):
        expect(page.locator("#keys").get_by_text(text, exact=True)).to_be_visible()
    page.get_by_role("switch").uncheck()
    page.keyboard.press("Escape")
    page.locator("#inbox-list .title").first.focus()
    for key in "jkxeuihz":
        page.keyboard.press(key)
    expect(page.locator("#inbox-list .title").first).to_be_focused()
    assert titles(page) == [f"Note {n}" for n in range(5)]
    assert Inbox.objects.get(user=alice).unread == 5


def test_a_new_one_waits_behind_a_button_and_moves_nothing(page, inbox, alice):
    """UX 26."""
    five(alice)
    inbox()
    target = row(page, "Note 1")
    target.hover()
    before = target.bounding_box()
    rows.note(alice, "News 1")
    rows.note(alice, "News 2")
    button = page.get_by_role("button", name="Show 2 new")
    expect(button).to_be_visible()
    counted(page, 7)
    assert target.bounding_box() == before
    assert titles(page) == [f"Note {n}" for n in range(5)]
    button.click()
    expect(page.locator("#inbox-list .title")).to_have_count(7)
    assert titles(page)[:2] == ["News 2", "News 1"]
    expect(page.locator("#inbox-list .title").first).to_be_focused()
    assert page.evaluate("window.same") is True


@pytest.mark.parametrize("why", ["selected", "focused", "scrolled"])
def test_a_new_one_waits_while_the_reader_is_at_the_list(why, page, inbox, alice):
    """UX 26."""
    for n in range(40):
        rows.note(alice, f"Note {n}", (n + 1) * 20 * MINUTE, url="/jobs/")
    inbox()
    if why == "selected":
        row(page, "Note 1").get_by_role("checkbox").check()
        page.locator("h1").click()
    elif why == "focused":
        row(page, "Note 1").locator(".title").focus()
    else:
        page.evaluate("scrollTo(0, 300)")
        page.mouse.move(5, 5)
    rows.note(alice, "News")
    expect(page.get_by_role("button", name="Show 1 new")).to_be_attached()
    expect(page.locator("[data-show-new]")).not_to_have_attribute("hidden", "")
    assert "News" not in titles(page)
    page.locator("[data-show-new] button").click()
    expect(page.locator("#inbox-list .title").first).to_have_text("News")
    if why == "selected":
        expect(row(page, "Note 1").get_by_role("checkbox")).to_be_checked()


def test_a_new_one_comes_by_itself_to_who_only_looks(page, inbox, alice):
    five(alice)
    inbox()
    page.mouse.move(5, 5)
    rows.note(alice, "News")
    expect(page.locator("#inbox-list .title").first).to_have_text("News")
    expect(page.locator("[data-show-new]")).to_be_hidden()
    counted(page, 6)


def test_read_in_one_tab_is_read_in_all(page, context, inbox, site, alice):
    """UX 10, 25."""
    five(alice)
    inbox()
    other = context.new_page()
    other.goto(site + INBOX)
    home = context.new_page()
    home.goto(site + "/")
    for tab in (other, home):
        expect(tab.locator(LIVE)).to_be_visible(timeout=10_000)
    page.bring_to_front()
    row(page, "Note 1").hover()
    page.get_by_role("button", name="Mark as read: Note 1").click()
    expect(row(other, "Note 1")).not_to_have_attribute("data-unread", "", timeout=2000)
    for tab in (page, other, home):
        counted(tab, 4)
    page.get_by_role("button", name="Archive: Note 1").click()
    expect(other.locator("#inbox-list .title")).to_have_count(4)
    broadcasts.broadcast("For all")
    for tab in (page, other, home):
        counted(tab, 5)
    page.get_by_role("button", name="Show 1 new").click()
    page.get_by_role("button", name="Mark all read").first.click()
    for tab in (page, other, home):
        counted(tab, 0)
    assert listing.unread_count(alice) == Inbox.objects.get(user=alice).unread == 0


def test_what_is_selected_and_all_that_match(page, inbox, alice, monkeypatch):
    """UX 28."""
    for n in range(60):
        rows.note(alice, f"Article {n}", 20 * n * MINUTE, type="auto_ingest_error")
    rows.note(alice, "Other")
    inbox("?type=Articles")
    archive = page.locator("[data-bulk] [value=archive]")
    expect(archive).to_be_hidden()
    row(page, "Article 3").get_by_role("checkbox").check()
    expect(archive).to_have_text("Archive 1")
    page.locator("[data-pick-all]").check()
    expect(page.locator("[data-picked]")).to_have_text("50 selected")
    page.get_by_label("All 60 that match").check()
    expect(page.locator("[data-picked]")).to_have_text("60 selected")
    expect(archive).to_have_text("Archive 60")
    archive.click()
    expect(page.locator(".toast strong")).to_have_text("Archived 60 notifications")
    left = Notification.objects.filter(archived_at=None).values_list("title", flat=True)
    until(lambda: list(left.all()) == ["Other"], what="the sixty archived")
    expect(page.locator("#inbox-list")).to_contain_text("Nothing in Articles")
    page.keyboard.press("z")
    until(lambda: not Notification.objects.exclude(archived_at=None).exists(), what="all back")
    expect(page.locator("#inbox-list .title")).to_have_count(50)


def test_where_counting_ended_the_buttons_say_so_and_all_are_meant(page, inbox, alice):
    count = listing.MOST_COUNTED + 20
    rows.note(alice, "Note")
    note = {"recipient": alice, "type": "system", "level": "info", "title": "Note"}
    Notification.objects.bulk_create([Notification(**note) for _ in range(count - 1)], batch_size=2000)
    Inbox.objects.filter(user=alice).update(unread=count)
    inbox()
    page.locator("[data-pick-all]").check()
    page.get_by_label("All 10,000+ that match").check()
    expect(page.locator("[data-picked]")).to_have_text("10,000+ selected")
    archive = page.locator("[data-bulk] [value=archive]")
    expect(archive).to_have_text("Archive 10,000+")
    rows.note(alice, "News")
    expect(page.get_by_role("button", name="Show 1 new")).to_be_visible()
    archive.click()
    expect(page.locator(".toast strong")).to_have_text(f"Archived {count:,} notifications")
    assert Notification.objects.get(archived_at=None).title == "News"


def test_mark_all_read_means_all_whatever_the_page_shows_and_says_how_many(page, inbox, alice):
    """UX 28: a filter narrows the list, and what is read already is not counted."""
    for n in range(3):
        rows.note(alice, f"Article {n}", (n + 1) * 20 * MINUTE, type="auto_ingest_error")
    rows.note(alice, "Known", 90 * MINUTE, type="auto_ingest_error", read=True)
    rows.note(alice, "Other", 100 * MINUTE)
    inbox("?type=Articles&q=article")
    expect(page.locator("#inbox-list .title")).to_have_count(3)
    page.get_by_role("button", name="Mark all read").first.click()
    expect(page.locator(".toast strong")).to_have_text("Marked as read 4 notifications")
    counted(page, 0)
    assert not Notification.objects.filter(read_at=None).exists()
    page.keyboard.press("z")
    counted(page, 4)
    expect(page.locator("#inbox-list .notice[data-unread]")).to_have_count(3)
    assert Notification.objects.get(title="Known").read_at


def test_snooze_takes_the_readers_nine_oclock_and_a_chosen_time(page, inbox, alice):
    five(alice)
    inbox()
    zone = ZoneInfo(page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone"))
    row(page, "Note 0").get_by_role("checkbox").check()
    row(page, "Note 1").get_by_role("checkbox").check()
    page.locator("#snooze-bulk").click()
    menu = page.get_by_role("dialog", name="Snooze")
    expect(menu.get_by_role("button", name="Until the job finishes")).to_be_hidden()
    menu.get_by_role("button", name=re.compile("(Tomorrow|Monday) 09:00")).last.click()  # one on a Sunday
    expect(page.locator("#inbox-list .title")).to_have_count(3)
    until(lambda: Notification.objects.filter(snoozed_until=None).count() == 3, what="both snoozed")
    times = {note.snoozed_until.astimezone(zone) for note in Notification.objects.exclude(snoozed_until=None)}
    assert {(at.weekday(), at.hour, at.minute) for at in times} == {(0, 9, 0)}
    for day, shown in ((18, 2), (22, 1)):  # a Wednesday; a Sunday, whose tomorrow is Monday
        page.clock.set_fixed_time(datetime(2026, 11, day, 12))
        row(page, "Note 2").hover()
        page.get_by_role("button", name="Snooze: Note 2").click()
        expect(menu.get_by_role("button", name="09:00")).to_have_count(shown)
        page.keyboard.press("Escape")
    row(page, "Note 2").hover()
    page.get_by_role("button", name="Snooze: Note 2").click()
    menu.get_by_label("Pick a time").fill("2020-01-01T10:00")
    menu.get_by_role("button", name="Snooze until then").click()
    expect(menu).to_be_visible()
    menu.get_by_label("Pick a time").fill("2031-05-06T07:08")
    menu.get_by_role("button", name="Snooze until then").click()
    expect(page.locator("#inbox-list .title")).to_have_count(2)
    chosen = datetime(2031, 5, 6, 7, 8, tzinfo=zone)
    until(lambda: Notification.objects.get(title="Note 2").snoozed_until == chosen, what="the time")


def test_all_that_match_are_those_the_reader_was_shown(page, inbox, alice):
    """UX 28: what comes meanwhile is neither counted nor touched."""
    for n in range(60):
        rows.note(alice, f"Note {n}", 20 * n * MINUTE)
    inbox()
    page.locator("[data-pick-all]").check()
    rows.note(alice, "News")
    expect(page.get_by_role("button", name="Show 1 new")).to_be_visible()
    counted(page, 61)
    page.get_by_label("All 60 that match").check()
    archive = page.locator("[data-bulk] [value=archive]")
    expect(archive).to_have_text("Archive 60")
    archive.click()
    expect(page.locator(".toast strong")).to_have_text("Archived 60 notifications")
    until(lambda: Notification.objects.get(archived_at=None).title == "News", what="the sixty archived")


def test_the_row_of_a_job_says_in_place_what_became_of_it_and_offers_what_can_be_done(page, inbox, alice):
    """One row a job, which moves up only when the reader lets it."""
    job = rows.job(alice, "running")
    rows.told(job, 2 * MINUTE)
    rows.note(alice, "Note", MINUTE)
    inbox()
    row(page, "Note").hover()
    rows.end(job, "partial", done=21, failed=3, message="21 of 24 filings.")
    told = rows.told(job)
    changed = page.locator("#inbox-list .notice").nth(1)
    expect(changed.locator(".title")).to_have_text("Shelves finished with 3 errors")
    expect(changed.locator("p")).to_have_text("21 of 24 filings.")
    expect(changed).to_have_attribute("data-status", "completed_with_errors")
    expect(changed.get_by_role("button", name="Archive: Shelves finished with 3 errors")).to_be_attached()
    counted(page, 2)
    page.get_by_role("button", name="Show 1 new").click()
    expect(page.locator("#inbox-list .title").first).to_have_text(told.title)
    page.get_by_role("button", name="Retry what failed: Shelves finished with 3 errors").click()
    page.wait_for_url("**/jobs/*/")
    assert Job.objects.get(retry_of=job).get_absolute_url() in page.url
    assert page.watched.wrong == []


def test_a_job_is_snoozed_until_it_finishes_and_muted_from_its_row(page, inbox, alice):
    job = rows.job(alice, "running")
    about = {"about": job.stream, "url": job.get_absolute_url(), "data": {"open": True}}
    rows.note(alice, "Shelves has started", **about)
    inbox()
    page.locator("#inbox-list .notice").hover()
    page.get_by_role("button", name="Mute the job: Shelves has started").click()
    expect(page.locator(".toast strong")).to_have_text("Muted")
    until(lambda: Mute.objects.filter(about=job.stream).exists(), what="the mute")
    page.keyboard.press("z")
    until(lambda: not Mute.objects.exists(), what="the mute undone")
    page.locator("#inbox-list .notice").hover()
    page.get_by_role("button", name="Snooze: Shelves has started").click()
    page.get_by_role("button", name="Until the job finishes").click()
    until(lambda: Notification.objects.get().snoozed_at, what="the snooze")
    assert Notification.objects.get().snoozed_until is None


def test_a_fold_opens_and_is_acted_on_as_one(page, inbox, alice):
    for n in range(4):
        rows.note(alice, f"Topic {n}", n * MINUTE, type="auto_ingest_complete", url="/jobs/")
    inbox()
    fold = page.locator("li.fold")
    expect(fold.locator("summary")).to_contain_text("4 topics were collected")
    fold.locator("summary").click()
    expect(fold.locator("li.notice")).to_have_count(4)
    page.mouse.move(5, 5)
    fold.locator("li.notice").nth(1).hover()
    page.get_by_role("button", name="Mark as read: Topic 1").click()
    counted(page, 3)
    page.get_by_label("Select all of: 4 topics").check()
    expect(page.locator("[data-picked]")).to_have_text("4 selected")
    page.get_by_role("button", name="Archive: 4 topics were collected").click()
    expect(fold).to_be_hidden()
    until(lambda: not Notification.objects.filter(archived_at=None).exists(), what="all four archived")
    page.keyboard.press("z")
    expect(fold).to_be_visible()
    expect(fold.locator("li.notice[data-unread]")).to_have_count(3)


NAMED = [
    pytest.param(zone, marks=pytest.mark.browser_context_args(timezone_id=zone))
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC")
]


@pytest.mark.parametrize("zone", NAMED)
def test_days_are_the_readers(zone, page, inbox, alice):
    for hours in range(0, 50, 3):
        rows.note(alice, f"{hours} h ago", timedelta(hours=hours))
    inbox()
    here = ZoneInfo(zone)
    found = page.eval_on_selector_all(
        "#inbox-list li",
        "all => all.map((row) => [row.dataset.at, row.parentElement.previousElementSibling.textContent])",
    )
    today = datetime.now(here).date()
    for at, group in found:
        days = (today - datetime.fromisoformat(at).astimezone(here).date()).days
        if days < 2:
            assert group == ["Today", "Yesterday"][days], (at, group)
    headings = page.locator("#inbox-list h2:visible").all_inner_texts()
    assert headings[:2] == ["Today", "Yesterday"] and len(headings) == len(set(headings))


@pytest.mark.seed("SEC34", "SEC35")
@pytest.mark.parametrize("evil", [*POLYGLOTS[::5], POLYGLOTS[-1]])
def test_hostile_titles_are_shown_as_they_are(evil, page, signed_in, alice):
    """SEC34, SEC35: in page, bell, message and title, as painted and as arrived."""
    signed_in(alice)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    rows.note(alice, evil, text=evil, level="error", url="/jobs/")
    assert page.locator(".toast a").text_content() == evil
    page.click("#bell-btn")
    assert page.locator("#bell-body .title").text_content() == evil
    page.goto(page.url + "inbox/")
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    assert page.locator("#inbox-list .title").text_content() == evil
    page.locator("#inbox-list .notice").hover()
    page.locator("[data-do=archive]").click()
    assert page.locator(".toast p").text_content() == evil
    page.keyboard.press("z")
    page.mouse.move(5, 5)
    rows.note(alice, f"2{evil}"[:200])
    expect(page.locator("#inbox-list .title").first).to_have_text(f"2{evil}"[:200])
    assert page.watched.wrong == []


@pytest.mark.parametrize(
    "script", [pytest.param(False, marks=pytest.mark.browser_context_args(java_script_enabled=False))]
)
def test_all_of_it_without_script(script, page, signed_in, alice):
    """UX 3.9."""
    five(alice)
    signed_in(alice)
    page.locator("a[data-bell-link]").click()
    page.wait_for_url("**/inbox/")
    page.get_by_role("button", name="Archive: Note 1").click(force=True)
    expect(page.locator("#inbox-list .title")).to_have_count(4)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#inbox-list .title")).to_have_count(5)
    page.get_by_role("checkbox", name="Select: Note 0").check()
    page.locator("#snooze-bulk").click()
    page.get_by_role("button", name="Tomorrow 09:00").click()
    expect(page.locator("#inbox-list .title")).to_have_count(4)
    page.get_by_role("link", name="Snoozed").click()
    expect(page.locator("#inbox-list")).to_contain_text("Until tomorrow 09:00")
    assert acting.read(alice, listing.Filter("unread")).count == 4
