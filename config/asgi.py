"""What a web process serves: pages and API through Django, the live socket, nothing else."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup(set_prefix=False)  # what follows needs its models

from channels.db import database_sync_to_async
from django.conf import settings

from config import errors
from config.bodies import BodyLimit, Scope
from config.handler import Handler
from config.headers import SecurityHeaders
from config.proxies import Proxies
from config.staticfiles import StaticFiles
from ingestion import stability, tokens
from ingestion.sources.articles import sockets as articles
from ingestion.sources.companies import subscribers
from ingestion.sources.documents import sockets as documents
from ingestion.sources.lifelogs import sockets as lifelogs
from realtime import paths
from realtime.credentials import identify
from realtime.http import LiveHttp
from realtime.plain_events import PlainEvents
from realtime.routing import websockets


def _signed_in(scope: Scope) -> str | None:
    """Tell whose living session or token a request carries; a token counts before a session."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    if b"authorization" in headers:
        token = tokens.of_header(headers[b"authorization"])
        row = None if token is None else tokens.find(token)
        return None if row is None else str(row.user_id)
    (standing,) = identify([scope])
    return str(standing.user.pk) if standing is not None and standing.user is not None else None


# Not the thread that all synchronous views share.
signed_in = database_sync_to_async(_signed_in, thread_sensitive=False)
http = BodyLimit(
    StaticFiles(Handler()),
    small=settings.MAX_BODY_KB * 1024,
    large=settings.MAX_UPLOAD_MB * 1024**2,
    seconds=settings.BODY_SECONDS,
    signed_in=signed_in,
    page=errors.page,
)
websocket = websockets(
    patterns=[subscribers.SOCKET, lifelogs.SOCKET, documents.SOCKET, articles.JOB, articles.TOPIC]
)
live = {paths.HTTP: LiveHttp(), stability.PATH: PlainEvents(stability.STREAM, stability.message)}


def _is_live(scope: Scope) -> bool:
    """Tell whether a request is for the live wire. What must be redirected to https is Django's to answer."""
    if scope["path"] not in live or scope["method"] not in ("GET", "HEAD"):
        return False
    return scope["scheme"] == "https" or not settings.SECURE_SSL_REDIRECT


async def route(scope: Scope, receive: Any, send: Any) -> None:
    """Send a connection to the part that speaks its protocol."""
    if scope["type"] == "http" and _is_live(scope):
        await live[scope["path"]](scope, receive, send)
    elif scope["type"] == "http":
        await http(scope, receive, send)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)
    else:
        raise ValueError(f"No handler for {scope['type']}")


application = SecurityHeaders(Proxies(route, settings.TRUSTED_PROXIES))
