"""A service that speaks OpenAI's /chat/completions, on loopback: it answers as it is told to."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import Loopback

JUDGED = {"relevance": 0.8, "sentiment": -0.25, "summary": "A ferry was sold.", "keywords": ["ferry", "sale"]}


def told(content: Any) -> dict[str, Any]:
    """Return an answer in which the model says something."""
    said = content if isinstance(content, str) else json.dumps(content)
    return {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": said}}]}


class AnalysisService(Loopback):
    """What it was asked, and what it answers.

    answer: takes the question, gives (status, headers, what is sent). drip: bytes that it sends one by one,
    with so many seconds between two.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []  # path, key, question
        self.answer: Callable[[dict[str, Any]], tuple[int, dict[str, str], Any]] = lambda body: (
            200,
            {},
            told(JUDGED),
        )
        self.drip = 0.0
        self.ended = threading.Event()
        super().__init__(_handler(self))

    def says(self, content: Any) -> None:
        """Have the model say this from now on."""
        self.answer = lambda body: (200, {}, told(content))

    @property
    def url(self) -> str:
        """Return its address."""
        return f"{super().url}/v1/"

    def stop(self) -> None:
        """End it."""
        self.ended.set()
        super().stop()


def _handler(service: AnalysisService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.asked.append((self.path, self.headers.get("Authorization"), body))
            status, headers, said = service.answer(body)
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            try:
                if service.drip:
                    self._drip()
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                self.close_connection = True  # whoever asked has left

        def _drip(self) -> None:
            """Send a head without end, byte by byte: each comes in time, all of it never."""
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not service.ended.wait(service.drip):
                self.wfile.write(b"x")

        def log_message(self, *args: Any) -> None:
            return

    return Handler
