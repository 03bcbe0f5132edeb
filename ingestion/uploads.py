"""Files given before the job that reads them: under our own name, judged by content, owned by one user.

`file_types.py` judges.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, Any, Protocol, cast
from urllib.parse import quote
from uuid import UUID

import structlog
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.http import FileResponse
from pydantic import BaseModel
from uuid6 import uuid7

from config.problems import NO_ROOM, Problem
from ingestion.file_types import HEAD, UNKNOWN, check_promise, type_of
from ingestion.models import OPEN, Upload
from ingestion.source import Source, upload_fields

log = structlog.get_logger(__name__)

CHUNK = 1024 * 1024  # bytes read and written at once
MAX_NAME = 150  # characters of a file's name; some file systems take no more than 255 bytes
MEGABYTE = 1024 * 1024
GIGABYTE = 1024 * MEGABYTE
_RESERVED = re.compile(
    r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE
)  # names of Windows devices


class Readable(Protocol):
    """What can be stored: a request, an uploaded file, an open file."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


def store(user: Any, name: str, content: Readable, *, source: Source | None = None) -> Upload:
    """Keep a file of a user and return its row.

    content: read once, in pieces. source: the one it is for, where known; its limits and types hold then.
    Raises Problem: file_empty, file_type, file_too_large, quota_exceeded, storage_full.
    """
    room = _room(user)
    limit = max_bytes(source)
    upload = Upload(id=uuid7(), owner=user, name=clean_name(name))
    pieces = _Pieces(content, limit, room)
    head = pieces.peek()
    if not head.strip(b"\xef\xbb\xbf\xff\xfe"):
        raise Problem("file_empty")
    upload.type = type_of(head)
    check_promise(upload)
    check(upload, source)
    path = f"uploads/{upload.id.hex[-2:]}/{upload.id}"  # the end of a uuid7 is random: even folders
    try:
        upload.path = default_storage.save(path, File(cast(IO[bytes], pieces), name=path))
    except OSError as error:
        _forget(path)
        if error.errno in NO_ROOM:
            log.error("upload_storage_full", errno=error.errno)
            raise Problem("storage_full") from error
        raise
    except BaseException:
        _forget(path)
        raise
    upload.size, upload.sha256 = pieces.size, pieces.hash.hexdigest()
    try:
        upload.expires_at = Now() + timedelta(hours=settings.RETENTION_UNUSED_UPLOADS_HOURS)
        upload.save(force_insert=True)
    except BaseException:
        _forget(upload.path)
        raise
    upload.refresh_from_db()
    return upload


def check(upload: Upload, source: Source | None) -> None:
    """Refuse a file of a type that the source does not take. Raises Problem file_type."""
    takes = getattr(source, "file_types", None)
    if takes and upload.type not in takes:
        noun = getattr(source, "file_noun", "supported")
        remedy = getattr(source, "file_remedies", {}).get(upload.type, "")
        raise Problem("file_type", detail=f"This is not a {noun} file. {remedy}".rstrip())


def max_bytes(source: Source | None = None) -> int:
    """Return how large a file may be, for one source or for any."""
    own = getattr(source, "max_upload_mb", None)
    return int(min(own or settings.MAX_UPLOAD_MB, settings.MAX_UPLOAD_MB)) * MEGABYTE


def visible(user: Any) -> QuerySet[Upload]:
    """Return the uploads this user may see: their own."""
    return Upload.objects.filter(owner=user)


class Stored(Protocol):
    """A file in the storage, and what it is called."""

    path: Any
    name: Any
    size: Any


def open_upload(upload: Stored) -> "File[Any]":
    """Open a stored file for reading."""
    return default_storage.open(upload.path, "rb")


def check_params(user: Any, params: BaseModel, source: Source) -> None:
    """Refuse params that name a file which is not the user's, is taken, or is over.

    Somebody else's file is the same as none. Raises Problem validation_failed, file_type.
    """
    given = {name: getattr(params, name) for name in upload_fields(type(params))}
    ids: list[UUID] = [pk for pk in given.values() if pk is not None]
    if not ids:
        return
    rows = visible(user).filter(pk__in=ids).annotate(over=Q(expires_at__lte=Now()))
    mine: dict[UUID, Any] = {row.pk: row for row in rows}
    errors = []
    for name, pk in given.items():
        if pk is None:
            continue
        row = mine.get(pk)
        if row is None:
            errors.append({"field": f"params.{name}", "code": "not_found", "message": "Not found."})
        elif row.job_id is not None or row.over:
            text = "This file is no longer available."
            errors.append({"field": f"params.{name}", "code": "gone", "message": text})
        else:
            check(row, source)
    if errors:
        raise Problem("validation_failed", errors=errors)


