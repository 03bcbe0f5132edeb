"""POST /api/uploads and what becomes of the file."""

import errno
import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import override_settings

from ingestion import file_types, lifecycle, source, uploads
from ingestion.models import Job, Upload
from ingestion.source import Source, SourceParams, UploadId
from tests.api.clients import ApiClient, assert_problem

pytestmark = pytest.mark.django_db

CSV = b"name,city\nAnn,Oslo\n"
UNKNOWN = "01890000-0000-7000-8000-000000000000"


class ReaderParams(SourceParams):
    file: UploadId


class Reader(Source):
    """Takes a file."""

    kind, label, params = "reader", "Reader", ReaderParams

    def run(self, job: Any, p: Any) -> None:
        """Do nothing."""


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the source for one test: others walk over all sources."""
    monkeypatch.setattr(source, "_registry", dict(source._registry))
    source.register(Reader)


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> Iterator[Path]:
    """Keep the files of a test apart."""
    with override_settings(MEDIA_ROOT=str(tmp_path)):
        yield tmp_path


def stored(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def raw(client: ApiClient, body: bytes, name: str = "a.csv", kind: str = "text/csv") -> Any:
    return client.generic("POST", f"/api/uploads?name={name}", body, kind, CONTENT_TYPE=kind)


def test_a_form_and_a_raw_body_store_the_same(as_alice: ApiClient, files: Path) -> None:
    form = as_alice.post("/api/uploads", {"file": SimpleUploadedFile("register.csv", CSV)})
    body = raw(as_alice, CSV, "register.csv")

    for answer in (form, body):
        assert answer.status_code == 201, answer.content
        told = answer.json()
        assert set(told) == {"id", "name", "size", "sha256", "type", "expires_at"}
        assert (told["name"], told["size"], told["type"]) == ("register.csv", len(CSV), "text/csv")
        assert told["sha256"] == hashlib.sha256(CSV).hexdigest()
    assert [path.read_bytes() for path in stored(files)] == [CSV, CSV]
    assert {path.name for path in stored(files)} == {form.json()["id"], body.json()["id"]}


def test_a_file_larger_than_one_piece_arrives_whole(as_alice: ApiClient, files: Path) -> None:
    content = b"a,b\n" + b"1,2\n" * 1_000_000
    told = raw(as_alice, content).json()
    assert (told["size"], told["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert stored(files)[0].read_bytes() == content


def test_an_upload_is_its_owners(as_alice: ApiClient, as_bob: ApiClient, as_staff: ApiClient) -> None:
    path = f"/uploads/{raw(as_alice, CSV).json()['id']}"

    assert as_alice.read(path).json()["size"] == len(CSV)
    for stranger in (as_bob, as_staff):
        assert_problem(stranger.read(path), 404, "not_found")
        assert_problem(stranger.read(f"{path}/file"), 404, "not_found")
        assert_problem(stranger.delete(f"/api{path}"), 404, "not_found")


@pytest.mark.seed("SEC48")
def test_a_download_is_harmless(as_alice: ApiClient) -> None:
    """SEC48."""
    pk = as_alice.post("/api/uploads", {"file": SimpleUploadedFile('bä"d.csv', CSV)}).json()["id"]
    answer = as_alice.get(f"/api/uploads/{pk}/file")

    assert b"".join(answer.streaming_content) == CSV  # type: ignore[attr-defined]
    assert answer["Content-Disposition"].startswith('attachment; filename="b_')
    assert "filename*=UTF-8''b%C3%A4" in answer["Content-Disposition"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert answer["Content-Type"] == "application/octet-stream"


NAMES = [
    ("../../etc/x", "x"),
    ("..\\..\\boot.ini", "boot.ini"),
    ("a\x00b.csv", "ab.csv"),
    ("con.csv", "_con.csv"),
    ("COM1", "_COM1"),
    ("x" * 300 + ".csv", "x" * 146 + ".csv"),
    ("cod\u202egpj.csv", "codgpj.csv"),
    ('a"; filename=x', "a__ filename=x"),
    ("a\r\nSet-Cookie: x", "aSet-Cookie_ x"),
    ("...", "file"),
    ("", "file"),
    ("/", "file"),
    ("\ud800.csv", "_.csv"),
]


@pytest.mark.seed("SEC47")
@pytest.mark.parametrize(("given", "kept"), NAMES)
def test_a_name_is_cleaned(given: str, kept: str) -> None:
    """SEC47."""
    assert uploads.clean_name(given) == kept


def _zip(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


TYPES = [
    (CSV, file_types.CSV),
    (b"\xef\xbb\xbfa;b\n", file_types.CSV),
    ("a\tb\n".encode("utf-16"), file_types.CSV),
    ("namn;ort\nÅsa;Öre\n".encode("latin-1"), file_types.CSV),
    ("a,b\n1,2\n".encode("utf-16-le"), file_types.CSV),
    (b"just text\n", file_types.TEXT),
    (b"\x1f\x8b\x08rest", file_types.GZIP),
    (_zip("xl/workbook.xml"), file_types.XLSX),
    (_zip("word/document.xml"), file_types.DOCX),
    (_zip("a.txt"), file_types.ZIP),
    (b"%PDF-1.7\n", file_types.PDF),
    (b"GIF89a...%PDF-1.7", file_types.UNKNOWN),
    (b"<!DOCTYPE html><p>", file_types.HTML),
    (b"<svg xmlns='x'/>", file_types.SVG),
    (b"\x7fELF\x02\x01", file_types.UNKNOWN),
    (b"\x89PNG\r\n\x1a\n", file_types.PNG),
    (bytes(range(256)) * 10, file_types.UNKNOWN),
]


@pytest.mark.parametrize(("head", "kind"), TYPES, ids=[f"{kind}-{n}" for n, (_, kind) in enumerate(TYPES)])
def test_the_content_says_the_type(head: bytes, kind: str) -> None:
    assert file_types.type_of(head) == kind


BROKEN_PROMISES = [
    ("UP1", "a.csv", b"", "file_empty"),
    ("UP2", "a.csv", b"\xef\xbb\xbf", "file_empty"),
    ("UP30", "a.csv", _zip("a.txt"), "file_type"),
    ("UP31", "a.csv", b"<html><body>", "file_type"),
    ("UP31b", "a.csv", b"\x7fELF\x02\x01\x01", "file_type"),
    ("UP31c", "a.csv", b"\x89PNG\r\n\x1a\n", "file_type"),
    ("SEC46", "a.csv", b"<svg onload='x'/>", "file_type"),
    ("UP36", "a.pdf", b"", "file_empty"),
    ("UP37", "a.pdf", b"not a pdf, text", "file_type"),
    ("UP38", "a.pdf", b" " * 2000 + b"%PDF-1.7", "file_type"),
]


@pytest.mark.parametrize(
    ("row", "name", "body", "code"), BROKEN_PROMISES, ids=[row[0] for row in BROKEN_PROMISES]
)
def test_a_file_that_is_not_what_it_says_is_refused(
    as_alice: ApiClient, files: Path, row: str, name: str, body: bytes, code: str
) -> None:
    assert_problem(raw(as_alice, body, name), 400, code)
    assert not Upload.objects.exists()
    assert stored(files) == []


def test_a_large_file_is_refused_and_gone(as_alice: ApiClient, files: Path) -> None:
    with override_settings(MAX_UPLOAD_MB=1):
        problem = assert_problem(raw(as_alice, b"a,b\n" * 300_000), 413, "file_too_large")
    assert problem["detail"] == "The file is larger than the 1 MB limit."
    assert (Upload.objects.count(), stored(files)) == (0, [])


@pytest.mark.seed("SEC49")
def test_a_user_has_room_for_so_many_files(as_alice: ApiClient, as_bob: ApiClient) -> None:
    """SEC49."""
    with override_settings(MAX_FILES_PER_USER=1):
        raw(as_alice, CSV)
        refused = raw(as_alice, CSV)
        assert raw(as_bob, CSV).status_code == 201
    problem = assert_problem(refused, 429, "quota_exceeded")
    assert problem["detail"] == "You already have 1 files, which is the limit."


@pytest.mark.seed("SEC49")
def test_a_user_has_room_for_so_many_bytes(as_alice: ApiClient, alice: Any, files: Path) -> None:
    raw(as_alice, CSV)
    Upload.objects.update(size=20 * 1024**3 - 5)
    problem = assert_problem(raw(as_alice, CSV), 429, "quota_exceeded")
    assert "20 GB" in problem["detail"]
    assert len(stored(files)) == 1


def test_a_full_disk_is_told_and_leaves_nothing(
    as_alice: ApiClient, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UP80."""
    save = default_storage.save

    def full(name: str, content: Any, **options: Any) -> str:
        save(name, SimpleUploadedFile("x", b"half"))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads.default_storage, "save", full)
    problem = assert_problem(raw(as_alice, CSV), 507, "storage_full")
    assert problem["detail"] == "There is no room to store the file. Nothing was saved."
    assert (Upload.objects.count(), stored(files)) == (0, [])


