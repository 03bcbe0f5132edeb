"""Bad files at everything that takes one: the same words everywhere, nothing half-written, no job that hangs.

What takes a file is found in the code: something new that is in no row here fails.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.db import models
from django.test import TestCase
from django.urls import reverse

from ingestion import source
from ingestion.models import Job, Upload
from ingestion.source import upload_fields
from ingestion.testing import resume_inline
from tests.documents.conftest import counting as counting
from tests.engine import ROOT
from tests.surfaces import values
from tests.surfaces.bad_files import NAMES, ROWS
from tests.surfaces.file_places import RAW, Place, Places, stored, taken_back
from tests.surfaces.file_places import places as places
from tests.surfaces.shapes import document as openapi
from tests.surfaces.standing import STEP, counts
from tests.surfaces.test_bodies import things as things
from tests.surfaces.test_commands import OURS, parsers

pytestmark = pytest.mark.django_db

FULL = STEP == 1
TABLE = b"tax_ident,name\n1,a\n"

Said = tuple[str, str]  # code and text of a refusal, both empty where there is none


def refusal(places: Places, place: Place, name: str, content: bytes) -> Said:
    """Return what the API says of a file: when it is sent, or where a job is to read it."""
    path = f"/api/uploads?name={quote(name)}&source={place.reader}"
    answer = places.api.generic("POST", path, content, RAW, CONTENT_TYPE=RAW)
    told = json.loads(answer.content)
    if answer.status_code == 201 and place.starts:
        answer = places.api.send("/jobs", {"source": place.reader, "params": {"file": told["id"]}})
        told = json.loads(answer.content)
    if answer.status_code < 300:
        return "", ""
    first = (told.get("errors") or [{"code": told["code"], "message": told["detail"]}])[0]
    return first["code"], first["message"]


# Of addresses there is no upload.
OF_ADDRESSES = {
    "": "",
    "file_type": "This is not a text file.",
    "file_empty": "The file is empty.",
    "file_too_large": "The file is larger than the 1 MB limit.",
    "bad_character": "contains a character that is not allowed (position",
    "no_address": "The file names no address.",
    "table": "This table cannot be read.",
}


def wrong_at(place: Place, name: str, content: bytes, expected: str | None) -> Iterator[str]:
    """Yield what is wrong with a place's answer. expected: what must be said, "" to take it, None: either."""
    rows, files = counts(), stored()
    try:
        with TestCase.captureOnCommitCallbacks(execute=True):
            told = place.give(name, content)
    except AssertionError as error:
        yield str(error)
        return
    if expected is not None and told.refused != bool(expected):
        yield f"{told.text[-300:]!r} instead of {expected or 'taking it'}"
    elif expected and expected not in told.text:
        yield f"{told.text[-300:]!r} instead of {expected}"
    added = {table for table, count in counts().items() if count != rows[table]}
    if told.refused and (added or stored() != files) and not place.keeps:
        yield f"refuses, and keeps {sorted(added)} {stored() - files}"
    if not told.refused and place.reader != "addresses" and len(stored()) != len(files) + 1:
        yield "keeps no file"


@pytest.mark.seed("SEC46")
def test_every_place_says_the_same_of_a_bad_file(places: Places) -> None:
    wrong, tried = [], places.all()
    for at, (label, row) in enumerate(ROWS.items()):
        if row.long and not FULL:
            continue
        content, said = row.make(), {"addresses": (row.addresses, OF_ADDRESSES[row.addresses])}
        for n, (where, place) in enumerate(tried.items()):
            if (at + n) % STEP**2:
                continue
            key = place.reader if place.reader == "addresses" else f"{place.reader} {place.starts}"
            if key not in said:
                with taken_back():
                    said[key] = refusal(places, place, row.name, content)
                if said[key][0] not in ("", getattr(row, place.reader)):
                    wrong.append(f"{place.reader}: {label}: {said[key]}")
            with taken_back():
                found = wrong_at(place, row.name, content, said[key][1])
                wrong += [f"{where}: {label}: {one}" for one in found]
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