def delete(upload: Upload) -> None:
    """Remove a file and its row. Raises Problem not_finished while an open job may read it."""
    with transaction.atomic():
        # The row is locked, so that no job takes the file in between.
        row = (
            Upload.objects.select_for_update(of=("self",)).select_related("job").filter(pk=upload.pk).first()
        )
        if row is None:
            return
        if row.job is not None and row.job.state in OPEN:
            raise Problem("not_finished")
        _remove(row)


@contextmanager
def given_to_a_job(upload: Upload) -> Iterator[Upload]:
    """Keep a file that was stored a moment ago only if a job takes it.

    One that is refused, or that an open job of the same work needs no more, leaves nothing behind.
    """
    try:
        yield upload
    finally:
        delete_untaken(Upload.objects.filter(pk=upload.pk))


def delete_untaken(given: QuerySet[Upload]) -> None:
    """Remove those of some files that no job has. What one took stays, even if that has ended by now."""
    with transaction.atomic():
        for row in given.select_for_update().filter(job=None):
            _remove(row)


def _remove(row: Upload) -> None:
    row.delete()
    transaction.on_commit(lambda: _forget(row.path), robust=True)


def serve(upload: Stored) -> FileResponse:
    """Return the file as a download that no browser runs (RFC 6266)."""
    response = FileResponse(open_upload(upload), content_type=UNKNOWN)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in upload.name)
    response["Content-Disposition"] = (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(upload.name)}"
    )
    response["Content-Length"] = upload.size
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response


def clean_name(name: str) -> str:
    """Return a file's name as it may be shown and offered: no path, no control or direction characters."""
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode()).replace("\\", "/")
    name = name.rsplit("/", 1)[-1]
    name = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
    name = re.sub(r'[<>:"|?*;]', "_", name).strip(" .")
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if len(name) > MAX_NAME:
        keep = MAX_NAME - len(ending) - 1
        name = f"{stem[:keep]}.{ending}" if dot and keep > 0 and len(ending) <= 10 else name[:MAX_NAME]
    return name or "file"


class _Pieces:
    """A stream that hashes what passes, and stops at a limit."""

    def __init__(self, content: Readable, limit: int, room: int) -> None:
        self._content, self._limit, self._room = content, limit, room
        self._head: list[bytes] = []
        self.hash = hashlib.sha256()
        self.size = 0

    def peek(self) -> bytes:
        """Return the first bytes; they will be read again."""
        head = b""
        while len(head) < HEAD and (piece := self._content.read(HEAD - len(head))):
            head += piece
        self._head = [head] if head else []
        return head

    def read(self, size: int = CHUNK) -> bytes:
        """Return the next bytes."""
        piece = self._head.pop() if self._head else self._content.read(size if size > 0 else CHUNK)
        self.size += len(piece)
        if self.size > self._limit:
            raise Problem("file_too_large", n=self._limit // MEGABYTE)
        if self.size > self._room:
            raise _too_many_bytes()
        self.hash.update(piece)
        return piece


def _room(user: Any) -> int:
    """Return how many bytes the user may still store. Raises Problem quota_exceeded."""
    used = Upload.objects.filter(owner=user).aggregate(files=Count("pk"), size=Sum("size"))
    if used["files"] >= settings.MAX_FILES_PER_USER:
        raise Problem(
            "quota_exceeded", n=f"{settings.MAX_FILES_PER_USER:,}", things="files", retry_after=3600
        )
    room = int(settings.MAX_FILES_GB_PER_USER * GIGABYTE - (used["size"] or 0))
    if room <= 0:
        raise _too_many_bytes()
    return room


def _too_many_bytes() -> Problem:
    return Problem("quota_exceeded", n=settings.MAX_FILES_GB_PER_USER, things="GB of files", retry_after=3600)


def _forget(path: str) -> None:
    try:
        default_storage.delete(path)
    except OSError as error:
        log.warning("upload_not_deleted", path=path, error=type(error).__name__)


def forget_files(paths: Iterable[str]) -> None:
    """Remove stored files whose rows are gone."""
    for path in paths:
        _forget(path)
