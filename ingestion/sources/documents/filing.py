"""The files of documents in the storage: one a document, under names of our own."""

from typing import Any

import structlog
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F

from ingestion.models import Upload
from ingestion.sources.documents import statuses
from ingestion.sources.documents.models import Chunk, Document, Vector, Workspace
from ingestion.uploads import open_upload

log = structlog.get_logger(__name__)


def path_of(document: Document) -> str:
    """Return where a document's file is kept: by workspace and content, never by a name from outside.

    The number is this row's alone: the same content may come again while the first goes.
    """
    return f"documents/{document.workspace_id}/{document.sha256[:2]}/{document.sha256}-{document.pk}"


def keep(document: Document, upload: Upload) -> str:
    """Keep the file of an upload with its document; a second time changes nothing."""
    path = document.path or path_of(document)
    if default_storage.exists(path) and default_storage.size(path) == upload.size:
        return path
    default_storage.delete(path)  # a copy that was cut off
    with open_upload(upload) as stored:
        kept = default_storage.save(path, File(stored, name=path))
    if kept != path:  # somebody else kept the same content meanwhile
        default_storage.delete(kept)
    return path


def remove(document: Document) -> None:
    """Remove a document with its passages, then its file; open pages look again."""
    path = document.path or path_of(document)  # what was read of it earlier may be older than its file
    with transaction.atomic():
        # By hand: Django would read every passage first, to see what else goes with it.
        Vector.objects.filter(document_id=document.pk)._raw_delete("default")
        Chunk.objects.filter(document_id=document.pk)._raw_delete("default")
        Document.objects.filter(pk=document.pk).delete()
        Workspace.objects.filter(pk=document.workspace_id).update(indexed=F("indexed") + 1)
        statuses.touch(document.workspace_id)
        transaction.on_commit(lambda: forget(path), robust=True)


def forget(path: str) -> None:
    """Remove a file that no document has any more."""
    try:
        if path:
            default_storage.delete(path)
    except OSError as error:
        log.warning("document_file_not_deleted", path=path, error=type(error).__name__)


def open_file(document: Document) -> "File[Any]":
    """Open a document's file for reading."""
    return default_storage.open(document.path, "rb")
