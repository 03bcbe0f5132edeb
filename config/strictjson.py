"""Read JSON from strangers: what the standard library lets through or trips over is refused with a reason."""

import json
import re
from typing import Any, NoReturn

MAX_DEPTH = 32  # arrays and objects inside each other
HOPELESS_DEPTH = 1_000  # no document but an attack; not worth a word about depth
MAX_DIGITS = 300  # of one number; Python's own limit answers with ValueError at 4,300

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")


class Refusal(ValueError):
    """The text is not acceptable JSON. `code` is of the error catalogue, `values` fill its text."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.values = values


def loads(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8; a byte order mark before it is dropped.

    Raises Refusal: invalid_json (also for NaN, 1e400 and endless integers), duplicate_key, too_deep, or
    bad_character for a zero byte or half a surrogate pair.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal("invalid_json") from error
    _check_depth(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except Refusal:
        raise
    except (ValueError, RecursionError) as error:
        raise Refusal("invalid_json") from error
    _check_text(value, "")
    return value


def _check_depth(text: str) -> None:
    """Refuse deep nesting before parsing: the C scanner would recurse into it."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
        if deepest > HOPELESS_DEPTH:
            raise Refusal("invalid_json")
    if deepest > MAX_DEPTH:
        raise Refusal("too_deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Refusal("duplicate_key", key=key[:100])
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise Refusal("invalid_json")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")) or len(text) > MAX_DIGITS:
        raise Refusal("invalid_json")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise Refusal("invalid_json")
    return int(text)


def _check_text(value: Any, field: str) -> None:
    if isinstance(value, str):
        check_characters(value, field)
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_characters(key, key[:100])
            _check_text(inner, f"{field}.{key}"[:200] if field else key[:100])
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            _check_text(inner, f"{field}.{n}")


def check_characters(text: str, field: str) -> None:
    """Raise Refusal for what PostgreSQL cannot store: a zero byte, half a surrogate pair."""
    found = _FORBIDDEN.search(text)
    if found is not None:
        printable = _FORBIDDEN.sub("?", field)
        raise Refusal("bad_character", field=printable, n=found.start() + 1)
