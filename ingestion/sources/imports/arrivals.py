"""The file of an import: judged by its beginning, whenever it comes; given with the start or asked for."""

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from ingestion.models import OPEN, Job, State, Upload
from ingestion.source import SourceError
from ingestion.sources.imports import dialect, files, matching
from ingestion.sources.imports.definition import Definition
from ingestion.sources.imports.models import Import
from ingestion.uploads import open_upload

QUESTION = "Send the file to import."
MAX_AWAITED = 100  # imports of one user that wait for their file


def check_room(user: Any) -> None:
    """Refuse to wait for ever more files. Raises SourceError quota_exceeded."""
    waiting = Job.objects.filter(
        owner=user, source="imports", state=State.WAITING, waiting_for__kind="upload"
    )
    if waiting.count() >= MAX_AWAITED:
        text = f"You already have {MAX_AWAITED} imports that wait for a file, which is the limit."
        raise SourceError("quota_exceeded", text)


def given(pk: UUID | None) -> Upload | None:
    """Return the file that params name."""
    return None if pk is None else Upload.objects.filter(pk=pk).first()


def judge(upload: Upload, definition: Definition, p: Any, saved: dict[str, str]) -> None:
    """Refuse what the first 64 KB show to be wrong. saved: headers matched before. Raises SourceError."""
    with open_upload(upload) as stored:
        head = stored.read(files.HEAD)
    found = dialect.judge_head(upload.name, head, upload.size, definition)
    if found is None:
        return
    chosen = matching.parse_choices(p.columns)
    # A header that nobody could match has fewer columns than are required.
    narrow = len(found.header) < len(matching.missing(definition, set()))
    if p.match == "never" or chosen or narrow:
        matching.match(found.header, definition, chosen, saved)


def key_of(upload: Upload, p: Any) -> str:
    """Return what the same content read in the same way has in common."""
    period = [str(p.valid_from), str(p.valid_to)]
    same = json.dumps([upload.sha256, p.definition, *period, p.review, p.match, p.columns])
    return hashlib.sha256(same.encode()).hexdigest()


def take(imported: Import, job: Job, given: Any, by: Any, p: Any, saved: dict[str, str]) -> None:
    """Give an import the file that it waits for; what is not theirs to give, the engine refuses.

    Raises SourceError for a file that cannot be imported, and when the same is being imported already.
    """
    try:
        upload = Upload.objects.filter(pk=UUID(str(given)), owner=by).first()
    except ValueError:
        return
    if upload is None:
        return
    judge(upload, imported.rules, p, saved)
    imported.upload, imported.file_name, imported.file_size = upload, upload.name, upload.size
    imported.save(update_fields=["upload", "file_name", "file_size"])
    key, title = f"{job.owner_id or '-'}:{key_of(upload, p)}", f"Import {upload.name}"[:200]
    try:
        with transaction.atomic():
            Job.objects.filter(pk=job.pk).update(unique_key=key, title=title)
    except IntegrityError as error:
        other = Import.objects.filter(job__unique_key=key, job__state__in=OPEN).first()
        name = other.slug if other else upload.name
        raise SourceError("already_open", f"The same file is being imported already: {name}.") from error
    job.unique_key, job.title = key, title


def slug_of(imported: Import) -> str:
    """Return what an import is called in addresses and lists: after its file, unique by its number."""
    return f"{slugify(Path(imported.file_name).stem)[:80] or 'import'}-{imported.pk}"