@pytest.mark.seed("SEC47")
def test_every_place_keeps_a_file_under_a_name_that_can_be_shown(places: Places) -> None:
    wrong, tried = [], places.all()
    for at, name in enumerate(NAMES):
        for n, (where, place) in enumerate(tried.items()):
            if (at + n) % STEP**2:
                continue
            with taken_back():
                wrong += [f"{where}: {name!r:.40}: {one}" for one in wrong_at(place, name, TABLE, None)]
                kept = Upload.objects.order_by("-pk").values_list("name", flat=True).first() or "x"
                if values.raw_control(kept) or "/" in kept or len(kept) > 150:
                    wrong.append(f"{where}: {name!r:.40} is kept as {kept!r}")
                outside = [path for path in places.folder.rglob("*") if path.is_file()]
                wrong += [f"{path}" for path in outside if path.parts[len(places.folder.parts)] not in OWN]
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


OWN = ("files", "given")


def takers() -> set[str]:
    """Return what in the code takes a file from a request, or opens a path that a command was given."""
    found = set()
    for room in ("account", "config", "ingestion", "notifications", "realtime"):
        for path in (ROOT / room).rglob("*.py"):
            for function in (
                one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.FunctionDef)
            ):
                words = {one.attr for one in ast.walk(function) if isinstance(one, ast.Attribute)}
                calls = {ast.unparse(one.func) for one in ast.walk(function) if isinstance(one, ast.Call)}
                if "FILES" in words or calls & TAKES:
                    found.add(f"{path.relative_to(ROOT).with_suffix('')}:{function.name}")
    return found


TAKES = {
    "uploads.store", "uploads_api.given", "given", "form_of", "parameters.opened", "parameters.stored_files",
    "parameters.store", "opened",
}  # fmt: skip
# What each is among the places; "": it is a part of one of them, or takes a file of ours.
TAKERS = {
    "config/http:form_of": "",
    "ingestion/management/commands/ingest:handle": "command, imports",
    "ingestion/management/commands/job:_answer": "command, answer",
    "ingestion/management/parameters:store": "",
    "ingestion/sources/articles/management/commands/articles:_addresses": "command, topic",
    "ingestion/sources/articles/views:analyse": "topic",
    "ingestion/sources/documents/sample/shelf:start": "",
    "ingestion/sources/documents/views:_take": "workspace",
    "ingestion/sources/documents/views:upload": "workspace, script",
    "ingestion/sources/imports/api:send_file": "import, form",
    "ingestion/sources/imports/management/commands/sample:handle": "",
    "ingestion/sources/imports/views:upload": "imports",
    "ingestion/uploads_api:given": "",
    "ingestion/uploads_api:upload_file": "API, form, imports",
    "ingestion/views:_stored": "start, imports",
    "ingestion/views:answer": "import, answer",
    "ingestion/views:start": "start, documents",
}
# Of commands: a file to be written, and a backup (tests/commands/test_backup.py).
PATHS = {("articles", "file"), ("backup", "file"), ("restore", "file"), ("up", "data")}


def test_everything_that_takes_a_file_is_tried(places: Places) -> None:
    assert takers() == TAKERS.keys()
    assert {name for name in TAKERS.values() if name} <= places.all().keys()
    reading = {kind for kind, one in source.registry().items() if upload_fields(one.params)}
    assert reading == {"imports", "documents"}
    taking = {
        (method, path)
        for path, methods in openapi()["paths"].items()
        for method, told in methods.items()
        if set(told.get("requestBody", {}).get("content", {})) - {"application/json"}
    }
    assert taking == {("post", "/api/uploads"), ("post", "/api/imports/{import_id}/file")}
    assert not [
        one for model in apps.get_models() for one in model._meta.fields if isinstance(one, models.FileField)
    ]
    named = {
        (name, one.dest)
        for name in (name for name, app in get_commands().items() if str(app).startswith(OURS))
        for _words, parser in parsers(load_command_class(get_commands()[name], name).create_parser("", name))
        for one in parser._actions
        if one.type is Path or one.dest in ("file", "path", "data", "folder")
    }
    assert named == PATHS


