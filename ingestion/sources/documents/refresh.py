"""Process again what was made with other settings: each document is found by its old passages until then."""

from functools import partial
from typing import Any, ClassVar

from django.db.models import F, Q, QuerySet
from pydantic import Field

from ingestion.models import Job
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, SourceParams, Step, register
from ingestion.sources.documents import chunks, embedders, members, reading, source
from ingestion.sources.documents.models import Document, DocumentStatus, Role, Workspace


class Params(SourceParams):
    """Whose documents."""

    workspace: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Number of a workspace; none: all that are yours"
    )


def stale(workspace: Any) -> QuerySet[Document]:
    """Return the ready documents of a workspace (or of several) that were made with other settings."""
    settings = "workspace__retrieval__"
    same = Q(
        chunk_size=F(f"{settings}chunk_size"),
        overlap=F(f"{settings}overlap"),
        embedder=F(f"{settings}embedder"),
    )
    rows = Document.objects.filter(workspace__in=workspace, status=DocumentStatus.READY)
    return rows.exclude(same)


@register
class Refresh(Source):
    """Documents follow the settings of their workspace."""

    kind, label, params = "document_refresh", "Process documents again", Params
    description = "Cut and encode documents anew whose workspace has other settings now."
    steps: ClassVar[list[Step]] = [Step("documents", "Documents", 1)]
    item_noun = "documents"
    offered = False
    unique = "{workspace}"

    def run(self, job: Run, p: Params) -> Outcome:
        """Take one document after the other; a search finds each of them all the time."""
        rows = (
            Workspace.objects.of(job.owner)
            if p.workspace is None
            else Workspace.objects.filter(pk=p.workspace)
        )
        documents = stale(rows).select_related("workspace__retrieval").order_by("pk")
        with job.step("documents") as step:
            values = list(documents)
            for item in step.items(values, key=_key, label=str, fetch=partial(_made, job)):
                with item:
                    _replace(item.value, *item.fetched)
                    job.changed(item.value.workspace)
        count = job.steps["documents"].count()
        return Outcome(text=f"{count:,} documents follow the settings now")

    def can_start(self, user: Any, p: Params) -> None:
        """Leave it to owners. Raises SourceError."""
        if p.workspace is not None and user is not None and members.role_of(user, p.workspace) != Role.OWNER:
            raise SourceError("not_found", "Not found.")

    def created(self, job: Job, p: Params) -> None:
        """Say what it is about."""
        if p.workspace is not None:
            job.object = f"workspace:{p.workspace}"
            job.save(update_fields=["object"])


def _key(document: Document) -> str:
    return str(document.pk)


def _made(job: Run, document: Document) -> Any:
    """Return (settings, what was read, passages, vectors) of a document, all of it new."""
    wanted = document.workspace.retrieval
    kind = reading.kind_of(document.name, document.type) or "text"
    parsed = reading.read(document.path, kind, lambda done, pages: None, job.checkpoint)
    passages = chunks.cut(parsed.blocks, wanted.chunk_size, wanted.overlap)
    embedder = embedders.get(wanted.embedder)
    made = []
    for start in range(0, len(passages), embedders.BATCH):
        job.checkpoint()
        made.append(embedder.encode([source.said(one) for one in passages[start : start + embedders.BATCH]]))
    return wanted.values, parsed, passages, made


def _replace(
    document: Document, wanted: dict[str, Any], parsed: reading.Parsed, passages: Any, made: Any
) -> None:
    plan = source.plan_of(document, wanted)
    for n, rows in enumerate(made):
        batch = passages[n * embedders.BATCH : (n + 1) * embedders.BATCH]
        source.write(document, plan["generation"], plan["embedder"], batch, rows)
    source.publish(document, plan, parsed, len(passages), None)
