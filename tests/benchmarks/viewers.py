"""Many WebSocket clients in one process that cost little: they count, and read a time out of each message."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_AT = re.compile(rb'"(?:at|message)": ?"?([0-9]{10}\.[0-9]+)')
TEXT, CLOSE = 1, 8  # RFC 6455 5.2
TOO_MANY = (4529).to_bytes(2, "big")  # the code of a close whose reason says when to come again
KEY = base64.b64encode(b"sixteen bytes ok").decode()


def masked(text: str) -> bytes:
    """Return a client's text frame; the mask is zero, which RFC 6455 allows and nobody must undo here."""
    payload = text.encode()
    if len(payload) < 126:
        return bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


@dataclass
class Tally:
    """What many viewers saw."""

    messages: int = 0
    late: list[float] = field(default_factory=list)  # seconds between the time in a message and its arrival


class Viewer(asyncio.Protocol):
    """One client.

    hello: what to say once connected. tally: where to count. lost: called when the connection is gone.
    """

    def __init__(
        self, path: str, cookie: str, hello: Any, tally: Tally, lost: Callable[["Viewer"], None] | None = None
    ) -> None:
        self.path, self.cookie, self.hello, self.tally, self.lost = path, cookie, hello, tally, lost
        self.buffer = b""
        self.upgraded = False
        self.types: set[str] = set()
        self.after: float | None = None  # seconds to wait, said by `drain` or by the reason of a close
        self.first = asyncio.Event()
        self.stated = asyncio.Event()
        self.gone = asyncio.Event()
        self.refusal = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Ask for the upgrade."""
        self.transport = transport
        host = f"127.0.0.1:{transport.get_extra_info('peername')[1]}"
        cookie = f"Cookie: {self.cookie}\r\nOrigin: http://{host}\r\n" if self.cookie else ""
        transport.write(
            f"GET {self.path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{cookie}\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Count whole messages."""
        now = time.time()
        buffer = self.buffer + data
        if not self.upgraded:
            head, end, buffer_ = buffer.partition(b"\r\n\r\n")
            if not end:
                self.buffer = buffer
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.refusal = head
                self.first.set()
                return
            self.upgraded, buffer = True, buffer_
            if self.hello is not None:
                self.transport.write(masked(json.dumps(self.hello)))
            else:
                self.first.set()
        while len(buffer) >= 2:
            size, start = buffer[1], 2
            if size == 126:
                size, start = int.from_bytes(buffer[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(buffer[2:10], "big"), 10
            if len(buffer) < start + size or len(buffer) < start:
                break
            self._message(buffer[start : start + size], buffer[0] & 15, now)
            buffer = buffer[start + size :]
        self.buffer = buffer

    def _message(self, payload: bytes, opcode: int, now: float) -> None:
        if opcode == CLOSE and payload.startswith(TOO_MANY):
            self.after = json.loads(payload[2:])["retry_after_ms"] / 1000
        if opcode != TEXT:
            return
        self.tally.messages += 1
        self.first.set()
        if b'"state"' in payload or b'"change"' in payload:
            self.stated.set()
        elif b'"drain"' in payload:
            self.after = json.loads(payload)["after_ms"] / 1000
        self.tally.late += [now - float(at) for at in _AT.findall(payload)]

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who wants to come back."""
        self.gone.set()
        self.first.set()
        if self.lost is not None:
            self.lost(self)


async def connect(port: int, viewer: Viewer, seconds: float = 60) -> Viewer:
    """Connect one viewer and wait for its first message."""
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: viewer, "127.0.0.1", port)
    async with asyncio.timeout(seconds):
        await viewer.first.wait()
    if viewer.refusal:
        raise SystemExit(f"no upgrade: {viewer.refusal[:200]!r}")
    return viewer
