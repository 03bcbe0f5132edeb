"""Error pages for people; under /api/ the same errors are problem answers."""

import sys

import structlog
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from config import unexpected
from config.middleware import API, exception_response, is_away
from config.problems import PROBLEMS, Problem, problem_response, request_id

log = structlog.get_logger(__name__)


def page(status: int, message: str = "", reference: str = "") -> str:
    """Return an error page that asks neither database nor session."""
    return render_to_string(f"errors/{status}.html", {"message": message, "reference": reference})


def _answer(request: HttpRequest, status: int, code: str, message: str = "") -> HttpResponse:
    if request.path.startswith(API):
        return problem_response(request, Problem(code))
    context = {"message": message, "reference": request_id(request)}
    return HttpResponse(render_to_string(f"errors/{status}.html", context, request=request), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django could not read (400). The reason stays in the log."""
    if request.path.startswith(API):
        return problem_response(request, Problem("bad_request"))
    return HttpResponse(page(400), status=400)  # without the request: its host may be a lie


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer PermissionDenied (403)."""
    return _answer(request, 403, "permission_denied")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an address that does not exist, or not for this user (404)."""
    return _answer(request, 404, "not_found", getattr(exception, "for_people", ""))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without a valid CSRF token (403)."""
    log.warning("csrf_failed", path=request.path, reason=reason, address=request.META.get("REMOTE_ADDR", ""))
    return _answer(request, 403, "csrf_failed", PROBLEMS["csrf_failed"][1])


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an exception that nobody expected (500), or a database that is away (503)."""
    error = sys.exc_info()[1]
    if request.path.startswith(API) and isinstance(error, Exception):
        return exception_response(request, error)
    if is_away(error):
        log.warning("database_unavailable", path=request.path, error=type(error).__name__)
        return HttpResponse(page(503), status=503, headers={"Retry-After": "5"})
    unexpected.note()
    log.error("request_failed", path=request.path)  # what it was Django writes
    return HttpResponse(page(500, reference=request_id(request)), status=500)
