"""Bad values in the body of every operation of the API: refused with the code for it, nothing written.

The operations and their fields are those of the API's own document: a new one is tried without a word here.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from limits import RateLimitItemPerMinute

from config import rates
from ingestion.models import Job, Schedule
from ingestion.sources.articles.models import Topic
from ingestion.sources.companies.models import Company
from ingestion.sources.documents.models import Document, Workspace
from ingestion.sources.imports.models import Import
from ingestion.sources.lifelogs.models import Account
from notifications.models import Notification
from tests.api.clients import ApiClient
from tests.pages.things import make_one_of_each
from tests.surfaces import values
from tests.surfaces.shapes import Field, Operation, fields, least, operations, put, variants
from tests.surfaces.standing import STEP, contents
from tests.surfaces.test_addresses import visitor

pytestmark = pytest.mark.django_db

JSON = "application/json"
WITH_BODY = [one for one in operations() if one.body is not None]
# Texts of several lines.
LINES = {"message"}
# What is named is there or is not, whatever it is called; an address of many is judged when its turn comes.
AS_IS = {("keys", 0)}
IN_THE_JOB = {("urls", 0), ("params", "urls", 0)}
# Sources of the tests' own app, and what only keeps the engine honest.
OURS = {
    "",
    "auto_collect",
    "bulk_analysis",
    "bulk_save",
    "companies",
    "documents",
    "document_refresh",
    "imports",
    "keyword_check",
    "lifelogs",
    "workspaces",
    "workspace_removal",
}
ODD = {"bad_character", "validation_failed"}


@pytest.fixture
def things(alice: User, bob: User, settings: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One of everything; return the numbers by the names that paths and bodies give them."""
    make_one_of_each(alice, bob, settings)
    rates.forget()
    for name in ("READS", "WRITES"):
        monkeypatch.setattr(rates, name, RateLimitItemPerMinute(10**6, namespace=name.lower()))
    found = {
        "job_id": Job.objects.filter(state="failed", owner=alice).first(),
        "schedule_id": Schedule.objects.filter(owner=alice).first(),
        "topic_id": Topic.objects.get(name="ours"),
        "workspace_id": Workspace.objects.get(name="ours"),
        "document_id": Document.objects.filter(workspace__name="ours").first(),
        "import_id": Import.objects.filter(owner=alice).first(),
        "pk": Account.objects.filter(owner=alice).first(),
        "company_id": Company.objects.first(),
        "entry_id": Notification.objects.filter(recipient=alice).first(),
    }
    assert all(found.values()), found
    numbers = {name: str(row.pk) for name, row in found.items()}
    unknown = "01980000-0000-7000-8000-000000000000"
    texts = {
        "username": "bob",
        "text": "2026-01-05",
        "dimension": "region",
        "accession": "0000320193-25-000079",
    }
    return {**numbers, **texts, "ordinal": "1", "upload_id": unknown, "task_id": numbers["job_id"]}


def good(things: dict[str, Any]) -> dict[str, Any]:
    """Return good values for fields, by name, where the document cannot know them."""
    return {
        "topic": int(things["topic_id"]),
        "workspace": int(things["workspace_id"]),
        "ticker": "AAPL",
        "zone": "UTC",
        "key": "k" * 20,
        "type": "system",
        "about": "source:ping",
        "account": int(things["pk"]),
    }


