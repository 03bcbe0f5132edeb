"""Clients as PROTOCOL.md describes them, on real connections, who note what they were told and when."""

import asyncio
import json
import random
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Origin

from realtime.limits import Close
from realtime.reducer import Held, Reducer

FIRST_PAUSE = 0.1  # seconds before the first reconnect; doubles to LAST_PAUSE, with jitter
LAST_PAUSE = 2.0
QUIET = 10.0  # seconds without a word before a viewer doubts its connection: two beats
DOUBT = 2.0  # seconds a beat may take that was asked for
POLL_SECONDS = 5  # `wait` of a long poll
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading the usual authorities takes 40 ms a client
HOLDING = ("beat", "state", "change", "end", "gone")  # frames that say something of streams

Frame = dict[str, Any]


@dataclass
class Told:
    """A frame, when it came (monotonic), and over which of a viewer's connections."""

    at: float
    connection: int
    frame: Frame


@dataclass
class Step:
    """What a viewer held of a stream after a frame."""

    at: float
    stream: str
    epoch: str
    version: int


class SignedOut(Exception):
    """The server said to go and not to come back."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Viewer(ABC):
    """One client of one user. What it knows may be read from any thread."""

    transport = ""

    def __init__(
        self,
        address: str,
        headers: dict[str, str],
        csrf: str | None,
        streams: Sequence[str],
        *,
        quiet: float = QUIET,
        ack: bool = False,
        keeps_word: bool = True,
        receive_bytes: int | None = None,
    ) -> None:
        self.address = address
        self.headers = headers
        self.csrf = csrf
        self.streams = streams
        self.quiet = quiet
        self.ack = ack
        self.keeps_word = keeps_word  # acknowledges, if it said that it would
        self.receive_bytes = receive_bytes
        self.reducer = Reducer()
        self.told: list[Told] = []
        self.steps: list[Step] = []
        self.closes: list[int] = []
        self.connections: list[float] = []  # when each was made
        self.deaf = False  # does not read
        self.over: int | None = None  # the code with which it was sent away for good
        self._retry_after: float | None = None

    def __str__(self) -> str:
        name = type(self).__name__
        return f"{name} ({len(self.connections)} connections, {len(self.told)} frames, closed {self.closes})"

    def held(self, stream: str) -> Held:
        """Return what it holds of a stream."""
        return self.reducer.streams.get(stream) or Held()

    def at(self, stream: str, version: int) -> float | None:
        """Return when it first held this version or a later one, if it does."""
        steps = list(self.steps)
        return next((s.at for s in steps if s.stream == stream and s.version >= version), None)

    def frames(self, kind: str, stream: str | None = None) -> list[Told]:
        """Return what it was told with frames of one type."""
        told = list(self.told)
        return [t for t in told if t.frame["type"] == kind and stream in (None, t.frame.get("stream"))]

    @property
    def open(self) -> list[str]:
        """Return the streams that have not ended for it."""
        return [name for name in self.streams if not self.held(name).over]

    async def live(self) -> None:
        """Watch for ever; come back after everything but 44xx."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await self.converse()
            except SignedOut as out:
                self.closes.append(out.code)
                self.over = out.code
                return
            except (OSError, EOFError, TimeoutError, InvalidHandshake, httpx.TransportError):
                self.closes.append(1006)
            pause = FIRST_PAUSE if time.monotonic() - began > 5 else min(LAST_PAUSE, 2 * pause)
            wait, self._retry_after = self._retry_after, None
            await asyncio.sleep(random.uniform(0, pause) if wait is None else wait)

    @abstractmethod
    async def converse(self) -> None:
        """Hold one connection until it ends."""

    def take(self, frames: Iterable[Frame]) -> list[str]:
        """Take frames of the newest connection; return the streams to ask for again."""
        now = time.monotonic()
        again: dict[str, None] = {}
        for frame in frames:
            self.told.append(Told(now, len(self.connections), frame))
            if frame["type"] == "drain":
                self._retry_after = frame["after_ms"] / 1000
            if frame["type"] not in HOLDING:
                continue
            again |= dict.fromkeys(self.reducer.take(frame))
            stream = frame.get("stream")
            if stream in self.reducer.streams:
                held = self.held(stream)
                if held.version is not None and held.epoch is not None:
                    self.steps.append(Step(now, stream, held.epoch, held.version))
        return [name for name in again if not self.held(name).over]


