"""Applications of a test, served by our web server as a deployment serves Headway."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from config.serve import configuration
from tests.waiting import until

MAX_BYTES = 32 * 1024**2


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(app: Any, *, max_bytes: int = MAX_BYTES) -> Iterator[int]:
    """Serve an application in a thread; return the port."""
    port = free_port()
    server = uvicorn.Server(configuration(app, "127.0.0.1", port, max_bytes=max_bytes))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive(), what="the server")
    assert server.started
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(20)
