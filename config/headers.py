"""Headers that every answer carries, and the one that keeps private answers private."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

Sync = Callable[[HttpRequest], HttpResponseBase]
Async = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
PRIVATE_TYPES = re.compile(r"text/html|application/(.+\+)?json")


@sync_and_async_middleware
def no_store(get_response: Sync | Async) -> Sync | Async:
    """Keep what signed-in people and programs read out of every cache, without a query."""
    if iscoroutinefunction(get_response):

        async def middle(request: HttpRequest) -> HttpResponseBase:
            return _mark(request, await cast(Async, get_response)(request))

        return middle

    def middle_sync(request: HttpRequest) -> HttpResponseBase:
        return _mark(request, cast(Sync, get_response)(request))

    return middle_sync


def _mark(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    cookie = settings.SESSION_COOKIE_NAME
    private = cookie in request.COOKIES or cookie in response.cookies or "Authorization" in request.headers
    if private and PRIVATE_TYPES.match(response.headers.get("Content-Type", "")):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


class SecurityHeaders:
    """ASGI wrapper, outermost: adds what an answer made outside Django lacks."""

    def __init__(self, app: Any) -> None:
        self.app = app
        policy = (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'"
        )
        self.headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", settings.SECURE_REFERRER_POLICY.encode()),
            (b"cross-origin-opener-policy", settings.SECURE_CROSS_ORIGIN_OPENER_POLICY.encode()),
            (b"content-security-policy", f"{policy}; form-action 'self'; frame-ancestors 'none'".encode()),
        ]
        if settings.PRODUCTION:
            value = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload"
            self.headers.append((b"strict-transport-security", value.encode()))

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Handle one connection."""

        async def complete(message: Any) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message.get("headers", [])}
                missing = [pair for pair in self.headers if pair[0] not in present]
                message = {**message, "headers": [*message.get("headers", []), *missing]}
            await send(message)

        await self.app(scope, receive, complete if scope["type"] == "http" else send)
