"""What holds for every request: an id, the methods we know, and one shape of error under /api/."""

from collections.abc import Awaitable, Callable

import psycopg
import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DataError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string

from config import audit, security_log, signin, unexpected
from config.problems import UNAVAILABLE_SECONDS, Problem, from_response, problem_response, request_id
from config.texts import marked

log = structlog.get_logger(__name__)

API = "/api/"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

PAGES = frozenset({400, 403, 404, 409, 413, 429, 503})  # statuses with a page of their own

# What Django itself turns into 404, 403 and 400; `_end` then makes problems of them.
_DJANGO_ANSWERS = (Http404, PermissionDenied, SuspiciousOperation)

Handler = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class ProblemMiddleware:
    """Give each request an id, and make every error under /api/ a problem answer.

    It stands first, so that it sees what the others answer too. It works for both kinds of views: one that
    does not would hold a thread for as long as an async view waits.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._acall(request)
        refused = self._begin(request)
        with audit.asked_by(request):
            response = refused if refused is not None else self.get_response(request)
        assert isinstance(response, HttpResponseBase)
        return self._end(request, response)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        refused = self._begin(request)
        if refused is not None:
            return self._end(request, refused)
        with audit.asked_by(request):
            answer = self.get_response(request)
            assert isinstance(answer, Awaitable)
            response = await answer
        return self._end(request, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer for a view that raised a problem; under /api/ for any exception.

        Anywhere for a view that was sent what cannot be stored.
        """
        if isinstance(exception, DataError) and _has_zero_byte(request):
            raise SuspiciousOperation("a zero byte") from exception
        if not request.path.startswith(API) and isinstance(exception, Problem):
            return _page(request, exception)
        if not request.path.startswith(API) or isinstance(exception, _DJANGO_ANSWERS):
            return None
        return exception_response(request, exception)

    def _begin(self, request: HttpRequest) -> HttpResponse | None:
        structlog.contextvars.clear_contextvars()
        request_id(request)
        if request.method not in METHODS:
            problem = Problem(
                "method_not_allowed", method=request.method, headers={"Allow": ", ".join(sorted(METHODS))}
            )
            return problem_response(request, problem)
        if request.content_type == "multipart/form-data" and request.encoding:
            request.encoding = "utf-8"  # what it says may be no charset at all: Python knows rot13 too
        return None

    def _end(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.method == "OPTIONS" and response.status_code == 405 and request.path.startswith(API):
            response = _options(request, response)
        elif (
            response.status_code >= 400
            and request.path.startswith(API)
            and isinstance(response, HttpResponse)
            and response.get("Content-Type") != "application/problem+json"
        ):
            response = from_response(request, response)
        elif request.method == "POST" and response.status_code == 302:
            signin.lead_back(request, response)
        elif request.method == "GET" and response.status_code == 405:
            _say_forms_only(response)
        response["X-Request-Id"] = request_id(request)
        security_log.refused(request, response)
        return response


def _say_forms_only(response: HttpResponseBase) -> None:
    """Give a page to who opens the address that a refused form left in the browser."""
    if isinstance(response, HttpResponse) and not response.content:
        response.content = render_to_string("errors/405.html").encode()
        response["Content-Length"] = str(len(response.content))


def _page(request: HttpRequest, problem: Problem) -> HttpResponse:
    template = f"errors/{problem.status if problem.status in PAGES else 400}.html"
    response = render(request, template, {"message": marked(problem.detail)}, status=problem.status)
    for name, value in problem.headers.items():
        response[name] = value
    return response


def _has_zero_byte(request: HttpRequest) -> bool:
    # PostgreSQL takes it in no text, and no keyboard types it: not worth a word beside each field.
    return any(
        "\0" in one for sent in (request.GET, request.POST) for _, ones in sent.lists() for one in ones
    )


def _options(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    """Say what an address supports. No other site may call us from a browser, so a preflight is refused."""
    if "Access-Control-Request-Method" in request.headers:
        return problem_response(request, Problem("permission_denied"))
    return HttpResponse(status=204, headers={"Allow": response["Allow"]})


def is_away(error: object) -> bool:
    """Say whether an error means that the database cannot be reached, or takes no writes (a standby)."""
    if isinstance(error, InternalError):
        return isinstance(error.__cause__, psycopg.errors.ReadOnlySqlTransaction)
    return isinstance(error, OperationalError | InterfaceError)


def exception_response(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the answer for an exception that no code expected, and write it to the log."""
    if isinstance(exception, Problem):
        return problem_response(request, exception)
    if is_away(exception):
        log.warning("database_unavailable", path=request.path, error=type(exception).__name__)
        problem = Problem("unavailable", n=UNAVAILABLE_SECONDS, retry_after=UNAVAILABLE_SECONDS)
        return problem_response(request, problem)
    unexpected.note()
    log.error("request_failed", path=request.path, exc_info=exception)
    return problem_response(request, Problem("internal_error"))
