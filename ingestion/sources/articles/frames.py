"""What a worker and those that parse pages for it say to each other: JSON, and bytes that belong to it."""

import json
import socket
import struct
from typing import Any

# To who forks: for a process, whose socket comes along, or for the exit code of a process that is named.
REQUEST, ANSWER = struct.Struct("!ci"), struct.Struct("!i")
FORK, WAIT = b"f", b"w"
_SIZES = struct.Struct("!II")


def send(to: socket.socket, head: Any, content: bytes = b"") -> None:
    """Send a message. Raises OSError."""
    said = json.dumps(head).encode()  # ASCII: halves of characters pass
    to.sendall(_SIZES.pack(len(said), len(content)) + said + content)


def receive(given: socket.socket) -> tuple[Any, bytes]:
    """Return the next message. Raises EOFError when none comes any more, OSError."""
    head, content = _SIZES.unpack(exactly(given, _SIZES.size))
    return json.loads(exactly(given, head)), exactly(given, content)


def exactly(given: socket.socket, size: int) -> bytes:
    """Return so many bytes. Raises EOFError when fewer come, OSError."""
    found = bytearray()
    while len(found) < size:
        piece = given.recv(min(size - len(found), 1 << 20))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)
