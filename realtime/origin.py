"""Refuse WebSockets of other sites before the upgrade.

Channels' own validator compares host names only: another port, another scheme, `http://evil@host` pass it,
and `http://[::1` makes it raise.
"""

import logging
import re
from http.cookies import CookieError
from typing import Any

from django.conf import settings
from django.http import parse_cookie
from django.http.request import validate_host

logger = logging.getLogger(__name__)

_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_DEFAULT_PORT = {"http": "80", "https": "443"}
_PAGE_SCHEME = {"ws": "http", "wss": "https", "http": "http", "https": "https"}

Scope = dict[str, Any]


class OriginCheck:
    """ASGI wrapper: a WebSocket with a session cookie needs exactly our own Origin, else HTTP 403."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and has_session_cookie(scope) and not is_ours(scope):
            logger.warning("ws_origin_refused", extra={"origin": shown(scope), "address": address(scope)})
            await receive()  # websocket.connect; a close before the accept is answered with HTTP 403
            await send({"type": "websocket.close", "code": 4403})
            return
        await self.app(scope, receive, send)


def shown(scope: Scope) -> list[str]:
    """Return the origins of a request as a log may hold them."""
    return [origin[:200] for origin in headers(scope, b"origin")[:2]]


def is_ours(scope: Scope) -> bool:
    """Say whether the request comes from a page of ours. Total: no header raises."""
    origins = headers(scope, b"origin")
    if len(origins) != 1:
        return False
    origin = normal(origins[0])
    return origin is not None and origin in _allowed(scope)


def is_foreign(scope: Scope) -> bool:
    """Say whether a request over HTTP brings a session cookie from another site's page.

    A browser sends no Origin with a plain GET from a page of ours, so that none is fine here.
    """
    return has_session_cookie(scope) and bool(headers(scope, b"origin")) and not is_ours(scope)


def normal(origin: str) -> str | None:
    """Return an origin in one spelling, scheme, host and port, or None for what is no http origin."""
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return None
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    if port is not None and not 0 < int(port) < 65536:
        return None
    return f"{scheme}://{host}:{int(port) if port else _DEFAULT_PORT[scheme]}"


def _allowed(scope: Scope) -> set[str | None]:
    if settings.WS_ORIGINS:
        return {normal(origin) for origin in settings.WS_ORIGINS}
    hosts = headers(scope, b"host")
    if len(hosts) != 1:
        return set()
    own = normal(f"{_PAGE_SCHEME.get(scope.get('scheme', 'ws'), 'http')}://{hosts[0]}")
    if own is None or not validate_host(own.split("://")[1].rpartition(":")[0], settings.ALLOWED_HOSTS):
        # An unknown name may be a foreign site that resolves to us.
        return set()
    return {own}


def address(scope: Scope) -> str:
    """Return from where a request comes, "" where it is not known."""
    return str((scope.get("client") or ("",))[0])


def headers(scope: Scope, name: bytes) -> list[str]:
    """Return all values of a header."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def cookies(scope: Scope) -> dict[str, str]:
    """Return the request's cookies by name."""
    try:
        return dict(parse_cookie("; ".join(headers(scope, b"cookie"))))
    except CookieError:
        return {}


def has_session_cookie(scope: Scope) -> bool:
    """Say whether the request carries a session cookie, valid or not."""
    return settings.SESSION_COOKIE_NAME in cookies(scope)


def session_cookies(scope: Scope) -> int:
    """Return how many session cookies the request carries."""
    pairs = "; ".join(headers(scope, b"cookie")).split(";")
    return sum(pair.partition("=")[0].strip() == settings.SESSION_COOKIE_NAME for pair in pairs)
