"""Frames: a client's are parsed here, and nothing in them raises; the server's are written here, once."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from realtime import limits

JsonObject = dict[str, Any]

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
MAX_NUMBER = 400  # characters of one number; Python refuses integers of more than 4,300 digits with an error


class Cursor(NamedTuple):
    """Where a client says it stands. Anything may be in it: the hub judges, not the parser."""

    epoch: Any
    version: Any


@dataclass(frozen=True, kw_only=True)
class Hello:
    id: int | None = None
    v: int = limits.PROTOCOL
    csrf: Any = None
    ack: bool = False
    streams: dict[str, Cursor | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Subscribe:
    id: int | None = None
    streams: dict[str, Cursor | None]


@dataclass(frozen=True, kw_only=True)
class Unsubscribe:
    id: int | None = None
    streams: list[str]


@dataclass(frozen=True, kw_only=True)
class Ack:
    id: int | None = None
    versions: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A frame that was refused, and the error that says why. A strike counts towards 4400."""

    code: str
    message: str
    id: int | None = None
    strike: bool = True


Frame = Hello | Subscribe | Unsubscribe | Ack


class Ready(NamedTuple):
    """A frame of the server, encoded once for everybody who gets it.

    version, epoch: where the stream stands with it; None for frames that are not a stream's `state`, `change`
        or `end`. data: all that the stream says there, also with a change. news: false for an empty change.
    """

    text: str
    type: str
    stream: str | None = None
    epoch: str | None = None
    version: int | None = None
    data: JsonObject | None = None
    news: bool = True


class _Refused(Exception):
    def __init__(self, code: str, message: str, *, strike: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.strike = strike


def parse(text: str) -> Frame | Wrong:
    """Return the frame in a text of a client, or what is wrong with it. Total: no input raises."""
    request: int | None = None
    try:
        body = _object(text)
        request = _id(body)
        kind = body.get("type")
        if not isinstance(kind, str) or kind not in _PARSERS:
            raise _Refused("unknown_type", "type must be hello, subscribe, unsubscribe or ack.")
        parser, keys = _PARSERS[kind]
        _only(body, keys)
        return parser(body, request)
    except _Refused as refused:
        return Wrong(code=refused.code, message=refused.message, id=request, strike=refused.strike)


def encode(frame: JsonObject) -> str:
    """Return a server's frame as text."""
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False)


def ready(frame: JsonObject) -> Ready:
    """Return a frame of the server that speaks of no version."""
    return Ready(encode(frame), frame["type"], frame.get("stream"))


def text_frame(message: str) -> bytes:
    """Return a message as a whole WebSocket text frame of a server (RFC 6455 5.2)."""
    payload = message.encode()
    size = len(payload)
    if size < 126:
        head = bytes((0x81, size))
    elif size < 1 << 16:
        head = b"\x81\x7e" + size.to_bytes(2, "big")
    else:
        head = b"\x81\x7f" + size.to_bytes(8, "big")
    return head + payload


def _object(text: str) -> JsonObject:
    if len(text) > limits.MAX_FRAME or len(text.encode("utf-8", "surrogatepass")) > limits.MAX_FRAME:
        raise _Refused("too_large", f"A frame has at most {limits.MAX_FRAME} bytes.")
    if _depth(text) > limits.MAX_DEPTH:
        raise _Refused("bad_frame", f"A frame is at most {limits.MAX_DEPTH} levels deep.")
    try:
        body = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_number(int),
            parse_float=_number(float),
        )
    except (ValueError, RecursionError) as error:
        raise _Refused("bad_frame", "A frame is one JSON object.") from error
    if not isinstance(body, dict):
        raise _Refused("bad_frame", "A frame is one JSON object.")
    return body


def _depth(text: str) -> int:
    # Counted before parsing: the parser recurses into every level.
    depth = deepest = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("bad_frame", "A key occurs twice.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Refused("bad_frame", "NaN and Infinity are not JSON.")


def _number(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    def read(text: str) -> int | float:
        if len(text) > MAX_NUMBER:
            raise _Refused("bad_frame", "A number is too long.")
        return kind(text)

    return read


def _id(body: JsonObject) -> int | None:
    if "id" not in body:
        return None
    value = body["id"]
    if type(value) is not int or not 0 <= value <= limits.MAX_ID:
        raise _Refused("bad_frame", f"id must be an integer from 0 to {limits.MAX_ID}.")
    return value


def _only(body: JsonObject, keys: frozenset[str]) -> None:
    for key in body:
        if key not in keys:
            raise _Refused("bad_frame", f"Unknown key {_printable(key)}.")


def _printable(text: str) -> str:
    return _SURROGATE.sub("?", text[:50])


def _hello(body: JsonObject, request: int | None) -> Hello:
    v = body.get("v", limits.PROTOCOL)
    if type(v) is not int:
        raise _Refused("bad_frame", "v must be an integer.")
    ack = body.get("ack", False)
    if not isinstance(ack, bool):
        raise _Refused("bad_frame", "ack must be true or false.")
    return Hello(id=request, v=v, csrf=body.get("csrf"), ack=ack, streams=_wanted(body.get("streams", [])))


def _subscribe(body: JsonObject, request: int | None) -> Subscribe:
    return Subscribe(id=request, streams=_wanted(body.get("streams")))


def _unsubscribe(body: JsonObject, request: int | None) -> Unsubscribe:
    return Unsubscribe(id=request, streams=[_name(stream) for stream in _list(body.get("streams"))])


def _ack(body: JsonObject, request: int | None) -> Ack:
    versions = body.get("versions", {})
    if not isinstance(versions, dict) or any(type(version) is not int for version in versions.values()):
        raise _Refused("bad_frame", "versions must be an object of integers.")
    return Ack(id=request, versions=versions)


def _wanted(streams: Any) -> dict[str, Cursor | None]:
    wanted: dict[str, Cursor | None] = {}
    for stream in _list(streams):
        if isinstance(stream, dict):
            _only(stream, _STREAM_KEYS)
            name = _name(stream.get("stream"))
            wanted[name] = Cursor(stream.get("epoch"), stream.get("version"))
        else:
            wanted[_name(stream)] = None
    return wanted


def _list(streams: Any) -> list[Any]:
    if not isinstance(streams, list):
        raise _Refused("bad_frame", "streams must be a list.")
    if len(streams) > limits.STREAMS_A_FRAME:
        message = f"A frame names at most {limits.STREAMS_A_FRAME} streams."
        raise _Refused("too_many_streams", message, strike=False)
    return streams


def _name(stream: Any) -> str:
    if not isinstance(stream, str):
        raise _Refused("bad_frame", "A stream is a text.")
    if _SURROGATE.search(stream):
        # It could not be written into the answer.
        raise _Refused("bad_cursor", "A stream's name is not valid text.", strike=False)
    return stream


_STREAM_KEYS = frozenset({"stream", "epoch", "version"})
# The types of frames come from this table and nowhere else.
_PARSERS: dict[str, tuple[Callable[[JsonObject, int | None], Frame], frozenset[str]]] = {
    "hello": (_hello, frozenset({"type", "v", "id", "csrf", "ack", "streams"})),
    "subscribe": (_subscribe, frozenset({"type", "id", "streams"})),
    "unsubscribe": (_unsubscribe, frozenset({"type", "id", "streams"})),
    "ack": (_ack, frozenset({"type", "id", "versions"})),
}