def test_a_form_holds_exactly_one_file(as_alice: ApiClient) -> None:
    """API86."""
    two = {"file": [SimpleUploadedFile("a.csv", CSV), SimpleUploadedFile("b.csv", CSV)]}
    assert_problem(as_alice.post("/api/uploads", two), 400, "validation_failed", field="file")
    assert_problem(as_alice.post("/api/uploads", {"x": "y"}), 400, "validation_failed", field="file")
    other = {"other": SimpleUploadedFile("a.csv", CSV)}
    assert_problem(as_alice.post("/api/uploads", other), 400, "validation_failed", field="file")
    assert not Upload.objects.exists()


def test_a_form_with_very_many_fields_is_refused(as_alice: ApiClient) -> None:
    """API86."""
    form = {f"f{n}": "x" for n in range(2001)}
    assert_problem(as_alice.post("/api/uploads", form), 400, "bad_form")


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 10_000,
    ],
    ids=["missing", "empty", "long"],
)
def test_a_damaged_form_is_refused(as_alice: ApiClient, kind: str) -> None:
    """API87."""
    answer = as_alice.generic("POST", "/api/uploads", b"--y\r\nx", kind, CONTENT_TYPE=kind)
    assert_problem(answer, 400, "bad_form")


def test_a_wrong_boundary_is_no_file(as_alice: ApiClient) -> None:
    kind = "multipart/form-data; boundary=zzz"
    answer = as_alice.generic("POST", "/api/uploads", b"--y\r\nx\r\n--y--", kind, CONTENT_TYPE=kind)
    assert answer.status_code == 400


