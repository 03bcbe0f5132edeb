"""The inbox page without script: views, filters, pages, forms."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from ingestion import serializers
from notifications import acting, broadcasts, days, forms, inbox, listing, pages
from notifications.models import Inbox, Mute, Notification
from tests.pages import rows

pytestmark = pytest.mark.django_db
INBOX = "/inbox/"
JSON = {"Accept": "application/json"}


@pytest.fixture
def listed(client: Client, alice):
    """Return a function that gives the inbox's HTML for a query."""
    client.force_login(alice)
    return lambda **query: client.get(INBOX, query).content.decode()


def act(client, **fields):
    return client.post(f"{INBOX}act/", fields, headers=JSON)


def titles(html):
    return re.findall(r'class="title"[^>]*>([^<]+)<', html)


def test_it_shows_rows_newest_first_with_sentence_time_and_state(listed, alice):
    rows.note(alice, "Older", timedelta(hours=2), url="/jobs/", level="error")
    rows.note(alice, "Newer", text="24 filings, 28,114 facts.", read=True)
    html = listed()
    assert titles(html) == ["Newer", "Older"]
    at = timezone.localtime(Notification.objects.get(title="Older").updated_at)
    shown = "2 h" if at.date() == timezone.localdate() else f"{at:%H:%M}"
    assert "24 filings, 28,114 facts." in html and f">{shown}</time>" in html
    assert '<a class="title" href="/jobs/">Older</a>' in html
    assert 'data-status="failed" data-unread' in html
    assert html.count(" data-unread>") == 1


OFFERED = [
    ("failed", ["Retry"]),
    ("partial", ["Retry"]),
    ("waiting", ["Review"]),
    ("running", []),
    ("completed", []),
    ("cancelled", []),
]


@pytest.mark.parametrize(("state", "offered"), OFFERED)
def test_the_row_of_a_job_says_how_it_is_and_offers_its_owner_more(state, offered, client, alice, bob):
    job = rows.job(alice, state, items_total=2, items_done=1, items_failed=int(state == "partial"))
    inbox.follow(bob, job.stream)
    rows.told(job)
    shown = {}
    for user in (alice, bob):
        client.force_login(user)
        shown[user] = client.get(INBOX).content.decode()
        assert f'data-status="{serializers.display(job)}"' in shown[user]
    offers = {"Retry": f'formaction="/jobs/{job.pk}/retry/"', "Review": f'href="/jobs/{job.pk}/review/"'}
    assert [word for word, markup in offers.items() if markup in shown[alice]] == offered
    assert [word for word, markup in offers.items() if markup in shown[bob]] == []


def test_each_view_shows_its_rows_and_counts_them(listed, alice):
    for n in range(3):
        rows.note(alice, f"New {n}")
    rows.note(alice, "Known", read=True)
    acting.archive(alice, [rows.note(alice, "Put away").pk])
    acting.snooze(alice, [rows.note(alice, "Put off").pk], timezone.now() + timedelta(days=1))
    assert titles(listed()) == ["Known", "New 2", "New 1", "New 0"]
    assert titles(listed(view="unread")) == ["New 2", "New 1", "New 0"]
    assert titles(listed(view="snoozed")) == ["Put off"]
    assert "Until <time" in listed(view="snoozed") and ">tomorrow " in listed(view="snoozed")
    assert titles(listed(view="archived")) == ["Put away"]
    shown = dict(re.findall(r'data-count="([^"]+)"[^>]*>([^<]+)<', listed()))
    assert shown == {"inbox": "4", "unread": "3", "snoozed": "1", "archived": "0", "type System": "4"}


def test_the_count_is_the_same_everywhere_and_that_of_the_database(listed, client, alice, bob):
    """UX 25."""
    for n in range(7):
        rows.note(alice, f"n{n}")
    rows.note(alice, "read", read=True)
    rows.note(bob, "not hers")
    broadcasts.broadcast("For all")
    html = listed()
    told = re.findall(r"data-unread-count[^>]*>([^<]+)<", html)
    assert told == ["8", "8", "8"] and html.count(", 8 unread") == 3
    assert "<title>(8) Inbox · Headway</title>" in html
    mine = Notification.objects.filter(recipient=alice, read_at=None).count()
    assert Inbox.objects.get(user=alice).unread == mine == 7
    assert listing.unread_count(alice) == 8


