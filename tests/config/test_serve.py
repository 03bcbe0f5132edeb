"""The server's own doing: who takes nothing is dropped even after the application gave up on them."""

import asyncio
import errno
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import Any

import pytest

from config import serve
from tests.engine import ROOT
from tests.waiting import until_async


class Server(serve.Server):
    @contextmanager
    def capture_signals(self) -> Any:
        """Leave the signals to the test."""
        yield


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="a socket option of Linux")
async def test_a_client_that_takes_nothing_is_dropped_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "STUCK_MS", 1000)
    gave_up = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            async with asyncio.timeout(0.5):
                while True:
                    await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        except TimeoutError:
            gave_up.set()

    monkeypatch.setattr(serve, "_settle", lambda: None)  # it is for a process of its own
    server = Server(serve.configuration(app, "127.0.0.1", 0, max_bytes=1000))
    running = asyncio.ensure_future(server.serve())

    async def started() -> bool:
        return server.started

    await until_async(started, what="the server")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        address = server.servers[0].sockets[0].getsockname()
        await asyncio.get_running_loop().sock_connect(client, address)
        await asyncio.get_running_loop().sock_sendall(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(gave_up.wait(), 20)

        async def dropped() -> bool:
            return not server.server_state.connections

        await until_async(dropped, what="the connection to be dropped")
    server.should_exit = True
    await running


async def test_nobody_can_connect_before_everything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers: list[int] = []

    def ask() -> None:
        with socket.socket() as client:
            answers.append(client.connect_ex(("127.0.0.1", port)))

    monkeypatch.setattr(serve, "_settle", ask)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError

    server = Server(serve.configuration(app, "127.0.0.1", port, max_bytes=1000))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    ask()
    await server.shutdown()
    assert answers == [errno.ECONNREFUSED, 0]


SETTLED = """
import gc, sys
import django
django.setup()
from config import serve
young, middle, _ = gc.get_threshold()
serve._settle()
print(gc.get_freeze_count() > 100_000, gc.get_threshold() == (young, middle, 50), sys.getswitchinterval())
"""


def test_what_was_loaded_is_not_searched_for_garbage_again_and_all_the_rest_seldom() -> None:
    said = subprocess.run(
        [sys.executable, "-c", SETTLED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["True", "True", "0.001"]


ENDED = """
import logging, signal
import django
django.setup()
from account import recovery
from config import serve
serve._end_well()
for number in range(100):
    logging.getLogger("django.request").warning("Not Found: %s", number)
recovery._begun.add(recovery._pool.submit(lambda: print("mail", flush=True)))
signal.raise_signal(signal.SIGTERM)
"""


def test_a_process_that_is_told_to_end_has_said_everything() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert done.stdout == "mail\n"
    assert "lines_left_out" in done.stderr.splitlines()[-1]
