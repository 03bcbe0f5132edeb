"""Django's side of the web process: a request goes over into a thread once, not once a middleware."""

from collections.abc import Mapping
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import resolve


class Handler(ASGIHandler):
    """Serves a view that is a coroutine as Django does, and every other as a whole in one thread.

    Django's own goes into a thread and back for each middleware, some twenty times a request: each time it
    waits for its turn of the event loop, which is the longer the more live clients are served beside it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._in_thread = BaseHandler()
        self._in_thread.load_middleware()

    def create_request(self, scope: Mapping[str, Any], body_file: Any) -> Any:
        """Return (request, None), or (None, answer) for what cannot be read.

        Of a Content-Type with a parameter in a charset that does not exist (RFC 2231) only the type is read:
        Django raises, where nobody would make an answer of it.
        """
        try:
            return super().create_request(scope, body_file)
        except ValueError:
            headers = [
                (name, value.partition(b";")[0] if name == b"content-type" else value)
                for name, value in scope["headers"]
            ]
            return super().create_request({**scope, "headers": headers}, body_file)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return the answer to a request."""
        if _waits(request):  # it may sleep for long, and must hold no thread meanwhile
            return await super().get_response_async(request)
        return await sync_to_async(self._in_thread.get_response, thread_sensitive=True)(request)


def _waits(request: HttpRequest) -> bool:
    """Tell whether a request's view is a coroutine."""
    try:
        return iscoroutinefunction(resolve(request.path_info).func)
    except Http404:
        return False
