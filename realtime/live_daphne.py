"""daphne's WebSocket, made to write one frame to many sockets, as live_protocol.py makes uvicorn's."""

import sys
from functools import partial
from typing import Any

from realtime.frame_writer import EXTENSION
from realtime.origin import Scope


class DaphneFrames:
    """ASGI wrapper: offers the application the extension under daphne.

    daphne's own way of a message costs the library a frame of its own, and Twisted a turn of its reactor.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        # What daphne hands over is its server's method with the connection in it.
        daphne = sys.modules.get("daphne.server")  # None: this is another server
        if daphne is not None and isinstance(send, partial):
            server = getattr(send.func, "__self__", None)
            if isinstance(server, daphne.Server) and _is_plain(send.args[0].transport):
                scope.setdefault("extensions", {})[EXTENSION] = _Writer(send.args[0])
        await self.app(scope, receive, send)


class _Writer:
    """Writes frames to the socket of one connection of daphne's."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._transport = protocol.transport

    def takes_frame(self) -> bool:
        """Tell whether the client is there and reads: what Twisted keeps for it goes first."""
        transport = self._transport
        free = transport.connected and not (transport.dataBuffer or transport._tempDataBuffer)
        return free and self._protocol.state == self._protocol.STATE_OPEN and not transport.disconnecting

    def write_frame(self, frame: bytes) -> None:
        """Write bytes that are a whole frame already, after `takes_frame` said yes."""
        written = self._transport.writeSomeData(frame)
        if not isinstance(written, int):
            written = 0  # the connection is lost, which Twisted finds with its own try
        if written < len(frame):
            self._transport.write(frame[written:])


def _is_plain(transport: Any) -> bool:
    """Tell whether what is written to the socket is what the client reads: nothing encrypts it."""
    from twisted.internet.tcp import Server  # loaded with daphne, and of no use without

    return isinstance(transport, Server) and not transport.TLS
