"""Webhooks: signed, sealed, bounded, and never inside."""

import contextlib
import re
import socket
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from config import addresses, sealing
from notifications import delivery, inbox, webhooks
from notifications.models import Delivery, Webhook

pytestmark = pytest.mark.django_db(transaction=True)

DOCS = (Path(__file__).resolve().parent.parent.parent / "docs" / "channels.md").read_text()


@pytest.fixture
def documented():
    """The receiver's function, word for word as the documentation has it."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    space: dict = {}
    exec(code, space)
    return space["is_genuine"]


def test_the_documented_receiver_believes_us_and_nobody_else(alice, receiver, documented, monkeypatch):
    secret = webhooks.put(alice.pk, receiver.url)
    inbox.notify([alice], "system", "Ready <é>", text="Now", url="/jobs/")
    delivery.deliver_due()

    (call,) = receiver.calls
    assert call.path == "/hook?a=b" and call.headers["content-type"] == "application/json"
    assert documented(call.headers, call.body, secret)
    assert b'"title":"Ready <\xc3\xa9>"' in call.body and b'/jobs/"' in call.body
    assert set(re.findall(r"^    ([a-z-]+):", DOCS, re.MULTILINE)) <= set(call.headers)

    other = webhooks.put(alice.pk, receiver.url)
    assert not documented(call.headers, call.body + b" ", secret)
    assert not documented(call.headers, call.body, other)
    assert not documented({**call.headers, "webhook-id": "x"}, call.body, secret)
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    assert not documented(call.headers, call.body, secret)


def test_the_payload_is_as_documented(alice, receiver):
    import json

    webhooks.put(alice.pk, receiver.url)
    inbox.notify([alice], "system", "Ready")
    delivery.deliver_due()
    example = DOCS.split('{"type":"notification"')[1].split("\n\n")[0]
    said = json.loads(receiver.calls[0].body)
    assert set(re.findall(r'"(\w+)":', '"type":' + example)) == {*said, *said["data"]}


def test_the_secret_is_sealed_and_opens_under_the_previous_key(alice, settings):
    secret = webhooks.put(alice.pk, "https://example.org/")
    stored = Webhook.objects.get().secret
    assert secret not in stored and secret.startswith("whsec_")

    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another key " * 5
    assert sealing.unseal(stored, webhooks.SEALED) == secret
    with pytest.raises(ValueError, match="not known"):
        sealing.unseal(stored, "another-purpose")
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(ValueError, match="not known"):
        sealing.unseal(stored, webhooks.SEALED)


def test_a_secret_that_cannot_be_opened_ends_the_webhook(alice, receiver, settings):
    webhooks.put(alice.pk, receiver.url)
    inbox.notify([alice], "system", "First")
    settings.SECRET_KEY = "another key " * 5
    delivery.deliver_due()
    assert not receiver.calls and "Set the webhook anew" in Webhook.objects.get().reason


def test_gone_ends_it_until_it_is_set_anew(alice, receiver):
    webhooks.put(alice.pk, receiver.url)
    receiver.answer = lambda call: 410
    inbox.notify([alice], "system", "First")
    delivery.deliver_due()
    assert Delivery.objects.get().state == "failed" and Webhook.objects.get().ended_at is not None

    inbox.notify([alice], "system", "Second")
    assert Delivery.objects.count() == 1

    webhooks.put(alice.pk, receiver.url)
    inbox.notify([alice], "system", "Third")
    assert Delivery.objects.count() == 2


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500, 503])
def test_no_redirect_is_followed_and_all_else_is_tried_again(alice, receiver, status):
    webhooks.put(alice.pk, receiver.url)
    receiver.answer, receiver.location = lambda call: status, receiver.url
    inbox.notify([alice], "system", "First")
    delivery.deliver_due()
    row = Delivery.objects.get()
    assert (row.state, row.error, len(receiver.calls)) == ("due", f"Answered {status}.", 1)


def test_a_test_goes_the_way_of_all(alice, receiver):
    assert webhooks.test(alice) is False
    webhooks.put(alice.pk, receiver.url)
    assert webhooks.test(alice) is True
    delivery.deliver_due()
    assert b"This is a test of your webhook" in receiver.calls[0].body


# ---- never inside -----------------------------------------------------------------------------------------

INSIDE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "192.0.0.8", "224.0.0.1", "255.255.255.255", "::1", "::",
    "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1",
    "fc00::1", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip
PUBLIC = ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_never_called(alice, address, monkeypatch):
    """SEC25."""
    connected = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(addresses.NotAllowed):
        webhooks.call(f"https://{host}/", b"", {})
    assert not connected


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address):
    assert addresses.is_public(address)


def test_a_name_is_resolved_once_and_every_address_must_be_public(monkeypatch):
    """SEC27: a name that answers otherwise the second time, and one with a private address among others."""
    answers = [["93.184.215.14"], ["127.0.0.1"]]
    asked, connected = [], []

    def resolve(host, port, **more):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answers[len(asked) - 1]]

    def connect(self, address):
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(ConnectionRefusedError):
        webhooks.call("https://rebound.test/", b"", {})
    assert asked == ["rebound.test"] and connected == [("93.184.215.14", 443)]

    answers[1] = ["93.184.215.14", "10.0.0.1"]
    with pytest.raises(addresses.NotAllowed):
        webhooks.call("https://rebound.test/", b"", {})
    assert len(connected) == 1


def test_what_is_refused_inside_fails_for_good(alice, receiver, settings):
    webhooks.put(alice.pk, receiver.url)
    settings.FETCH_ALLOW = []
    inbox.notify([alice], "system", "First")
    delivery.deliver_due()
    row = Delivery.objects.get()
    assert (row.state, row.error, receiver.calls) == ("failed", "This address is not allowed.", [])


def test_no_proxy_of_the_environment_is_asked(alice, receiver, monkeypatch):
    """SEC28."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert webhooks.call(receiver.url, b"{}", {}) == 204


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "begins with https"),
        ("example.org", "begins with https"),
        ("ftp://example.org/", "begins with https"),
        ("https://", "begins with https"),
        ("https://[::1", "begins with https"),
        ("https://example.org:port/", "begins with https"),
        ("https://exa mple.org/", "begins with https"),
        ("https://example.org/\r\nX: y", "begins with https"),
        ("https://example.org\\@127.0.0.1/", "begins with https"),
        ("https://example.org/" + "a" * 1000, "begins with https"),
        ("http://example.org/", "must begin with https"),
        ("https://u:p@example.org/", "user name or password"),
        ("https://@example.org/", "user name or password"),
    ],
)
def test_a_bad_address_is_refused_when_written(alice, url, words):
    """SEC29."""
    with pytest.raises(ValueError, match=words):
        webhooks.put(alice.pk, url)
    assert not Webhook.objects.exists()


