"""Parts of a page that a live page asks for again and again: rendered only where something has changed."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def part(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """Return a part with its tag, or 304 to who has it. context: what it shows, and `tag` of it."""
    etag = f'"{context["tag"]}"'
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    response = render(request, template, dict(context))
    response["ETag"] = etag
    return response
