"""What a job does with a document: read it, cut it, turn it into vectors, make it findable."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.db import transaction

from ingestion import embedders, lifecycle
from ingestion.admission import Refused
from ingestion.models import OPEN, ItemState, Job, JobItem, State, Upload
from ingestion.run import Run
from ingestion.source import SourceError
from ingestion.sources.documents import arriving, chunks, filing, indexing, reading, statuses
from ingestion.sources.documents.chunks import Passage
from ingestion.sources.documents.models import Document, DocumentStatus
from ingestion.sources.documents.results import Err
from ingestion.sources.documents.statuses import DocumentChange
from ingestion.steps import StepHandle

INDEX = "index"  # key of the one item of the last step
NOT_READ = "This is not a PDF, .docx, HTML, Markdown or text file."


def process(job: Run, document: Document) -> int:
    """Bring a document into the index; return of how many passages it consists. Raises SourceError.

    One that is ready stays so, and is found by its old passages until the new ones are complete.
    """
    settings = document.workspace.retrieval.values
    plan = job.once("plan", lambda: indexing.plan_of(document, settings))
    enter(job, document, "parse")
    with job.step("parse", f"Reading {document.name}") as step:
        parsed = parse(job, step, document)
    enter(job, document, "chunk")
    with job.step("chunk"):
        passages = cut(parsed, plan)
    enter(job, document, "embed")
    with job.step("embed", f"{len(passages):,} passages") as step:
        embed(job, step, document, plan, passages)
    enter(job, document, "index")
    with job.step("index") as step:
        index(job, step, document, plan, parsed, len(passages))
    return len(passages)


def enter(job: Run, document: Document, stage: str) -> None:
    """Say which step works on the document; end here when it is no longer this job's."""
    change = DocumentChange(DocumentStatus.PROCESSING, job=job.id, values={"stage": stage})
    with transaction.atomic():
        written = statuses.service.update_document_status(document.pk, change)
    if isinstance(written, Err):
        # Ready: it is processed again, or its worker died between the index and the end.
        if not Document.objects.filter(pk=document.pk, job=job.id, status=DocumentStatus.READY).exists():
            raise SourceError("replaced", f"Nothing was done: {written.error}.")
        statuses.touch(document.workspace_id)


def parse(job: Run, step: StepHandle, document: Document) -> reading.Parsed:
    """Read the stored file."""
    _keep_file(job, document)
    kind = reading.kind_of(document.name, document.type)
    if kind is None:
        raise SourceError("file_type", NOT_READ)

    def tell(done: int, pages: int | None) -> None:
        step.total, step.finished = pages, done
        if pages:
            step.message(f"Page {done:,} of {pages:,}")

    return reading.read(document.path, kind, tell, job.checkpoint)


def cut(parsed: reading.Parsed, plan: dict[str, Any]) -> list[Passage]:
    """Return the passages of what was read. Raises SourceError where there are none, or too many."""
    passages = chunks.cut(parsed.blocks, plan["chunk_size"], plan["overlap"])
    if not passages:
        raise reading.failure("text", "no_text")
    if len(passages) > chunks.MAX_CHUNKS:
        raise reading.failure("text", "limits")
    return passages


def embed(
    job: Run, step: StepHandle, document: Document, plan: dict[str, Any], passages: list[Passage]
) -> None:
    """Write passages and their vectors, batch by batch; nobody finds them yet."""
    embedder = embedders.get(plan["embedder"])

    def fetch(batch: list[Passage]) -> Any:
        return embedder.encode([indexing.said(one) for one in batch])

    # Outside the items: one that is away ends this attempt, and all of it is tried again later. An item that
    # has failed is left alone by the attempts that follow.
    probe = embedder.encode([indexing.said(passages[0])])
    indexing.check(document, plan["generation"], embedder.id, probe)
    for item in step.items(batches(passages), key=_key, label=_label, fetch=fetch):
        with item:
            indexing.write(document, plan["generation"], embedder.id, item.value, item.fetched)
            item.result = {"passages": len(item.value)}
    undone = JobItem.objects.filter(job=job.id, step="embed").exclude(state=ItemState.DONE).first()
    if undone is not None:
        raise SourceError(undone.error_code or "not_embedded", undone.error or f"{undone.label} failed.")


def index(
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
    found = Document.objects.filter(pk=document.pk, status=DocumentStatus.READY, job=job.id)
    if not found.filter(generation=plan["generation"]).exists():
        said = JobItem.objects.filter(job=job.id, step="index").values_list("error", flat=True).first()
        raise SourceError("not_indexed", said or "The document could not be made searchable.")


def settle(job: Job) -> None:
    """Say of the document of a job that ended otherwise than well that it failed; once is enough.

    One that was ready before stays so. Whoever writes a document and its job in one transaction locks the job
    first: see `held`. Pages call it too, should the database have refused it when the job ended.
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
        for document in Document.objects.filter(job=job.pk):
            if isinstance(statuses.service.update_document_status(document.pk, change), Err):
                statuses.touch(document.workspace_id)  # nothing works on it any more


def take_away_replaced(job: Run, document: Document, replaced: int) -> None:
    """Remove the document whose place another took, now that it is found."""
    others = Document.objects.select_related("job").exclude(pk=document.pk)
    old = others.filter(pk=replaced, workspace=document.workspace_id).first()
    if old is None:
        return
    filing.remove(old)
    if old.job is not None and old.job.state in OPEN:
        with suppress(Refused):  # it has just ended
            lifecycle.cancel(old.job, job.owner)


def batches(passages: list[Passage]) -> Iterator[list[Passage]]:
    """Yield passages as many at a time as are encoded at once."""
    for start in range(0, len(passages), embedders.BATCH):
        yield passages[start : start + embedders.BATCH]


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


def _key(batch: list[Passage]) -> str:
    return f"{batch[0].ordinal}-{batch[-1].ordinal}"


def _label(batch: list[Passage]) -> str:
    return f"Passages {batch[0].ordinal + 1:,} to {batch[-1].ordinal + 1:,}"