# ---- bounded ----------------------------------------------------------------------------------------------


class Saying(NamedTuple):
    """What the other side says first, and then again and again after a pause of so many seconds.

    then: nothing means that it listens.
    """

    first: bytes
    then: bytes
    pause: float


@pytest.fixture
def tarpit(settings):
    """An address that says what it is given, again and again, until the other side is gone."""
    settings.FETCH_ALLOW = ["127.0.0.1"]
    listener = socket.create_server(("127.0.0.1", 0))
    saying: list[Saying] = []
    counted: list[int] = []
    over = threading.Event()

    def serve():
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        (said,) = saying
        count = 0
        with peer, contextlib.suppress(OSError):
            peer.sendall(said.first)
            while not over.wait(said.pause):
                if said.then:
                    count += peer.send(said.then)
                elif not peer.recv(65536):
                    break
        counted.append(count)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/", saying, counted, thread
    over.set()
    listener.close()
    thread.join(10)


@pytest.mark.parametrize(
    "saying",
    [
        Saying(b"", b"", 0),  # nothing at all
        Saying(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.05),  # headers without end, slowly
        Saying(b"HTTP/1.1 2", b"0", 0.05),  # a status line without end, slowly
    ],
    ids=["silent", "headers", "status"],
)
def test_a_call_ends_however_slowly_the_other_side_drips(tarpit, saying):
    """SEC30."""
    url, said, _, _ = tarpit
    said.append(saying)
    began = time.monotonic()
    with pytest.raises((OSError, webhooks.http.client.HTTPException)):
        webhooks.call(url, b"{}", {}, seconds=0.5)
    assert time.monotonic() - began < 5


def test_an_answer_without_end_is_not_read(tarpit):
    """SEC30."""
    url, said, counted, thread = tarpit
    said.append(Saying(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, 0))
    assert webhooks.call(url, b"{}", {}) == 200
    thread.join(10)
    assert counted[0] < 16 * 1024 * 1024  # what sockets hold, and no more
