"""The one catalogue of errors, and the one place that makes an error answer (RFC 9457)."""

import errno
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponse

from config.texts import marked

JsonObject = dict[str, Any]

MAX_ERRORS = 20  # of one answer
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of an OSError: "storage_full"

# code: (status, text). The text is for people; a program reads the code.
PROBLEMS: dict[str, tuple[int, str]] = {
    "invalid_json": (400, "The request body is not valid JSON."),
    "body_not_object": (400, "The request body must be a JSON object."),
    "duplicate_key": (400, '"{key}" appears twice.'),
    "too_deep": (400, "The data is nested too deeply."),
    "bad_character": (400, '"{field}" contains a character that is not allowed (position {n}).'),
    "unknown_field": (400, "Unknown field: {name}."),
    "unknown_filter": (400, "Unknown field: {name}."),
    "validation_failed": (400, "Please correct the marked fields."),
    "bad_parameter": (400, '"{name}" is not valid: {reason}.'),
    "bad_cursor": (400, '"{name}" is not valid: {reason}.'),
    "bad_form": (400, '"{name}" is not valid: {reason}.'),
    "bad_idempotency_key": (400, '"{name}" is not valid: {reason}.'),
    "bad_request": (400, "The request cannot be read."),
    "dependency_cycle": (400, "These jobs would wait for each other."),
    "token_in_url": (400, "Send the token in the Authorization header."),
    "auth_required": (401, "Sign in to continue."),
    "csrf_failed": (403, "Your form has expired. Reload the page and try again."),
    "permission_denied": (403, "You do not have permission to do this."),
    "not_found": (404, "Not found."),
    "method_not_allowed": (405, "This address does not support {method}."),
    "not_acceptable": (406, "This address cannot answer in that format."),
    "timeout": (408, "The request took too long to arrive."),
    "already_finished": (409, "This job has already finished."),
    "already_open": (409, "The same is being done already."),
    "not_finished": (409, "This job has not finished yet."),
    "schedule_refused": (409, "This schedule could not be started."),
    "already_answered": (409, "This job has already been answered."),
    "changed_meanwhile": (409, "This has changed since you opened the page, so nothing was done."),
    "not_waiting": (409, "This job does not wait for an answer."),
    "cannot_snooze": (409, "This cannot be snoozed that way."),
    "nothing_to_retry": (409, "There is nothing to retry."),
    "idempotency_in_progress": (409, "A request with this Idempotency-Key is still being processed."),
    "body_too_large": (413, "The request is larger than the {n} MB limit."),
    "file_too_large": (413, "The file is larger than the {n} MB limit."),
    "unsupported_media_type": (415, "Send {type}."),
    "idempotency_mismatch": (422, "This Idempotency-Key was used for a different request."),
    "too_slow": (422, "This takes too long, so nothing was changed."),
    "rate_limited": (429, "Too many requests. Try again in {n} seconds."),
    "quota_exceeded": (429, "You already have {n} {things}, which is the limit."),
    "internal_error": (500, "Something went wrong on our side. It was recorded."),
    "queue_full": (503, "The service is busy. Nothing was created. Try again in {n} seconds."),
    "unavailable": (503, "The service is busy. Nothing was created. Try again in {n} seconds."),
    "storage_full": (507, "There is no room to store the file. Nothing was saved."),
    "file_empty": (400, "The file is empty."),
    "file_type": (400, "This is not a {type} file."),
    "file_encoding": (400, "Line {n} is not UTF-8 text. Save the file as UTF-8 and try again."),
}

# What an answer of Django's own, made outside our views, means.
_OF_STATUS = {
    400: "bad_request",
    401: "auth_required",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    503: "unavailable",
}
_DEFAULTS = {
    "type": "application/json",
    "n": 5,
    "things": "things",
    "name": "?",
    "key": "?",
    "field": "?",
    "reason": "not as expected",
    "method": "this method",
}
UNAVAILABLE_SECONDS = 5  # what Retry-After says while the database is away


class Problem(Exception):
    """An error answer. `values` fill the catalogue's text, `detail` replaces it."""

    def __init__(
        self,
        code: str,
        *,
        detail: str | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
        **values: Any,
    ) -> None:
        # A source may refuse with a code of its own; what it refuses is the request.
        known_status, text = PROBLEMS.get(code, (400, "This cannot be done."))
        self.code = code
        self.status = status or known_status
        self.detail = detail if detail is not None else text.format_map(_DEFAULTS | values)
        self.errors = list(errors)[:MAX_ERRORS]
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
        super().__init__(f"{code}: {self.detail}")


def invalid(field: str, message: str, code: str = "invalid") -> Problem:
    """Return the problem of one field that is not right."""
    return from_errors([{"field": field, "code": code, "message": message}])


