"""Ingest a document: read it in a process of its own, cut it, turn it into vectors, make it findable."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

from django.conf import settings
from django.db import transaction

from ingestion import embedders, lifecycle
from ingestion.admission import Refused
from ingestion.models import OPEN, ItemState, Job, JobItem, State, Upload
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, Step, register
from ingestion.sources.documents import arriving, chunks, filing, indexing, members, reading, statuses
from ingestion.sources.documents.arriving import Params
from ingestion.sources.documents.chunks import Passage
from ingestion.sources.documents.models import Document, DocumentStatus, Role
from ingestion.sources.documents.results import Err
from ingestion.sources.documents.statuses import DocumentChange
from ingestion.steps import StepHandle
from ingestion.uploads import (
    CSV,
    DOC,
    DOCX,
    GZIP,
    HTML,
    PDF,
    PICTURES,
    RTF,
    SVG,
    TEXT,
    UNKNOWN,
    XLSX,
    ZIP,
)

INDEX = "index"  # key of the one item of the last step


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
    page, page_label, page_icon = "documents:workspaces", "Workspaces", "folder"
    example: ClassVar[dict[str, Any]] = {"file": "Cobalt policy\n\nSuppliers are audited every two years.\n"}
    file_types, file_noun = frozenset({PDF, DOCX, HTML, TEXT, CSV}), "PDF, .docx, HTML, Markdown or text"
    file_remedies: ClassVar[dict[str, str]] = {
        DOC: "Save it as .docx or PDF, then upload it again.",
        RTF: "Save it as .docx or PDF, then upload it again.",
        XLSX: "Save the sheet as CSV or PDF, then upload it again.",
        ZIP: "Unpack it, and upload what is in it.",
        GZIP: "Unpack it, and upload what is in it.",
        **dict.fromkeys((*PICTURES, SVG), "A picture can be read after text recognition (OCR) as a PDF."),
        UNKNOWN: "Save it as one of these in the program that made it, then upload it again.",
    }
    max_upload_mb = settings.MAX_DOCUMENT_MB

    def run(self, job: Run, p: Params) -> Outcome:
        """Bring the document into the index."""
        document = Document.objects.select_related("workspace__retrieval").filter(job=job.id).first()
        if document is None:
            raise SourceError(
                "replaced", "Nothing was done: the document was removed, or a newer job has it."
            )
        workspace = document.workspace
        plan = job.once("plan", lambda: indexing.plan_of(document, workspace.retrieval.values))
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
        if p.replaces is not None:
            _take_away_replaced(job, document, p.replaces)
        text = f"{document.name} is ready: {len(passages):,} passage{'s' * (len(passages) != 1)}"
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
            return embedder.encode([indexing.said(one) for one in batch])

        for item in step.items(_batches(passages), key=_key, label=_label, fetch=fetch):
            with item:
                indexing.write(document, plan["generation"], embedder.id, item.value, item.fetched)
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
                indexing.held(job)
                indexing.publish(document, plan, parsed, count, job.id)
                job.changed(document.workspace)
        indexing.sweep(document.pk)
        if not Document.objects.filter(pk=document.pk, status=DocumentStatus.READY, job=job.id).exists():
            found = JobItem.objects.filter(job=job.id, step="index").values_list("error", flat=True).first()
            raise SourceError("not_indexed", found or "The document could not be made searchable.")

    def can_start(self, user: Any, p: Params) -> None:
        """Refuse a workspace where the user may not upload; what they cannot see is not there."""
        document = arriving.document_of(p)
        if p.document is None and p.file is None:
            raise SourceError("validation_failed", "Choose a file.")
        if p.document is not None and document is None:
            raise SourceError("not_found", "Not found.")
        workspace = document.workspace_id if document else p.workspace
        if workspace is not None:
            role = members.role_of(user, workspace) if user is not None else Role.OWNER
            if not role:
                raise SourceError("not_found", "Not found.")
            if not members.may_edit(role):
                raise SourceError("permission_denied", "You may read this workspace, and not add to it.")
        if document is not None and document.job is not None and document.job.state in OPEN:
            raise SourceError("already_open", f"{document.name} is being processed already.")
        if p.replaces is not None:  # last: who may not look into the workspace learns nothing of it
            there = Document.objects.filter(pk=p.replaces)
            mine = there.filter(workspace=workspace) if workspace else arriving.in_own(there, user)
            if not mine.exists():
                raise SourceError("not_found", "The document that it replaces is not there.")

    def can_retry(self, job: Job) -> None:
        """Refuse what is gone, and who may not add to the workspace any more: what is left is not theirs."""
        document = arriving.left_by(job, self.stored_params(job.params))
        if document is not None and job.owner is None:
            return
        if document is None or not members.may_edit(members.role_of(job.owner, document.workspace_id)):
            raise SourceError("not_found", "Not found.")

    def unique_key(self, p: Params) -> str | None:
        """Say that the same content in the same workspace is the same work."""
        document = arriving.document_of(p)
        if document is not None:
            return f"{document.workspace_id}:{document.sha256}"
        upload = arriving.upload_of(p)
        return f"{p.workspace or 'own'}:{upload.sha256}" if upload else None

    def describe(self, p: Params) -> tuple[str, str]:
        """Call the job after the file."""
        document = arriving.document_of(p)
        upload = arriving.upload_of(p)
        name = document.name if document else upload.name if upload else ""
        return (f"Process {name}" if name else self.label), name

    def created(self, job: Job, p: Params) -> None:
        """Make the row of the document, or take the one that is there; say what it is about."""
        document = arriving.taken(job, p)
        change = DocumentChange(DocumentStatus.PENDING)
        Document.objects.filter(pk=document.pk).update(job=job)
        statuses.service.update_document_status(document.pk, change)
        job.object = document.workspace.stream
        job.save(update_fields=["object"])

    def ended(self, job: Job) -> None:
        """Say of the document that it failed, and why, in the transaction that ends the job."""
        settle(job)


def settle(job: Job) -> None:
    """Say of the document of a job that ended otherwise than well that it failed; once is enough.

    Whoever writes a document and its job in one transaction locks the job first: see `held`. Pages call it
    too, should the database have refused it when the job ended.
    """
    if job.state in (State.COMPLETED, State.PARTIAL) or not job.is_final:
        return
    error = job.error or {}
    told = (
        "It was cancelled before it was ready." if job.state == State.CANCELLED else "It could not be read."
    )
    change = DocumentChange(
        DocumentStatus.FAILED,
        error=error.get("text") or told,
        error_code=error.get("code") or str(job.state),
        job=job.pk,
    )
    with transaction.atomic():
        for pk in Document.objects.filter(job=job.pk).values_list("pk", flat=True):
            statuses.service.update_document_status(pk, change)


def _keep_file(job: Run, document: Document) -> None:
    upload = Upload.objects.filter(job=job.id).order_by("-pk").first()
    if upload is None and not document.path:
        upload = arriving.uploaded(document)
    if upload is not None:
        document.path = filing.keep(document, upload)
        if not Document.objects.filter(pk=document.pk).update(path=document.path):
            filing.forget(document.path)
            raise SourceError("replaced", "The document was removed.")
    if not document.path:
        raise SourceError("document_gone", "The file is no longer kept. Upload it again.")


def _take_away_replaced(job: Run, document: Document, replaced: int) -> None:
    """Remove the document whose place another took, now that it is found."""
    others = Document.objects.select_related("job").exclude(pk=document.pk)
    old = others.filter(pk=replaced, workspace=document.workspace_id).first()
    if old is None:
        return
    filing.remove(old)
    if old.job is not None and old.job.state in OPEN:
        with suppress(Refused):  # it has just ended
            lifecycle.cancel(old.job, job.owner)


def _batches(passages: list[Passage]) -> Iterator[list[Passage]]:
    for start in range(0, len(passages), embedders.BATCH):
        yield passages[start : start + embedders.BATCH]


def _key(batch: list[Passage]) -> str:
    return f"{batch[0].ordinal}-{batch[-1].ordinal}"


def _label(batch: list[Passage]) -> str:
    return f"Passages {batch[0].ordinal + 1:,} to {batch[-1].ordinal + 1:,}"
