"""Deliveries: written with their notification, sent once, whatever dies meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from notifications import acting, delivery, inbox, keeping, outbox, preferences, webhooks
from notifications.listing import Filter
from notifications.models import Delivery, DeliveryState, Notification, Webhook
from notifications.outbox import Outcome
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def tell(user, title="12 documents are ready", **values):
    inbox.notify([user], "system", title, **values)
    return Notification.objects.get(recipient=user, title=title)


def states():
    return sorted(Delivery.objects.values_list("channel", "state"))


def make_due():
    """Let the time pass until everything that waits is due."""
    Delivery.objects.filter(state="due").update(due_at=timezone.now() - timedelta(seconds=1))


def ids(mails):
    return sorted(str(mail["Message-ID"]) for mail in mails)


# ---- written ----------------------------------------------------------------------------------------------


def test_nobody_without_an_address_or_a_webhook_gets_rows(alice):
    tell(alice)
    assert states() == []


def test_a_rolled_back_notification_leaves_no_delivery(reached):
    with pytest.raises(RuntimeError), transaction.atomic():
        tell(reached)
        assert states() == [("email", "due")]
        raise RuntimeError
    assert states() == []


def test_what_is_chosen_counts_and_else_the_type(reached, bob):
    webhooks.put(reached.pk, "https://example.org/")
    webhooks.put(bob.pk, "https://example.org/")
    type(bob).objects.filter(pk=bob.pk).update(email="bob@example.org")
    preferences.choose(reached.pk, "system", "webhook", False)

    inbox.notify([reached, bob], "system", "Hello")  # by default: inbox and webhook
    inbox.notify([reached, bob], "job_failed", "Failed")  # by default: mail too

    rows = Delivery.objects.values_list("notification__recipient", "notification__type", "channel")
    assert set(rows) == {
        (reached.pk, "system", "email"),
        (bob.pk, "system", "webhook"),
        (reached.pk, "job_failed", "email"),
        (reached.pk, "job_failed", "webhook"),
        (bob.pk, "job_failed", "email"),
        (bob.pk, "job_failed", "webhook"),
    }


def test_any_number_of_recipients_is_one_statement(reached, bob, django_assert_num_queries):
    inbox.notify([reached, bob], "system", "Before")
    rows = list(Notification.objects.values_list("pk", flat=True))
    Delivery.objects.all().delete()
    with django_assert_num_queries(1):
        outbox.add(rows)
    assert states() == [("email", "due")]


def test_off_in_the_inbox_is_off_everywhere(reached):
    preferences.choose(reached.pk, "system", "inbox", False)
    inbox.notify([reached], "system", "Hello")
    assert states() == []


def test_told_twice_is_sent_once(reached, mail_server):
    for _ in range(2):
        tell(reached, group_key="k", version=3)
    delivery.deliver_due()
    assert len(mail_server.mails) == 1 and states() == [("email", "sent")]


def test_news_that_comes_during_a_snooze_goes_out_when_it_ends(reached):
    for key in ("a", "b"):
        inbox.notify([reached], "system", f"{key} waits", group_key=key, version=1)
    Delivery.objects.update(state="sent", sent_at=timezone.now())
    acting.snooze(reached, Filter(), timezone.now() + timedelta(hours=1))
    inbox.notify([reached], "system", "a is done", group_key="a", version=2)
    assert states() == [("email", "sent")] * 2
    Notification.objects.update(snoozed_until=timezone.now() - timedelta(seconds=1))

    assert (keeping.end_snoozes(), keeping.end_snoozes()) == (2, 0)

    due = Delivery.objects.filter(state="due").values_list("notification__title", "version")
    assert list(due) == [("a is done", 2)]


def test_news_that_was_read_during_a_snooze_does_not_go_out(reached):
    inbox.notify([reached], "system", "Waits", group_key="k", version=1)
    acting.snooze(reached, Filter(), timezone.now() + timedelta(hours=1))
    inbox.notify([reached], "system", "Ends", group_key="k", version=2)
    acting.read(reached, Filter("snoozed"))
    Notification.objects.update(snoozed_until=timezone.now() - timedelta(seconds=1))

    assert keeping.end_snoozes() == 1
    assert list(Delivery.objects.values_list("version", flat=True)) == [1]


# ---- sent -------------------------------------------------------------------------------------------------


def test_what_is_overtaken_is_dropped(reached, mail_server):
    for version in (1, 2):
        tell(reached, f"At {version}", group_key="k", version=version)

    assert delivery.deliver_due() == 2

    assert [str(mail["Subject"]) for mail in mail_server.mails] == ["At 2"]
    assert states() == [("email", "dropped"), ("email", "sent")]


def test_what_waits_on_one_channel_is_not_passed_by_another(reached):
    note = tell(reached)
    Delivery.objects.bulk_create(
        Delivery(notification=note, version=version, channel="email") for version in range(2, 3000)
    )
    webhook = Delivery.objects.create(notification=note, version=1, channel="webhook")

    assert outbox.take("webhook") == webhook
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE notifications_delivery")
        cursor.execute(f"EXPLAIN {outbox._TAKE}", [60, "webhook"])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    (condition,) = (line for line in plan.splitlines() if "Index Cond" in line and "channel" in line)
    assert "Index Scan using delivery_due" in plan and "due_at" in condition, plan


def test_who_has_no_address_any_more_is_sent_nothing(reached, mail_server):
    tell(reached)
    type(reached).objects.update(email="")

    assert delivery.deliver_due() == 1 and mail_server.mails == []
    row = Delivery.objects.get()
    assert (row.state, row.error) == ("dropped", "The user has no address.")


@pytest.mark.parametrize("change", ["inactive", "chosen off"])
def test_who_may_or_wants_no_more_gets_nothing(reached, mail_server, change):
    tell(reached)
    if change == "inactive":
        type(reached).objects.update(is_active=False)
    else:
        preferences.unsubscribe(reached.pk, "system")

    delivery.deliver_due()

    assert mail_server.mails == [] and states() == [("email", "dropped")]


def test_two_keepers_never_send_the_same_row(reached, mail_server):
    for number in range(40):
        tell(reached, f"Number {number}")
    with ThreadPoolExecutor(2) as pool:
        settled = list(pool.map(lambda _: delivery.deliver_due(), range(2)))

    assert sum(settled) == 40 and len(mail_server.mails) == 40 == len(set(ids(mail_server.mails)))
    assert set(Delivery.objects.values_list("tries", flat=True)) == {1}


def test_a_row_that_is_taken_is_nobody_elses_until_its_lease_ends(reached):
    tell(reached)
    first = outbox.take("email")
    assert first is not None and outbox.take("email") is None

    make_due()
    second = outbox.take("email")

    assert second is not None and second.key == first.key and second.tries == 2
    assert not outbox.settle(first, Outcome(DeliveryState.FAILED, "late"))
    assert outbox.settle(second, Outcome(DeliveryState.SENT))
    assert states() == [("email", "sent")]


def test_tries_wait_longer_each_time_and_end(reached):
    tell(reached)
    for wait in outbox.WAITS:
        taken = outbox.take("email")
        assert taken is not None and outbox.settle(taken, Outcome(DeliveryState.DUE, "no"))
        left = Delivery.objects.get().due_at - timezone.now()
        assert abs(left.total_seconds() - wait) < 5
        assert outbox.take("email") is None
        make_due()
    taken = outbox.take("email")
    assert taken is not None
    outbox.settle(taken, Outcome(DeliveryState.DUE, "no"))
    row = Delivery.objects.get()
    assert (row.state, row.error, row.tries) == ("failed", "no", len(outbox.WAITS) + 1)

    assert outbox.retry(Delivery.objects.all()) == 1
    taken = outbox.take("email")
    assert taken is not None and outbox.settle(taken, Outcome(DeliveryState.DUE, "no"))
    assert states() == [("email", "due")]  # with all its tries anew


def test_old_news_is_not_tried_again(reached):
    tell(reached)
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=4))
    taken = outbox.take("email")
    assert taken is not None
    outbox.settle(taken, Outcome(DeliveryState.DUE, "no"))
    assert states() == [("email", "failed")]


# ---- dying and coming back --------------------------------------------------------------------------------


def test_while_the_mail_server_is_away_no_try_is_lost(reached, mail_server):
    mail_server.stop()
    tell(reached)
    courier = delivery.Courier()
    assert courier.deliver_due() == 0
    assert Delivery.objects.get().tries == 0

    mail_server.start()
    assert delivery.deliver_due() == 1  # another keeper, which had no trouble
    assert len(mail_server.mails) == 1


def test_a_server_that_dies_before_it_answers_gets_the_same_mail_again(reached, mail_server):
    """Issue 4, shown by 5: no loss, and a double that a receiver knows by its Message-ID."""
    tell(reached)
    mail_server.answer = lambda mail: ""  # accepted, and gone
    delivery.deliver_due()
    assert states() == [("email", "due")] and len(mail_server.mails) == 1

    mail_server.stop()
    mail_server.answer = lambda mail: "250 OK"
    mail_server.start()
    make_due()
    delivery.deliver_due()

    assert states() == [("email", "sent")]
    assert len(mail_server.mails) == 2 and len(set(ids(mail_server.mails))) == 1


def test_a_receiver_that_dies_and_comes_back_loses_nothing(reached, receiver):
    """Issue 4, shown by 5: each id once for who drops what they know."""
    preferences.choose(reached.pk, "system", "email", False)
    webhooks.put(reached.pk, receiver.url)
    for number in range(3):
        tell(reached, f"Number {number}")
    receiver.answer = lambda call: 0  # worked on, and gone
    delivery.deliver_due()
    receiver.stop()
    make_due()
    delivery.deliver_due()
    assert states() == [("webhook", "due")] * 3

    receiver.answer = lambda call: 204
    receiver.start()
    make_due()
    delivery.deliver_due()

    assert states() == [("webhook", "sent")] * 3
    known = {str(key) for key in Delivery.objects.values_list("key", flat=True)}
    assert {call.headers["webhook-id"] for call in receiver.calls} == known


def test_a_channel_that_fails_holds_up_neither_the_other_nor_the_inbox(reached, mail_server, receiver):
    webhooks.put(reached.pk, receiver.url)
    hold, held = threading.Event(), threading.Event()

    def wait(call):
        held.set()
        hold.wait(20)
        return 500

    receiver.answer = wait
    tell(reached, "First")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(delivery.deliver_due)
        assert held.wait(20)
        tell(reached, "Second")  # the inbox takes it at once
        until(lambda: len(mail_server.mails) >= 1, what="the mail beside a webhook that hangs")
        hold.set()
        running.result(20)
    delivery.deliver_due()
    assert {str(mail["Subject"]) for mail in mail_server.mails} == {"First", "Second"}
    assert Delivery.objects.filter(channel="webhook", state="due").count() == 2


def test_a_receiver_that_fails_rests_and_others_are_served(reached, bob, receiver):
    webhooks.put(reached.pk, "http://127.0.0.1:9/closed")
    webhooks.put(bob.pk, receiver.url)
    for number in range(10):
        inbox.notify([reached, bob], "job_started", f"Number {number}")
    Delivery.objects.filter(channel="email").delete()

    delivery.deliver_due()

    assert len(receiver.calls) == 10
    mine = Delivery.objects.filter(notification__recipient=reached)
    # Two threads may each have begun one before the first had failed.
    assert sum(mine.values_list("tries", flat=True)) <= 2
    assert not mine.filter(due_at__lte=timezone.now()).exists()


def test_a_keeper_begins_at_once_and_does_not_wait(reached, receiver):
    webhooks.put(reached.pk, receiver.url)
    preferences.choose(reached.pk, "system", "email", False)
    hold = threading.Event()
    receiver.answer = lambda call: 204 if hold.wait(20) else 500
    courier = delivery.Courier()
    courier.start()
    assert not receiver.calls
    tell(reached)
    courier.start()
    until(lambda: receiver.calls, what="the call")
    courier.start()  # one run at a time
    hold.set()
    courier.wait()
    assert len(receiver.calls) == 1 and states() == [("webhook", "sent")]


def test_what_comes_while_another_channel_sends_is_begun_at_once(reached, mail_server, receiver):
    """A mail server with much to send keeps no webhook waiting, and the other way round."""
    webhooks.put(reached.pk, receiver.url)
    hold = threading.Event()
    receiver.answer = lambda call: 204 if hold.wait(20) else 500
    courier = delivery.Courier()
    tell(reached, "First")
    courier.start()
    until(lambda: receiver.calls and len(mail_server.mails) == 1, what="the mail, and the call that hangs")
    until(lambda: ("email", "sent") in states(), what="the end of the mail")

    tell(reached, "Second")

    def sent() -> bool:
        courier.start()  # as the keeper does each second
        return len(mail_server.mails) == 2

    until(sent, what="the second mail, beside a webhook that hangs")
    hold.set()
    courier.wait()


def test_a_bug_in_one_delivery_keeps_no_other_from_being_sent(reached, bob, receiver):
    """CMD50: the row stays, and is tried again."""
    webhooks.put(reached.pk, receiver.url)
    webhooks.put(bob.pk, receiver.url)
    Webhook.objects.filter(user=bob).update(url="https://[")  # cannot even be split
    inbox.notify([bob], "job_started", "Broken")
    inbox.notify([reached], "job_started", "Good")
    Delivery.objects.filter(channel="email").delete()

    delivery.deliver_due()

    assert len(receiver.calls) == 1
    broken = Delivery.objects.get(notification__title="Broken")
    assert (broken.state, broken.error) == ("due", "Something went wrong on our side. It was recorded.")


def test_deliveries_go_with_their_notification_whoever_deletes_it(reached):
    first, second = tell(reached, "First"), tell(reached, "Second")
    acting.delete(reached, [first.pk])
    assert list(Delivery.objects.values_list("notification", flat=True)) == [second.pk]
    with pytest.raises(IntegrityError):
        Delivery.objects.create(notification_id=first.pk, version=1, channel="email")