def test_the_bell_says_99_and_more(listed, alice):
    for n in range(101):
        rows.note(alice, f"n{n}")
    html = listed()
    assert re.findall(r"data-unread-count[^>]*>([^<]+)<", html) == ["101", "99+", "99+"]
    assert "<title>(101) Inbox" in html


def test_a_group_of_types_and_words_narrow_the_list(listed, alice):
    rows.note(alice, "Topic is ready", type="auto_ingest_complete", text="Supplier risk")
    rows.note(alice, "Maintenance on Sunday")
    assert titles(listed(type="articles")) == ["Topic is ready"]
    assert titles(listed(q="supplier")) == ["Topic is ready"]
    html = listed(type="Articles", q="sunday")
    assert titles(html) == [] and "No notification matches" in html and "in Articles" in html
    assert 'name="type" value="Articles"' in html and 'value="sunday"' in html


def test_values_that_mean_nothing_are_left_out(listed, alice):
    rows.note(alice, "One")
    for before in ("x", "2026-13-45~1", "2026-01-01T00:00:00~1", "2999-01-01T00:00:00Z~1e5", "~", "\0"):
        assert titles(listed(view="nothing", type="<b>", before=before)) == ["One"]


def test_pages_by_key_show_every_row_once_though_new_ones_come(listed, alice, monkeypatch):
    monkeypatch.setattr("notifications.pages.PAGE", 10)
    for n in range(25):
        rows.note(alice, f"n{n:02}", timedelta(minutes=n))
    seen, query = [], ""
    html = listed()
    while True:
        seen += titles(html)
        rows.note(alice, "meanwhile")
        found = re.search(r'href="\?([^"]+)" rel="next"', html)
        if not found:
            break
        query = dict(one.split("=") for one in found[1].split("&amp;"))
        html = listed(before=query["before"].replace("%3A", ":").replace("%7E", "~").replace("%2B", "+"))
    assert seen == [f"n{n:02}" for n in range(25)]
    assert ">Newest</a>" in html


def test_rows_are_grouped_by_day(listed, alice):
    for ago in (0, 1, 200, 800):
        rows.note(alice, f"{ago} days ago", timedelta(days=ago))
    groups = re.findall(r'<h2 class="group">([^<]+)<', listed())
    assert groups[:2] == ["Today", "Yesterday"] and len(groups) == 4
    assert re.fullmatch(r"\w+ \d{4}", groups[3])


def test_a_burst_of_one_type_is_drawn_as_one_and_counts_stay(listed, client, alice):
    for n in range(12):
        rows.note(alice, f"Topic {n}", timedelta(seconds=10 * n), type="auto_ingest_complete")
    html = listed()
    assert "12 topics were collected" in html and "Grouped from 12 notifications." in html
    assert html.count('name="pick"') == 12 and 'data-count="unread">12<' in html
    keys = re.search(r'name="one" value="archive (\d+,[\d,]+)"', html)[1]
    assert act(client, one=f"archive {keys}").json()["count"] == 12
    assert titles(listed()) == []


def test_the_page_costs_as_many_queries_for_many_rows_as_for_few(
    listed, client, alice, django_assert_max_num_queries
):
    broadcasts.broadcast("For all")
    for n in range(60):
        rows.note(alice, f"n{n}", timedelta(minutes=20 * n))
    with django_assert_max_num_queries(22):
        listed()


def test_one_row_is_acted_on_and_the_reader_comes_back_to_the_list(listed, client, alice):
    note = rows.note(alice, "One")
    answer = client.post(f"{INBOX}act/", {"one": f"archive {note.pk}", "view": "unread", "q": "on e"})
    assert answer.status_code == 302 and answer["Location"] == "/inbox/?view=unread&q=on+e"
    assert titles(listed()) == []
    assert titles(listed(view="archived")) == ["One"]


def test_what_was_done_can_be_undone_without_script(listed, client, alice):
    note = rows.note(alice, "One")
    html = client.post(f"{INBOX}act/", {"one": f"archive {note.pk}"}, follow=True).content.decode()
    assert "Archived: 1 notification" in html
    token = re.search(r'name="undo" value="([^"]+)"', html)[1]
    client.post(f"{INBOX}act/", {"undo": token})
    assert titles(listed()) == ["One"]


