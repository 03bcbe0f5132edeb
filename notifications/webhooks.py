"""A user's webhook: where notifications are POSTed, signed as https://www.standardwebhooks.com says.

The name is resolved once and the connection made to what was judged; no redirect is followed, no proxy asked,
and the whole call ends after CALL_SECONDS, however slowly the other side drips.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import secrets
import socket
import ssl
import threading
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models.functions import Now
from django.urls import reverse

from config import addresses, sealing
from notifications import inbox, links
from notifications.models import Delivery, DeliveryState, Webhook
from notifications.outbox import Outcome

CALL_SECONDS = 10.0
TEST_TYPE = "webhook_test"
MAX_ANSWER = 64 * 1024  # bytes that are read of an answer, headers apart; nothing in it is used
SEALED = "webhook-secret"  # for what the secret is kept, see config/sealing.py
SECRET_PREFIX = "whsec_"  # nosec B105 - of every secret, by the standard


def check_url(url: str) -> str:
    """Return an address that may be stored. Raises ValueError with a sentence.

    Whether its host may be called is judged with each call: names move.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises when it is no number
    except ValueError:
        parts = urlsplit("")
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or not (url.isascii() and url.isprintable() and " " not in url and "\\" not in url)
        or len(url) > links.MAX_LINK
    ):
        raise ValueError("Write an address that begins with https://.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("The address may not hold a user name or password.")
    if parts.scheme != "https" and parts.hostname not in settings.FETCH_ALLOW:
        raise ValueError("The address must begin with https://.")
    return url


def put(user_id: int, url: str) -> str:
    """Keep where a user's notifications are sent, and return the new secret: nobody sees it again.

    Raises ValueError with a sentence.
    """
    secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    values = {"url": check_url(url), "secret": sealing.seal(secret, SEALED), "ended_at": None, "reason": ""}
    Webhook.objects.update_or_create(user_id=user_id, defaults=values)
    return secret


def remove(user_id: int) -> bool:
    """Send nothing more; what is due is dropped when its turn comes. Return whether there was a webhook."""
    return bool(Webhook.objects.filter(user=user_id).delete()[0])


def test(user: Any) -> bool:
    """Tell a user that their webhook is being tested, over the way that all news go; False without one."""
    if not Webhook.objects.filter(user=user, ended_at=None).exists():
        return False
    inbox.notify([user], TEST_TYPE, "This is a test of your webhook", url=reverse("notifications:settings"))
    return True


def end(webhook: Webhook, reason: str) -> None:
    """Send nothing more there until the user sets it anew."""
    Webhook.objects.filter(pk=webhook.pk, secret=webhook.secret).update(ended_at=Now(), reason=reason[:200])


def payload(delivery: Delivery) -> bytes:
    """Return what is POSTed: the notification as it stands."""
    row = delivery.notification
    said: dict[str, Any] = {
        "type": "notification",
        "timestamp": row.updated_at,
        "data": {
            "id": row.pk,
            "type": row.type,
            "level": row.level,
            "title": row.title,
            "text": row.text,
            "url": links.absolute(row.url),
            "about": row.about,
            "version": row.version,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        },
    }
    return json.dumps(said, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":")).encode()


def signed_headers(key: str, timestamp: int, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers that let a receiver know a call by its id, its age and its sender.

    timestamp: seconds since 1970. The signature is HMAC-SHA256 over `id.timestamp.body`.
    """
    text = f"{key}.{timestamp}.".encode() + body
    mac = hmac.new(base64.b64decode(secret.removeprefix(SECRET_PREFIX)), text, hashlib.sha256)
    return {
        "webhook-id": key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(mac.digest()).decode(),
    }


def send(delivery: Delivery) -> Outcome:
    """Call the recipient's webhook. Return how it went."""
    webhook = Webhook.objects.filter(user=delivery.notification.recipient_id, ended_at=None).first()
    if webhook is None:
        return Outcome(DeliveryState.DROPPED, "The webhook was removed or has ended.")
    try:
        secret = sealing.unseal(webhook.secret, SEALED)
    except ValueError:
        end(webhook, "Its secret can no longer be read. Set the webhook anew.")
        return Outcome(DeliveryState.FAILED, "The webhook's secret can no longer be read.")
    body = payload(delivery)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Headway",
        "Connection": "close",
        **signed_headers(str(delivery.key), int(time.time()), body, secret),
    }
    try:
        status = call(webhook.url, body, headers)
    except addresses.NotAllowed as refused:
        return Outcome(DeliveryState.FAILED, str(refused))
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return Outcome(DeliveryState.DUE, _words(error))
    if 200 <= status < 300:
        return Outcome(DeliveryState.SENT)
    if status == HTTPStatus.GONE:
        end(webhook, "It answered 410: gone.")
        return Outcome(DeliveryState.FAILED, "Answered 410: the webhook has ended.")
    return Outcome(DeliveryState.DUE, f"Answered {status}.")


def call(url: str, body: bytes, headers: dict[str, str], seconds: float = CALL_SECONDS) -> int:
    """POST to an address and return the status of the answer.

    Raises NotAllowed for an address that is not public, OSError or HTTPException when nobody answered in
    `seconds`, which count for all of it but the name's resolution.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    found = addresses.resolve(host, parts.port or (443 if secure else 80), settings.FETCH_ALLOW)
    connection = _Pinned(host, parts.port, found, secure=secure, seconds=seconds)
    # A time-out of the socket starts anew with each byte.
    alarm = threading.Timer(seconds, connection.cut)
    alarm.daemon = True
    alarm.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        if connection.late:  # the library takes the cut for the end of the headers
            raise TimeoutError
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer.read(MAX_ANSWER)  # so that the other side is not cut off while it writes
        return answer.status
    finally:
        alarm.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """A connection to one of the addresses that were judged; the name is for Host and certificate only."""

    def __init__(
        self, host: str, port: int | None, found: list[addresses.Address], *, secure: bool, seconds: float
    ) -> None:
        super().__init__(host, port or (443 if secure else 80), timeout=seconds)
        self.default_port = 443 if secure else 80  # which the Host header leaves out
        self._found, self._secure = found, secure
        self.late = False

    def connect(self) -> None:
        """Connect to the first address that answers."""
        last: OSError = OSError("no address")
        for family, sockaddr in self._found:
            self.sock = socket.socket(family, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            try:
                self.sock.connect(sockaddr)
                break
            except OSError as error:
                self.sock.close()
                last = error
                if self.late:
                    raise
        else:
            raise last
        if self._secure:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End whatever the connection waits for."""
        self.late = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass  # not connected, or no more


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"No answer within {CALL_SECONDS:.0f} s."
    if isinstance(error, ssl.SSLError):
        return "The certificate or the encryption is not valid."
    if isinstance(error, socket.gaierror):
        return "The host name does not resolve."
    if isinstance(error, ConnectionRefusedError):
        return "The connection was refused."
    return "The connection ended without an answer."
