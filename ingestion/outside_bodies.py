"""Clients of services outside, and the bodies of their answers: no longer and no larger than we allow."""

import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

PIECE = 64 * 1024  # bytes that are unpacked at once


class BadBody(Exception):
    """A body that cannot be used. The text goes on after "The answer": "could not be unpacked"."""


class TooLarge(BadBody):
    """It has more bytes, unpacked, than we take."""


class TooSlow(BadBody):
    """It drips."""


class CutShort(BadBody):
    """It ended before its end; asked again it may be whole."""


@cache
def tls() -> ssl.SSLContext:
    """Return the one context of all our clients: httpx would build one for each, 40 ms each."""
    return ssl.create_default_context()


def client(
    timeout: httpx.Timeout,
    headers: dict[str, str],
    app: Callable[..., Any] | None = None,
    transport: httpx.BaseTransport | None = None,
) -> httpx.Client:
    """Return a client that asks only where it is sent: no proxy of the environment, no redirect, no cookie.

    app: a WSGI application that answers in place of the network. transport: what connects, in place of
    httpx's own. (SEC28)
    """
    return httpx.Client(
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=timeout,
        verify=tls(),
        transport=httpx.WSGITransport(app=app) if app else transport,
        headers={**headers, "Accept-Encoding": "gzip, deflate"},
    )


def unpacked(response: httpx.Response, most: int, seconds: float) -> Iterator[bytes]:
    """Yield the body of a streamed answer, unpacked.

    most: bytes, unpacked: a packed body may be a bomb. seconds: for all of it, however steadily it drips.
    Raises BadBody as soon as it is known.
    """
    end = time.monotonic() + seconds
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "deflate"):
        raise BadBody(f"is packed in a way we did not ask for: {encoding[:20]}")
    unpack = None if encoding in ("identity", "") else zlib.decompressobj(47)  # 47: gzip or zlib, by its head
    total = 0
    for raw in response.iter_raw(PIECE):
        if time.monotonic() > end:
            raise TooSlow("did not come in time")
        if unpack is not None and unpack.eof:  # zlib would keep what follows, and copy it each time
            total += len(raw)
            if total > most:
                raise TooLarge(f"is larger than {most // (1024 * 1024)} MB")
            continue
        left = raw
        while left:
            try:
                piece = left if unpack is None else unpack.decompress(left, PIECE)
            except zlib.error as error:
                raise BadBody("could not be unpacked") from error
            left = b"" if unpack is None else unpack.unconsumed_tail
            total += len(piece)
            if total > most:
                raise TooLarge(f"is larger than {most // (1024 * 1024)} MB")
            yield piece
    if unpack is not None and not unpack.eof:
        raise CutShort("ended too early")


def asked_to_wait(response: httpx.Response, most: float) -> float | None:
    """Return the seconds that an answer asks us to wait, `most` at most; None where it names none."""
    text = response.headers.get("retry-after", "")
    return min(float(text), most) if text.isascii() and text.isdigit() and len(text) < 9 else None
