"""A deployment seen from outside: how its addresses are asked, as a browser or a program asks them."""

import http.client
import json
import secrets
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from websockets.sync.client import ClientConnection, connect

from realtime import paths
from realtime.sessions import SessionStore

ANSWER_SECONDS = 10.0  # for anything that should be there at once
CHUNK_SECONDS = 0.02  # between two chunks of a body
SESSION_SECONDS = 300  # of a session that is made to look; it is deleted afterwards
TIMED_OUT = (TimeoutError, socket.timeout)

Status = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True)
class Found:
    """What one check found. fix: what to do about it. figures: what was measured, with units in the names."""

    name: str
    status: Status
    text: str
    fix: str = ""
    figures: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Credentials:
    """Who asks: a session's cookie header and CSRF token, or a bearer token; and a stream they may watch."""

    cookie: str = ""
    csrf: str = ""
    token: str = ""
    stream: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that say so."""
        if self.cookie:
            return {"Cookie": self.cookie}
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def __bool__(self) -> bool:
        return bool(self.cookie or self.token)


@contextmanager
def signed_in(user: User, stream: str) -> Iterator[Credentials]:
    """Yield a user of our database as who asks for a stream; the session made for that ends with it."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.set_expiry(SESSION_SECONDS)
    session.create()
    csrf = secrets.token_hex(16)
    cookie = f"{settings.SESSION_COOKIE_NAME}={session.session_key}; {settings.CSRF_COOKIE_NAME}={csrf}"
    try:
        yield Credentials(cookie=cookie, csrf=csrf, stream=stream)
    finally:
        session.delete()


class Deployment:
    """A site at an address of scheme, host and port. Raises ValueError for any other address."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError(f"{url} is no address of a site, such as https://headway.example.")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(f"Name the site alone, without a path: {parts.scheme}://{parts.netloc}")
        self.secure = parts.scheme == "https"
        self.host, self.port = parts.hostname, parts.port or (443 if self.secure else 80)
        self.origin = f"{parts.scheme}://{parts.netloc}"

    @contextmanager
    def ask(
        self,
        path: str,
        headers: Mapping[str, str],
        *,
        method: str = "GET",
        seconds: float = ANSWER_SECONDS,
        body: Iterable[bytes] = (),
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; yield the answer when its head is here.

        body: chunks of what is sent of it, a moment apart; the headers may announce more. seconds: for the
        answer's head, and then for each line. Raises OSError and http.client.HTTPException.
        """
        kind: Any = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        options = {"context": ssl.create_default_context()} if self.secure else {}
        link = kind(self.host, self.port, timeout=seconds, **options)
        try:
            link.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                link.putheader(name, value)
            link.endheaders()
            with suppress(OSError):  # who refuses need not read: the answer is here already
                for chunk in body:
                    link.send(chunk)
                    time.sleep(CHUNK_SECONDS)
            yield link.getresponse()
        finally:
            link.close()

    @contextmanager
    def socket(
        self, headers: Mapping[str, str], *, origin: str | None = None, path: str = paths.SOCKET
    ) -> Iterator[ClientConnection]:
        """Open a WebSocket. Raises OSError and websockets' exceptions."""
        url = ("wss" if self.secure else "ws") + self.origin.removeprefix("https").removeprefix("http") + path
        with connect(
            url,
            origin=origin,  # type: ignore[arg-type]
            additional_headers=headers,
            compression="deflate",  # offered, as browsers do, so that a proxy which takes it is seen
            open_timeout=ANSWER_SECONDS,
            proxy=None,
        ) as link:
            yield link

    def live(self, who: Credentials, **more: str) -> str:
        """Return the path of /api/live for the asker's stream."""
        query = "&".join(f"{name}={quote(value)}" for name, value in {"stream": who.stream, **more}.items())
        return f"{paths.HTTP}?{query}"


def code_of(answer: http.client.HTTPResponse) -> str:
    """Return the code of a problem answer of ours, '' for an answer of somebody else."""
    if answer.headers.get_content_type() != "application/problem+json":
        return ""
    try:
        return str(json.loads(answer.read(65536)).get("code", ""))
    except (ValueError, AttributeError):
        return ""


def milliseconds(began: float) -> float:
    """Return the time since `began` on the monotonic clock."""
    return round((time.monotonic() - began) * 1000, 1)
