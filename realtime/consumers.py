"""The WebSocket at /ws/live/: who is there, what they ask. What they are told comes from the hub."""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from realtime import hub as hubs
from realtime import limits
from realtime.admission import NotAdmitted, admit_socket
from realtime.credentials import Standing
from realtime.credit import Credit
from realtime.frame_writer import EXTENSION
from realtime.frames import Ack, Frame, Hello, Subscribe, Unsubscribe, Wrong, parse, ready
from realtime.limits import Close
from realtime.origin import Scope, cookies, has_session_cookie
from realtime.sockets import Socket

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# What the page's script was made of: another one after a reconnect means that a new version was deployed.
BUILD = hashlib.sha256(
    Path(__file__).with_name("static").joinpath("realtime", "live.js").read_bytes()
).hexdigest()[:12]


class Over(Exception):
    """The connection ends with this code; `None` when the client ended it."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


async def accepted(hub: hubs.Hub, scope: Scope, receive: Receive, send: Send) -> Standing | None:
    """Accept a socket first and judge it then, so that a browser learns why; None when it was closed."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    try:
        return await admit_socket(hub, scope)
    except NotAdmitted as refused:
        await send(closing(refused.code, refused.retry_after_ms))
        return None


class LiveConsumer:
    """An ASGI application for one path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hub = hubs.current()
        if standing := await accepted(hub, scope, receive, send):
            await Connection(hub, scope, receive, send, standing).run()


class Connection:
    """One accepted and signed-in socket."""

    def __init__(
        self, hub: "hubs.Hub", scope: Scope, receive: Receive, send: Send, standing: Standing
    ) -> None:
        self.hub = hub
        self.scope = scope
        self.receive = receive
        self.socket = Socket(
            standing,
            lambda text: send({"type": "websocket.send", "text": text}),
            lambda code: send(closing(code, self.socket.retry_after_ms)),
            scope.get("extensions", {}).get(EXTENSION),
        )
        self.greeted = False
        # Lists: an empty deque takes ten times as much, and most stay empty or short.
        self.frames: list[float] = []
        self.strikes: list[float] = []

    async def run(self) -> None:
        """Serve the socket until one side closes it."""
        self.hub.add(self.socket)
        try:
            try:
                async with asyncio.timeout(limits.HELLO_SECONDS):
                    while not self.greeted:
                        await self._next()
            except TimeoutError:
                raise Over(Close.HELLO_TIMEOUT) from None
            while True:
                await self._next()
        except Over as over:
            if over.code is not None:
                await self.socket.finish(over.code)
        finally:
            self.hub.remove(self.socket)

    async def _next(self) -> None:
        message = await self.receive()
        if message["type"] != "websocket.receive":
            raise Over(None)
        if self.socket.closed:
            return  # our close is under way
        text = message.get("text")
        if text is None:
            raise Over(Close.BINARY)
        if _too_many(self.frames, limits.FRAMES + 1, limits.FRAMES_SECONDS):
            raise Over(Close.TOO_MANY)
        frame = parse(text)
        if isinstance(frame, Wrong):
            self._wrong(frame)
        elif isinstance(frame, Hello):
            await self._hello(frame)
        elif not self.greeted:
            self._wrong(Wrong(code="hello_first", message="The first frame is hello.", id=frame.id))
        else:
            self._serve(frame)

    async def _hello(self, frame: Hello) -> None:
        if self.greeted:
            already = "hello was said already."
            self._wrong(Wrong(code="already_hello", message=already, id=frame.id))
            return
        if frame.v != limits.PROTOCOL:
            raise Over(Close.UPGRADE)
        if has_session_cookie(self.scope) and not _csrf_holds(cookies(self.scope), frame.csrf):
            raise Over(Close.FORBIDDEN)
        if self.hub.draining:
            raise Over(Close.DRAINING)
        self.greeted = True
        self.scope["headers"] = []  # read for the last time; a day is long for what nobody asks for
        if frame.ack:
            self.socket.credit = Credit(self.hub.counts)
        welcome = {
            "type": "welcome",
            "v": limits.PROTOCOL,
            "connection": f"{random.getrandbits(48):012x}",
            "time": hubs.now_ms(),
            "beat_ms": settings.WS_HEARTBEAT_SECONDS * 1000,
            "limits": {
                "frame_bytes": limits.MAX_FRAME,
                "frames": limits.FRAMES,
                "frames_seconds": limits.FRAMES_SECONDS,
                "streams": limits.STREAMS_A_SOCKET,
                "streams_a_frame": limits.STREAMS_A_FRAME,
                "credit_frames": limits.CREDIT_FRAMES,
                "credit_bytes": limits.CREDIT_BYTES,
            },
            "build": BUILD,
        }
        self.hub.put(self.socket, ready(welcome if frame.id is None else welcome | {"id": frame.id}))
        self._subscribe(frame)

    def _serve(self, frame: Frame) -> None:
        match frame:
            case Subscribe():
                self._subscribe(frame)
            case Unsubscribe():
                self.hub.unsubscribe(self.socket, frame.streams)
            case Ack():
                self.hub.acknowledge(self.socket, frame.versions)
                if frame.id is not None:
                    self.hub.beat(self.socket, frame.id)

    def _subscribe(self, frame: Hello | Subscribe) -> None:
        if not self.hub.subscribe(self.socket, frame.streams, frame.id):
            message = f"A socket watches at most {limits.STREAMS_A_SOCKET} streams."
            self._wrong(Wrong(code="too_many_streams", message=message, id=frame.id, strike=False))

    def _wrong(self, wrong: Wrong) -> None:
        error = {"type": "error", "code": wrong.code, "message": wrong.message}
        self.hub.put(self.socket, ready(error if wrong.id is None else error | {"id": wrong.id}))
        if wrong.strike and _too_many(self.strikes, limits.STRIKES, limits.STRIKES_SECONDS):
            raise Over(Close.BAD_FRAMES)


def _too_many(times: list[float], many: int, seconds: float) -> bool:
    """Note that something happened now; say whether it did so often in this time."""
    times.append(time.monotonic())
    if len(times) > many:
        del times[0]
    return len(times) == many and times[-1] - times[0] <= seconds


def closing(code: int, retry_after_ms: int | None) -> dict[str, Any]:
    """Return the message that closes a socket."""
    # A bare int: daphne takes no subclass of it, and would close with 1011.
    message: dict[str, Any] = {"type": "websocket.close", "code": int(code)}
    if retry_after_ms is not None:  # a page reads the reason; who is turned away is told nothing else
        message["reason"] = f'{{"retry_after_ms":{retry_after_ms}}}'
    return message


def _csrf_holds(named: dict[str, str], token: Any) -> bool:
    """Say whether Django would take this token with these cookies. It compares the two and asks nobody."""
    if not isinstance(token, str):
        return False
    request = HttpRequest()
    request.method = "POST"
    request.COOKIES = named
    request.META["HTTP_X_CSRFTOKEN"] = token
    check = CsrfViewMiddleware(_nothing)
    check.process_request(request)
    return check.process_view(request, _nothing, (), {}) is None


def _nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
