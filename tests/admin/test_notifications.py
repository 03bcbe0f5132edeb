"""Notifications, broadcasts and deliveries in the admin."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils.html import escape

from notifications import broadcasts, inbox, preferences
from notifications.models import Broadcast, Delivery, Inbox, Notification
from tests.notifications.counting import wrong_counts
from tests.notifications.polyglots import POLYGLOTS

pytestmark = pytest.mark.django_db

NOTIFICATIONS = "/admin/notifications/notification/"
BROADCASTS = "/admin/notifications/broadcast/"
DELIVERIES = "/admin/notifications/delivery/"


def desk(user, *names):
    type(user).objects.filter(pk=user.pk).update(is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(type(user).objects.get(pk=user.pk))
    return client


def test_private_rows_need_a_permission_of_their_own(staff, alice):
    inbox.notify([alice], "system", "Secret")
    row = Notification.objects.get()
    for path in (NOTIFICATIONS, f"{NOTIFICATIONS}{row.pk}/change/", BROADCASTS, f"{BROADCASTS}add/"):
        assert desk(staff).get(path).status_code == 403


def test_deleting_counts_out_of_the_inbox(alice, bob, staff):
    for user in (alice, bob):
        inbox.notify([user], "job_failed", "Failed")
    type(alice).objects.update(email="x@example.org")
    inbox.notify([alice], "job_failed", "With a delivery")
    assert Delivery.objects.exists()
    client = desk(staff, "view_notification", "delete_notification")
    assert client.get(f"{NOTIFICATIONS}add/").status_code == 403

    one = Notification.objects.filter(recipient=bob).get()
    client.post(f"{NOTIFICATIONS}{one.pk}/delete/", {"post": "yes"})
    many = {"action": "delete_selected", "post": "yes"}
    chosen = list(Notification.objects.values_list("pk", flat=True))
    client.post(NOTIFICATIONS, {**many, "_selected_action": chosen})

    assert not Notification.objects.exists()
    assert set(Inbox.objects.values_list("unread", flat=True)) == {0} and wrong_counts() == []


def key_of(client):
    """Return the key of an empty form to send a broadcast with."""
    return re.search(r'name="key" value="([0-9a-f-]{36})"', client.get(f"{BROADCASTS}add/").content.decode())[
        1
    ]


@pytest.mark.seed("S2.102")
def test_a_broadcast_is_shown_with_its_count_before_it_is_sent(staff, alice, bob):
    client = desk(staff, "send_broadcast")
    said = {"title": "Planned <b>maintenance</b>", "text": "On Sunday", "url": "/jobs/", "level": "warning"}
    said["key"] = key_of(client)

    preview = client.post(f"{BROADCASTS}add/", said).content.decode()

    assert "Send to 3 people" in preview and "Planned &lt;b&gt;maintenance&lt;/b&gt;" in preview
    assert not Broadcast.objects.exists()
    assert (
        'name="title"'
        in client.post(f"{BROADCASTS}add/", {**said, "confirmed": "yes", "change": "1"}).content.decode()
    )
    assert not Broadcast.objects.exists()

    answer = client.post(f"{BROADCASTS}add/", {**said, "confirmed": "yes"}, follow=True)

    row = Broadcast.objects.get()
    assert (row.title, row.level, row.url, row.published_by) == (said["title"], "warning", "/jobs/", staff.pk)
    assert "was sent to everybody" in answer.content.decode()
    assert broadcasts.unread_of([alice.pk]) == {alice.pk: 1}

    client.post(f"{BROADCASTS}add/", {**said, "confirmed": "yes"})  # pressed twice
    assert Broadcast.objects.get() == row
    assert key_of(client) != said["key"]

    client.post(BROADCASTS, {"action": "withdraw", "_selected_action": row.pk})
    assert broadcasts.unread_of([alice.pk]) == {}


@pytest.mark.seed("SEC31")
def test_a_broadcast_with_a_bad_link_is_refused(staff):
    """SEC31."""
    client = desk(staff, "send_broadcast")
    answer = client.post(
        f"{BROADCASTS}add/", {"title": "x", "url": "javascript:alert(1)", "level": "info", "confirmed": "yes"}
    )
    assert "must be a path of this site" in answer.content.decode() and not Broadcast.objects.exists()


def test_who_may_not_send_cannot(staff, alice):
    """SEC76."""
    for client in (desk(staff), desk(alice)):
        answer = client.post(f"{BROADCASTS}add/", {"title": "x", "level": "info", "confirmed": "yes"})
        assert answer.status_code == 403 and not Broadcast.objects.exists()


def test_operators_see_deliveries_without_what_they_say_and_send_them_again(
    staff, alice, django_assert_max_num_queries
):
    type(alice).objects.filter(pk=alice.pk).update(email="alice@example.org")
    preferences.choose(alice.pk, "job_failed", "email", True)
    for number in range(5):
        inbox.notify([alice], "job_failed", f"Secret {number}")
    Delivery.objects.update(state="failed", error="No such user", tries=8)
    client = desk(staff)

    with django_assert_max_num_queries(12):
        html = client.get(f"{DELIVERIES}?state__exact=failed").content.decode()
    assert html.count("No such user") == 5 and "Secret" not in html
    first = Delivery.objects.earliest("pk")
    assert "Secret" not in client.get(f"{DELIVERIES}{first.pk}/change/").content.decode()

    client.post(DELIVERIES, {"action": "send_again", "_selected_action": first.pk})

    states = dict(Delivery.objects.values_list("pk", "state"))
    assert states.pop(first.pk) == "due" and set(states.values()) == {"failed"}
    type(staff).objects.get(pk=staff.pk).user_permissions.clear()
    assert desk(staff).get(DELIVERIES).status_code == 403


@pytest.mark.seed("SEC34")
def test_texts_are_shown_literally(staff, alice):
    for text in POLYGLOTS:
        inbox.notify([alice], "system", text, text=text)
        broadcasts.broadcast(text, text=text)
    client = desk(staff, "view_notification", "view_broadcast", "send_broadcast")
    one, made = Notification.objects.earliest("pk"), Broadcast.objects.earliest("pk")

    lists = [client.get(path).content.decode() for path in (NOTIFICATIONS, BROADCASTS)]
    for text in POLYGLOTS:
        assert all(escape(text) in html for html in lists), text
    for path in (f"{NOTIFICATIONS}{one.pk}/change/", f"{BROADCASTS}{made.pk}/change/"):
        lists.append(client.get(path).content.decode())
        assert escape(POLYGLOTS[0]) in lists[-1]
    for raw in (
        "<img src=x",
        "<script>alert",
        "<svg/onload",
        "<svg onload",
        "<iframe",
        "<details open ontoggle",
        "<base ",
    ):
        assert not any(raw in html for html in lists), raw


def test_pages_of_the_admin_name_the_icon(staff):
    """Otherwise each asks for an icon that is not there."""
    for path in ("/admin/", DELIVERIES, f"{BROADCASTS}add/"):
        html = desk(staff, "send_broadcast").get(path).content.decode()
        assert html.count('rel="icon"') == 1 and "headway/icon" in html