FORM = (
    '--B\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
    "Content-Type: text/csv\r\n\r\ntax_ident,name\n1,a\n\r\n"
)
END = "--B--\r\n"
FIELD = '--B\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n'
ODD_FORMS = {
    "API86 two files": ("boundary=B", FORM * 2 + END),
    "API86 many fields": ("boundary=B", FIELD * 2_010 + FORM + END),
    "many files": ("boundary=B", FORM * 101 + END),
    "API87 no boundary": ("x=y", FORM + END),
    "API87 another boundary": ("boundary=C", FORM + END),
    "API87 a long boundary": (f"boundary={'B' * 10_000}", FORM + END),
    "no end": ("boundary=B", FORM[:-40]),
    "nothing": ("boundary=B", ""),
    "no file": ("boundary=B", FIELD + END),
    "a file that is a field": ("boundary=B", FIELD.replace('"f"', '"file"') + END),
    "no name": ("boundary=B", FORM.replace('name="file"; ', "") + END),
    "another name": ("boundary=B", FORM.replace('"file"', '"other"') + END),
    "an empty file name": ("boundary=B", FORM.replace("a.csv", "") + END),
    "a long head": ("boundary=B", FORM.replace("a.csv", "a" * 70_000) + END),
    "rubbish for base64": (
        "boundary=B",
        FORM.replace("text/csv", "text/csv\r\nContent-Transfer-Encoding: base64") + END,
    ),
}


def test_an_odd_form_is_refused_wherever_a_file_is_taken(places: Places) -> None:
    wrong, later = [], f"/api/imports/{places.waiting.pk}/file"
    addresses = [
        "/api/uploads", later, reverse("imports:upload"), reverse("ingestion:start", args=["imports"]),
        reverse("ingestion:answer", args=[places.waiting.job_id]),
        reverse("documents:upload", args=[places.things["workspace_id"]]),
        reverse("articles:analyse", args=[places.things["topic_id"]]),
    ]  # fmt: skip
    for path in addresses:
        client = places.api if path.startswith("/api/") else places.web
        for what, (kind, body) in ODD_FORMS.items():
            with taken_back():
                rows, kind = counts(), f"multipart/form-data; {kind}"
                answer = client.generic("POST", path, body.encode(), kind, CONTENT_TYPE=kind)
                told = answer.content.decode()
                if answer.status_code >= 500 or values.raw_control(told):
                    wrong.append(f"{path}: {what}: {answer.status_code}")
                # A page takes the first of two files, and is shown again by a redirect where there is none.
                if path.startswith("/api/") and (
                    answer.status_code not in (400, 413) or counts() != rows or "code" not in json.loads(told)
                ):
                    wrong.append(f"{path}: {what}: {answer.status_code} {told:.200}")
        for charset in ("rot13", "base64", "undefined", "idna", "utf-16", "latin-1", "x" * 99):
            kind = f"multipart/form-data; boundary=B; charset={charset}"
            with taken_back():
                answer = client.generic("POST", path, (FORM + END).encode(), kind, CONTENT_TYPE=kind)
                if answer.status_code >= 400 and path in addresses[:3]:
                    wrong.append(f"{path}: {charset}: {answer.status_code}")
                if answer.status_code >= 500:
                    wrong.append(f"{path}: {charset}: {answer.status_code}")
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


READERS = [(label, kind) for label, row in ROWS.items() for kind in ("imports", "documents")]


@pytest.mark.django_db(transaction=True)
def test_a_job_ends_with_the_words_for_its_bad_file(places: Places, counting: Any) -> None:
    wrong = []
    for label, kind in READERS[:: 2 * STEP + 1 if not FULL else 1]:
        row = ROWS[label]
        if row.long and not FULL:
            continue
        expected = getattr(row, kind)
        path = f"/api/uploads?name={quote(row.name)}&source={kind}"
        answer = places.api.generic("POST", path, row.make(), RAW, CONTENT_TYPE=RAW)
        if answer.status_code != 201:
            continue
        body = {"source": kind, "params": {"file": answer.json()["id"]}}
        answer = places.api.send("/jobs", body)
        if answer.status_code not in (200, 201):
            continue
        job = resume_inline(Job.objects.get(pk=answer.json()["id"]))
        code = (job.error or {}).get("code", "")
        if code != expected or job.state in ("pending", "running") or (code and job.state != "failed"):
            wrong.append(f"{kind}: {label}: {job.state} {job.error}, not {expected or 'read'}")
        if code and not str(job.error["text"]).endswith("."):
            wrong.append(f"{kind}: {label}: {job.error['text']}")
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)
