"""Views, filters, search, pages, folding, the plan, and what the streams say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connection

from notifications import acting, broadcasts, entries, inbox, listing, newest, types
from notifications.listing import Filter
from notifications.models import Inbox, Notification
from realtime import streams

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)


@pytest.fixture
def rows(alice, bob):
    for n in range(5):
        inbox.notify([alice], "task_complete" if n % 2 else "system", f"row {n}", text=f"100% of {n}_x")
    inbox.notify([bob], "system", "bob's row")
    return list(Notification.objects.filter(recipient=alice).order_by("pk"))


def titles(user, *wanted, **more):
    return [entry.title for entry in listing.entries(user, Filter(*wanted), **{"limit": 50, **more})]


def groups(user, wanted):
    return listing.counts(user, wanted, [wanted.view], listing.live(user)).groups


@pytest.mark.seed("S2.4", "S2.25")
def test_each_view_shows_its_own_newest_first(alice, rows):
    acting.archive(alice, [rows[0].pk])
    acting.snooze(alice, [rows[1].pk], NOON + timedelta(days=9000))
    acting.read(alice, [rows[2].pk])

    assert titles(alice) == ["row 4", "row 3", "row 2"]
    assert titles(alice, "unread") == ["row 4", "row 3"]
    assert titles(alice, "snoozed") == ["row 1"]
    assert titles(alice, "archived") == ["row 0"]
    assert titles(alice, "read") == ["row 2"]
    assert len(titles(alice, "all")) == 5


def test_a_group_of_types_and_words_narrow_it_down(alice, rows):
    assert titles(alice, "inbox", "Jobs") == ["row 3", "row 1"]
    assert titles(alice, "inbox", "Nothing") == []
    assert titles(alice, "inbox", "", "ROW 3") == ["row 3"]
    assert titles(alice, "inbox", "", "100% of 2_") == ["row 2"]
    assert titles(alice, "inbox", "", "1__%") == []
    assert groups(alice, Filter("inbox", "Jobs")) == {"Jobs": 2, "System": 3}


def test_rows_of_a_type_that_nobody_declares_any_more_are_of_the_group_other(alice, rows):
    Notification.objects.filter(title="row 3").update(type="of_an_app_that_is_gone")

    assert "Other" in types.groups()
    assert titles(alice, "inbox", "Other") == ["row 3"]
    assert groups(alice, Filter()) == {"Jobs": 1, "System": 3, "Other": 1}


def test_all_views_are_counted_at_once_with_what_everybody_was_told(alice, rows, django_assert_num_queries):
    read = -broadcasts.broadcast("row read").pk
    broadcasts.broadcast("row unread")
    acting.read(alice, [read, rows[2].pk])
    acting.archive(alice, [rows[0].pk])
    acting.snooze(alice, [rows[1].pk], NOON + timedelta(days=9000))
    shared, views = listing.live(alice), ["inbox", "unread", "snoozed"]

    with django_assert_num_queries(2):
        counted = listing.counts(alice, Filter("unread"), views, shared)
    assert counted.views == {"inbox": 5, "unread": 3, "snoozed": 1} and counted.is_all
    assert counted.groups == {"System": 2, "Jobs": 1}
    assert listing.counts(alice, Filter(search="row"), views, shared).views == counted.views
    assert listing.counts(alice, Filter("archived"), ["archived"], shared).views == {"archived": 1}


def test_no_more_than_the_newest_ten_thousand_are_counted(alice, rows, monkeypatch):
    monkeypatch.setattr(listing, "MOST_COUNTED", 3)
    counted = listing.counts(alice, Filter(), ["inbox", "unread"], [])

    assert counted.views == {"inbox": 3, "unread": 5} and not counted.is_all


def test_pages_are_all_rows_once_whatever_comes_meanwhile(alice, rows):
    broadcasts.broadcast("for all")
    Notification.objects.filter(recipient=alice).update(updated_at=NOON)  # equal times: the id decides
    found, after = [], None
    while page := listing.entries(alice, Filter(), limit=2, after=after):
        found += [entry.title for entry in page]
        after = page[-1].key
        inbox.notify([alice], "system", "new")

    assert found == ["for all", "row 4", "row 3", "row 2", "row 1", "row 0"]


def test_the_bell_shows_the_unread_ones_first(alice, rows):
    acting.read(alice, [rows[4].pk, rows[2].pk])

    assert [entry.title for entry in listing.bell(alice, 4)] == ["row 3", "row 1", "row 0", "row 4"]


def entry_at(n, minutes, kind="task_complete"):
    at = NOON - timedelta(minutes=minutes)
    return entries.Entry(n, kind, "info", f"t{n}", "", "", None, 1, {}, at, at, *[None] * 5)


def drawn(found):
    return [[entry.id for entry in one.entries] for one in entries.fold(found)]


def test_a_burst_of_one_type_is_drawn_as_one():
    burst = [entry_at(n, n) for n in range(12)]
    folds = entries.fold(burst)

    assert drawn(burst) == [list(range(11)), [11]]
    assert folds[0].title == "11 jobs are done" and folds[0].first.id == 0 and folds[0].is_unread

    read = [replace(entry, read_at=NOON) for entry in burst[:3]]
    assert entries.fold([read[0], *burst[1:3]])[0].is_unread and not entries.fold(read)[0].is_unread


@pytest.mark.parametrize(
    "found",
    [
        [entry_at(1, 0), entry_at(2, 1)],
        [entry_at(1, 0), entry_at(2, 9), entry_at(3, 10.1)],
        [entry_at(n, n, "system") for n in range(5)],
        [entry_at(n, n, "job_waiting") for n in range(5)],
        [entry_at(n, n, "of_an_app_that_is_gone") for n in range(5)],
    ],
)
def test_what_is_no_burst_is_drawn_line_by_line(found):
    assert drawn(found) == [[entry.id] for entry in found]


def test_bursts_of_two_types_at_once_are_two_lines():
    found = [entry_at(n, n, "task_complete" if n % 2 else "job_failed") for n in range(6)]

    assert drawn(found) == [[0, 2, 4], [1, 3, 5]]


def test_pages_and_counts_use_the_indexes_that_are_for_them(alice, bob):
    users = [*User.objects.bulk_create(User(username=f"u{n}", password="!") for n in range(200))]
    Notification.objects.bulk_create(
        Notification(recipient=user, type="system", level="info", title="x", read_at=NOON if n % 5 else None)
        for user in users
        for n in range(50)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE notifications_notification")
    after = (NOON + timedelta(days=9000), 5000)
    for view, index in (("inbox", "notification_newest"), ("unread", "notification_unread")):
        read = partial(listing.entries, users[7], Filter(view), limit=50, after=after, shared=[])
        plan = plan_of(read)
        assert f"Index Scan using {index}" in plan and "Sort" not in plan, plan
    plan = plan_of(lambda: listing.counts(users[7], Filter("inbox", search="x"), ["inbox", "unread"], []))
    assert "notification_newest" in plan and "Seq Scan" not in plan, plan


def plan_of(question):
    """Return the plan of the one statement that answers a question."""
    asked = []

    def note(run, sql, params, many, context):
        asked.append((sql, params))
        return run(sql, params, many, context)

    with connection.execute_wrapper(note):
        question()
    ((sql, params),) = asked
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}", params)
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.seed("S2.26", "S2.111")
def test_the_stream_says_the_count_and_the_newest_rows_in_one_frame(alice, bob, rows):
    acting.read(alice, [rows[4].pk])
    made = broadcasts.broadcast("for all")
    acting.read(bob, [-made.pk])

    said = _read(alice, bob)
    assert said[alice.pk]["unread"] == 4
    assert [row["title"] for row in said[alice.pk]["newest"]] == [
        "row 3",
        "row 2",
        "row 1",
        "row 0",
        "row 4",
    ]
    assert said[alice.pk]["done_with"] == [] and said[bob.pk]["done_with"] == [-made.pk]
    everybody = streams.kinds()["broadcast"]
    assert everybody.visible(alice, ["", "7"]) == {""}
    assert everybody.versions([""]) == {"": 1}


def test_a_live_broadcast_stays_read_whatever_is_withdrawn(alice):
    kept = broadcasts.broadcast("kept").pk
    acting.read(alice, [-kept])
    for n in range(broadcasts.MOST_LIVE):
        gone = broadcasts.broadcast(f"gone {n}").pk
        acting.read(alice, [-gone])
        broadcasts.withdraw(gone)

    assert _read(alice)[alice.pk]["done_with"] == [-kept]


def test_a_broadcast_that_shows_again_stays_read(alice):
    first = broadcasts.broadcast("first").pk
    acting.read(alice, [-first])
    for n in range(broadcasts.MOST_LIVE):
        later = broadcasts.broadcast(f"later {n}").pk

    said = _read(alice)[alice.pk]["done_with"]
    broadcasts.withdraw(later)  # moves no user's stream

    assert said == [-first] and broadcasts.live()[-1].pk == first


def _read(*users):
    return newest.inboxes([user.pk for user in users])


def test_who_has_many_unread_rows_is_shown_six(alice):
    for n in range(8):
        inbox.notify([alice], "system", f"{n}")

    assert [row["title"] for row in _read(alice)[alice.pk]["newest"]] == list("765432")
    assert Inbox.objects.get().unread == 8


@pytest.mark.django_db(transaction=True)
def test_a_broadcast_moves_one_stream_and_no_users(alice):
    broadcasts.broadcast("for all")
    reading = streams.kinds()["broadcast"].read({"": None})[""]

    assert reading.version == 1
    assert [row["title"] for row in reading.data["live"]] == ["for all"]
    assert not Inbox.objects.exists()