@pytest.mark.parametrize("verb", ["read", "archive", "snooze"])
def test_undo_brings_back_exactly_what_was_changed(verb, client, alice):
    client.force_login(alice)
    old = rows.note(alice, "old", read=True)
    new = [rows.note(alice, f"n{n}") for n in range(3)]
    before = list(Notification.objects.order_by("pk").values("read_at", "archived_at", "snoozed_at"))
    token = act(client, verb=verb, all="1", until="hour", upto=timezone.now().isoformat()).json()["undo"]
    assert act(client, undo=token).json()["unread"] == 3
    assert list(Notification.objects.order_by("pk").values("read_at", "archived_at", "snoozed_at")) == before
    assert Inbox.objects.get(user=alice).unread == len(new) and old.read_at


@pytest.mark.parametrize("verb", ["unread", "restore", "wake", "read", "archive", "snooze"])
def test_more_than_a_request_may_name_are_undone_by_their_time_or_not_offered_to_be(
    verb, client, alice, monkeypatch
):
    monkeypatch.setattr(forms, "MAX_PICKED", 2)
    client.force_login(alice)
    for n in range(3):
        rows.note(alice, f"n{n}", read=verb == "unread")
    view = {"restore": "archived", "wake": "snoozed"}.get(verb, "inbox")
    if view == "archived":
        acting.archive(alice, listing.Filter())
    if view == "snoozed":
        acting.snooze(alice, listing.Filter(), timezone.now() + timedelta(days=1))
    before = list(Notification.objects.order_by("pk").values("read_at", "archived_at", "snoozed_at"))
    done = act(client, verb=verb, all="1", view=view, until="hour", upto=timezone.now().isoformat()).json()
    assert done["count"] == 3 and bool(done["undo"]) == (verb in ("read", "archive", "snooze"))
    if done["undo"]:
        assert act(client, undo=done["undo"]).json()["count"] == 3
        assert before == list(
            Notification.objects.order_by("pk").values("read_at", "archived_at", "snoozed_at")
        )


def test_undo_of_a_move_to_the_inbox_puts_off_until_the_same_times(client, alice):
    client.force_login(alice)
    notes = [rows.note(alice, f"n{n}", data={"open": True}) for n in range(3)]
    until = [timezone.now() + timedelta(days=1), timezone.now() + timedelta(days=2), None]
    for note, at in zip(notes, until, strict=True):
        acting.snooze(alice, [note.pk], at)
    woken = act(client, verb="wake", pick=[note.pk for note in notes]).json()
    assert (woken["count"], woken["unread"]) == (3, 3)
    assert act(client, undo=woken["undo"]).json()["unread"] == 0
    found = Notification.objects.order_by("pk").exclude(snoozed_at=None)
    assert list(found.values_list("snoozed_until", flat=True)) == until
    assert act(client, one=f"archive {notes[0].pk}").json()["count"] == 1
    assert act(client, undo=woken["undo"]).json()["count"] == 0  # what was archived since stays so


@pytest.mark.parametrize("verb", ["read", "archive", "snooze"])
def test_what_changed_nothing_offers_no_undo(verb, client, alice):
    client.force_login(alice)
    note = rows.note(alice, "One")
    fields = {"one": f"{verb} {note.pk}", "until": "at", "at": "2099-01-01T09:00:00Z"}
    done, again = (act(client, **fields).json() for _ in range(2))
    assert (done["count"], bool(done["undo"])) == (1, True)
    assert (again["count"], again["undo"]) == (0, "")


def test_an_undo_is_its_users_alone(client, alice, bob):
    client.force_login(alice)
    token = act(client, one=f"archive {rows.note(alice, 'One').pk}").json()["undo"]
    client.force_login(bob)
    assert act(client, undo=token).status_code == 422
    assert Notification.objects.get().archived_at is not None


def test_somebody_elses_row_is_left_alone(client, alice, bob):
    note = rows.note(alice, "Hers")
    client.force_login(bob)
    for verb in ("read", "archive", "snooze", "unread"):
        assert act(client, one=f"{verb} {note.pk}", until="hour").json()["count"] == 0
    assert Inbox.objects.get(user=alice).unread == 1


