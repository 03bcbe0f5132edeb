"""uvicorn's WebSocket, made to write one frame to many sockets, and to keep one more rule of RFC 6455."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

# In `extensions` of a connection's ASGI scope: an object with the two methods below. Where it is absent, as
# under another server, `send` does the same at a higher price.
EXTENSION = "headway.frames"


class LiveProtocol(WebSocketsSansIOProtocol):
    """What uvicorn makes for every WebSocket.

    One message to 500 sockets costs `send` 500 times: an event, a task, a serialised frame. The bytes are
    the same for all of them, so who has made them once may hand them to the transport.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Protocol(extensions=[], max_size=self.config.ws_max_size, logger=self.logger)

    def handle_connect(self, event: Request) -> None:
        """Answer the upgrade, and offer the extension to the application."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]

    def takes_frame(self) -> bool:
        """Tell whether the client is there and reads: if not, `send` is to be awaited, or raises."""
        here = self.conn.state is State.OPEN and not self.transport.is_closing()
        return here and self.writable.is_set()

    def write_frame(self, frame: bytes) -> None:
        """Write bytes that are a whole frame already, after `takes_frame` said yes."""
        self.transport.write(frame)


class _Protocol(ServerProtocol):
    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            # RFC 6455 5.4: a control frame may come in the middle of a fragmented message. The library
            # calls a close there an error (1002); it is a close like any other.
            self.current_size = None
        super().recv_frame(frame)