def address(one: Operation, things: dict[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: things[found[1]], one.path)


def bad_for(field: Field) -> Iterator[tuple[Any, set[str]]]:
    """Yield values that a field must refuse, each with the codes of which one is the answer."""
    shape, kind, plain = field.shape, field.shape.get("type"), {"validation_failed"}
    limits = shape.get("format"), shape.get("pattern"), shape.get("enum"), shape.get("const")
    for value in {
        "string": values.OF_TEXT,
        "boolean": values.OF_BOOLEAN,
        "array": values.OF_LIST,
        "object": values.OF_OBJECT,
        "integer": values.OF_WHOLE,
        "number": values.OF_NUMBER,
    }.get(str(kind), []):
        yield value, ODD
    if not field.nullable:
        yield None, plain
    if kind == "string":
        for _name, value in values.UNSTORABLE:
            yield value, {"bad_character"}
        steering = values.STEERING_LINES if field.way[-1] in LINES else values.STEERING
        for _name, value in () if field.way in AS_IS else steering:
            yield value, ODD if any(limits) else {"bad_character"}
        if field.way not in IN_THE_JOB:
            yield values.ENDLESS[1], plain
        if shape.get("minLength"):
            for _name, value in values.BLANK:
                yield value, plain
        of_format = {"date-time": values.OF_MOMENT, "date": values.OF_DATE, "uuid": values.OF_UUID}
        for value in of_format.get(str(shape.get("format")), []):
            yield value, ODD
        if shape.get("enum") or shape.get("const"):
            yield "no such", plain
    if kind in ("integer", "number"):
        for word, step in (("minimum", -1), ("maximum", 1)):
            if word in shape:
                yield shape[word] + step, plain
    if kind == "array" and "maxItems" in shape:
        yield ["x"] * (shape["maxItems"] + 1), plain


def source_of(shape: dict[str, Any]) -> str:
    return str(shape.get("properties", {}).get("source", {}).get("const", ""))


def tries(one: Operation, known: dict[str, Any]) -> Iterator[tuple[str, Any, set[str]]]:
    """Yield every bad body of an operation, with what it is and the codes that answer it."""
    assert one.body is not None
    every = [shape for shape in variants(one.body) if source_of(shape) in OURS]
    for shape in every:
        source, base = source_of(shape), least(shape, known)
        for field in fields(shape):
            if shape is not every[0] and field.way[0] != "params":
                continue  # what the requests of all sources have in common
            for value, codes in bad_for(field):
                yield f"{source} {field.name}={value!r:.40}", put(base, field.way, value), codes
            if field.needed:
                without = {name: given for name, given in base.items() if (name,) != field.way}
                if len(field.way) == 1:
                    yield f"without {field.name}", without, {"validation_failed"}


def sent(client: ApiClient, one: Operation, path: str, body: Any, kind: str = JSON) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.generic(one.method, path, data, kind, CONTENT_TYPE=kind)


def code_of(answer: Any) -> str:
    """Return the code of a problem; what is wrong with the answer where it is none."""
    if answer.get("Content-Type") != "application/problem+json":
        return f"{answer.status_code} and no problem"
    told = json.loads(answer.content)
    if values.raw_control(answer.content.decode()):
        return "sends back what steers"
    return str(told["code"])


def test_every_operation_refuses_bad_values(things: dict[str, Any], alice: User) -> None:
    client, _web = visitor(alice)
    wrong, stood = [], contents()
    for one in WITH_BODY:
        path, known = address(one, things), good(things)
        for n, (what, body, codes) in enumerate(tries(one, known)):
            if n % STEP != len(str(one)) % STEP:
                continue
            found = code_of(sent(client, one, path, body))
            if found not in codes:
                wrong.append(f"{one} {what}: {found}, not {' or '.join(sorted(codes))}")
        stands = contents()
        wrong += [f"{one} wrote {table}" for table in stands if stands[table] != stood[table]]
        stood = stands
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


def test_every_operation_reads_its_body_strictly(things: dict[str, Any], alice: User) -> None:
    client, _web = visitor(alice)
    wrong, stood = [], contents()
    for one in WITH_BODY:
        path = address(one, things)
        for row, body, status, code in values.SENT_AS_BODY[len(str(one)) % STEP :: STEP]:
            if path == "/api/jobs":
                body = body.replace(
                    b'{"no_such', b'{"source": "companies", "params": {"ticker": "A"}, "no_such'
                )
            if body == b"" and not one.body_needed:
                continue
            answer = sent(client, one, path, body)
            if (answer.status_code, code_of(answer)) != (status, code):
                wrong.append(f"{one} {row}: {answer.status_code} {code_of(answer)}")
        for kind in values.KINDS_OF_BODY:
            found = code_of(sent(client, one, path, b"{}", kind))
            if found != "unsupported_media_type":
                wrong.append(f"{one} as {kind!r}: {found}")
    stands = contents()
    wrong += [f"wrote {table}" for table in stands if stands[table] != stood[table]]
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)
