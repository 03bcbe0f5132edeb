"""A client that writes the bytes of a WebSocket itself, also those that no library would write (RFC 6455)."""

import base64
import json
import os
import socket
import struct
import time
from typing import Any

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KEY = base64.b64encode(b"0123456789abcdef").decode()
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """Return a client's frame."""
    head = bytes([(fin << 7) | (rsv << 4) | opcode])
    size, bit = len(payload), masked << 7
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = (mask * (size // 4 + 1))[:size]
    body = (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(size) if size else b""
    return head + mask + body


class Raw:
    """One connection. `status` and `headers` are the answer to the upgrade."""

    def __init__(
        self, port: int, path: str, headers: dict[str, str | list[str] | None], *, method: str = "GET"
    ) -> None:
        lines = [f"{method} {path} HTTP/1.1"]
        for name, value in ({"Host": f"127.0.0.1:{port}"} | UPGRADE | headers).items():
            for one in value if isinstance(value, list) else [] if value is None else [value]:
                lines.append(f"{name}: {one}")
        self.link = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.received = b""
        self.link.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        head, *fields = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(head.split(" ")[1])
        pairs = [field.split(": ", 1) for field in fields if field]
        self.headers = {name.lower(): value for name, value in pairs}

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.link.sendall(data)

    def say(self, content: Any) -> None:
        """Send a JSON frame."""
        self.send(frame(TEXT, json.dumps(content).encode()))

    def next(self) -> tuple[int, bytes]:
        """Return the next frame: opcode and payload."""
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._exactly(8))
        return first & 0x0F, self._exactly(size)

    def hear(self, kind: str) -> dict[str, Any]:
        """Return the next JSON frame of a type."""
        while True:
            opcode, payload = self.next()
            assert opcode != CLOSE, payload
            if opcode == TEXT:
                content = json.loads(payload)
                for one in content if isinstance(content, list) else [content]:
                    if one["type"] == kind:
                        return dict(one)

    def closed(self) -> tuple[int, list[bytes]]:
        """Read to the close frame; return its code and the texts before it."""
        texts = []
        while True:
            opcode, payload = self.next()
            if opcode == CLOSE:
                return struct.unpack(">H", payload[:2])[0], texts
            if opcode == TEXT:
                texts.append(payload)

    def leave(self) -> None:
        """Drop the connection."""
        self.link.close()

    def _until(self, end: bytes) -> bytes:
        while end not in self.received:
            self._read()
        found, self.received = self.received.split(end, 1)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self.received) < size:
            self._read()
        found, self.received = self.received[:size], self.received[size:]
        return found

    def _read(self) -> None:
        data = self.link.recv(65536)
        if not data:
            raise ConnectionError(f"closed by the server after {self.received!r}")
        self.received += data


def answered_within(raw: Raw, seconds: float) -> bool:
    """Say whether an open, greeted socket answers in this time."""
    began = time.monotonic()
    raw.say({"type": "ack", "id": 9})
    while raw.hear("beat").get("id") != 9:  # one that came by itself
        pass
    return time.monotonic() - began < seconds
