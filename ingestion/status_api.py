"""The API of the system's status: whether all data is stable, and what is being processed."""

from django.http import HttpRequest, HttpResponse
from ninja import Router

from config.http import EVENT_STREAM, answer
from config.problems import Problem
from ingestion import details
from ingestion.api_answers import StatusDetailsOut, SystemStableOut

READ = ["GET", "HEAD"]
router = Router(tags=["ready"])


@router.api_operation(
    READ, "/system-status/details", response=StatusDetailsOut, operation_id="get_system_status_details"
)
def get_details(request: HttpRequest) -> HttpResponse:
    """Tell what is being processed: your own jobs by name, those of others by number."""
    return answer(details.read(request.user))


@router.api_operation(
    READ,
    "/system-status/live",
    response=SystemStableOut,
    operation_id="follow_system_status",
    openapi_extra={"responses": {200: {"content": EVENT_STREAM}}},
)
def follow(request: HttpRequest) -> HttpResponse:
    """Follow whether all data is stable, as an event stream: `data: {"stable": true}`, then each change."""
    # config.asgi answers before Django, in realtime.plain_events. Only WSGI comes here, which cannot wait.
    raise Problem("unavailable", detail="Live updates are served by the ASGI processes.", retry_after=5)
