"""Values that nobody should send, by kind, each with the codes of the catalogue that may answer it."""

from typing import Any

from config import texts

RLO, ZWSP = "\u202e", "\u200b"

# Texts of one line: what steers a terminal or a line of a log, what turns the direction of what follows.
STEERING = [
    ("newline", "a\nb"),
    ("tab", "a\tb"),
    ("carriage return", "a\r\nb"),
    ("escape", "a\x1b[31mb"),
    ("C1 control", "a\x85b"),
    ("right to left override", f"a{RLO}gpj.exe"),
    ("left to right mark", "a\u200eb"),
    ("isolate", "a\u2066b"),
    ("line separator", "a\u2028b"),
]
# Of these a text of several lines may have the first three, and the mark.
STEERING_LINES = [*STEERING[3:6], *STEERING[7:]]
UNSTORABLE = [("zero byte", "a\0b"), ("half a surrogate pair", "a\ud800b")]
BLANK = [("spaces", "   "), ("zero width", f" {ZWSP}\u2060\ufeff "), ("no-break spaces", "\u00a0\u3000")]
ENDLESS = ("too long", "x" * 100_001)

OF_TEXT = [7, 1.5, True, {}, [[]]]
OF_WHOLE = ["abc", "", "1e3", 2.5, 1e300, {}, [], "\u0663", 2**63, -(2**63) - 1, 10**30]
OF_NUMBER = ["abc", {}, [], 10**200, -(10**200)]
OF_BOOLEAN = ["maybe", 2, {}, [], "\u202etrue"]
OF_DATE = [
    "2026-13-45",
    "yesterday",
    "",
    7e9,
    [],
    "2026-02-30",
    "99999-01-01",
    "2026-01-01\0",
    "\u0662026-01-01",
]
OF_MOMENT = [*OF_DATE, "2026-01-01T10:00", "2026-01-01T25:00Z", "0001-01-01T00:00:00+23:59"]
OF_UUID = ["not-an-id", "", 7, [], "{01980000-0000-7000-8000-000000000000}", "0" * 300, f"{RLO}0198", "a\0b"]
OF_LIST = ["text", 7, {"a": 1}, True]
OF_OBJECT = ["text", 7, [1], True]

SENT_AS_BODY: list[tuple[str, bytes, int, str]] = [
    ("API1", b"", 400, "invalid_json"),
    ("API1 half", b"{", 400, "invalid_json"),
    ("API5", b"null", 400, "body_not_object"),
    ("API6", b'"text"', 400, "body_not_object"),
    ("API6 list", b"[]", 400, "body_not_object"),
    ("API7", b'{"a": NaN}', 400, "invalid_json"),
    ("API7 infinity", b'{"a": -Infinity}', 400, "invalid_json"),
    ("API8", b'{"a": 1e400}', 400, "invalid_json"),
    ("API9", b'{"a": ' + b"9" * 5000 + b"}", 400, "invalid_json"),
    ("API10", b"[" * 100_000, 400, "invalid_json"),
    ("API10 closed", b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", 400, "too_deep"),
    ("API12", b'{"a": 1, "a": 2}', 400, "duplicate_key"),
    ("API14", b'{"a": "\xff"}', 400, "invalid_json"),
    ("API15", b'{"a": "\\ud800"}', 400, "bad_character"),
    ("API16", b'{"a\\u0000": 1}', 400, "bad_character"),
    ("API17", b'\xef\xbb\xbf{"no_such_field": 1}', 400, "unknown_field"),
    ("API18", b'{"a": "' + b"x" * 1_100_000 + b'"}', 413, "body_too_large"),
    ("API27", b'{"no_such_field": 1}', 400, "unknown_field"),
    ("API27 prototype", b'{"no_such_field": 1, "__proto__": {}}', 400, "unknown_field"),
]
KINDS_OF_BODY = [
    "text/plain",
    "application/xml",
    "application/x-www-form-urlencoded",
    "",
    "application/jsonp",
]


def raw_control(text: str) -> bool:
    """Say whether a text holds a character that steers what shows it."""
    return texts.odd_at(text, lines=True) is not None


def any_of(*kinds: list[Any]) -> list[Any]:
    """Return values of several kinds in one list."""
    return [value for kind in kinds for value in kind]
