"""Everything that takes a file, as a person or a program gives it one."""

import html
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import override_settings
from django.urls import reverse

from config.problems import PROBLEMS
from ingestion import lifecycle
from ingestion.sources.documents.models import Document
from ingestion.sources.imports.models import Import
from tests.commands.conftest import run
from tests.surfaces import values
from tests.surfaces.test_addresses import visitor

RAW = "application/octet-stream"
MARK = b"----of-a-form-0123456789"


@dataclass(frozen=True)
class Answer:
    """What was said of a file. refused: nothing becomes of it."""

    refused: bool
    text: str


Give = Callable[[str, bytes], Answer]


@dataclass(frozen=True)
class Place:
    """Something that takes a file.

    reader: who reads it. starts: a job is made of it at once. keeps: also a file that the reader refuses, so
    that nobody sends it twice.
    """

    reader: str
    starts: bool
    give: Give
    keeps: bool = False


def answered(response: Any) -> Answer:
    """Return what an answer says; anything but a refusal in words or a success is told as it is."""
    body = response.content.decode(errors="replace")
    assert not values.raw_control(body), f"sends back what steers: {body:.200}"
    if response.get("Content-Type") == "application/problem+json":
        told = json.loads(body)
        assert told["code"] in PROBLEMS or told["status"] == 400, told
        return Answer(True, " ".join([told["detail"], *(one["message"] for one in told.get("errors", []))]))
    return Answer(response.status_code >= 400, html.unescape(body))


class Places:
    """Everything that takes a file, of one person who may use all of it."""

    def __init__(self, alice: User, things: dict[str, Any], folder: Path) -> None:
        self.api, self.web = visitor(alice)
        self.things, self.folder, self.alice = things, folder, alice
        # Each try is taken back, so that it waits for the next one.
        job = lifecycle.create("imports", {"later": True}, owner=alice).job
        self.waiting = Import.objects.get(job=job)

    def form(self, client: Any, path: str, field: str, name: str, content: bytes, **more: Any) -> Any:
        # As a browser writes it. Django's client would take a path off the name.
        named = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").encode("utf-8", "replace")
        head = b'--%b\r\nContent-Disposition: form-data; name="%b"'
        body = head % (MARK, field.encode()) + b'; filename="%b"\r\n\r\n%b\r\n' % (named, content)
        options = {"headers": more.pop("headers")} if "headers" in more else {}
        for key, value in more.items():
            body += head % (MARK, key.encode()) + b"\r\n\r\n%b\r\n" % str(value).encode()
        kind = f"multipart/form-data; boundary={MARK.decode()}"
        return client.generic("POST", path, body + b"--%b--\r\n" % MARK, kind, CONTENT_TYPE=kind, **options)

    def raw(self, path: str, name: str, content: bytes) -> Answer:
        mark = "&" if "?" in path else "?"
        named = quote(name.encode("utf-8", "surrogatepass"))
        return answered(self.api.generic("POST", f"{path}{mark}name={named}", content, RAW, CONTENT_TYPE=RAW))

    def multipart(self, path: str, name: str, content: bytes) -> Answer:
        return answered(self.form(self.api, path, "file", name, content))

    def page(self, path: str, field: str, name: str, content: bytes, **more: Any) -> Answer:
        response = self.form(self.web, path, field, name, content, **more)
        if response.status_code == 302:
            shown = self.web.get(response["Location"])
            errors = [str(one) for one in shown.context["messages"] if one.level_tag == "error"]
            return Answer(bool(errors), " ".join(errors))
        return answered(response)

    def command(self, words: Callable[[Path], list[str]], name: str, content: bytes) -> Answer:
        path = (
            self.folder
            / "given"
            / name.encode("utf-8", "replace").decode().replace("/", "_").replace("\0", "_")[-200:]
        )
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        said = run(*words(path), "--user", self.alice.username)
        assert "Traceback" not in said.err and not values.raw_control(said.err), said.err
        return Answer(said.code != 0, said.err)

    def all(self) -> dict[str, Place]:
        """Return every place by its name; `TAKERS` of test_files.py says what in the code each is."""
        json_wanted = {"headers": {"Accept": "application/json"}}
        upload, page = "/api/uploads", reverse("imports:upload")
        shelf = reverse("documents:upload", args=[self.things["workspace_id"]])
        topic = self.things["topic_id"]
        analyse = reverse("articles:analyse", args=[topic])
        found = {}
        for kind in ("imports", "documents"):
            path, start = f"{upload}?source={kind}", reverse("ingestion:start", args=[kind])
            found |= {
                f"API, form, {kind}": Place(kind, False, partial(self.multipart, path)),
                f"API, body, {kind}": Place(kind, False, partial(self.raw, path)),
                f"start, {kind}": Place(kind, True, partial(self.page, start, "start-file"), keeps=True),
                f"command, {kind}": Place(
                    kind,
                    True,
                    partial(self.command, lambda at, kind=kind: ["ingest", kind, f"file={at}"]),
                ),
            }
        later = f"/api/imports/{self.waiting.pk}/file"
        waiting = str(self.waiting.job_id)
        answer = reverse("ingestion:answer", args=[waiting])
        replaces = {"replaces": self.things["document_id"]}
        return found | {
            "import, form": Place("imports", True, partial(self.multipart, later)),
            "import, body": Place("imports", True, partial(self.raw, later)),
            "import, answer": Place("imports", True, partial(self.page, answer, "file", answer="upload")),
            "command, answer": Place(
                "imports",
                True,
                partial(self.command, lambda at: ["job", "answer", waiting, "upload", f"file={at}"]),
            ),
            "imports": Place("imports", False, partial(self.page, page, "file")),
            "imports, script": Place("imports", False, partial(self.page, page, "file", **json_wanted)),
            "workspace": Place("documents", True, partial(self.page, shelf, "file")),
            "workspace, script": Place("documents", True, partial(self.page, shelf, "file", **json_wanted)),
            "workspace, replaced": Place("documents", True, partial(self.page, shelf, "file", **replaces)),
            "topic": Place("addresses", True, partial(self.page, analyse, "file")),
            "command, topic": Place(
                "addresses", True, partial(self.command, lambda at: ["articles", "analyse", topic, str(at)])
            ),
        }


@pytest.fixture
def places(things: dict[str, Any], alice: User, tmp_path: Path) -> Iterator[Places]:
    """Everything that takes a file; what is stored stays apart."""
    Document.objects.filter(pk=things["document_id"]).update(job=None)
    with override_settings(MEDIA_ROOT=str(tmp_path / "files")):
        yield Places(alice, things, tmp_path)


@contextmanager
def taken_back() -> Iterator[None]:
    """Take back what was written."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def stored() -> set[Path]:
    """Return the files in the storage."""
    return {path for path in Path(default_storage.location).rglob("*") if path.is_file()}  # type: ignore[attr-defined]
