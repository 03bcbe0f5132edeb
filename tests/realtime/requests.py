"""A program that asks /api/live over HTTP: an ASGI request to the real application, in this process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from tests.realtime.client import PATIENCE, in_database, session


class Exchange:
    """One request and what has come back so far."""

    def __init__(
        self, query: Any, headers: dict[str, str], method: str = "GET", path: str = "/api/live"
    ) -> None:
        from config.asgi import application

        text = query if isinstance(query, str) else urlencode(query, doseq=True)
        sent = {"host": "testserver"} | headers
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": text.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": ("127.0.0.1", 5),
            "server": ("testserver", 80),
        }
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self.reading = asyncio.Event()  # cleared: a client that does not read
        self.reading.set()
        self._moved = asyncio.Event()
        self._gone = asyncio.Event()
        self._asked = False
        self.task = asyncio.ensure_future(application(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        await self.reading.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
            self.ended = not message.get("more_body", False)
        self._moved.set()

    async def until(self, condition: Any) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                assert not self.task.done() or self.ended or condition(), self.task
                self._moved.clear()
                await self._moved.wait()

    async def done(self) -> "Exchange":
        """Wait for the end of the answer."""
        async with asyncio.timeout(PATIENCE):
            await self.task
        return self

    @property
    def events(self) -> list[tuple[str, str, Any]]:
        """Return the events of an event stream: id, type, data."""
        found, last = [], ""
        for block in self.body.decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            last = fields.get("id", last)
            if "data" in fields:
                found.append((last, fields["event"], json.loads(fields["data"])))
        return found

    async def event(self, *types: str, after: int = 0) -> Any:
        """Return the first event of these types from a place in the list on."""

        def found() -> list[Any]:
            return [data for _, kind, data in self.events[after:] if kind in types]

        await self.until(found)
        return found()[0]

    async def leave(self) -> None:
        """Go away as a browser does."""
        self._gone.set()
        async with asyncio.timeout(PATIENCE):
            await self.task


class Program:
    """A signed-in client."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers

    def begin(self, *streams: str, headers: dict[str, str] | None = None, **query: Any) -> Exchange:
        """Begin a request."""
        return Exchange({"stream": list(streams)} | query, self.headers | (headers or {}))

    async def poll(self, *streams: str, **query: Any) -> dict[str, Any]:
        """Return the JSON answer."""
        exchange = await self.begin(*streams, **query).done()
        assert exchange.status == 200, exchange.body
        assert exchange.headers["content-type"] == "application/json"
        return json.loads(exchange.body)

    @asynccontextmanager
    async def follow(self, *streams: str, last: str = "", **query: Any) -> AsyncIterator[Exchange]:
        """Open an event stream, and leave it afterwards."""
        more = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        exchange = self.begin(*streams, headers=more, **query)
        try:
            yield exchange
        finally:
            await exchange.leave()


async def program_of(user: Any) -> Program:
    """Return a client with a session of this user."""
    cookie, _ = await in_database(session, user)
    return Program({"Cookie": cookie})
