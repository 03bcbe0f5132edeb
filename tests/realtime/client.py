"""A program at the other end of the wire: an ASGI connection to the real application, in this process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from realtime import hub as hubs
from realtime import publish
from realtime.credentials import Credential, Standing, standings
from tests.waiting import until_async

ORIGIN = "http://testserver"
PATIENCE = 30.0  # seconds; a guard against hanging, not a figure


class Communicator(WebsocketCommunicator):
    """Channels' own keeps everybody, the hub included, from closing connections while it waits."""

    send_input = ApplicationCommunicator.send_input
    receive_output = ApplicationCommunicator.receive_output


class Wire:
    """One socket. `frames` are those received so far, arrays taken apart."""

    def __init__(self, communicator: Communicator, csrf: str | None) -> None:
        self.communicator = communicator
        self.csrf = csrf
        self.frames: list[dict[str, Any]] = []
        self.seen = 0
        self.close_code: int | None = None

    async def say(self, frame: Any) -> None:
        """Send a frame: an object, or text as it is."""
        await self.communicator.send_to(text_data=frame if isinstance(frame, str) else json.dumps(frame))

    async def hello(self, *streams: Any, **more: Any) -> dict[str, Any]:
        """Say hello and return the welcome."""
        await self.say({"type": "hello", "csrf": self.csrf, "streams": list(streams)} | more)
        return await self.next("welcome")

    async def next(self, *types: str, stream: str | None = None) -> dict[str, Any]:
        """Return the next frame of one of these types (of this stream), skipping others."""
        async with asyncio.timeout(PATIENCE):
            while True:
                while self.seen < len(self.frames):
                    frame = self.frames[self.seen]
                    self.seen += 1
                    if (not types or frame["type"] in types) and stream in (None, frame.get("stream")):
                        return frame
                await self._receive()

    async def closed(self) -> int:
        """Wait for the server's close and return its code."""
        async with asyncio.timeout(PATIENCE):
            while self.close_code is None:
                await self._receive()
        return self.close_code

    async def _receive(self) -> None:
        message = await self.communicator.receive_output(timeout=PATIENCE)
        if message["type"] == "websocket.close":
            self.close_code = message.get("code", 1000)
            if not self.frames or self.close_code:
                await self.communicator.send_input({"type": "websocket.disconnect", "code": 1000})
            return
        content = json.loads(message["text"])
        self.frames += content if isinstance(content, list) else [content]

    async def __aenter__(self) -> "Wire":
        return self

    async def leave(self) -> None:
        """Go away as a browser does."""
        if self.close_code is None:
            await self.communicator.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.communicator.wait(timeout=PATIENCE)


def session(user: Any) -> tuple[str, str]:
    """Sign a user in; return the Cookie header and the token a page of theirs would carry."""
    client = Client()
    client.force_login(user)
    token = "a" * 32
    client.cookies[settings.CSRF_COOKIE_NAME] = token
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items()), token


def standing_of(user: Any) -> Standing:
    """Sign a user in; return by what right their socket is here."""
    client = Client()
    client.force_login(user)
    credential = Credential("session", client.cookies[settings.SESSION_COOKIE_NAME].value)
    return standings([credential])[credential]


async def connect(
    cookie: str | None = None,
    csrf: str | None = None,
    *,
    path: str = "/ws/live/",
    origin: str | None = ORIGIN,
    headers: list[tuple[bytes, bytes]] = (),
) -> Wire:
    """Open a socket to the application."""
    from config.asgi import application

    sent = [(b"host", b"testserver"), *headers]
    if origin is not None:
        sent.append((b"origin", origin.encode("latin-1")))
    if cookie is not None:
        sent.append((b"cookie", cookie.encode("latin-1")))
    communicator = Communicator(application, path, headers=sent)
    await communicator.send_input({"type": "websocket.connect"})
    wire = Wire(communicator, csrf)
    first = await communicator.receive_output(timeout=PATIENCE)
    if first["type"] == "websocket.close":
        wire.close_code = 403  # refused before the upgrade
    return wire


@asynccontextmanager
async def wire_of(user: Any) -> AsyncIterator[Wire]:
    """Open a signed-in user's socket, and close it afterwards."""
    wire = await connect(*await in_database(session, user))
    try:
        yield wire
    finally:
        await wire.leave()


async def heard(hub: hubs.Hub) -> None:
    """Wait until a hub hears whose rights change: it joins in the background."""

    async def joined() -> bool:
        return publish.ACCESS in hub.watching.hints._joined

    await until_async(joined, what="the hub to listen")


async def in_database(call: Any, *args: Any, **kwargs: Any) -> Any:
    """Run `call` in a thread of its own, committed like any other process's work."""
    return await database_sync_to_async(call, thread_sensitive=False)(*args, **kwargs)


@asynccontextmanager
async def fresh_hub() -> AsyncIterator[hubs.Hub]:
    """Give the running loop a hub of its own, and end it afterwards."""
    hub = hubs.current()
    try:
        yield hub
    finally:
        await hub.stop()
        # A question that is answered after the test would leave its connection open: pytest-django lets
        # nobody touch the database then, not even to close it.
        await asyncio.to_thread(hub.database._threads.shutdown)


@asynccontextmanager
async def counted(hub: hubs.Hub) -> AsyncIterator[list[int]]:
    """Count the queries of each question that a hub asks meanwhile."""
    counts: list[int] = []
    original = hub.database.ask

    def count(call: Any, *args: Any) -> Any:
        with CaptureQueriesContext(connection) as queries:
            result = call(*args)
        counts.append(len(queries))
        return result

    async def spy(call: Any, *args: Any) -> Any:
        return await original(count, call, *args)

    hub.database.ask = spy  # type: ignore[method-assign]
    try:
        yield counts
    finally:
        hub.database.ask = original  # type: ignore[method-assign]