def test_bulk_under_a_filter_touches_what_matches_and_nothing_else(listed, client, alice, monkeypatch):
    """UX 28."""
    monkeypatch.setattr("notifications.pages.PAGE", 3)
    for n in range(5):
        rows.note(alice, f"Article {n}", timedelta(hours=n), type="auto_ingest_error")
        rows.note(alice, f"Other {n}", timedelta(hours=n))
    html = listed(type="Articles")
    assert 'data-matching="5"' in html and ">5</span> that match" in html and "Select all 3" in html
    upto = re.search(r'name="upto" value="([^"]+)"', html)[1]
    rows.note(alice, "Came later", type="auto_ingest_error")
    done = act(client, verb="archive", all="1", type="Articles", upto=upto).json()
    assert done["count"] == 5
    left = set(Notification.objects.filter(archived_at=None).values_list("title", flat=True))
    assert left == {"Came later", *(f"Other {n}" for n in range(5))}


def test_the_ticked_ones_are_acted_on(client, alice):
    client.force_login(alice)
    notes = [rows.note(alice, f"n{n}") for n in range(4)]
    answer = act(client, verb="read", pick=[notes[0].pk, notes[2].pk]).json()
    assert answer["count"] == 2 and answer["unread"] == 2
    assert act(client, verb="read").json()["count"] == 0


def test_mark_all_read_leaves_what_came_after_the_page(listed, client, alice):
    rows.note(alice, "before")
    upto = re.search(r'name="upto" value="([^"]+)"', listed())[1]
    rows.note(alice, "after")
    assert act(client, verb="read", all="1", view="unread", upto=upto).json()["unread"] == 1


@pytest.mark.parametrize("where", ["", "bell/"])
def test_what_was_shown_is_told_by_the_database_not_by_the_web_hosts_clock(where, client, alice, monkeypatch):
    rows.note(alice, "before")
    broadcasts.broadcast("For all")
    client.force_login(alice)
    monkeypatch.setattr("notifications.pages.timezone.now", lambda: datetime.now(UTC) + timedelta(hours=1))
    html = client.get(INBOX + where).content.decode()
    upto = re.search(r'(?:name="upto" value|data-upto)="([^"]+)"', html)[1]
    monkeypatch.undo()
    rows.note(alice, "after")
    done = act(client, verb="read", all="1", view="unread", upto=upto).json()
    assert (done["count"], done["unread"]) == (2, 1)


@pytest.mark.parametrize("upto", ["", "yesterday"])
def test_all_that_match_without_what_was_shown_is_refused(upto, client, alice):
    client.force_login(alice)
    rows.note(alice, "One")
    assert act(client, verb="read", all="1", view="unread", upto=upto).status_code == 422
    assert Inbox.objects.get(user=alice).unread == 1


def test_a_broadcast_is_read_and_archived_for_one(listed, client, alice, bob):
    note = broadcasts.broadcast("For all")
    assert titles(listed()) == ["For all"] and "Snooze: For all" not in listed()
    assert act(client, one=f"read -{note.pk}").json()["unread"] == 0
    act(client, one=f"archive -{note.pk}")
    assert titles(listed()) == [] and listing.unread_count(bob) == 1


@pytest.mark.seed("UX28")
def test_snooze_without_script_says_how_many_it_means(client, alice):
    client.force_login(alice)
    for n in range(3):
        rows.note(alice, f"{n}", type="task_complete" if n else "system")
    shared = broadcasts.broadcast("For all")
    upto = timezone.now().isoformat()
    rows.note(alice, "later", type="task_complete")

    def asked(**query):
        return client.get(f"{INBOX}snooze/", query).content.decode()

    assert "Snooze 2 notifications" in asked(all="1", type="jobs", upto=upto)
    assert "Snooze 3 notifications" in asked(all="1", upto=upto)
    assert f'name="upto" value="{upto}"' in asked(all="1", upto=upto)
    assert "Snooze 1 notification<" in asked(pick=[-shared.pk, Notification.objects.first().pk])
    done = act(client, verb="snooze", all="1", type="jobs", upto=upto, until="tomorrow")
    assert done.json()["count"] == 2
    lost = client.get(f"{INBOX}snooze/", {"all": "1"}, follow=True)
    assert "The page does not say what it has shown" in lost.content.decode()


def test_snooze_asks_until_when_without_script(listed, client, alice):
    note = rows.note(alice, "One")
    asked = client.post(f"{INBOX}act/", {"verb": "snooze", "pick": [note.pk], "type": "System"}, follow=True)
    html = asked.content.decode()
    assert "Snooze 1 notification" in html and f'name="pick" value="{note.pk}"' in html
    client.post(f"{INBOX}act/", {"verb": "snooze", "pick": [note.pk], "until": "tomorrow"})
    note.refresh_from_db()
    tomorrow = timezone.localtime() + timedelta(days=1)
    assert (note.snoozed_until.date(), note.snoozed_until.hour) == (tomorrow.date(), 9)


