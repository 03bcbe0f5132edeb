"""Reading requests strictly and answering in JSON: what every API view of ours shares."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, NoReturn, cast
from uuid import UUID

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from django.utils.datastructures import MultiValueDict
from ninja.params.models import Body, BodyModel, Query, QueryModel
from ninja.parser import Parser
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from config import strictjson, texts
from config.paging import DEFAULT_LIMIT, MAX_LIMIT
from config.problems import Problem

# How the API's documentation shows an answer of server-sent events: what one event is.
EVENT_STREAM = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "required": ["data"],
            "properties": {name: {"type": "string"} for name in ("data", "event", "id")},
        }
    }
}

MAX_BODY_MB = 1  # of everything that is not an upload

JsonObject = dict[str, Any]


def answer(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a JSON answer. Nothing of ours may be kept by a cache on the way."""
    body = json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    response = HttpResponse(body.encode(), status=status, content_type="application/json")
    response["Cache-Control"] = "no-store"
    for name, value in (headers or {}).items():
        response[name] = value
    return response


def body_of(request: HttpRequest) -> bytes:
    """Return the body of a request that is no upload. Raises Problem body_too_large."""
    try:
        body = request.body
    except RequestDataTooBig as error:
        raise Problem("body_too_large", n=MAX_BODY_MB) from error
    except UnreadablePostError as error:
        raise Problem("bad_request") from error
    if len(body) > MAX_BODY_MB * 1024 * 1024:
        raise Problem("body_too_large", n=MAX_BODY_MB)
    return body


def json_object(request: HttpRequest) -> JsonObject:
    """Return the JSON object of a request's body. Raises Problem."""
    if request.content_type != "application/json":
        raise Problem("unsupported_media_type")
    try:
        value = strictjson.loads(body_of(request))
    except strictjson.Refusal as refusal:
        raise Problem(refusal.code, **refusal.values) from refusal
    if not isinstance(value, dict):
        raise Problem("body_not_object")
    return value


def form_of(request: HttpRequest) -> MultiValueDict[str, Any]:
    """Return the files of a multipart body. Raises Problem bad_form for one that cannot be read."""
    try:
        return request.FILES
    except MultiPartParserError as error:
        raise Problem("bad_form", name="body", reason="the multipart form is damaged") from error
    except (TooManyFieldsSent, TooManyFilesSent) as error:
        raise Problem("bad_form", name="body", reason="too many fields") from error
    except RequestDataTooBig as error:
        raise Problem("body_too_large", n=MAX_BODY_MB) from error
    except UnreadablePostError as error:
        raise Problem("bad_request") from error


class _StrictBody(BodyModel):
    @classmethod
    def get_request_data(cls, request: HttpRequest, api: Any, path_params: JsonObject) -> JsonObject | None:
        (name,) = cls.model_fields
        if not cls.model_fields[name].is_required() and not body_of(request).strip():
            return None
        return {name: json_object(request)}


class JsonBody(Body):  # type: ignore[misc]
    """A body that must be strict JSON, an object of the annotated model."""

    _model = _StrictBody

    @classmethod
    def _param_source(cls) -> str:
        return "body"


class _StrictQuery(QueryModel):
    @classmethod
    def get_request_data(cls, request: HttpRequest, api: Any, path_params: JsonObject) -> JsonObject | None:
        known = cast(dict[str, Any], getattr(cls, "__ninja_flatten_map__", {}))
        for name in request.GET:
            if name not in known:
                raise Problem("unknown_filter", name=name[:100])
        return super().get_request_data(request, api, path_params)


class StrictQuery(Query):  # type: ignore[misc]
    """Query parameters of which an unknown one is refused: a mistyped filter would show too much."""

    _model = _StrictQuery

    @classmethod
    def _param_source(cls) -> str:
        return "query"


class StrictParser(Parser):
    """Refuse query parameters that are given twice or hold what no text may hold."""

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> JsonObject:
        """Return the parameters by name. Raises Problem."""
        for name, values in data.lists():
            if len(values) > 1 and name not in list_fields:
                raise Problem("bad_parameter", name=name[:100], reason="given twice")
            for value in values:
                try:
                    strictjson.check_characters(value, name[:100])
                except strictjson.Refusal as refusal:
                    raise Problem(refusal.code, **refusal.values) from refusal
                position = texts.odd_at(value)
                if (
                    position is not None and request.method != "POST"
                ):  # there a file is named, as it is called
                    raise Problem("bad_character", field=texts.marked(name[:100]), n=position)
        return super().parse_querydict(data, list_fields, request)


def _fail(code: str, message: str) -> NoReturn:
    raise PydanticCustomError(code, message)


def _read_moment(value: Any) -> datetime:
    """Read a time with its zone; a number or a time without zone would be a guess."""
    if isinstance(value, datetime):
        found = value
    else:
        try:
            if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", value, re.ASCII):
                raise ValueError
            found = datetime.fromisoformat(value.upper())
        except ValueError:
            raise PydanticCustomError("datetime_parsing", "Not a date and time.") from None
    if found.tzinfo is None:
        raise PydanticCustomError("timezone_aware", "Add a time zone.")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime_parsing", "Not a date and time.") from None


def _read_day(value: Any) -> Any:
    # pydantic also reads seconds since 1970, and times of midnight.
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise PydanticCustomError("date_parsing", "Not a date.")
    if isinstance(value, int | float):
        raise PydanticCustomError("date_type", "Not a date.")
    return value


def _read_limit(value: Any) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT):
        _fail("limit", f"Must be a whole number, 1-{MAX_LIMIT}.")
    return int(text)


def _read_id(value: Any) -> UUID:
    # UUID() and pydantic also read braces, `urn:` and no hyphens: one row, one address.
    try:
        found = UUID(str(value))
    except ValueError:
        _fail("uuid_parsing", "Not an id.")
    if str(found) != str(value).lower():
        _fail("uuid_parsing", "Not an id.")
    return found


class ClosedModel(BaseModel):
    """A body whose unknown fields are refused. For one that is told from others by a field of its own."""

    model_config = ConfigDict(extra="forbid")


class StrictModel(ClosedModel):
    """A body whose unknown fields are refused, and texts that steer what shows them.

    LINES: texts of several lines. AS_IS: names of what is there already, whatever it is called.
    """

    LINES: ClassVar[frozenset[str]] = frozenset()
    AS_IS: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="before")
    @classmethod
    def _is_plain(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        # A word of a list is that word, without space around it.
        if name in cls.AS_IS or texts.is_word(cls.model_fields[name].annotation):
            return value
        return texts.judged(value, lines=name in cls.LINES)


Limit = Annotated[int, BeforeValidator(_read_limit), Field(ge=1, le=MAX_LIMIT)]
IsoDate = Annotated[date, BeforeValidator(_read_day)]
Moment = Annotated[datetime, BeforeValidator(_read_moment)]
RowId = Annotated[UUID, BeforeValidator(_read_id)]
DEFAULT_PAGE = DEFAULT_LIMIT
