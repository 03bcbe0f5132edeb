"""Ingest a document: read it in a process of its own, cut it, turn it into vectors, make it findable."""

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ingestion.models import OPEN, ItemState, Job, JobItem, State, Upload
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, SourceParams, Step, register
from ingestion.sources.documents import (
    chunks,
    embedders,
    filing,
    members,
    reading,
    statuses,
    vectors,
    workspaces,
)
from ingestion.sources.documents.chunks import Passage
from ingestion.sources.documents.models import Chunk, Document, DocumentStatus, Role, Workspace
from ingestion.sources.documents.results import Err
from ingestion.sources.documents.statuses import DocumentChange
from ingestion.steps import StepHandle
from ingestion.uploads import CSV, DOCX, HTML, PDF, TEXT

INDEX = "index"  # key of the one item of the last step


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

    @field_validator("document")
    @classmethod
    def _one_of_both(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("file") is not None:
            raise PydanticCustomError("one_of_both", "Give a file or a document, not both.")
        return value


@register
class Documents(Source):
    """A file becomes passages that a search finds."""

    kind, label, params = "documents", "Document", Params
    description = "Read a PDF, Word, HTML, Markdown or text file, so that it can be searched."
    steps: ClassVar[list[Step]] = [
        Step("parse", "Read the text", 40),
        Step("chunk", "Cut into passages", 2),
        Step("embed", "Make vectors", 55),
        Step("index", "Make it searchable", 3),
    ]
    item_noun = "batches"
    page, page_label = "documents:workspaces", "Workspaces"
    example: ClassVar[dict[str, Any]] = {"file": "Cobalt policy\n\nSuppliers are audited every two years.\n"}
    file_types, file_noun = frozenset({PDF, DOCX, HTML, TEXT, CSV}), "PDF, .docx, HTML, Markdown or text"
    max_upload_mb = settings.MAX_DOCUMENT_MB

    def run(self, job: Run, p: Params) -> Outcome:
        """Bring the document into the index."""
        document = Document.objects.select_related("workspace__retrieval").filter(job=job.id).first()
        if document is None:
            raise SourceError(
                "replaced", "Nothing was done: the document was removed, or a newer job has it."
            )
        workspace = document.workspace
        plan = job.once("plan", lambda: plan_of(document, workspace.retrieval.values))
        self.enter(job, document, "parse")
        with job.step("parse", f"Reading {document.name}") as step:
            parsed = self.parse(job, step, document)
        self.enter(job, document, "chunk")
        with job.step("chunk"):
            passages = chunks.cut(parsed.blocks, plan["chunk_size"], plan["overlap"])
            if not passages:
                raise reading.failure("text", "no_text")
            if len(passages) > chunks.MAX_CHUNKS:
                raise reading.failure("text", "limits")
        self.enter(job, document, "embed")
        with job.step("embed", f"{len(passages):,} passages") as step:
            self.embed(job, step, document, plan, passages)
        self.enter(job, document, "index")
        with job.step("index") as step:
            self.index(job, step, document, plan, parsed, len(passages))
        text = f"{document.name} is ready: {len(passages):,} passages"
        return Outcome(text=text, url=document.get_absolute_url(), data={"document": document.pk})

    def enter(self, job: Run, document: Document, stage: str) -> None:
        """Say which step works on the document; end here when it is no longer this job's."""
        change = DocumentChange(DocumentStatus.PROCESSING, job=job.id, values={"stage": stage})
        with transaction.atomic():
            written = statuses.service.update_document_status(document.pk, change)
        if isinstance(written, Err):
            if Document.objects.filter(pk=document.pk, job=job.id, status=DocumentStatus.READY).exists():
                return  # its worker died between the index and the end
            raise SourceError("replaced", f"Nothing was done: {written.error}.")

    def parse(self, job: Run, step: StepHandle, document: Document) -> reading.Parsed:
        """Read the stored file."""
        _keep_file(job, document)
        kind = reading.kind_of(document.name, document.type)
        if kind is None:
            raise SourceError("file_type", f"This is not a {self.file_noun} file.")

        def tell(done: int, pages: int | None) -> None:
            step.total, step.finished = pages, done
            if pages:
                step.message(f"Page {done:,} of {pages:,}")

        return reading.read(document.path, kind, tell, job.checkpoint)

    def embed(
        self, job: Run, step: StepHandle, document: Document, plan: dict[str, Any], passages: list[Passage]
    ) -> None:
        """Write passages and their vectors, batch by batch; nobody finds them yet."""
        embedder = embedders.get(plan["embedder"])

        def fetch(batch: list[Passage]) -> Any:
            return embedder.encode([said(one) for one in batch])

        for item in step.items(_batches(passages), key=_key, label=_label, fetch=fetch):
            with item:
                write(document, plan["generation"], embedder.id, item.value, item.fetched)
                item.result = {"passages": len(item.value)}
        undone = JobItem.objects.filter(job=job.id, step="embed").exclude(state=ItemState.DONE).first()
        if undone is not None:
            raise SourceError(
                undone.error_code or "not_embedded", undone.error or f"{undone.label} failed.", retryable=True
            )

    def index(
        self,
        job: Run,
        step: StepHandle,
        document: Document,
        plan: dict[str, Any],
        parsed: reading.Parsed,
        count: int,
    ) -> None:
        """Let searches find all passages at once, and those of an earlier time no more: one transaction."""
        for item in step.items([INDEX], key=str, label=lambda _: "All passages"):
            with item:
                publish(document, plan, parsed, count, job.id)
                job.changed(document.workspace)
        if not Document.objects.filter(pk=document.pk, status=DocumentStatus.READY, job=job.id).exists():
            found = JobItem.objects.filter(job=job.id, step="index").values_list("error", flat=True).first()
            raise SourceError("not_indexed", found or "The document could not be made searchable.")

    def can_start(self, user: Any, p: Params) -> None:
        """Refuse a workspace where the user may not upload; what they cannot see is not there."""
        document = _document(p)
        if p.document is None and p.file is None:
            raise SourceError("validation_failed", "Choose a file.")
        if p.document is not None and document is None:
            raise SourceError("not_found", "Not found.")
        workspace = document.workspace_id if document else p.workspace
        if workspace is None:
            return
        role = members.role_of(user, workspace) if user is not None else Role.OWNER
        if not role:
            raise SourceError("not_found", "Not found.")
        if not members.may_edit(role):
            raise SourceError("permission_denied", "You may read this workspace, and not add to it.")
        if document is not None and document.job is not None and document.job.state in OPEN:
            raise SourceError("already_open", f"{document.name} is being processed already.")

    def unique_key(self, p: Params) -> str | None:
        """Say that the same content in the same workspace is the same work."""
        document = _document(p)
        if document is not None:
            return f"{document.workspace_id}:{document.sha256}"
        upload = _upload(p)
        return f"{p.workspace or 'own'}:{upload.sha256}" if upload else None

    def describe(self, p: Params) -> tuple[str, str]:
        """Call the job after the file."""
        document = _document(p)
        upload = _upload(p)
        name = document.name if document else upload.name if upload else ""
        return (f"Process {name}" if name else self.label), name

    def created(self, job: Job, p: Params) -> None:
        """Make the row of the document, or take the one that is there; say what it is about."""
        document = _taken(job, p)
        change = DocumentChange(DocumentStatus.PENDING)
        Document.objects.filter(pk=document.pk).update(job=job)
        statuses.service.update_document_status(document.pk, change)
        job.object = document.workspace.stream
        job.save(update_fields=["object"])

    def ended(self, job: Job) -> None:
        """Say of the document that it failed, and why."""
        if job.state in (State.COMPLETED, State.PARTIAL):
            return
        transaction.on_commit(partial(settle, job.pk), robust=True)


def settle(job: UUID) -> None:
    """Say of the document of a job that ended otherwise than well that it failed; once is enough.

    Not in the transaction that ends the job: that holds the job's row, and items lock the document before it.
    Pages call it too, should a process have died in between.
    """
    ended = Job.objects.filter(pk=job).first()
    document = Document.objects.filter(job=job).first()
    if ended is None or document is None or not ended.is_final:
        return
    error = ended.error or {}
    told = (
        "It was cancelled before it was ready." if ended.state == State.CANCELLED else "It could not be read."
    )
    with transaction.atomic():
        statuses.service.update_document_status(
            document.pk,
            DocumentChange(
                DocumentStatus.FAILED,
                error=error.get("text") or told,
                error_code=error.get("code") or str(ended.state),
                job=job,
            ),
        )


def write(document: Document, generation: int, model: str, batch: list[Passage], made: Any) -> None:
    """Store passages with their vectors, in the current transaction."""
    rows = Chunk.objects.bulk_create(
        Chunk(
            document=document,
            workspace_id=document.workspace_id,
            generation=generation,
            ordinal=one.ordinal,
            page=one.page,
            heading=one.heading,
            text=one.text,
        )
        for one in batch
    )
    vectors.add(rows, document, model, made)


def publish(
    document: Document, plan: dict[str, Any], parsed: reading.Parsed, count: int, job: UUID | None
) -> None:
    """Make one generation of a document's passages the one that is found, in the current transaction."""
    rows = Chunk.objects.filter(document=document, generation=plan["generation"])
    if rows.count() != count:
        raise SourceError("not_embedded", "Passages are missing. Process the document again.")
    values = {
        "generation": plan["generation"],
        "chunk_count": count,
        "embedder": plan["embedder"],
        "chunk_size": plan["chunk_size"],
        "overlap": plan["overlap"],
        "pages": parsed.pages,
        "characters": parsed.characters,
        "title": parsed.title,
        "notes": parsed.notes,
        "ready_at": Now(),
    }
    change = DocumentChange(DocumentStatus.READY, job=job, values=values)
    written = statuses.SqlStatusRepository().update_document_status(document.pk, change)
    if not isinstance(written, Document):
        raise SourceError("replaced", f"Nothing was done: {written or 'the document was removed'}.")
    Chunk.objects.filter(document=document).exclude(generation=plan["generation"]).delete()
    Workspace.objects.filter(pk=document.workspace_id).update(indexed=F("indexed") + 1)


def plan_of(document: Document, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return how the document is processed, the same in every attempt, and a generation of its own."""
    Document.objects.filter(pk=document.pk).update(generations=F("generations") + 1)
    generation = Document.objects.values_list("generations", flat=True).get(pk=document.pk)
    return {"generation": generation, **wanted}


def _keep_file(job: Run, document: Document) -> None:
    upload = Upload.objects.filter(job=job.id).order_by("-pk").first()
    if upload is not None:
        document.path = filing.keep(document, upload)
        if not Document.objects.filter(pk=document.pk).update(path=document.path):
            filing.forget(document.path)
            raise SourceError("replaced", "The document was removed.")
    if not document.path:
        raise SourceError("document_gone", "The file is no longer kept. Upload it again.")


def _document(p: Params) -> Document | None:
    if p.document is None:
        return None
    return Document.objects.select_related("job", "workspace").filter(pk=p.document).first()


def _upload(p: Params) -> Upload | None:
    return None if p.file is None else Upload.objects.filter(pk=p.file).first()


def _taken(job: Job, p: Params) -> Document:
    """Return the document that a new job is about, locked."""
    rows = Document.objects.select_for_update(of=("self",)).select_related("workspace")
    if job.retry_of_id is not None and (found := rows.filter(job=job.retry_of_id).first()):
        return found
    if p.document is not None:
        return rows.get(pk=p.document)
    upload = _upload(p)
    if upload is None:
        raise SourceError("document_gone", "Choose a file.")
    workspace = Workspace.objects.get(pk=p.workspace) if p.workspace else workspaces.own(job.owner)
    document, _ = Document.objects.get_or_create(
        workspace=workspace,
        sha256=upload.sha256,
        defaults={
            "added_by": job.owner,
            "name": upload.name,
            "size": upload.size,
            "type": upload.type,
        },
    )
    return rows.get(pk=document.pk)


def _batches(passages: list[Passage]) -> Iterator[list[Passage]]:
    for start in range(0, len(passages), embedders.BATCH):
        yield passages[start : start + embedders.BATCH]


def said(passage: Passage) -> str:
    """Return what is encoded of a passage: its heading tells what it is about."""
    told = passage.heading and not passage.text.startswith(passage.heading)
    return f"{passage.heading}\n{passage.text}" if told else passage.text


def _key(batch: list[Passage]) -> str:
    return f"{batch[0].ordinal}-{batch[-1].ordinal}"


def _label(batch: list[Passage]) -> str:
    return f"Passages {batch[0].ordinal + 1:,} to {batch[-1].ordinal + 1:,}"
