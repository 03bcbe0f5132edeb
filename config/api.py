"""The root of the API: who is asking, what every answer has in common, and its documentation."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema
from ninja.schema import NinjaGenerateJsonSchema
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from config import addresses, live_api, rates
from config.http import StrictParser
from config.middleware import exception_response
from config.problems import Problem, field_errors, from_errors, problem_response
from ingestion import api as jobs_api
from ingestion import lines_api, operate_api, schedules_api, search_api, status_api, tokens, uploads_api
from ingestion.admission import Refused
from ingestion.api_answers import ProblemOut
from ingestion.api_requests import start_adapter
from ingestion.sources.articles import api as articles_api
from ingestion.sources.articles import tasks_api
from ingestion.sources.companies import api as companies_api
from ingestion.sources.documents import api as documents_api
from ingestion.sources.imports import api as imports_api
from ingestion.sources.imports.analytics import api as charts_api
from ingestion.sources.lifelogs import api as lifelogs_api
from notifications import api as notifications_api
from notifications import settings_api

SAFE = ("GET", "HEAD", "OPTIONS")
JSON = ("application/json", "application/problem+json", "application/octet-stream", lines_api.NDJSON)


class Caller(AuthBase):
    """Say who is asking: a bearer token, else the session with its CSRF token."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = (
        "A token of `token create`. In a browser the session does, with X-CSRFToken for changes."
    )

    def __call__(self, request: HttpRequest) -> Any:
        """Return the user, whom the request then carries. Raises Problem."""
        request.judged_at = time.monotonic()  # type: ignore[attr-defined]  # of the question, not its answer
        if "token" in request.GET or "access_token" in request.GET:
            raise Problem("token_in_url")
        if not _takes_json(request):
            raise Problem("not_acceptable")
        limit = rates.READS if request.method in SAFE else rates.WRITES
        who = self._of_token(request) if "Authorization" in request.headers else self._of_session(request)
        if who is None:
            # Counted only when nobody is signed in: users behind one address do not slow each other.
            rates.spend(rates.UNSIGNED, addresses.counted(request.META.get("REMOTE_ADDR", "")))
            raise Problem("auth_required")
        rates.spend(limit, who)
        return request.user

    def _of_token(self, request: HttpRequest) -> str | None:
        request.user = AnonymousUser()
        token = tokens.of_header(request.headers["Authorization"])
        row = tokens.find(token) if token is not None else None
        if row is None:
            return None
        request.user = row.user
        request.token = row  # type: ignore[attr-defined]
        if ("read" if request.method in SAFE else "write") not in row.scopes:
            raise Problem("permission_denied")
        return f"token:{row.pk}"

    def _of_session(self, request: HttpRequest) -> str | None:
        if not request.user.is_authenticated:
            return None
        if request.method not in SAFE and check_csrf(request) is not None:
            raise Problem("csrf_failed")
        return f"user:{request.user.pk}"


caller = Caller()


def _takes_json(request: HttpRequest) -> bool:
    try:
        return any(request.accepts(kind) for kind in JSON)
    except ValueError:  # a parameter in a charset that does not exist (RFC 2231)
        return False


def _signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Show the documentation to signed-in users only."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method not in SAFE:
            problem = Problem(
                "method_not_allowed", method=request.method, headers={"Allow": "GET, HEAD, OPTIONS"}
            )
            return problem_response(request, problem)
        try:
            caller(_any_format(request))
        except Problem as problem:
            return problem_response(request, problem)
        return view(request, *args, **kwargs)

    return checked


def _any_format(request: HttpRequest) -> HttpRequest:
    # The documentation is a page; what it accepts is Django's to judge.
    request.META["HTTP_ACCEPT"] = "*/*"
    request.__dict__.pop("accepted_types", None)
    return request


class HeadwayAPI(NinjaAPI):
    """The API with its errors and the parts of its documentation that are known only when asked."""

    def get_openapi_schema(self, *args: Any, **kwargs: Any) -> OpenAPISchema:
        """Return the OpenAPI document."""
        schema = super().get_openapi_schema(*args, **kwargs)
        components = schema["components"].setdefault("schemas", {})
        components["ProblemOut"] = ProblemOut.model_json_schema(ref_template=REF_TEMPLATE)
        components.update(components["ProblemOut"].pop("$defs", {}))
        problem = {"$ref": "#/components/schemas/ProblemOut"}
        errors = {"content": {"application/problem+json": {"schema": problem}}}
        for operations in schema["paths"].values():
            operations.pop("head", None)  # what GET answers, without the body
            for operation in operations.values():
                operation["responses"] |= {
                    "4XX": {"description": "The request was refused", **errors},
                    "5XX": {"description": "The service could not answer", **errors},
                }
        start = schema["paths"]["/api/jobs"]["post"]
        start["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _start(components)}},
        }
        start["parameters"] = [
            *start.get("parameters", []),
            {
                "in": "header",
                "name": "Idempotency-Key",
                "required": False,
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
                "description": "Sent twice within 24 hours, the request is done once and answered alike",
            },
        ]
        return schema


def _start(components: dict[str, Any]) -> dict[str, Any]:
    shape = start_adapter().json_schema(
        ref_template=REF_TEMPLATE, schema_generator=NinjaGenerateJsonSchema, mode="validation"
    )
    components.update(shape.pop("$defs", {}))
    return dict(shape)


api = HeadwayAPI(
    title="Headway",
    version="1",
    description="Know when your data is ready.",
    auth=caller,
    parser=StrictParser(),
    docs_decorator=_signed_in,
    urls_namespace="api",
)
api.add_router("", jobs_api.router)
api.add_router("", lines_api.router)
api.add_router("", uploads_api.router)
api.add_router("", status_api.router)
api.add_router("", schedules_api.router)
api.add_router("", operate_api.router)
api.add_router("", search_api.router)
api.add_router("", articles_api.router)
api.add_router("", tasks_api.router)
api.add_router("", companies_api.router)
api.add_router("", documents_api.router)
api.add_router("", imports_api.router)
api.add_router("", charts_api.router)
api.add_router("", lifelogs_api.router)
api.add_router("", settings_api.router)  # before the inbox: its paths are no ids
api.add_router("", notifications_api.router)
api.add_router("", live_api.router)


@api.exception_handler(Problem)
def _problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    return problem_response(request, problem)


@api.exception_handler(Refused)
def _refused(request: HttpRequest, refused: Refused) -> HttpResponse:
    problem = Problem(
        refused.code, detail=refused.message, errors=refused.errors, retry_after=refused.retry_after
    )
    return problem_response(request, problem)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Answer for parameters and bodies that are not as declared."""
    first = error.errors[0]
    place, *rest = first["loc"]
    if place == "path":
        return problem_response(request, Problem("not_found"))
    if place in ("query", "header"):
        reason = field_errors([first])[0]["message"].rstrip(".")
        problem = Problem("bad_parameter", name=str(rest[-1]), reason=reason[:1].lower() + reason[1:])
        return problem_response(request, problem)
    # The first two steps of a path are "body" and the name of our argument.
    errors = [{**one, "loc": one["loc"][2:]} for one in error.errors]
    return problem_response(request, from_errors(field_errors(errors)))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem_response(request, Problem("not_found"))


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem_response(request, Problem("bad_request", status=error.status_code))


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    return exception_response(request, error)
