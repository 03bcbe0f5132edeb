"""Snoozes end once, old rows go, counts that are wrong are repaired with an alarm."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from structlog.testing import capture_logs

from config.metrics import text
from ingestion import metrics, retention
from ingestion.keeper import Keeper
from notifications import acting, broadcasts, inbox, keeping, listing
from notifications.listing import Filter
from notifications.models import Broadcast, Delivery, Inbox, Notification
from tests.sessions import another_session

pytestmark = pytest.mark.django_db(transaction=True)


def aged(title, **columns):
    """Make a row older by days."""
    now = timezone.now()
    Notification.objects.filter(title=title).update(
        **{name: None if days is None else now - timedelta(days=days) for name, days in columns.items()}
    )


@pytest.fixture
def rows(alice, bob, counted):
    for title in ("one", "two", "three"):
        inbox.notify([alice], "system", title)
    inbox.notify([bob], "system", "bob's")
    return dict(Notification.objects.values_list("title", "pk"))


@pytest.mark.seed("UX30")
def test_a_snooze_that_ends_brings_its_row_back_on_top_unread_and_once(alice, rows):
    acting.read(alice, [rows["one"]])
    soon = timezone.now() + timedelta(minutes=1)
    acting.snooze(alice, [rows["one"], rows["two"]], soon)
    assert keeping.end_snoozes() == 0 and listing.unread_count(alice) == 1

    Notification.objects.filter(pk=rows["one"]).update(snoozed_until=timezone.now() - timedelta(seconds=1))
    before = Inbox.objects.get(pk=alice.pk).version
    assert (keeping.end_snoozes(), keeping.end_snoozes()) == (1, 0)

    top, *_ = listing.entries(alice, Filter(), limit=5)
    assert (top.title, top.is_unread) == ("one", True) and "snoozed_since" in top.data
    assert top.seen_at is None  # though it was read before
    assert listing.unread_count(alice) == 2
    assert Inbox.objects.get(pk=alice.pk).version == before + 1


def test_one_inbox_that_somebody_holds_holds_up_no_other(alice, bob, rows):
    acting.snooze(alice, [rows["one"]], timezone.now() + timedelta(minutes=1))
    acting.snooze(bob, Filter(), timezone.now() + timedelta(minutes=1))
    Notification.objects.exclude(snoozed_at=None).update(snoozed_until=timezone.now() - timedelta(seconds=1))
    acting.read(alice, [rows["two"]])
    aged("two", updated_at=200, read_at=200)
    with another_session() as session:
        session.execute("SELECT 1 FROM notifications_inbox WHERE user_id = %s FOR UPDATE", [alice.pk])
        assert (keeping.end_snoozes(), keeping.prune()) == (1, 0)
        assert listing.unread_count(bob) == 1
    assert (keeping.end_snoozes(), keeping.prune()) == (1, 1)


def test_until_it_finishes_is_no_time_that_comes(alice, counted):
    inbox.notify([alice], "system", "open", data={"open": True})
    acting.snooze(alice, Filter(), None)

    assert keeping.end_snoozes() == 0


@pytest.mark.seed("S2.98")
def test_what_was_read_goes_after_90_days_and_what_was_not_after_365(alice, rows, counted):
    acting.read(alice, [rows["one"], rows["two"]])
    aged("one", updated_at=91, read_at=91)
    aged("two", updated_at=91, read_at=89)
    aged("three", updated_at=364)
    aged("bob's", updated_at=366)

    assert retention.prune()["notifications"] == 2

    assert sorted(Notification.objects.values_list("title", flat=True)) == ["three", "two"]
    assert dict(Inbox.objects.values_list("user", "unread"))[alice.pk] == 1


def test_deliveries_that_ended_go_after_30_days(alice, rows, monkeypatch):
    monkeypatch.setattr(keeping, "BATCH", 2)  # the first two batches are full
    now = timezone.now()
    made = [("sent", 31), ("failed", 31), ("dropped", 400), ("sent", 31), ("due", 31), ("sent", 29)]
    for version, (state, days) in enumerate(made, start=1000):
        Delivery.objects.create(
            notification_id=rows["one"],
            version=version,
            channel="email",
            state=state,
            sent_at=now if state == "sent" else None,
            created_at=now - timedelta(days=days),
        )

    assert retention.prune()["deliveries"] == 4
    assert list(Delivery.objects.order_by("pk").values_list("state", flat=True)) == ["due", "sent"]
    assert retention.prune()["deliveries"] == 0


def test_what_is_due_for_long_keeps_no_delivery_behind_it(alice, rows, monkeypatch):
    monkeypatch.setattr(keeping, "BATCH", 2)
    long_ago = timezone.now() - timedelta(days=31)
    for version, state in enumerate(["due", "due", "due", "failed", "failed", "dropped"], start=1000):
        Delivery.objects.create(
            notification_id=rows["one"], version=version, channel="email", state=state, created_at=long_ago
        )

    assert retention.prune(batches=1)["deliveries"] == 2  # as a keeper's tick does
    assert retention.prune(batches=1)["deliveries"] == 1
    assert set(Delivery.objects.values_list("state", flat=True)) == {"due"}


@pytest.mark.seed("S2.98")
def test_what_is_archived_or_snoozed_is_kept_until_asked_for(alice, rows, counted):
    acting.archive(alice, [rows["one"]])
    acting.snooze(alice, [rows["two"]], timezone.now() + timedelta(days=1))
    aged("one", updated_at=400, archived_at=31)
    aged("two", updated_at=400)

    assert keeping.prune() == 0
    assert keeping.delete_archived(timedelta(days=32)) == 0
    assert keeping.delete_archived(timedelta(days=30)) == 1


def test_more_than_a_batch_goes_batch_by_batch(alice, bob, counted, monkeypatch):
    monkeypatch.setattr(keeping, "BATCH", 3)
    for n in range(5):
        inbox.notify([alice, bob], "system", f"{n}")
    Notification.objects.update(updated_at=timezone.now() - timedelta(days=400))

    assert keeping.prune(batches=1) == 3
    assert keeping.prune() == 7 and not Notification.objects.exists()


def test_what_was_archived_goes_batch_by_batch_too(alice, bob, rows, counted, monkeypatch):
    monkeypatch.setattr(keeping, "BATCH", 2)
    acting.archive(alice, Filter("inbox"))
    Notification.objects.filter(recipient=alice).update(archived_at=timezone.now() - timedelta(days=31))

    with CaptureQueriesContext(connection) as asked:
        assert keeping.delete_archived(timedelta(days=30)) == 3
    assert sum("DELETE" in one["sql"] for one in asked) == 2  # two rows, one row
    assert [one.title for one in Notification.objects.all()] == ["bob's"]


def test_open_archives_hear_of_what_goes_and_no_other_inbox_moves(alice, bob, rows):
    acting.archive(alice, [rows["one"], rows["two"]])
    acting.archive(bob, [rows["bob's"]])
    aged("one", archived_at=31)
    aged("two", archived_at=31)
    before = dict(Inbox.objects.values_list("user", "version"))

    assert keeping.delete_archived(timedelta(days=30)) == 2

    after = dict(Inbox.objects.values_list("user", "version"))
    assert after == {alice.pk: before[alice.pk] + 1, bob.pk: before[bob.pk]}


def test_old_broadcasts_go_with_their_receipts(alice):
    made = broadcasts.broadcast("old")
    acting.read(alice, [-made.pk])
    Broadcast.objects.update(published_at=timezone.now() - timedelta(days=400))

    assert keeping.prune() == 1 and not Broadcast.objects.exists()


@pytest.mark.seed("P14")
def test_a_wrong_count_is_repaired_with_an_alarm(alice, bob, rows):
    Inbox.objects.filter(pk=alice.pk).update(unread=F("unread") + 3)
    assert keeping.repairs() == 0

    with capture_logs() as logs:
        Keeper("k").once()

    assert Inbox.objects.get(pk=alice.pk).unread == 3
    assert [one for one in logs if one["event"] == "unread_count_repaired"] == [
        {"event": "unread_count_repaired", "log_level": "error", "user": alice.pk, "unread": 3}
    ]
    assert keeping.repairs() == 1 and "headway_inbox_counts_repaired_total 1\n" in text(metrics.figures())


def test_all_users_are_compared_in_pieces(alice, bob, rows, monkeypatch):
    monkeypatch.setattr(keeping, "BATCH", 1)
    Inbox.objects.update(unread=7)

    first, last = keeping.repair_counts()
    second, _ = keeping.repair_counts(last)

    assert [*first, *second] == [alice.pk, bob.pk]
