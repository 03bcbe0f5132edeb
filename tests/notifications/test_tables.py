"""The tables refuse what no verb would write, whoever writes it (S2.5)."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from notifications import broadcasts, inbox
from notifications.models import (
    Broadcast,
    BroadcastReceipt,
    Broadcasts,
    Follow,
    Inbox,
    Mute,
    Notification,
    Preference,
)

pytestmark = pytest.mark.django_db


def refused(constraint, write):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        write()


@pytest.mark.seed("S2.5")
@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("notification_level", {"level": "fatal"}),
        ("notification_title", {"title": ""}),
        ("notification_snooze", {"snoozed_until": timezone.now()}),
        ("notification_away_once", {"snoozed_at": timezone.now(), "archived_at": timezone.now()}),
        ("recipient_id", {"recipient": None}),
        ("notification_once", {"group_key": "shelf:1"}),
    ],
)
def test_a_row_is_never(alice, constraint, values):
    inbox.notify([alice], "system", "first", group_key="shelf:1", version=1)
    inbox.notify([alice], "system", "second")

    refused(constraint, lambda: Notification.objects.filter(title="second").update(**values))


@pytest.mark.seed("S2.5")
def test_the_same_key_is_another_row_for_somebody_else(alice, bob):
    inbox.notify([alice, bob], "system", "first", group_key="shelf:1", version=1)

    assert Notification.objects.filter(group_key="shelf:1").count() == 2


def test_a_count_is_never_below_none(alice):
    inbox.touch([alice.pk])

    refused("unread", lambda: Inbox.objects.update(unread=-1))


@pytest.mark.parametrize("model", [Follow, Mute])
def test_who_follows_or_mutes_does_so_once(alice, model):
    model.objects.create(user=alice, about="shelf:1")

    refused("_once", lambda: model.objects.create(user=alice, about="shelf:1"))


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("preference_channel", {"channel": "pigeon"}),
        ("preference_when", {"when": "never"}),
        ("preference_once", {"channel": "inbox"}),
    ],
)
def test_a_choice_is_never(alice, constraint, values):
    Preference.objects.create(user=alice, type="system", channel="inbox", when="off")
    other = Preference.objects.create(user=alice, type="system", channel="email", when="off")

    refused(constraint, lambda: Preference.objects.filter(pk=other.pk).update(**values))


def test_broadcasts_have_one_version_and_a_user_one_receipt(alice):
    made = broadcasts.broadcast("Everybody")
    BroadcastReceipt.objects.create(broadcast=made, user=alice)

    refused("broadcasts_one_row", lambda: Broadcasts.objects.create(id=2))
    refused("broadcast_receipt_once", lambda: BroadcastReceipt.objects.create(broadcast=made, user=alice))
    refused("broadcast_level", lambda: Broadcast.objects.update(level="fatal"))
    refused("broadcast_title", lambda: Broadcast.objects.update(title=""))


def test_rows_go_with_their_user(alice, bob):
    inbox.notify([alice, bob], "system", "x")
    inbox.follow(alice, "shelf:1")
    alice.delete()

    assert list(Notification.objects.values_list("recipient", flat=True)) == [bob.pk]
    assert list(Inbox.objects.values_list("pk", flat=True)) == [bob.pk] and not Follow.objects.exists()
    with connection.cursor() as cursor:  # what Django leaves for the end of the transaction holds too
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
