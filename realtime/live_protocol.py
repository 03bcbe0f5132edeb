"""uvicorn's WebSocket, made to write one frame to many sockets, to keep more rules, and to bound more."""

import time
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import http11
from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from realtime.frame_writer import EXTENSION

# The web process bounds the head as a whole (config.heads). A line that is longer than the library likes
# would leave the client without any answer, and the socket open.
http11.MAX_LINE_LENGTH = 64 * 1024

OPEN = State.OPEN  # looked up with every delivery
USELESS = 1_000  # pings, pongs and empty fragments of one client ...
USELESS_SECONDS = 10.0  # ... in this time; one more closes with 4529
TOO_MANY = 4529
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class LiveProtocol(WebSocketsSansIOProtocol):
    """What uvicorn makes for every WebSocket.

    One message to 500 sockets costs `send` 500 times: an event, a task, a serialised frame. The bytes are
    the same for all of them, so who has made them once may hand them to the transport.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Protocol(extensions=[], max_size=self.config.ws_max_size, logger=self.logger)
        self._useless = 0
        self._useless_since = 0.0

    def data_received(self, data: bytes) -> None:
        """Take bytes. A head that the library cannot read gets an answer too: it would wait for ever."""
        super().data_received(data)
        unread = self.conn.handshake_exc is not None and not self.handshake_initiated
        if unread and not self.transport.is_closing():
            self.transport.write(_BAD_REQUEST)
            self.transport.close()

    def handle_ping(self) -> None:
        """Answer a ping, unless the client does not read: its answers would pile up here."""
        if not self._is_useless():
            answer = self.conn.data_to_send()
            if self.writable.is_set():
                self.transport.write(b"".join(answer))

    def handle_pong(self, event: Frame) -> None:
        """Ignore what nobody asked for."""
        self._is_useless()

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment; those without content are counted, because no limit of size does."""
        if event.data or event.fin:
            super().handle_cont(event)
        else:
            self._is_useless()

    def send_receive_event_to_app(self) -> None:
        """Hand a message over. A text that is none ends its socket; it is no error of ours to be logged."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def _is_useless(self) -> bool:
        """Count a frame that says nothing; close and return True when there were too many."""
        now = time.monotonic()
        if now >= self._useless_since + USELESS_SECONDS:
            self._useless, self._useless_since = 0, now
        self._useless += 1
        if self._useless > USELESS and self.conn.state is State.OPEN:
            self.conn.send_close(TOO_MANY)
            self.handle_parser_exception()
        return self._useless > USELESS

    def handle_connect(self, event: Request) -> None:
        """Answer the upgrade, and offer the extension to the application."""
        super().handle_connect(event)
        del self.request  # the scope has what it says; it would stay for as long as the connection
        if self.response.status_code == 101:
            self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]

    def takes_frame(self) -> bool:
        """Tell whether the client is there and reads: if not, `send` is to be awaited, or raises."""
        return self.conn.state is OPEN and self.writable.is_set() and not self.transport.is_closing()

    def write_frame(self, frame: bytes) -> None:
        """Write bytes that are a whole frame already, after `takes_frame` said yes."""
        self.transport.write(frame)


class _Protocol(ServerProtocol):
    def accept(self, request: Request) -> Response:
        versions = request.headers.get_all("Sec-WebSocket-Version")
        if versions and versions != ["13"]:
            # RFC 6455 4.4; the library answers 400.
            response = self.reject(HTTPStatus.UPGRADE_REQUIRED, "The version of WebSocket here is 13.\n")
            response.headers["Sec-WebSocket-Version"] = "13"
            return response
        return super().accept(request)

    def process_origin(self, headers: Headers) -> None:
        # The application judges it, and tells two of them from a bad request.
        return None

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            # RFC 6455 5.4: a control frame may come in the middle of a fragmented message. The library
            # calls a close there an error (1002); it is a close like any other.
            self.current_size = None
        super().recv_frame(frame)
