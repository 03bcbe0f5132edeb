"""Keepers that die while they send, beside a mail server and a receiver that die too."""

import random
import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from notifications import inbox, preferences, webhooks
from notifications.models import Delivery
from tests.faults.conftest import ROUNDS, within
from tests.notifications.receivers import MailServer, Receiver
from tests.waiting import until

COUNT = 30


@pytest.fixture
def reached(alice):
    """Alice, who gets mail and calls."""
    alice.email = "alice@example.org"
    alice.save(update_fields=["email"])
    preferences.choose(alice.pk, "system", "email", True)
    return alice


def lease_ends():
    """Let the time pass in which nobody else may send what a dead keeper had taken, or what waits."""
    Delivery.objects.filter(state="due").update(due_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.seed("S2.109")
@pytest.mark.parametrize("round", range(ROUNDS))
def test_nothing_is_lost_and_a_double_has_the_same_id(engine, reached, round, monkeypatch):
    """Issue 4, shown by 5: keeper, mail server and receiver die at any moment."""
    chance = random.Random(round)
    mails, calls = MailServer(), Receiver()
    env = {"HEADWAY_EMAIL_URL": f"smtp://127.0.0.1:{mails.port}", "HEADWAY_FETCH_ALLOW": "127.0.0.1"}
    reached_at = chance.randrange(1, COUNT)
    waiting, go = threading.Event(), threading.Event()

    def hold(answers):
        """Answer until a random place, then keep everybody waiting until the keeper is dead."""

        def answer(_):
            if len(answers) < reached_at:
                return
            waiting.set()
            go.wait(60)

        return answer

    mail_waits, call_waits = hold(mails.mails), hold(calls.calls)
    mails.answer = lambda mail: mail_waits(mail) or "250 OK"
    calls.answer = lambda call: call_waits(call) or 204
    try:
        from django.conf import settings

        monkeypatch.setattr(settings, "FETCH_ALLOW", ["127.0.0.1"])
        webhooks.put(reached.pk, calls.url)
        for number in range(COUNT):
            inbox.notify([reached], "system", f"Number {number}")
        first = engine.keeper(**env)
        assert waiting.wait(within(20)), engine.log.read_text()
        engine.kill(first)
        go.set()
        mails.stop()
        calls.stop()
        lease_ends()
        engine.keeper(**env)
        until(lambda: Delivery.objects.filter(channel="webhook", tries__gte=1).exists(), within(20))

        mails.answer, calls.answer = lambda mail: "250 OK", lambda call: 204
        mails.start()
        calls.start()

        def sent():
            lease_ends()
            return not Delivery.objects.exclude(state="sent").exists()

        until(sent, within(60), "everything to be sent")
    finally:
        go.set()
        mails.stop()
        calls.stop()
    keys = {channel: set() for channel in ("email", "webhook")}
    for channel, key in Delivery.objects.values_list("channel", "key"):
        keys[channel].add(str(key))
    arrived = {str(mail["Message-ID"]).strip("<>").partition("@")[0] for mail in mails.mails}
    assert arrived == keys["email"] and len(arrived) == COUNT
    assert {call.headers["webhook-id"] for call in calls.calls} == keys["webhook"]
    titles = {str(mail["Message-ID"]): str(mail["Subject"]) for mail in mails.mails}
    assert len(set(titles.values())) == COUNT
