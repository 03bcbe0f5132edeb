"""The fault proxy breaks what it says it breaks: everything that stands on it does too."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.proxy import Proxy
from tests.waiting import until


class Echo(threading.Thread):
    """A server that says everything back, one thread a client, and ends when the client has ended."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.heard: list[bytes] = []
        self.start()

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with client:
            try:
                while data := client.recv(65536):
                    self.heard.append(data)
                    client.sendall(data)
            except OSError:
                return


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    proxy = Proxy(echo.listener.getsockname(), mark=b"mark")
    yield proxy
    proxy.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        assert took(client, b"x") < 5
        yield client


def took(client: socket.socket, data: bytes) -> float:
    began = time.monotonic()
    client.sendall(data)
    left = len(data)
    while left:
        left -= len(client.recv(left))
    return time.monotonic() - began


def test_it_passes_everything_on_and_counts_the_mark(proxy: Proxy, client: socket.socket) -> None:
    took(client, b"mark and mark" * 1000)
    assert (proxy.connections, proxy.seen) == (1, 2000)


def test_latency_is_paid_each_way(proxy: Proxy, client: socket.socket) -> None:
    proxy.latency = 0.2
    assert took(client, b"x") >= 0.4


def test_a_rate_is_kept(proxy: Proxy, client: socket.socket) -> None:
    proxy.rate = 20_000
    assert took(client, b"x" * 10_000) >= 0.5


def test_silence_holds_everything_and_loses_nothing(proxy: Proxy, echo: Echo, client: socket.socket) -> None:
    proxy.silence()
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        took(client, b"hello")
    assert echo.heard == [b"x"]
    proxy.heal()
    client.settimeout(10)
    assert client.recv(5) == b"hello"


def test_a_cut_is_a_reset(proxy: Proxy, client: socket.socket) -> None:
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        until(lambda: not client.recv(1))
    until(lambda: proxy.connections == 0, what="the end of the connection")


def test_a_half_close_ends_only_what_the_client_hears(
    proxy: Proxy, echo: Echo, client: socket.socket
) -> None:
    proxy.half_close()
    assert client.recv(1) == b""
    client.sendall(b"still here")
    until(lambda: b"still here" in echo.heard, what="the words after the half close")


def test_it_refuses_and_allows(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    proxy.allow()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        assert took(client, b"x") < 5
