"""Refuse large and slow bodies before Django sees them.

Django writes a whole body to a temporary file before it looks at address, session or CSRF token: without
this, anybody could fill the disk by sending to an address that does not even exist.
"""

import asyncio
import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import structlog

from config.heads import LINGER_SECONDS
from config.problems import NO_ROOM, PROBLEMS

log = structlog.get_logger(__name__)

# Where files may be sent: the API's address, and the forms that may hold a file.
UPLOAD_PATHS = re.compile(
    r"/api/uploads/?|/api/imports/\d{1,19}/file|/start/[\w-]+/|/jobs/[0-9a-f-]{36}/answer/"
    r"|/imports/new/|/workspaces/\d{1,19}/upload/|/topics/\d{1,19}/analyse/"
)
MULTIPART_BYTES = 64 * 1024  # what a form adds to its file
SLOWEST_UPLOAD = 16 * 1024  # bytes a second, after the first `seconds`
LINGER_BYTES = 2 * 1024**2  # most of a refused body that is dropped before the connection ends
UPLOADS_AT_ONCE = 5  # of one user and process: each may hold a temporary file of the largest size

Scope = dict[str, Any]
SignedIn = Callable[[Scope], Awaitable[str | None]]


class BodyLimit:
    """ASGI wrapper.

    small, large: most bytes of a body, and of one sent to UPLOAD_PATHS.
    seconds: in which a small body must have arrived.
    signed_in: tells whose living session or token a request carries; asked for large bodies only.
    page: returns the HTML of an error page.
    """

    def __init__(
        self,
        app: Any,
        *,
        small: int,
        large: int,
        seconds: float,
        signed_in: SignedIn,
        page: Callable[[int, str], str],
    ) -> None:
        self.app = app
        self.small, self.large, self.seconds = small, large + MULTIPART_BYTES, seconds
        self.signed_in, self.page = signed_in, page
        self.uploading: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = _length(scope)
        upload = scope["method"] == "POST" and UPLOAD_PATHS.fullmatch(scope["path"]) is not None
        # A small body needs no question: it is read, and the view decides as it does for everybody.
        asks = upload and (length is None or length > self.small or scope["path"].startswith("/api/"))
        user = await self.signed_in(scope) if asks else None
        if asks and user is None:
            await self._refuse(scope, receive, send, "auth_required", self.small)
            return
        limit = self.large if upload else self.small
        if length is not None and length > limit:
            await self._refuse(scope, receive, send, "body_too_large", limit)
            return
        if user is None:
            await self._read(scope, receive, send, limit, upload)
            return
        if self.uploading[user] >= UPLOADS_AT_ONCE:
            await self._refuse(scope, receive, send, "quota_exceeded", limit)
            return
        self.uploading[user] += 1
        try:
            await self._read(scope, receive, send, limit, upload)
        finally:
            self.uploading[user] -= 1
            self.uploading += Counter()  # forgets who has none

    async def _read(self, scope: Scope, receive: Any, send: Any, limit: int, upload: bool) -> None:
        began, seen, finished, started = time.monotonic(), 0, False, False
        refusal = ""

        async def limited() -> Any:
            nonlocal seen, finished, refusal
            if finished:  # now Django only waits for the client to leave
                return await receive()
            allowed = self.seconds + (seen / SLOWEST_UPLOAD if upload else 0)
            try:
                async with asyncio.timeout(max(0.001, began + allowed - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                refusal = "timeout"
                return {"type": "http.disconnect"}
            seen += len(message.get("body", b""))
            finished = not message.get("more_body", False)
            if seen > limit:
                refusal = "body_too_large"
                return {"type": "http.disconnect"}
            return message

        async def watched(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, limited, watched)
        except OSError as error:  # Django keeps what does not fit in memory in a temporary file
            if started or error.errno not in NO_ROOM:
                raise
            refusal = "storage_full"
        if refusal and not started:
            await self._refuse(scope, receive, send, refusal, limit)

    async def _refuse(self, scope: Scope, receive: Any, send: Any, code: str, limit: int) -> None:
        status, text = PROBLEMS[code]
        reference = uuid4().hex
        if status == 413:
            text = text.format(n=max(1, (limit - MULTIPART_BYTES * (limit > self.small)) // 1024**2))
        if status == 429:
            text = text.format(n=UPLOADS_AT_ONCE, things="uploads on their way")
        known = {"request_id": reference, "address": (scope.get("client") or ("",))[0]}
        log.warning("body_refused", path=scope["path"][:200], code=code, **known)
        if scope["path"].startswith("/api/"):
            kind = b"application/problem+json"
            problem = {"type": "about:blank", "title": text, "status": status, "code": code, "detail": text}
            body = json.dumps(problem | {"request_id": reference}).encode()
        else:
            kind = b"text/html; charset=utf-8"
            body = self.page(status if status in (413, 503) else 400, text).encode()
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),  # the rest of the body must not be read as a request
            (b"cache-control", b"no-store"),
            (b"x-request-id", reference.encode()),
        ]
        if status == 429:
            headers.append((b"retry-after", b"5"))
        if status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="headway"'))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await _linger(receive)
        await send({"type": "http.response.body"})


async def _linger(receive: Any) -> None:
    """Drop what a refused client still sends, for a while (RFC 9112 9.6).

    Closed at once, with bytes unread, the kernel would reset the connection and lose the answer.
    """
    dropped = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while dropped < LINGER_BYTES:
                message = await receive()
                dropped += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break


def _length(scope: Scope) -> int | None:
    """Return the announced length, None for a body that comes in chunks."""
    if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
        return None
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
