"""Bad values in the parameters, the paths and the headers of every operation of the API.

The operations and their parameters are those of the document of the API: a new one is tried without a word.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User

from tests.surfaces import values
from tests.surfaces.shapes import Operation, least, operations, plain, variants
from tests.surfaces.standing import STEP, contents
from tests.surfaces.test_addresses import visitor
from tests.surfaces.test_bodies import address, code_of, good, sent
from tests.surfaces.test_bodies import things as things

pytestmark = pytest.mark.django_db

# They are about places in a stream, and one that does not exist is no error (API72).
PLACES = {("GET", "/api/jobs/{job_id}", "since"), ("GET", "/api/jobs/{job_id}", "epoch")}
# What a file is called is kept without what steers, see tests/api/test_uploads.py (SEC47).
FILES = {("POST", "/api/uploads", "name"), ("POST", "/api/imports/{import_id}/file", "name")}
# Answered before Django, see tests/realtime/test_http.py.
BEFORE_DJANGO = "/api/live"
# They sleep until there is news, which takes a server: tests/api/test_wait.py.
SLEEPING = ("/wait", "/ready", "/items.ndjson", "/system-status/live", BEFORE_DJANGO)
BAD = {"bad_parameter", "bad_cursor", "bad_character", "unknown_filter", "validation_failed", "not_found"}


def bad_for(name: str, shape: dict[str, Any]) -> Iterator[Any]:
    """Yield values that a parameter must refuse."""
    kinds = {plain(one).get("type") for one in shape.get("anyOf", [shape])}
    if kinds & {"integer", "number"}:
        yield from ("abc", "", "1e3", "\u0663", "0x10", "9" * 30, "-2", "nan", "inf", "1\0")
    elif "boolean" in kinds:
        yield from ("maybe", "2", "", "\u202etrue")
    elif shape.get("format") == "date" or name in ("from", "to", "after", "before"):
        yield from ("2026-13-45", "yesterday", "", "2026-02-30", "99999-01-01", "0", "2026-01-01\0")
    elif "array" not in kinds:
        for _name, value in [*values.STEERING, values.UNSTORABLE[0]]:
            yield value
        yield "x" * 6_000
    if "array" in kinds:
        yield from ("\0", "a\0b")


def queries(one: Operation) -> Iterator[tuple[str, str]]:
    """Yield each bad query of an operation, with what it is."""
    asked = [found for found in one.parameters if found["in"] == "query"]
    needed = {found["name"]: "word" for found in asked if found.get("required")}
    for found in asked:
        name = found["name"]
        for value in bad_for(name, plain(found["schema"])):
            given = {**needed, name: value}
            yield f"{name}={value!r:.30}", "&".join(f"{n}={quote(v, safe='')}" for n, v in given.items())
        if plain(found["schema"]).get("type") != "array":
            yield f"{name} twice", f"{name}=1&{name}=2"
    yield "unknown", "no_such=1"
    yield "zero byte", "no_such=%00"


@pytest.mark.seed("SEC53")
def test_every_operation_refuses_bad_parameters(things: dict[str, Any], alice: User) -> None:
    client, _web = visitor(alice)
    wrong, stood = [], contents()
    for one in operations():
        if one.path == BEFORE_DJANGO or not any(found["in"] == "query" for found in one.parameters):
            continue
        for n, (what, query) in enumerate(queries(one)):
            lenient = (one.method, one.path, what.partition("=")[0]) in PLACES | FILES
            if n % STEP != len(str(one)) % STEP or lenient:
                continue
            found = code_of(client.generic(one.method, f"{address(one, things)}?{query}"))
            if found not in BAD:
                wrong.append(f"{one} {what}: {found}")
    stands = contents()
    wrong += [f"wrote {table}" for table in stands if stands[table] != stood[table]]
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


NUMBERS = ["abc", "0", "-1", "1.5", "9" * 30, "\u0663", "1\0", "1%0A", "%E2%80%AE1", "..", "1;2", " 1"]
IDS = [
    "not-an-id",
    "{01980000-0000-7000-8000-000000000000}",
    "01980000000070008000000000000000",
    "0" * 400,
    "01980000-0000-7000-8000-00000000000\u0663",
    "\0",
    "urn:uuid:01980000-0000-7000-8000-000000000000",
]
NAMES = ["\0", "a\nb", "\u202ebob", "x" * 2_000, "nobody", "..", " ", "\u200b", "<script>"]


@pytest.mark.seed("SEC7", "SEC53")
def test_every_operation_knows_no_bad_identifier(things: dict[str, Any], alice: User) -> None:
    client, _web = visitor(alice)
    wrong, stood = [], contents()
    for one in operations():
        for asked in (found for found in one.parameters if found["in"] == "path"):
            kind = plain(asked["schema"])
            bad = NUMBERS if kind.get("type") == "integer" else IDS if kind.get("format") == "uuid" else NAMES
            for n, value in enumerate(bad):
                if n % STEP != len(str(one)) % STEP:
                    continue
                path = address(one, {**things, asked["name"]: quote(value, safe="%")})
                body = b"" if one.body is None else least(next(variants(one.body)), good(things))
                found = code_of(sent(client, one, path, body))
                if found not in {"not_found", "method_not_allowed", *BAD}:
                    wrong.append(f"{one} {value!r:.40}: {found}")
    stands = contents()
    wrong += [f"wrote {table}" for table in stands if stands[table] != stood[table]]
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


HEADERS = {
    "If-None-Match": ["garbage", '"', "W/", "*" * 9_000, "\x85", "\xff"],
    "If-Modified-Since": ["yesterday", "\xff", "Sun, 99 Foo 99999 99:99:99 GMT"],
    "Range": ["bytes=-1--1", "bytes=" + "0-1," * 2_000, "lines=1", "bytes=9-1"],
    "Accept-Language": ["\xff", "x" * 9_000, "en;q=\u00b2"],
    "User-Agent": ["\x1b[31m", "x" * 9_000, "\xff<script>"],
    "Referer": ["javascript:alert(1)", "\xff", "http://[::1"],
    "X-Forwarded-For": ["1.2.3.4, \xff", "999.1.1.1", "x" * 9_000],
    "X-Request-Id": ["\x1b[31m", "x" * 9_000],
    "Last-Event-ID": ["garbage", "x" * 10_000, "\x85"],
    "HX-Current-URL": ["javascript:alert(1)", "\xff"],
    "HX-Target": ["\xff", "no such"],
    "Cookie": ["sessionid='; DROP TABLE", "sessionid=" + "x" * 10_000, "=;=;\xff"],
    "Idempotency-Key": ["", "x" * 256, "a b", "\xff", "\x85", "a\tb"],
}


def test_no_header_breaks_an_answer(things: dict[str, Any], alice: User) -> None:
    client, web = visitor(alice)
    wrong = []
    awake = [one for one in operations() if one.method == "GET" and not one.path.endswith(SLEEPING)]
    addresses = [address(one, things) for one in awake]
    pages = ["/", "/jobs/", "/inbox/", "/topics/", "/search/?q=a", f"/jobs/{things['job_id']}/"]
    tried = [(name, value) for name, every in HEADERS.items() for value in every]
    for n, path in enumerate([*addresses, *pages]):
        asker = web if path in pages else client
        for name, value in tried[n % (4 * STEP) :: 4 * STEP]:
            answer = asker.get(path, headers={name: value})
            if answer.status_code >= 500:
                wrong.append(f"{path} {name}: {value!r:.30}: {answer.status_code}")
            elif any(values.raw_control(text) for _, text in answer.items()):
                wrong.append(f"{path} {name}: {value!r:.30} comes back")
    assert not wrong, "\n".join(wrong)


def test_an_odd_key_of_a_request_is_refused_wherever_there_are_keys(
    things: dict[str, Any], alice: User
) -> None:
    """API46."""
    client, _web = visitor(alice)
    wrong, stood = [], contents()
    for path, body in {
        "/api/jobs": {"source": "companies", "params": {"ticker": "AAPL"}},
        "/api/topics": {"name": "new"},
        "/api/workspaces": {"name": "new"},
        "/api/background-tasks/bulk-save": {"topic": good(things)["topic"], "urls": ["https://example.com/"]},
    }.items():
        for key in HEADERS["Idempotency-Key"]:
            answer = client.post(path, json.dumps(body), "application/json", headers={"Idempotency-Key": key})
            if code_of(answer) != "bad_idempotency_key":
                wrong.append(f"{path} {key!r:.20}: {code_of(answer)}")
    stands = contents()
    wrong += [f"wrote {table}" for table in stands if stands[table] != stood[table]]
    assert not wrong, "\n".join(wrong)
