"""What the API's documentation says of /api/live, and what answers there for the methods it does not have."""

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from config.http import EVENT_STREAM, StrictQuery
from config.problems import Problem
from realtime import limits

router = Router(tags=["live"])


class LiveFilter(Schema):
    """What to follow, and from where."""

    stream: Annotated[
        list[str],
        Field(min_length=1, max_length=limits.STREAMS_A_FRAME, description="For example job:<id>; repeat it"),
    ]
    cursor: Annotated[str, Field(max_length=limits.CURSOR, description="The `cursor` of the last answer")] = (
        ""
    )
    wait: Annotated[
        int,
        Field(ge=0, le=limits.WAIT_SECONDS, description="Seconds to wait for news; 0 answers at once"),
    ] = 0


class LiveOut(Schema):
    """Frames as realtime/PROTOCOL.md describes them."""

    frames: list[dict[str, Any]]
    cursor: str
    poll_after_ms: Annotated[int | None, Field(description="When to ask again; null: everything has ended")]


@router.api_operation(
    ["GET", "HEAD"],
    "/live",
    response={200: LiveOut, 204: None},
    operation_id="follow_streams",
    openapi_extra={"responses": {200: {"content": EVENT_STREAM}}},
)
def follow_streams(request: HttpRequest, filters: Annotated[LiveFilter, StrictQuery(...)]) -> HttpResponse:
    """Follow streams: one JSON answer, or with `Accept: text/event-stream` an event stream."""
    # config.asgi answers before Django, in realtime.http. Only WSGI comes here, which cannot wait.
    raise Problem("unavailable", detail="Live updates are served by the ASGI processes.", retry_after=5)
