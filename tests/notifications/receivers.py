"""A mail server and a webhook's receiver, on loopback, that can die and come back at their address."""

import threading
from collections.abc import Callable
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.servers import free_port


class MailServer:
    """Keeps what arrives. `answer` says what the next DATA is answered; "" ends the connection unanswered."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer: Callable[[EmailMessage], str] = lambda mail: "250 OK"
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        if self._controller.server is not None:
            self._controller.stop()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = BytesParser(EmailMessage, policy=default).parsebytes(envelope.content)
        self.mails.append(mail)
        if not (said := self.answer(mail)):
            server.transport.abort()
        return said or "250 OK"


class Call:
    """A call that a receiver got."""

    def __init__(self, headers: Any, body: bytes, path: str) -> None:
        self.headers, self.body, self.path = (
            {name.lower(): value for name, value in headers.items()},
            body,
            path,
        )


class Receiver:
    """Keeps what it is sent. `answer` says the status; 0 ends the connection unanswered."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answer: Callable[[Call], int] = lambda call: 204
        self.location = ""
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=b"

    def start(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                call = Call(self.headers, body, self.path)
                owner.calls.append(call)
                status = owner.answer(call)
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                if owner.location:
                    self.send_header("Location", owner.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
