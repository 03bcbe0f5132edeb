"""What a search finds of a document: written where nobody finds it yet, made findable at once."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from ingestion.models import Job
from ingestion.run import Run
from ingestion.source import SourceError
from ingestion.sources.documents import reading, statuses, vectors
from ingestion.sources.documents.chunks import Passage
from ingestion.sources.documents.models import Chunk, Document, DocumentStatus, Vector, Workspace
from ingestion.sources.documents.statuses import DocumentChange

SWEPT = 2000  # passages removed in one transaction


def held(job: Run) -> None:
    """Lock the job's row before its document's: the end of a job writes both, in that order.

    For items that last milliseconds: the reporter cannot write meanwhile.
    """
    list(Job.objects.select_for_update().filter(pk=job.id).values_list("pk"))


def said(passage: Passage) -> str:
    """Return what is encoded of a passage: its heading tells what it is about."""
    told = passage.heading and not passage.text.startswith(passage.heading)
    return f"{passage.heading}\n{passage.text}" if told else passage.text


def check(document: Document, generation: int, model: str, made: Any) -> None:
    """Refuse vectors that no search would compare with those that are there of the same model.

    Raises SourceError embedder_answer.
    """
    there, new = vectors.dimension_of(document, generation, model), int(made.shape[1])
    if there not in (None, new):
        text = f"The embedder gives vectors of {new:,} numbers; those of this workspace have {there:,}."
        raise SourceError("embedder_answer", f"{text} An owner can choose another embedder.")


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
    newer = Document.objects.select_for_update().filter(pk=document.pk, generation__gt=plan["generation"])
    if newer.exists():  # made with settings of later: a retry goes on with those of its parent
        raise SourceError("replaced", "Nothing was done: the document was processed anew meanwhile.")
    rows = Chunk.objects.filter(document=document, generation=plan["generation"])
    if rows.count() != count:  # of a generation that nobody writes any more
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
    Workspace.objects.filter(pk=document.workspace_id).update(indexed=F("indexed") + 1)


def sweep(document: int) -> None:
    """Remove the passages that nobody finds any more, some at a time: those before the ready generation."""
    ready = Document.objects.filter(pk=document).values_list("generation", flat=True).first()
    _remove(Chunk.objects.filter(document=document, generation__lt=ready or 0))


def drop(document: int, generation: int, most: int | None = None) -> int:
    """Remove passages of a generation that will not be found; return how many."""
    return _remove(Chunk.objects.filter(document=document, generation=generation), most)


def _remove(chunks: QuerySet[Chunk], most: int | None = None) -> int:
    old, gone = chunks.order_by("pk").values_list("pk", flat=True), 0
    while some := list(old[: SWEPT if most is None else min(SWEPT, most - gone)]):
        with transaction.atomic():
            Vector.objects.filter(pk__in=some).delete()
            Chunk.objects.filter(pk__in=some).delete()
        gone += len(some)
    return gone


def plan_of(document: Document, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return how the document is processed, the same in every attempt, and a generation of its own."""
    Document.objects.filter(pk=document.pk).update(generations=F("generations") + 1)
    generation = Document.objects.values_list("generations", flat=True).get(pk=document.pk)
    return {"generation": generation, **wanted}
