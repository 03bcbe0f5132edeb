"""The HTTP protocol of the web process: uvicorn's, which would keep a head of any size in memory."""

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_URL = 8_192  # bytes; RFC 9110 4.1 asks for 8,000 at least
MAX_HEADERS = 100  # a browser behind two proxies sends some forty
MAX_HEAD = 64 * 1024  # bytes of the address and all headers together
LINGER_SECONDS = 1.0  # for which a refused client may go on sending, so that it can read why

UPGRADES = 2  # WebSockets that are made on one turn of the event loop

_TEXTS = {414: "The address is too long.", 431: "The headers are too large."}


class _TooLarge(Exception):
    """The head is refused; the parser gives it back as an error of its own."""


class Upgrades:
    """Makes WebSockets a few at a time.

    After a restart hundreds come at once. Made in one turn of the event loop, and then walking on in step,
    they would hold each turn of a request up for as long as all of them take.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()

    def add(self, make: Callable[[], None]) -> None:
        """Make a WebSocket when its turn comes."""
        self._waiting.append(make)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        some = [self._waiting.popleft() for _ in range(min(UPGRADES, len(self._waiting)))]
        if self._waiting:
            self._loop.call_soon(self._turn)
        for make in some:
            self._loop.call_soon(make)  # of its own: one that fails keeps no other out


_upgrades: WeakKeyDictionary[asyncio.AbstractEventLoop, Upgrades] = WeakKeyDictionary()


class BoundedHead(HttpToolsProtocol):
    """Refuses long addresses (414) and large heads (431) while they arrive."""

    _refused = 0  # the status, once refused
    _head = 0  # bytes of this head that the parser has told
    _pending: int | None = 0  # bytes fed to the parser since the chunk in which this head began
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what a refused client still sends is dropped."""
        if self._refused:
            return
        super().data_received(data)
        if self._in_head and not self._refused and not self.transport.is_closing():
            # A header that never ends reaches no callback of the parser. The chunk in which the head began is
            # not counted: the body of the request before may fill it.
            self._pending = 0 if self._pending is None else self._pending + len(data)
            if self._pending > MAX_HEAD:
                self._refused = 431
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """Count anew: a connection carries many requests."""
        self._head, self._pending = 0, None
        self._in_head = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        super().on_url(url)
        self._count(len(url))
        if len(self.url) > MAX_URL:
            self._refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        self._count(len(name) + len(value) + 4)
        if len(self.headers) > MAX_HEADERS:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        """Start the request."""
        self._in_head = False
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Make a WebSocket of the connection, in its turn. Nothing is read of it until then."""
        if self.loop not in _upgrades:
            _upgrades[self.loop] = Upgrades(self.loop)
        self.transport.pause_reading()
        _upgrades[self.loop].add(self._upgrade)

    def _upgrade(self) -> None:
        if not self.transport.is_closing():  # by the client, or because the process stops
            try:
                super().handle_websocket_upgrade()
            except BaseException:
                self.transport.abort()  # nobody else would: it is not read from
                raise
            if not self.transport.is_closing():
                self.transport.resume_reading()
        # It and we hold each other. Together we would stay until the collector looks at what is old.
        del self.parser

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is none, or one whose head was refused, and read no further."""
        status = self._refused
        if not status:
            super().send_400_response(msg)
            return
        text = _TEXTS[status].encode()
        lines = [
            STATUS_LINE[status],
            b"content-type: text/plain; charset=utf-8\r\n",
            b"content-length: %d\r\n" % len(text),
            b"x-content-type-options: nosniff\r\n",
            b"connection: close\r\n\r\n",
            text,
        ]
        self.transport.write(b"".join(lines))
        # Closed at once, with bytes of the client unread, the kernel would reset and lose the answer.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            self._refuse(431)

    def _refuse(self, status: int) -> None:
        self._refused = status
        raise _TooLarge