@pytest.mark.parametrize("until", ["", "never", "at"])
def test_a_snooze_without_a_time_is_refused(until, client, alice):
    client.force_login(alice)
    note = rows.note(alice, "One")
    for at in ("", "x", "2020-01-01T10:00", "9999-12-31T23:59:59-14:00"):
        fields = {"one": f"snooze {note.pk}", "until": until, "at": at}
        assert act(client, **fields).status_code == 422
    note.refresh_from_db()
    assert note.snoozed_at is None


def test_nine_oclock_is_the_readers(client, alice):
    client.force_login(alice)
    note = rows.note(alice, "One")
    act(client, one=f"snooze {note.pk}", until="tomorrow", zone="Pacific/Kiritimati")
    note.refresh_from_db()
    assert note.snoozed_until.astimezone(ZoneInfo("Pacific/Kiritimati")).hour == 9
    act(client, one=f"snooze {note.pk}", until="tomorrow", zone="../etc/passwd")
    note.refresh_from_db()
    assert note.snoozed_until.astimezone(UTC).hour == 9


FRIDAY = datetime(2026, 10, 23, 22, 30, tzinfo=ZoneInfo("Europe/London"))  # the last Friday of summer time


@pytest.mark.parametrize(
    ("choice", "now", "woken"),
    [
        ("hour", FRIDAY, "2026-10-23T22:30:00+00:00"),
        ("tomorrow", FRIDAY, "2026-10-24T08:00:00+00:00"),
        ("monday", FRIDAY, "2026-10-26T09:00:00+00:00"),  # the clocks went back on Sunday
        ("monday", FRIDAY + timedelta(days=3), "2026-11-02T09:00:00+00:00"),  # asked on a Monday
    ],
)
def test_when_what_was_put_off_comes_back(choice, now, woken):
    assert days.wake(choice, now).astimezone(UTC).isoformat() == woken


def test_monday_is_not_offered_where_it_is_tomorrow(client, alice):
    assert days.choices(FRIDAY + timedelta(days=2)) == ("hour", "tomorrow")
    assert days.choices(FRIDAY) == days.choices(FRIDAY + timedelta(days=3)) == days.CHOICES
    client.force_login(alice)
    html = client.get(f"{INBOX}snooze/", {"pick": [rows.note(alice, "One").pk]}).content.decode()
    assert ("Monday 09:00" in html) == ("monday" in days.choices(timezone.localtime()))


NOW = datetime(2026, 11, 19, 14, 32, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("at", "group", "row", "since"),
    [
        (datetime(2026, 11, 19, 14, 31, 30), "Today", "30 s", "14:31"),
        (datetime(2026, 11, 19, 14, 18), "Today", "14 min", "14:18"),
        (datetime(2026, 11, 19, 0, 0), "Today", "14 h", "00:00"),
        (datetime(2026, 11, 18, 23, 59), "Yesterday", "23:59", "yesterday"),
        (datetime(2026, 11, 17, 10, 5), "Earlier this week", "Tue 10:05", "Tuesday"),
        (datetime(2026, 11, 16, 0, 0), "Earlier this week", "Mon 00:00", "Monday"),
        (datetime(2026, 11, 15, 23, 59), "November", "15 Nov", "Sunday"),
        (datetime(2026, 10, 1, 9, 0), "October", "1 Oct", "1 Oct"),
        (datetime(2025, 11, 19, 9, 0), "November 2025", "19 Nov 2025", "19 Nov 2025"),
    ],
)
def test_days_and_times_of_rows(at, group, row, since):
    at = at.replace(tzinfo=UTC)
    assert (days.group(at, NOW), days.row(at, NOW), days.since(at, NOW)) == (group, row, since)


def test_the_dropdown_shows_six_the_unread_first(client, alice):
    client.force_login(alice)
    for n in range(5):
        rows.note(alice, f"read {n}", timedelta(minutes=n), read=True)
    for n in range(3):
        rows.note(alice, f"new {n}", timedelta(hours=1 + n))
    html = client.get(f"{INBOX}bell/").content.decode()
    assert titles(html) == ["new 0", "new 1", "new 2", "read 0", "read 1", "read 2"]
    for n in range(8):
        rows.note(alice, f"more {n}")
    assert "5 more unread" in client.get(f"{INBOX}bell/").content.decode()


