"""What users do: read, archive, snooze, delete; by ids, by a filter, undone; their own alone."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from notifications import acting, broadcasts, inbox, listing
from notifications.listing import Filter
from notifications.models import Broadcasts, Inbox, Notification

pytestmark = pytest.mark.django_db(transaction=True)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def rows(alice, bob, counted):
    """Give alice three unread rows of two types, the second of an open job, and bob one."""
    inbox.notify([alice], "system", "one")
    inbox.notify([alice], "task_complete", "two", data={"open": True})
    inbox.notify([alice], "task_complete", "three")
    inbox.notify([bob], "system", "bob's")
    return dict(Notification.objects.values_list("title", "pk"))


def titles(user, view):
    return [entry.title for entry in listing.entries(user, Filter(view), limit=50)]


@pytest.mark.seed("S2.4", "S2.27", "S2.28")
def test_reading_one_and_reading_all(alice, bob, rows):
    assert acting.read(alice, [rows["one"]]).ids == [rows["one"]]
    assert listing.unread_count(alice) == 2

    assert acting.read(alice, Filter("unread")).count == 2
    assert (listing.unread_count(alice), listing.unread_count(bob)) == (0, 1)


@pytest.mark.seed("S2.27", "S2.29", "S2.103")
@pytest.mark.parametrize("name", ["see", "read", "unread_again", "archive", "restore", "wake", "delete"])
def test_nobody_acts_on_somebody_elses(alice, rows, name):
    before = Notification.objects.values().get(pk=rows["bob's"])

    assert getattr(acting, name)(alice, [rows["bob's"]]).count == 0
    assert getattr(acting, name)(alice, [rows["bob's"] + 1000]).count == 0
    assert Notification.objects.values().get(pk=rows["bob's"]) == before


@pytest.mark.parametrize("name", ["see", "read", "archive", "delete"])
def test_twice_is_once(alice, rows, name):
    verb = getattr(acting, name)
    assert verb(alice, [rows["one"]]).count == 1
    before = Inbox.objects.values().get(pk=alice.pk)

    assert verb(alice, [rows["one"]]).count == 0
    assert Inbox.objects.values().get(pk=alice.pk) == before


@pytest.mark.seed("S2.4", "S2.29", "S2.30")
def test_deleting_one_and_deleting_all_that_are_read(alice, rows):
    acting.read(alice, [rows["one"], rows["two"]])

    assert acting.delete(alice, Filter("read")).count == 2
    assert titles(alice, "all") == ["three"]
    assert acting.delete(alice, [rows["three"]]).count == 1
    assert listing.unread_count(alice) == 0


def test_bulk_under_a_filter_touches_only_what_matches_and_says_how_many(alice, rows):
    done = acting.archive(alice, Filter("inbox", group="Jobs"))

    assert done.count == 2
    assert titles(alice, "inbox") == ["one"]
    assert acting.archive(alice, Filter("inbox", search="ON")).count == 1


def test_bulk_leaves_alone_what_came_after_the_page(alice, rows):
    seen = Notification.objects.get(pk=rows["three"]).updated_at
    inbox.notify([alice], "system", "late")

    assert acting.read(alice, Filter("unread", until=seen)).count == 3
    assert titles(alice, "unread") == ["late"]


def test_bulk_leaves_alone_what_everybody_was_told_after_the_page(alice, rows):
    first, late = broadcasts.broadcast("first"), broadcasts.broadcast("late")

    assert -first.pk in acting.read(alice, Filter("unread", until=first.published_at)).ids
    assert titles(alice, "unread") == ["late"] and late.pk != first.pk


def test_undo_restores_exactly_what_was_touched(alice, rows):
    acting.archive(alice, [rows["one"]])
    order = titles(alice, "inbox")
    done = acting.archive(alice, Filter("inbox"))

    assert acting.restore(alice, done.at).ids == done.ids
    assert titles(alice, "inbox") == order
    assert titles(alice, "archived") == ["one"]

    done = acting.read(alice, Filter("unread"))
    acting.read(alice, [rows["one"]])
    assert acting.unread_again(alice, done.at).count == 2


def test_undo_knows_the_broadcasts_that_it_touched(alice, bob, rows):
    first, second = (-broadcasts.broadcast(title).pk for title in ("first", "second"))
    acting.read(alice, [first])
    done = acting.read(alice, Filter("unread"))
    acting.read(bob, [second])

    assert second in acting.unread_again(alice, done.at).ids
    assert (listing.one(alice, first).is_unread, listing.one(alice, second).is_unread) == (False, True)
    assert not listing.one(bob, second).is_unread


def test_what_was_seen_stays_unread_and_was_seen_when_it_was(alice, rows):
    shared = -broadcasts.broadcast("for all").pk
    for pk in (rows["one"], shared):
        assert acting.see(alice, [pk]).ids == [pk]
        seen = listing.one(alice, pk)
        assert seen.seen_at and seen.is_unread
        acting.read(alice, [pk])
        assert listing.one(alice, pk).seen_at == seen.seen_at

    acting.read(alice, [rows["two"]])  # what was read was seen, though nobody said so
    two = listing.one(alice, rows["two"])
    assert two.seen_at == two.read_at


def test_snoozed_is_not_counted_and_comes_back_by_hand(alice, rows):
    done = acting.snooze(alice, [rows["one"]], TOMORROW)

    assert (titles(alice, "snoozed"), listing.unread_count(alice)) == (["one"], 2)
    assert acting.snooze(alice, [rows["one"]], TOMORROW).count == 0
    assert acting.wake(alice, done.at).count == 1
    assert listing.unread_count(alice) == 3


def test_until_it_finishes_is_for_what_will_speak_again(alice, rows):
    assert acting.snooze(alice, [rows["one"], rows["two"], rows["three"]], None).ids == [rows["two"]]


@pytest.mark.seed("S2.45")
def test_deleting_all_that_is_read_leaves_what_is_put_away(alice, rows):
    shared = [-broadcasts.broadcast(title).pk for title in ("kept", "gone")]
    acting.read(alice, Filter("unread"))
    acting.archive(alice, [rows["one"], shared[0]])
    acting.snooze(alice, [rows["two"]], TOMORROW)

    assert sorted(acting.delete(alice, Filter("read")).ids) == sorted([rows["three"], shared[1]])
    assert (titles(alice, "archived"), titles(alice, "snoozed")) == (["kept", "one"], ["two"])


def test_archiving_ends_a_snooze_and_snoozing_takes_out_of_the_archive(alice, rows):
    acting.snooze(alice, [rows["one"]], TOMORROW)
    acting.archive(alice, [rows["one"]])
    assert (titles(alice, "snoozed"), titles(alice, "archived")) == ([], ["one"])

    acting.snooze(alice, [rows["one"]], TOMORROW)
    assert (titles(alice, "snoozed"), titles(alice, "archived")) == (["one"], [])


@pytest.mark.seed("S2.102", "S2.114")
def test_a_broadcast_is_one_row_and_read_by_each_for_themselves(alice, bob, rows):
    made = broadcasts.broadcast("Planned maintenance", by=bob)

    assert (listing.unread_count(alice), listing.unread_count(bob)) == (4, 2)
    assert acting.read(alice, [-made.pk]).ids == [-made.pk]
    assert (listing.unread_count(alice), listing.unread_count(bob)) == (3, 2)
    assert Notification.objects.count() == 4

    assert acting.unread_again(alice, [-made.pk]).count == 1
    assert acting.archive(alice, Filter("inbox", group="System")).count == 2
    assert acting.delete(bob, [-made.pk]).count == 1
    assert titles(bob, "all") == ["bob's"]
    assert (listing.unread_count(alice), listing.unread_count(bob)) == (2, 1)


def test_a_broadcast_before_one_joined_is_not_shown(alice, django_user_model):
    broadcasts.broadcast("Old news")
    late = django_user_model.objects.create_user("late", date_joined=timezone.now() + timedelta(seconds=1))

    assert (listing.unread_count(late), listing.unread_count(alice)) == (0, 1)
    assert acting.read(late, Filter("unread")).count == 0


def test_a_withdrawn_broadcast_is_nowhere(alice):
    made = broadcasts.broadcast("Mistake")

    before = Broadcasts.objects.get().version
    assert broadcasts.withdraw(made.pk) is True
    assert broadcasts.withdraw(made.pk) is False
    assert Broadcasts.objects.get().version == before + 1  # open pages hear of it, once
    assert (titles(alice, "all"), listing.unread_count(alice)) == ([], 0)


def test_each_verb_moves_the_stream_once(alice, rows):
    before = Inbox.objects.get(pk=alice.pk).version

    acting.read(alice, Filter("unread"))
    acting.read(alice, Filter("unread"))

    assert Inbox.objects.get(pk=alice.pk).version == before + 1
