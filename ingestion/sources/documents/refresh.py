"""Process again what was made with other settings: each document is found by its old passages until then."""

from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import F, Q, QuerySet
from pydantic import Field

from ingestion import embedders, lifecycle
from ingestion.admission import Refused
from ingestion.models import OPEN, ItemState, Job, State
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, SourceParams, Step, register
from ingestion.sources.documents import indexing, members, processing, reading
from ingestion.sources.documents.models import Document, DocumentStatus, Role, Workspace


class Params(SourceParams):
    """Whose documents."""

    workspace: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Number of a workspace; none: all that you own"
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


def follow(job: Job) -> None:
    """Have a document follow the settings that its workspace got while a job of it ran, now that this ends.

    Nobody asked for it: it is a job of the system, which no member has to be told of.
    """
    having = Workspace.objects.filter(documents__job=job.pk, removing_at=None)
    for pk in stale(having).filter(job=job.pk).values_list("workspace_id", flat=True):
        transaction.on_commit(partial(_start, pk), robust=True)


def _start(workspace: int) -> None:
    here = Job.objects.filter(source=Refresh.kind, object=f"workspace:{workspace}", state__in=OPEN)
    if here.exists():
        return  # it looks again as it ends
    with suppress(Refused):  # the queue is full: the page says that it was made with other settings
        lifecycle.create(Refresh.kind, {"workspace": workspace}, owner=None)


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
            Workspace.objects.of(job.owner).filter(pk__in=members.owned_by(job.owner))
            if p.workspace is None
            else Workspace.objects.filter(pk=p.workspace)
        )
        taken = stale(rows).exclude(job__state__in=OPEN)  # see `follow`: its job looks again as it ends
        documents = taken.select_related("workspace__retrieval").order_by("pk")
        with job.step("documents") as step:
            values = list(documents)
            for item in step.items(values, key=_key, label=str, fetch=partial(_made, job)):
                with item:
                    indexing.held(job)
                    if _is_as_it_was(item.value):
                        plan, parsed, count = item.fetched
                        indexing.publish(item.value, plan, parsed, count, None)
                        job.changed(item.value.workspace)
                    else:
                        indexing.drop(item.value.pk, item.fetched[0]["generation"])
                        item.skip("Another job has taken it meanwhile.")
                indexing.sweep(item.value.pk)
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

    def ended(self, job: Job) -> None:
        """Go on with what became stale since it began, in another job; not with what failed in this one."""
        workspace = (job.object or "").partition(":")[2]
        if job.state not in (State.COMPLETED, State.PARTIAL) or not workspace.isdigit():
            return
        failed = job.items.exclude(state=ItemState.DONE).values_list("key", flat=True)
        rows = Workspace.objects.filter(pk=int(workspace), removing_at=None)
        left = stale(rows).exclude(job__state__in=OPEN)
        if left.exclude(pk__in=[int(key) for key in failed]).exists():
            transaction.on_commit(partial(_start, int(workspace)), robust=True)


def _key(document: Document) -> str:
    return str(document.pk)


def _made(job: Run, document: Document) -> tuple[dict[str, Any], reading.Parsed, int]:
    """Write a document's passages and vectors anew, where nobody finds them yet.

    Return (plan, what was read, number of passages). What an attempt that died has written is swept later.
    """
    plan = indexing.plan_of(document, document.workspace.retrieval.values)
    kind = reading.kind_of(document.name, document.type) or "text"
    parsed = reading.read(document.path, kind, lambda done, pages: None, job.checkpoint)
    passages = processing.cut(parsed, plan)
    embedder = embedders.get(plan["embedder"])
    for batch in processing.batches(passages):
        job.checkpoint()
        made = embedder.encode([indexing.said(one) for one in batch])
        indexing.check(document, plan["generation"], plan["embedder"], made)
        with transaction.atomic():
            indexing.write(document, plan["generation"], plan["embedder"], batch, made)
    return plan, parsed, len(passages)


def _is_as_it_was(document: Document) -> bool:
    rows = Document.objects.select_for_update().filter(pk=document.pk, status=DocumentStatus.READY)
    return rows.filter(generation=document.generation, job=document.job_id).exists()
