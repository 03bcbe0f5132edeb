"""A notification as a mail: plain and HTML, threaded by what it is about, left with one click."""

import smtplib
from email.utils import formatdate
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from django.urls import reverse

from notifications import links, preferences, types
from notifications.models import Delivery, DeliveryState
from notifications.outbox import Outcome


def message(delivery: Delivery) -> mail.EmailMultiAlternatives:
    """Return the mail of a delivery: the same Message-ID with every try, so that a double can be dropped."""
    row = delivery.notification
    user: Any = row.recipient
    host = urlsplit(settings.SITE_URL).hostname
    token = preferences.unsubscribe_token(user.pk, row.type)
    leave = settings.SITE_URL + reverse("notifications:unsubscribe", args=[token])
    kind = types.find(row.type)
    context = {
        "row": row,
        "link": links.absolute(row.url),
        "leave": leave,
        "preferences": settings.SITE_URL + reverse("notifications:settings"),
        "type": kind.label if kind is not None else row.type,
    }
    made = mail.EmailMultiAlternatives(
        # A header is one line; whatever else the title holds is shown as it is.
        subject=" ".join("".join(c if c.isprintable() else " " for c in row.title).split()),
        body=render_to_string("notifications/mail.txt", context),
        to=[user.email],
        headers={
            "Message-ID": f"<{delivery.key}@{host}>",
            "References": f"<notification.{row.pk}@{host}>",
            "Date": formatdate(row.updated_at.timestamp()),
            "Auto-Submitted": "auto-generated",
            "List-Unsubscribe": f"<{leave}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )
    made.attach_alternative(render_to_string("notifications/mail.html", context), "text/html")
    return made


class Mailer:
    """One connection to the mail server, for as many mails as are due."""

    def __init__(self) -> None:
        self._connection: BaseEmailBackend = mail.get_connection()

    def __enter__(self) -> Self:
        """Connect. Raises OSError or SMTPException while the server cannot be used."""
        self._connection.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def send(self, delivery: Delivery) -> Outcome:
        """Hand a mail over. Return how it went. Raises what `__enter__` does when the server has gone."""
        try:
            self._connection.send_messages([message(delivery)])
        except smtplib.SMTPRecipientsRefused as error:
            return _refused(*next(iter(error.recipients.values())))
        except smtplib.SMTPDataError as error:
            return _refused(error.smtp_code, error.smtp_error)
        except smtplib.SMTPNotSupportedError as error:
            return Outcome(DeliveryState.FAILED, str(error))
        return Outcome(DeliveryState.SENT)


def _refused(code: int, text: bytes | str) -> Outcome:
    """Read a refusal of this one mail: from 500 on it is for good (RFC 5321 4.2.1)."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    state = DeliveryState.FAILED if code >= 500 else DeliveryState.DUE
    return Outcome(state, f"The mail server answered {code} {words}")
