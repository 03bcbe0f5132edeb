"""Sending what is due: two threads for mail, two for webhooks, so that neither waits for the other.

A mail server that is away uses up no try: nothing is taken before somebody answers there.
"""

import smtplib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections

from notifications import outbox, webhooks
from notifications.mail import Mailer
from notifications.models import Channel, Delivery, DeliveryState
from notifications.outbox import Outcome

log = structlog.get_logger(__name__)

THREADS = 4  # half for each channel
AWAY_SECONDS = 15.0  # a mail server that did not answer is left alone


class Courier:
    """Sends what is due beside whatever its process does. One a process; any number of processes."""

    def __init__(self) -> None:
        self._halt = threading.Event()
        self._running: dict[Channel, threading.Thread] = {}
        self._mail_again_at = 0.0

    def start(self) -> None:
        """Begin to send what is due, if anything is, and return at once."""
        for channel in self._open_channels():
            running = self._running.get(channel)
            if (running is None or not running.is_alive()) and outbox.has_due(channel):
                sender = threading.Thread(
                    target=self._send_due, args=[[channel]], name="courier", daemon=True
                )
                self._running[channel] = sender
                sender.start()

    def wait(self) -> None:
        """Return when what `start` began is done."""
        for running in self._running.values():
            running.join()

    def stop(self) -> None:
        """Begin nothing more. What is on its way ends, or another finds it when its lease is over."""
        self._halt.set()

    def deliver_due(self) -> int:
        """Send everything that is due, from THREADS threads. Return how many deliveries were settled."""
        return self._send_due(self._open_channels())

    def _send_due(self, channels: Sequence[Channel]) -> int:
        work = [channel for channel in channels for _ in range(THREADS // 2)]
        with ThreadPoolExecutor(THREADS, thread_name_prefix="delivery") as pool:
            return sum(pool.map(self._send_all, work))

    def _open_channels(self) -> list[Channel]:
        mail = settings.EMAIL_READY and time.monotonic() >= self._mail_again_at
        return [Channel.EMAIL, Channel.WEBHOOK] if mail else [Channel.WEBHOOK]

    def _send_all(self, channel: Channel) -> int:
        try:
            return self._mails() if channel == Channel.EMAIL else self._until_empty(channel, webhooks.send)
        except DatabaseError as error:
            log.warning("delivery_without_database", channel=channel, error=type(error).__name__)
            return 0
        finally:
            connections.close_all()

    def _mails(self) -> int:
        if not outbox.has_due(Channel.EMAIL):
            return 0
        try:
            with Mailer() as mailer:
                return self._until_empty(Channel.EMAIL, mailer.send)
        except (OSError, smtplib.SMTPException) as error:
            self._mail_again_at = time.monotonic() + AWAY_SECONDS
            log.warning("mail_server_away", error=type(error).__name__)
            return 0

    def _until_empty(self, channel: Channel, send: Callable[[Delivery], Outcome]) -> int:
        settled = 0
        while not self._halt.is_set() and (delivery := outbox.take(channel)) is not None:
            settled += _deliver(delivery, send)
        return settled


def deliver_due() -> int:
    """Send everything that is due and return how many deliveries were settled."""
    return Courier().deliver_due()


def _deliver(delivery: Delivery, send: Callable[[Delivery], Outcome]) -> bool:
    """Send one delivery that was taken, and keep how it went."""
    if why := outbox.reason_to_drop(delivery):
        return outbox.settle(delivery, Outcome(DeliveryState.DROPPED, why))
    try:
        outcome = send(delivery)
    except (OSError, smtplib.SMTPException) as error:
        outbox.settle(
            delivery, Outcome(DeliveryState.DUE, f"The mail server failed: {type(error).__name__}.")
        )
        raise
    except Exception:  # whatever one notification breaks, the others must be sent
        log.exception("delivery_failed", delivery=delivery.pk, channel=delivery.channel)
        outcome = Outcome(DeliveryState.DUE, "Something went wrong on our side. It was recorded.")
    if outcome.state == DeliveryState.DUE and delivery.channel == Channel.WEBHOOK:
        outbox.hold_back(delivery.notification.recipient_id, delivery.channel, delivery.tries)
    return outbox.settle(delivery, outcome)