def test_a_page_reads_each_thing_once(alice, django_assert_num_queries):
    rows.note(alice, "own")
    broadcasts.broadcast("shared")
    with django_assert_num_queries(6):  # upto, broadcasts and receipts, the list, the counts, the inbox
        context = pages.context(alice, pages.Filters())
    assert context["counts"] == {"inbox": 2, "unread": 2, "snoozed": 0}


def test_counts_that_end_at_a_limit_say_so(listed, alice, monkeypatch):
    monkeypatch.setattr(listing, "MOST_COUNTED", 2)
    for n in range(3):
        rows.note(alice, f"n{n}")
    html = listed()
    assert 'data-count="inbox">2+<' in html and 'data-count="unread">3<' in html
    assert 'data-more="+"' in html and 'data-more=""' in listed(view="unread")
    assert 'data-more="+"' in listed(view="unread", q="n")


def test_what_matches_is_at_least_what_is_shown(listed, alice, monkeypatch):
    for n in range(3):
        rows.note(alice, f"{n}", timedelta(hours=1), type="task_complete")
    rows.note(alice, "newest")
    monkeypatch.setattr(listing, "MOST_COUNTED", 2)
    assert 'data-matching="3" data-more="+"' in listed(type="Jobs")


def test_muting_ends_with_its_undo(client, alice):
    client.force_login(alice)
    about = "job:0199aaaa-0000-7000-8000-000000000000"
    token = act(client, one=f"mute {about}").json()["undo"]
    assert Mute.objects.get().about == about
    assert act(client, one=f"mute {about}").json()["undo"] == ""  # it was muted before
    act(client, undo=token)
    assert not Mute.objects.exists()


@pytest.mark.parametrize("about", ["anything", "job:" + "x" * 150, "a b:c"])
def test_what_is_no_name_is_not_muted(client, alice, about):
    client.force_login(alice)
    refused = act(client, one=f"mute {about}")
    assert (refused.status_code, refused.json()["detail"]) == (422, "There is nothing to mute.")
    assert not Mute.objects.exists()


def test_nobody_mutes_without_end(client, alice, monkeypatch):
    monkeypatch.setattr(inbox, "MOST_ABOUTS", 1)
    client.force_login(alice)
    assert act(client, one="mute company:1").status_code == 200
    assert "is the limit" in act(client, one="mute company:2").json()["detail"]
    assert Mute.objects.get().about == "company:1"


@pytest.mark.seed("SEC31")
def test_a_link_that_is_none_is_text(listed, alice):
    """SEC31: even where the row was written past us."""
    note = rows.note(alice, "Click me")
    for url in ("javascript:alert(1)", "data:text/html,x", "//evil.test", "https://evil.test"):
        Notification.objects.filter(pk=note.pk).update(url=url)
        html = listed()
        assert f'value="read {note.pk}">Click me</button>' in html and "evil.test" not in html
        assert "javascript:" not in html


def test_nothing_changes_by_looking(client, alice):
    """SEC23: the address of every page, asked with GET."""
    client.force_login(alice)
    note = rows.note(alice, "One", url="/")
    before = Notification.objects.values().get()
    for path in ("", "bell/", f"snooze/?pick={note.pk}", "?view=unread"):
        assert client.get(f"{INBOX}{path}").status_code == 200
    assert client.get(f"{INBOX}act/?one=archive+{note.pk}").status_code == 405
    assert Notification.objects.values().get() == before


def test_it_asks_to_sign_in_first(client):
    for path in ("", "bell/", "snooze/", "act/"):
        answer = client.post(INBOX + path) if path == "act/" else client.get(INBOX + path)
        assert answer["Location"].startswith("/signin/?next=/inbox/")


def test_empty_views_say_what_is_missing(listed, client, alice):
    """UX 4.4."""
    html = listed()
    assert "You are up to date" in html and "snoozed until" not in html
    for n in range(2):
        act(client, one=f"snooze {rows.note(alice, f'n{n}').pk}", until="tomorrow")
    text = re.sub(r"<[^>]+>", "", listed())
    assert "2 are snoozed until tomorrow 09:00." in text and "See snoozed" in text
    assert "Nothing is archived" in listed(view="archived")
