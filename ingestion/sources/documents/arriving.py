"""What a document's job is asked for, and which document it is about: a new one, or one that is there."""

from itertools import count
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ingestion.models import Job, Upload
from ingestion.source import SourceError, SourceParams
from ingestion.sources.documents import workspaces
from ingestion.sources.documents.models import Document, Workspace


class Params(SourceParams):
    """Which document, and where it goes."""

    file: UUID | None = Field(
        default=None,
        validate_default=True,
        json_schema_extra={"format": "upload"},
        description="A PDF, Word document (.docx), HTML page, Markdown or text file",
    )
    workspace: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Number of a workspace; none: your own documents"
    )
    document: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Instead of a file: a document to process again"
    )

    replaces: int | None = Field(
        default=None,
        ge=1,
        le=2**63 - 1,
        description="A document of the same workspace that goes when the new one is ready",
    )

    @field_validator("document")
    @classmethod
    def _one_of_both(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("file") is not None:
            raise PydanticCustomError("one_of_both", "Give a file or a document, not both.")
        return value


def document_of(p: Params) -> Document | None:
    """Return the document that is to be processed again."""
    if p.document is None:
        return None
    return Document.objects.select_related("job", "workspace").filter(pk=p.document).first()


def upload_of(p: Params) -> Upload | None:
    """Return the file that becomes a document."""
    return None if p.file is None else Upload.objects.filter(pk=p.file).first()


def taken(job: Job, p: Params) -> Document:
    """Return the document that a new job is about, locked."""
    rows = Document.objects.select_for_update(of=("self",)).select_related("workspace")
    if job.retry_of_id is not None and (found := rows.filter(job=job.retry_of_id).first()):
        return found
    if p.document is not None:
        return rows.get(pk=p.document)
    upload = upload_of(p)
    if upload is None:
        raise SourceError("document_gone", "Choose a file.")
    workspace = Workspace.objects.get(pk=p.workspace) if p.workspace else workspaces.own(job.owner)
    document, _ = Document.objects.get_or_create(
        workspace=workspace,
        sha256=upload.sha256,
        defaults={
            "added_by": job.owner,
            "name": _free_name(workspace, upload.name, p.replaces),
            "size": upload.size,
            "type": upload.type,
        },
    )
    return rows.get(pk=document.pk)


def uploaded(document: Document) -> Upload | None:
    """Return the file that an earlier job was given for a document, which it ended before it kept."""
    rows = Upload.objects.filter(sha256=document.sha256, job__source="documents")
    return rows.filter(job__object=document.workspace.stream).order_by("-pk").first()


def left_by(job: Job, p: Params) -> Document | None:
    """Return the document with which a retry of an ended job goes on."""
    found = Document.objects.filter(job=job.pk).first() or document_of(p)
    upload = upload_of(p)
    if found is not None or upload is None:
        return found
    rows = Document.objects.filter(sha256=upload.sha256)
    return (rows.filter(workspace=p.workspace) if p.workspace else in_own(rows, job.owner)).first()


def in_own(documents: QuerySet[Document], user: Any) -> QuerySet[Document]:
    """Keep documents of a user's own workspace."""
    return documents.filter(workspace__created_by=user, workspace__is_own=True)


def _free_name(workspace: Workspace, name: str, replaced: int | None) -> str:
    """Return a name that no other document of a workspace has: "policy (2).pdf" beside "policy.pdf"."""
    others = workspace.documents.exclude(pk=replaced) if replaced else workspace.documents
    stem, dot, ending = name.rpartition(".") if "." in name[1:] else (name, "", "")
    taken = set(others.filter(name__startswith=stem).values_list("name", flat=True))
    numbered = (f"{stem} ({n}){dot}{ending}" for n in count(2))
    return name if name not in taken else next(one for one in numbered if one not in taken)
