"""The web process against clients that speak HTTP badly, by raw socket."""

import contextlib
import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from django.conf import settings
from django.middleware.csrf import _get_new_csrf_string
from django.test import Client

from ingestion.models import Upload
from realtime.models import Session
from tests.engine import Engine
from tests.waiting import until


class Site:
    """A web process of these tests."""

    def __init__(self, engine: Engine, **env: str) -> None:
        self.engine = engine
        self.process, self.port = engine.web(**env)

    def lives(self) -> bool:
        """Say whether it answers; it must not have ended."""
        assert self.process.poll() is None, self.engine.log.read_text()
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask in order."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    def say(self, *pieces: bytes, finish: bool = False) -> bytes:
        """Send pieces; return all that comes back. finish: send no more, as a client that leaves."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=15) as connection:
            for piece in pieces:
                connection.sendall(piece)
            if finish:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(scope="module")
def site(django_db_setup: Any, django_db_blocker: Any) -> Iterator[Site]:
    """Serve for this file."""
    engine = Engine()
    with django_db_blocker.unblock():
        found = Site(engine)
    yield found
    engine.stop()


POST = b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /healthz%b HTTP/1.1\r\nHost: localhost\r\n%bConnection: close\r\n\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_a_client_that_leaves_within_its_body_is_no_event(site: Site) -> None:
    """API22."""
    before = len(site.engine.log.read_text())
    assert site.say(POST + b"Content-Length: 10\r\n\r\n", b'{"sou', finish=True) == b""
    assert site.lives()
    said = site.engine.log.read_text()[before:].lower()
    assert not [word for word in ("warning", "error", "critical", "traceback") if word in said], said


def test_two_lengths_of_one_body_are_refused(site: Site) -> None:
    """API23: a proxy before us may believe the other one (request smuggling)."""
    both = b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    assert status(site.say(POST + both)) == 400
    assert site.lives()


def test_a_long_address_is_refused(site: Site) -> None:
    """API63."""
    assert status(site.say(GET % (b"?" + b"a" * 9_000, b""))) == 414
    assert status(site.say(GET % (b"?" + b"a" * 8_000, b""))) == 200
    assert site.lives()


@pytest.mark.parametrize(
    "headers",
    [
        b"".join(b"X-%d: y\r\n" % n for n in range(300)),
        b"X-Long: " + b"y" * 70_000 + b"\r\n",
        b"".join(b"X-%d: " % n + b"y" * 7_000 + b"\r\n" for n in range(10)),
    ],
    ids=["300 headers", "one of 70 KB", "ten of 7 KB"],
)
def test_a_large_head_is_refused(site: Site, headers: bytes) -> None:
    """API64."""
    answer = site.say(GET % (b"", headers))
    assert status(answer) == 431 and answer.endswith(b"The headers are too large.")
    assert site.lives()


def test_a_header_without_end_is_cut(site: Site) -> None:
    """API64: it would fill the memory before any callback of the parser runs."""
    answer = site.say(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ", *[b"y" * 65_536] * 4)
    assert status(answer) == 431
    assert site.lives()


def test_a_refused_upload_hears_why_while_it_sends(site: Site) -> None:
    """Closed with bytes of the client unread, a connection is reset and the answer lost."""
    size = 1024**2
    head = b"POST /api/uploads?name=a.csv HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
    answer = site.say(head, *[b"a" * 65_536] * (size // 65_536))
    assert status(answer) == 401 and b"auth_required" in answer


def test_many_headers_and_a_long_address_within_the_limits_are_served(site: Site) -> None:
    headers = b"".join(b"X-%d: y\r\n" % n for n in range(90)) + b"X-Long: " + b"y" * 40_000 + b"\r\n"
    twice = GET.replace(b"Connection: close\r\n", b"") % (b"", headers) + GET % (b"", headers)
    assert site.say(twice).count(b"HTTP/1.1 200 OK") == 2


UPLOAD = b"POST /api/uploads?name=a.csv HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6000000\r\n"


def session_of(user: Any) -> tuple[bytes, str]:
    """Return the headers of a signed-in browser, and the key of its session."""
    client = Client()
    client.force_login(user)
    key, secret = client.cookies[settings.SESSION_COOKIE_NAME].value, _get_new_csrf_string()
    cookies = f"{settings.SESSION_COOKIE_NAME}={key}; {settings.CSRF_COOKIE_NAME}={secret}"
    return f"Cookie: {cookies}\r\nX-CSRFToken: {secret}\r\nConnection: close\r\n\r\n".encode(), key


def spooled(site: Site) -> list[str]:
    """Return the temporary files that the web process holds."""
    held = []
    for entry in Path(f"/proc/{site.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held.append(str(entry.readlink()))
    return [name for name in held if name.startswith(tempfile.gettempdir()) and name.endswith("(deleted)")]


def stored() -> tuple[int, list[Path]]:
    folder = Path(settings.MEDIA_ROOT)
    return Upload.objects.count(), [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.django_db(transaction=True)
def test_a_client_that_leaves_within_its_file_leaves_nothing(site: Site, alice: Any) -> None:
    """UP81."""
    before = stored()
    headers, _ = session_of(alice)
    with socket.create_connection(("127.0.0.1", site.port), timeout=15) as connection:
        connection.sendall(UPLOAD + headers + b"a,b\n" * 750_000)
        until(lambda: spooled(site), 15, "the file's first half")
    until(lambda: not spooled(site), 15, "the end of the temporary file")
    assert site.lives()
    assert stored() == before


@pytest.mark.django_db(transaction=True)
def test_a_session_that_ends_within_its_file_leaves_nothing(site: Site, alice: Any) -> None:
    """UP83."""
    before = stored()
    headers, key = session_of(alice)
    with socket.create_connection(("127.0.0.1", site.port), timeout=15) as connection:
        connection.sendall(UPLOAD + headers + b"a,b\n" * 750_000)
        until(lambda: spooled(site), 15, "the file's first half")
        Session.objects.filter(session_key=key).delete()
        connection.sendall(b"a,b\n" * 750_000)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert status(answer) == 401 and b'"auth_required"' in answer
    until(lambda: not spooled(site), 15, "the end of the temporary file")
    assert stored() == before


def test_without_a_database_it_starts_and_is_not_ready(db: Any) -> None:
    """ENV28."""
    engine = Engine()
    try:
        site = Site(engine, DATABASE_URL="postgres://headway@127.0.0.1:1/headway")
        code, body = site.get("/readyz")
        assert (code, json.loads(body)["checks"]["database"]) == (503, "Cannot reach the database.")
    finally:
        engine.stop()
