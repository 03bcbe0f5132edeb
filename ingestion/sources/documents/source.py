"""The source of documents: which files it takes, who may add where, what its steps are called."""

from typing import Any, ClassVar

from django.conf import settings

from ingestion.file_types import CSV, DOC, DOCX, GZIP, HTML, PDF, PICTURES, RTF, SVG, TEXT, UNKNOWN, XLSX, ZIP
from ingestion.models import OPEN, Job
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, Step, register
from ingestion.sources.documents import arriving, keeping, members, processing, refresh, statuses
from ingestion.sources.documents.arriving import Params
from ingestion.sources.documents.models import Document, DocumentStatus, Role
from ingestion.sources.documents.statuses import DocumentChange


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
        count = processing.process(job, document)
        if p.replaces is not None:
            processing.take_away_replaced(job, document, p.replaces)
        text = f"{document.name} is ready: {count:,} passage{'s' * (count != 1)}"
        return Outcome(text=text, url=document.get_absolute_url(), data={"document": document.pk})

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
        """Refuse what is gone or was made anew since, and who may not add to the workspace any more."""
        document = arriving.left_by(job, self.stored_params(job.params))
        if document is None or (
            job.owner is not None and not members.may_edit(members.role_of(job.owner, document.workspace_id))
        ):
            raise SourceError("not_found", "Not found.")
        newer = document.job if document.job_id != job.pk else None
        if newer is not None and newer.state in OPEN:
            if newer.unique_key == job.unique_key:
                return  # it is joined
            raise SourceError("already_open", f"{document.name} is being processed already.")
        if keeping.is_over(job, document) or not keeping.has_what_it_wrote(job, document):
            raise SourceError(
                "nothing_to_retry", f"Nothing is left of this job. Process {document.name} again instead."
            )

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
        Document.objects.filter(pk=document.pk).update(job=job)
        if document.status == DocumentStatus.READY:  # it is found until what is made of it anew is
            statuses.touch(document.workspace_id)
        else:
            statuses.service.update_document_status(document.pk, DocumentChange(DocumentStatus.PENDING))
        job.object = document.workspace.stream
        job.save(update_fields=["object"])

    def ended(self, job: Job) -> None:
        """Say of the document that it failed, and why, in the transaction that ends the job.

        One that is ready may have to be made anew: its workspace may have other settings by now.
        """
        processing.settle(job)
        refresh.follow(job)