class SocketViewer(Viewer):
    """A page with a WebSocket."""

    transport = "websocket"

    async def converse(self) -> None:
        """Say hello, then listen."""
        try:
            async with open_socket(
                f"ws://{self.address}/ws/live/",
                origin=Origin(f"http://{self.address}"),
                additional_headers=self.headers,
                open_timeout=5,
                close_timeout=1,
                ping_interval=None,
                compression=None,
                sock=self._small_socket(),
            ) as link:
                await self._listen(link)
        except ConnectionClosed as closed:
            if closed.rcvd is None:
                self.closes.append(1006)
                return
            code = closed.rcvd.code
            if 4400 <= code < 4500:
                raise SignedOut(code) from None
            if code == Close.TOO_MANY and closed.rcvd.reason:
                self._retry_after = json.loads(closed.rcvd.reason)["retry_after_ms"] / 1000
            self.closes.append(code)

    def _small_socket(self) -> socket.socket | None:
        """Return a connected socket that the kernel buffers little for, if that was asked for."""
        if self.receive_bytes is None:
            return None
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_bytes)
        host, port = self.address.split(":")
        small.connect((host, int(port)))
        small.setblocking(False)
        return small

    async def _listen(self, link: ClientConnection) -> None:
        hello = {"type": "hello", "csrf": self.csrf, "ack": self.ack, **self.reducer.ask(self.open)}
        await link.send(json.dumps(hello))
        while True:
            while self.deaf:
                await asyncio.sleep(0.05)
            try:
                text = await self._received(link, self.quiet)
            except TimeoutError:
                await link.send(json.dumps({"type": "ack", "versions": {}, "id": 7}))
                text = await self._received(link, DOUBT)
            content = json.loads(text)
            frames = content if isinstance(content, list) else [content]
            if any(frame["type"] == "welcome" for frame in frames):
                self.connections.append(time.monotonic())
            if again := self.take(frames):
                await link.send(json.dumps({"type": "subscribe", **self.reducer.ask(again)}))
            if self.ack and self.keeps_word:
                await link.send(json.dumps({"type": "ack", "versions": self._versions()}))

    @staticmethod
    async def _received(link: ClientConnection, seconds: float) -> str | bytes:
        # wait_for of Python 3.11 loses a cancellation that comes together with a message.
        async with asyncio.timeout(seconds):
            return await link.recv()

    def _versions(self) -> dict[str, int]:
        return {name: held.version for name, held in self.reducer.streams.items() if held.version is not None}


class AskingViewer(Viewer):
    """A client of /api/live. It comes back with the cursor that the server gave it, as browsers do."""

    cursor = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.streams:
            self.reducer.streams[name] = Held()

    def url(self, **more: Any) -> str:
        """Return where to ask."""
        return f"http://{self.address}/api/live?" + urlencode({"stream": self.streams, **more}, doseq=True)

    def judged(self, status: int) -> bool:
        """Say whether an answer is of use; raise SignedOut for one that ends it all."""
        if status == 401:
            raise SignedOut(Close.SIGNED_OUT)
        return status == 200


class EventViewer(AskingViewer):
    """A program that reads the event stream."""

    transport = "sse"

    async def converse(self) -> None:
        """Read one answer to its end."""
        headers = {**self.headers, "Accept": "text/event-stream"}
        if self.cursor:
            headers["Last-Event-ID"] = self.cursor
        async with (
            httpx.AsyncClient(verify=PLAIN, timeout=httpx.Timeout(5, read=self.quiet + DOUBT)) as client,
            client.stream("GET", self.url(), headers=headers) as answer,
        ):
            if answer.status_code == 204:
                raise SignedOut(0)
            if not self.judged(answer.status_code):
                return
            self.connections.append(time.monotonic())
            place, data = self.cursor, ""
            async for line in answer.aiter_lines():
                while self.deaf:
                    await asyncio.sleep(0.05)
                name, _, value = line.partition(": ")
                if name == "id":
                    place = value
                elif name == "data":
                    data = value
                elif not line:  # only now the event is whole, and its id stands, as in browsers
                    if data and self.take([json.loads(data)]):
                        return  # a hole: come back from before it
                    self.cursor, data = place, ""


class PollViewer(AskingViewer):
    """A page without a socket: long polls."""

    transport = "poll"

    async def converse(self) -> None:
        """Ask until nothing is left to ask for."""
        waits = httpx.Timeout(5, read=POLL_SECONDS + 5)
        async with httpx.AsyncClient(verify=PLAIN, timeout=waits) as client:
            while True:
                url = self.url(cursor=self.cursor, wait=POLL_SECONDS)
                answer = await client.get(url, headers=self.headers)
                if not self.judged(answer.status_code):
                    return
                self.connections.append(time.monotonic())  # each request may be one: httpx says nothing
                content = answer.json()
                self.take(content["frames"])
                self.cursor = content["cursor"]
                if content["poll_after_ms"] is None:
                    raise SignedOut(0)
                await asyncio.sleep(content["poll_after_ms"] / 1000)


TRANSPORTS = {viewer.transport: viewer for viewer in (SocketViewer, EventViewer, PollViewer)}
