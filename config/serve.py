"""The web process: uvicorn, told to say goodbye to live clients before it closes."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from typing import Any

import structlog
import uvicorn
from django.conf import settings

from config.heads import BoundedHead
from realtime.live_protocol import LiveProtocol

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 3.0
STUCK_MS = 30_000  # for which a client may take nothing of what waits for it, before the kernel drops it
GRACEFUL_SECONDS = 5
MAIL_SECONDS = 2.0  # for which the end waits for mails that somebody was told to look for
OLD_AFTER = 50  # searches of younger objects between two of all; Python's own are 10
SWITCH_SECONDS = 0.001  # for which a thread may compute while others wait


class Server(uvicorn.Server):
    """A server that lets the hub send `drain` and end its long answers, then stops."""

    lookout: Any = None  # of a process that serves Headway

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept, once everything is loaded."""
        # A port that listens is asked by the proxy already: what is loaded later, its requests wait for.
        _settle()
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                _drop_the_stuck(listening.fileno())

    async def on_tick(self, counter: int) -> bool:
        """Look every 15 s at who answers: this turns as the loop does."""
        if self.lookout is not None:
            self.lookout.look_aside()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, say goodbye, then end as uvicorn does."""
        from realtime import hub  # Django must be set up, which loading the application did

        for server in self.servers:
            server.close()
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the result.
            async with asyncio.timeout(DRAIN_SECONDS):
                await hub.drain()
        except TimeoutError:
            log.warning("drain_incomplete", seconds=DRAIN_SECONDS)
        await super().shutdown(sockets)


def _settle() -> None:
    """Let what was loaded be, and threads take turns more often."""
    from django.urls import get_resolver  # Django must be set up, which loading the application did

    _ = get_resolver().url_patterns  # every page and the API: else the first request loads them
    # The collector would look through all of it again and again, for 0.1 to 0.3 s in which nobody is served.
    gc.collect()
    gc.freeze()
    # With hundreds of clients gone and hundreds new, one more such search is 0.1 s in which nobody is served.
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, OLD_AFTER)
    # Python's own 5 ms are what each answer of the database waits for while the event loop is busy.
    sys.setswitchinterval(SWITCH_SECONDS)


def _end_well() -> None:
    """Let SIGTERM end the process after its last words.

    uvicorn, once it has stopped, ends by the signal itself: nothing happens that Python does at its own end.
    """
    from account import recovery  # Django must be set up

    def end(number: int, frame: object) -> None:
        recovery.finish(MAIL_SECONDS)
        logging.shutdown()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, end)


def _drop_the_stuck(listening: int) -> None:
    """Have the kernel end every connection, once accepted, that takes nothing for STUCK_MS.

    A client that never reads is given up by the hub after 15 s, but a transport closes only when all is
    written: without this the connection and its buffer would stay for as long as the client likes.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted sockets inherit it
        with socket.socket(fileno=os.dup(listening)) as copy:
            copy.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)


def configuration(app: Any, host: str, port: int, *, max_bytes: int) -> uvicorn.Config:
    """Return how we serve an application.

    max_bytes: of one WebSocket message; a longer one closes the socket with 1009.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedHead,
        ws=LiveProtocol,
        ws_max_size=max_bytes,
        ws_per_message_deflate=False,  # 2.3 times the CPU, and one ready frame could not serve everybody
        ws_ping_interval=None,  # the hub's own beat tells the dead from the quiet
        lifespan="off",
        server_header=False,
        date_header=True,
        proxy_headers=False,  # config.proxies believes trusted proxies alone
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        timeout_keep_alive=20,
    )


def serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from ingestion.sightings import Lookout  # once Django is set up

    server = Server(configuration("config.asgi:application", host, port, max_bytes=settings.WS_MAX_BYTES))
    server.lookout = Lookout("web")
    _end_well()
    server.run()
