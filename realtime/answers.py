"""How /api/live answers, in the terms of ASGI."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import structlog

from config.problems import Problem, problem_body
from realtime.origin import Scope, address

log = structlog.get_logger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

COMMON: Headers = [(b"cache-control", b"no-store"), (b"vary", b"Accept, Authorization, Cookie")]
# The last is for nginx, which would keep events until it has a buffer full of them.
EVENTS: Headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
JSON: Headers = [(b"content-type", b"application/json")]


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer."""
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers + COMMON + length})
    await send({"type": "http.response.body", "body": body})


async def refuse(scope: Scope, send: Send, problem: Problem) -> None:
    """Send an error in the one shape that all have (RFC 9457)."""
    reference = uuid4().hex
    log.info("live_refused", code=problem.code, request_id=reference, address=address(scope))
    headers = [(b"content-type", b"application/problem+json"), (b"x-request-id", reference.encode())]
    if problem.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="headway"'))
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    body = json.dumps(problem_body(problem, reference), ensure_ascii=False).encode("utf-8", "replace")
    await respond(send, problem.status, headers, b"" if scope["method"] == "HEAD" else body)


async def disconnected(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