def test_a_raw_body_needs_a_name_and_is_no_json(as_alice: ApiClient) -> None:
    assert_problem(as_alice.generic("POST", "/api/uploads", CSV, "text/csv"), 400, "bad_parameter")
    assert_problem(raw(as_alice, b"{}", kind="application/json"), 415, "unsupported_media_type")
    assert_problem(raw(as_alice, CSV, "a.csv&source=nope"), 400, "bad_parameter")


# ---- files in params --------------------------------------------------------------------------------------


def start(client: ApiClient, upload: str) -> Any:
    return client.send("/jobs", {"source": "reader", "params": {"file": upload}})


def test_a_job_takes_its_file(as_alice: ApiClient) -> None:
    pk = raw(as_alice, CSV).json()["id"]
    told = start(as_alice, pk)

    assert told.status_code == 201, told.content
    assert str(Upload.objects.get().job_id) == told.json()["id"]
    assert as_alice.read(f"/uploads/{pk}").json()["expires_at"] is None


def test_a_file_is_taken_once(as_alice: ApiClient) -> None:
    """API44."""
    pk = raw(as_alice, CSV).json()["id"]
    start(as_alice, pk)
    problem = assert_problem(start(as_alice, pk), 400, "validation_failed", field="params.file")
    assert problem["errors"][0]["message"] == "This file is no longer available."


def test_an_outdated_file_is_not_taken(as_alice: ApiClient) -> None:
    pk = raw(as_alice, CSV).json()["id"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ingestion_upload SET expires_at = now() - interval '1 second'")
    problem = assert_problem(start(as_alice, pk), 400, "validation_failed", field="params.file")
    assert problem["errors"][0]["message"] == "This file is no longer available."


@pytest.mark.seed("SEC11")
def test_somebody_elses_file_is_no_file(as_alice: ApiClient, as_bob: ApiClient) -> None:
    """SEC11."""
    pk = raw(as_alice, CSV).json()["id"]
    foreign, missing = start(as_bob, pk), start(as_bob, UNKNOWN)

    assert_problem(foreign, 400, "validation_failed", field="params.file")
    assert foreign.json()["errors"] == missing.json()["errors"]
    assert foreign.json()["errors"][0]["message"] == "Not found."
    assert not Job.objects.exists()


def test_a_source_says_what_it_takes(as_alice: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reader, "file_types", {file_types.PDF}, raising=False)
    monkeypatch.setattr(Reader, "file_noun", "PDF", raising=False)
    monkeypatch.setattr(Reader, "max_upload_mb", 1, raising=False)
    pk = raw(as_alice, CSV).json()["id"]

    problem = assert_problem(start(as_alice, pk), 400, "file_type")
    assert problem["detail"] == "This is not a PDF file."
    assert_problem(raw(as_alice, CSV, "a.csv&source=reader"), 400, "file_type")
    large = raw(as_alice, b"%PDF-" + b"x" * 1_100_000, "a.pdf&source=reader")
    assert_problem(large, 413, "file_too_large")


@pytest.mark.django_db(transaction=True)
def test_a_deleted_upload_leaves_no_file(as_alice: ApiClient, files: Path) -> None:
    pk = raw(as_alice, CSV).json()["id"]
    assert as_alice.delete(f"/api/uploads/{pk}").status_code == 204
    assert (Upload.objects.count(), stored(files)) == (0, [])


def test_a_file_that_a_job_reads_is_not_deleted(as_alice: ApiClient, alice: Any) -> None:
    pk = raw(as_alice, CSV).json()["id"]
    job = Job.objects.get(pk=start(as_alice, pk).json()["id"])
    assert_problem(as_alice.delete(f"/api/uploads/{pk}"), 409, "not_finished")
    lifecycle.cancel(job, alice)
    assert as_alice.delete(f"/api/uploads/{pk}").status_code == 204
