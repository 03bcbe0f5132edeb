"""Connections that last no longer than they may; to addresses that strangers wrote down, public ones only.

Of those the name is resolved once and the connection made to what was judged: asked again, it might lead
elsewhere.
"""

import socket
import threading
import time
from collections.abc import Iterable
from queue import Empty, Queue
from ssl import SSLContext
from typing import Any

import httpcore
import httpx
from django.conf import settings

from config import addresses
from ingestion.outside_bodies import tls

RESOLVE_SECONDS = 10.0
KEPT = 4  # connections to a service between two requests, for 5 s


class Unresolvable(Exception):
    """Nobody knows the host's name. for_now: who should know did not say."""

    def __init__(self, *, for_now: bool = False) -> None:
        super().__init__()
        self.for_now = for_now


class NotResolvedInTime(Exception):
    """Where the host is could not be found out in time."""


class Clock:
    """When the request of each thread must be over, however steadily the other side drips."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def begin(self, seconds: float) -> None:
        """Give this thread's requests so long from now."""
        self._of_thread.end = time.monotonic() + seconds

    def extend(self, seconds: float) -> None:
        """Give this thread's requests so much more."""
        self._of_thread.end = getattr(self._of_thread, "end", float("inf")) + seconds

    def left(self) -> float:
        """Return the seconds that are left, not below 0."""
        end: float = getattr(self._of_thread, "end", float("inf"))
        return max(0.0, end - time.monotonic())


class _Timed(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, clock: Clock) -> None:
        self._stream, self._clock = stream, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read, while there is time."""
        return self._stream.read(max_bytes, self._within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, while there is time."""
        self._stream.write(buffer, self._within(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Encrypt; the certificate must be the name's, not the number's."""
        within = self._within(timeout, httpcore.ConnectTimeout)
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, within), self._clock)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks of its streams."""
        return self._stream.get_extra_info(info)

    def _within(self, timeout: float | None, late: type[Exception]) -> float:
        left = self._clock.left()
        if left <= 0:
            raise late("out of time")
        return min(left, timeout if timeout is not None else left)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, clock: Clock) -> None:
        self._plain, self._clock = httpcore.SyncBackend(), clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect, while there is time."""
        within = min(timeout or float("inf"), self._clock.left())
        if within <= 0:
            raise httpcore.ConnectTimeout("out of time")
        stream = self._plain.connect_tcp(host, port, within, local_address, socket_options)
        return _Timed(stream, self._clock)

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        """Refuse: no address of a page leads there."""
        raise httpcore.ConnectError("not allowed")


class _Judged(_Backend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to what the name was judged by. Raises NotAllowed, Unresolvable, NotResolvedInTime."""
        found = _resolved(host, port, min(RESOLVE_SECONDS, self._clock.left()))
        last: Exception = httpcore.ConnectError("no address")
        for _, sockaddr in found:
            try:
                return super().connect_tcp(str(sockaddr[0]), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last


def _resolved(host: str, port: int, seconds: float) -> list[addresses.Address]:
    """Return where a host is.

    In a thread of its own, which is left behind when it takes longer: getaddrinfo knows no time-out.
    """
    answer: Queue[list[addresses.Address] | Exception] = Queue()

    def resolve() -> None:
        try:
            answer.put(addresses.resolve(host, port, settings.FETCH_ALLOW))
        except (addresses.NotAllowed, OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=resolve, name="resolve", daemon=True).start()
    try:
        found = answer.get(timeout=max(seconds, 0.001))
    except Empty:
        raise NotResolvedInTime from None
    if isinstance(found, socket.gaierror):
        raise Unresolvable(for_now=found.errno == socket.EAI_AGAIN) from found
    if isinstance(found, UnicodeError):
        raise Unresolvable from found
    if isinstance(found, Exception):
        raise found
    return found


def transport(clock: Clock) -> httpx.BaseTransport:
    """Return what connects for a client of strangers' addresses; each request has a connection of its own."""
    return _connecting(_Judged(clock), kept=0)


def timed_transport(clock: Clock) -> httpx.BaseTransport:
    """Return what connects for a client of a service that the operator chose, wherever that is."""
    return _connecting(_Backend(clock), kept=KEPT)


def _connecting(backend: httpcore.NetworkBackend, kept: int) -> httpx.BaseTransport:
    made = httpx.HTTPTransport(verify=tls(), trust_env=False)
    made._pool.close()
    # httpx takes no backend; the pool that it would make is this one but for that.
    made._pool = httpcore.ConnectionPool(
        ssl_context=tls(), max_keepalive_connections=kept, keepalive_expiry=5.0, network_backend=backend
    )
    return made
