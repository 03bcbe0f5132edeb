"""Programs that ask a site over HTTP while something breaks."""

import http.client
import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from ingestion import tokens
from tests.proxy import Proxy
from tests.waiting import until

SECONDS = 30  # a guard against hanging


class Program:
    """A program with a token of a user."""

    def __init__(self, address: str, user: User) -> None:
        self.address = address
        _, self.token = tokens.create(user, "faults")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Ask on a connection of its own; return the status and what came as JSON."""
        return self._ask(
            http.client.HTTPConnection(self.address, timeout=SECONDS), method, path, body, headers
        )

    def ask_unheard(self, front: Proxy, method: str, path: str) -> None:
        """Ask; the request arrives, its answer does not."""
        front.cut()
        until(lambda: front.connections == 0, 10, "a quiet line")
        line = http.client.HTTPConnection(self.address, timeout=SECONDS)
        line.connect()
        until(lambda: front.connections == 1, 10, "the connection")
        front.lose_answers()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            self._ask(line, method, path, None, {})

    def _ask(
        self, line: http.client.HTTPConnection, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, Any]:
        try:
            data = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
            kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
            line.request(
                method,
                path,
                data,
                {"Authorization": f"Bearer {self.token}", "Content-Type": kind, **headers},
            )
            answer = line.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            line.close()

    def start(self, source: str = "ping", key: str = "", **params: Any) -> tuple[int, Any]:
        """Ask for a job."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.ask("POST", "/api/jobs", {"source": source, "params": params}, **headers)
