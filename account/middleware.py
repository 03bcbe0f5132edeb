"""Pages in the zone of who reads them."""

from collections.abc import Awaitable, Callable
from typing import Any, cast
from zoneinfo import ZoneInfo

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.decorators import sync_and_async_middleware

from account.models import appearance_of

Handler = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
API = "/api/"  # says every time in UTC


@sync_and_async_middleware
def in_zone(get_response: Handler) -> Any:
    """Let templates write times in the zone that the reader has chosen; else in the site's."""
    if iscoroutinefunction(get_response):
        return get_response  # pages are no coroutines

    def middle(request: HttpRequest) -> HttpResponseBase:
        if not (zone := _zone_of(request)):
            return cast(HttpResponseBase, get_response(request))
        with timezone.override(ZoneInfo(zone)):
            return cast(HttpResponseBase, get_response(request))

    return middle


def _zone_of(request: HttpRequest) -> str:
    # Who brings no session is nobody: not even the empty one is asked for.
    if settings.SESSION_COOKIE_NAME not in request.COOKIES or request.path.startswith(API):
        return ""
    return appearance_of(request.user).zone if request.user.is_authenticated else ""