def problem_response(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Return the answer for a problem."""
    body = problem_body(problem, request_id(request))
    response = HttpResponse(
        json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        status=problem.status,
        content_type="application/problem+json",
    )
    if problem.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="headway"'
    for name, value in problem.headers.items():
        response[name] = value
    return response


def problem_body(problem: Problem, reference: str) -> JsonObject:
    """Return what the answer for a problem says. reference: the id under which the logs know the request."""
    body: JsonObject = {
        "type": "about:blank",
        "title": _TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "code": problem.code,
        "detail": marked(problem.detail),  # it may name what was sent
        "request_id": reference,
    }
    if problem.errors:
        body["errors"] = [
            {name: marked(said) if isinstance(said, str) else said for name, said in one.items()}
            for one in problem.errors
        ]
    return body


def from_response(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the problem that stands for an error answer which our views did not make."""
    status = response.status_code
    code = _OF_STATUS.get(status, "bad_request" if status < 500 else "internal_error")
    headers = {name: response[name] for name in ("Allow", "Retry-After") if name in response}
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted({*headers["Allow"].split(", "), "OPTIONS"}))
    return problem_response(
        request, Problem(code, status=status, headers=headers, method=request.method or "", n=1)
    )


def request_id(request: HttpRequest) -> str:
    """Return the id under which the logs know this request. None is adopted from outside."""
    found: str | None = getattr(request, "request_id", None)
    if found is None:
        found = uuid4().hex
        request.request_id = found  # type: ignore[attr-defined]
        structlog.contextvars.bind_contextvars(request_id=found)
    return found


# ---- validation -------------------------------------------------------------------------------------------

_MESSAGES = {
    "missing": "This field is required.",
    "extra_forbidden": "Unknown field.",
    "string_type": "Must be text.",
    "int_type": "Must be a whole number.",
    "int_parsing": "Must be a whole number.",
    "int_from_float": "Must be a whole number.",
    "int_parsing_size": "The number is too large.",
    "float_type": "Must be a number.",
    "float_parsing": "Must be a number.",
    "decimal_type": "Must be a number.",
    "decimal_parsing": "Must be a number.",
    "finite_number": "Must be a number.",
    "bool_type": "Must be true or false.",
    "bool_parsing": "Must be true or false.",
    "list_type": "Must be a list.",
    "dict_type": "Must be an object.",
    "model_type": "Must be an object.",
    "model_attributes_type": "Must be an object.",
    "uuid_type": "Not an id.",
    "uuid_parsing": "Not an id.",
    "date_type": "Not a date.",
    "date_parsing": "Not a date.",
    "date_from_datetime_parsing": "Not a date.",
    "datetime_type": "Not a date and time.",
    "datetime_parsing": "Not a date and time.",
    "datetime_from_date_parsing": "Not a date and time.",
    "timezone_aware": "Add a time zone.",
    "none_required": "Must be empty.",
    "string_pattern_mismatch": "Not in the expected form.",
}
_LIMITS = {
    "string_too_long": "At most {max_length:,} characters.",
    "too_long": "At most {max_length:,}.",
    "too_short": "Give at least {min_length:,}.",
    "greater_than": "Must be more than {gt:,}.",
    "greater_than_equal": "Must be at least {ge:,}.",
    "less_than": "Must be less than {lt:,}.",
    "less_than_equal": "Must be at most {le:,}.",
    "multiple_of": "Must be a multiple of {multiple_of}.",
    "literal_error": "Must be one of: {expected}.",
    "enum": "Must be one of: {expected}.",
    "union_tag_invalid": "Must be one of: {expected_tags}.",
    "string_too_short": "At least {min_length:,} characters.",
}


def message_of(error: Mapping[str, Any]) -> str:
    """Return a sentence for an error of pydantic, for people."""
    kind = str(error["type"])
    context = error.get("ctx") or {}
    if kind == "string_too_short" and context.get("min_length") == 1:
        return "May not be empty."
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    if kind in _LIMITS:
        text = _LIMITS[kind].format_map(context)
        return text.replace("'", "").replace(" or ", ", ") if "one of" in text else text
    if kind == "union_tag_not_found":
        return "This field is required."
    return (
        str(error.get("msg", "Not valid.")).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    )


def field_errors(errors: Iterable[Mapping[str, Any]], *, skip: Iterable[str] = ()) -> list[JsonObject]:
    """Return pydantic's errors as [{field, code, message}]; `skip`: steps of a path that are no fields."""
    left_out = set(skip)
    found = []
    for error in errors:
        path = [str(part) for part in error["loc"] if str(part) not in left_out]
        name = ".".join(path)
        discriminator = str((error.get("ctx") or {}).get("discriminator", "")).strip("'")
        if discriminator:
            name = ".".join([*path, discriminator])
        found.append(
            {"field": name, "code": _CODES.get(error["type"], error["type"]), "message": message_of(error)}
        )
    return found


def from_errors(errors: Sequence[JsonObject]) -> Problem:
    """Return the problem for field errors: unknown fields and odd characters have codes of their own."""
    unknown = next((error["field"] for error in errors if error["code"] == "unknown_field"), None)
    if unknown is not None:
        return Problem("unknown_field", name=unknown[:200], errors=errors)
    odd = next((error for error in errors if error["code"] == "bad_character"), None)
    if odd is not None:
        said = f"{odd['message'][0].lower()}{odd['message'][1:]}"
        return Problem("bad_character", detail=f'"{odd["field"][:200]}" {said}', errors=errors)
    return Problem("validation_failed", errors=errors)


_CODES = {"missing": "required", "union_tag_not_found": "required", "extra_forbidden": "unknown_field"}

_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Request timeout",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Unprocessable",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
    507: "Insufficient storage",
}
