"""A client that speaks JSON, and the one shape of errors."""

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client


class ApiClient(Client):
    """A client that sends and reads JSON."""

    def send(self, path: str, body: Any = None, **extra: Any) -> HttpResponse:
        """POST a body as JSON; bytes as they are."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = extra.pop("content_type", "application/json")
        # Named twice: for an empty body Django's client leaves the header out.
        return self.generic("POST", f"/api{path}", data, kind, CONTENT_TYPE=kind, **extra)  # type: ignore[return-value]

    def read(self, path: str, **extra: Any) -> HttpResponse:
        """GET an address of the API."""
        return self.get(f"/api{path}", **extra)  # type: ignore[return-value]


def client_of(user: Any, **options: Any) -> ApiClient:
    """Return a client with a session of this user."""
    client = ApiClient(**options)
    client.force_login(user)
    return client


def assert_problem(response: Any, status: int, code: str, *, field: str | None = None) -> dict[str, Any]:
    """Assert the one shape of errors, and return the body."""
    body: dict[str, Any] = json.loads(response.content)
    assert (response.status_code, body.get("code")) == (status, code), body
    assert response["Content-Type"] == "application/problem+json"
    assert set(body) - {"errors"} == {"type", "title", "status", "code", "detail", "request_id"}
    assert body["status"] == status
    assert body["request_id"] == response["X-Request-Id"]
    assert body["detail"]
    if field is not None:
        assert field in [error["field"] for error in body["errors"]], body
    return body


def without_id(response: Any) -> dict[str, Any]:
    """Return an error's body without what differs between two equal ones."""
    body: dict[str, Any] = json.loads(response.content)
    body.pop("request_id")
    return body
