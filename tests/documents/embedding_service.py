"""A service that speaks OpenAI's /embeddings, on loopback: it answers as it is told to."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import Loopback

DIM = 8


def vector(text: str, dim: int = DIM) -> list[float]:
    """Return how often each of some letters comes: enough to tell texts apart."""
    return [1.0 + text.lower().count("abcdefghijklmnopqrstuvwxyz"[n % 26]) for n in range(dim)]


def told(body: dict[str, Any], dim: int = DIM) -> dict[str, Any]:
    """Return the answer to a question, the last text first: the order is in `index`."""
    rows = [
        {"object": "embedding", "index": n, "embedding": vector(text, dim)}
        for n, text in enumerate(body["input"])
    ]
    return {"object": "list", "data": rows[::-1], "model": body["model"], "usage": {"prompt_tokens": 1}}


class EmbeddingService(Loopback):
    """What it was asked, and what it answers.

    answer: takes the question, gives (status, what is sent). hold: as long as it is not set, nothing is
    answered; it is set at the start.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []  # path, key, question
        self.answer: Callable[[dict[str, Any]], tuple[int, Any]] = lambda body: (200, told(body))
        self.hold = threading.Event()
        self.hold.set()
        super().__init__(_handler(self))

    @property
    def url(self) -> str:
        """Return its address."""
        return f"{super().url}/v1/"

    def stop(self) -> None:
        """End it."""
        self.hold.set()
        super().stop()


def _handler(service: EmbeddingService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.asked.append((self.path, self.headers.get("Authorization"), body))
            service.hold.wait(60)
            status, said = service.answer(body)
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                self.close_connection = True  # whoever asked has left

        def log_message(self, *args: Any) -> None:
            return

    return Handler
