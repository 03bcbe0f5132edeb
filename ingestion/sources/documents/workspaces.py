"""Workspaces: made and provisioned by a job, removed by another, with all that is in them."""

from typing import Any, ClassVar

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from pydantic import Field

from ingestion import embedders, lifecycle
from ingestion.admission import Refused
from ingestion.clock import ClockTimestamp
from ingestion.models import OPEN, Job, State
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, SourceParams, Step, register
from ingestion.sources.documents import filing, members, statuses
from ingestion.sources.documents.models import (
    DefaultRetrieval,
    Document,
    Role,
    Workspace,
    WorkspaceRetrieval,
    WorkspaceStatus,
)

OWN_NAME = "My documents"
BATCH = 20  # documents removed at once
WAIT_SECONDS = 30.0  # for cancelled jobs to end


class Params(SourceParams):
    """What a workspace is called."""

    name: str = Field(min_length=1, max_length=100, description="For example Supplier risk")
    description: str = Field(default="", max_length=500, description="What is collected here")


@register
class Workspaces(Source):
    """A workspace is made, and proved to work before the first document comes."""

    kind, label, params = "workspaces", "New workspace", Params
    description = "Make a shelf of documents that you share and search."
    title, subject = "Prepare {name}", "{name}"
    steps: ClassVar[list[Step]] = [
        Step("storage", "Prepare the storage", 1),
        Step("embedder", "Start the embedder", 4),
    ]
    offered = False
    example: ClassVar[dict[str, Any]] = {"name": "Sample"}

    def run(self, job: Run, p: Params) -> Outcome:
        """Prove that files can be kept and text can be encoded, then open the workspace."""
        workspace = Workspace.objects.select_related("retrieval").get(job=job.id)
        with job.step("storage"):
            _try_storage(workspace)
        with job.step("embedder"):
            embedders.get(workspace.retrieval.embedder).encode([workspace.name])
        with transaction.atomic():
            statuses.service.update_workspace_status(workspace.pk, WorkspaceStatus.READY)
        return Outcome(text=f"{workspace.name} is ready", url=workspace.get_absolute_url())

    def created(self, job: Job, p: Params) -> None:
        """Make the row; a retry goes on with the one of its parent."""
        workspace = Workspace.objects.filter(job=job.retry_of_id).first() if job.retry_of_id else None
        if workspace is None:
            workspace = make(job.owner, p.name, p.description)
        Workspace.objects.filter(pk=workspace.pk).update(job=job)
        statuses.service.update_workspace_status(workspace.pk, WorkspaceStatus.PROVISIONING)
        job.object = workspace.stream
        job.save(update_fields=["object"])

    def ended(self, job: Job) -> None:
        """Say of the workspace what went wrong."""
        if job.state == State.COMPLETED:
            return
        told = (job.error or {}).get("text") or "Its preparation was cancelled."
        for pk in Workspace.objects.filter(job=job.pk).values_list("pk", flat=True):
            statuses.service.update_workspace_status(pk, WorkspaceStatus.ERROR, told)


class RemovalParams(SourceParams):
    """Which workspace goes."""

    workspace: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Number of a workspace; none: what was left of removals"
    )


@register
class Removal(Source):
    """A workspace goes, with its jobs, its files and all that was read of them."""

    kind, label, params = "workspace_removal", "Remove a workspace", RemovalParams
    description = "Remove a workspace with everything in it."
    steps: ClassVar[list[Step]] = [
        Step("jobs", "Stop its jobs", 1),
        Step("documents", "Remove its documents", 8),
        Step("rest", "Remove the rest", 1),
    ]
    item_noun = "batches"
    offered = False

    def run(self, job: Run, p: RemovalParams) -> Outcome:
        """Stop, remove, and forget."""
        rows = Workspace.objects.filter(removing_at__isnull=False, created_by=job.owner)
        if p.workspace is not None:
            rows = Workspace.objects.filter(pk=p.workspace, removing_at__isnull=False)
        ids = list(rows.order_by("pk").values_list("pk", flat=True))
        with job.step("jobs"):
            _stop_jobs(job, ids)
        documents = Document.objects.filter(workspace__in=ids).order_by("pk")
        with job.step("documents") as step:
            for document in step.track(list(documents)):
                job.checkpoint()
                filing.remove(document)
        with job.step("rest"):
            gone = Workspace.objects.filter(pk__in=ids).delete()[0]
        return Outcome(text="The workspace was removed" if gone else "Nothing was left to remove")

    def can_start(self, user: Any, p: RemovalParams) -> None:
        """Leave it to owners. Raises SourceError."""
        if p.workspace is not None and user is not None and members.role_of(user, p.workspace) != Role.OWNER:
            raise SourceError("not_found", "Not found.")

    def created(self, job: Job, p: RemovalParams) -> None:
        """Hide the workspace from the first moment."""
        if p.workspace is not None:
            Workspace.objects.filter(pk=p.workspace, removing_at=None).update(removing_at=ClockTimestamp())
            statuses.touch(p.workspace)


def own(user: Any) -> Workspace:
    """Return a user's own workspace, made with its first use."""
    found = Workspace.objects.filter(created_by=user, is_own=True, removing_at=None).first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return make(user, OWN_NAME, "", is_own=True, status=WorkspaceStatus.READY)
    except IntegrityError:  # somebody was first
        return Workspace.objects.get(created_by=user, is_own=True, removing_at=None)


def make(user: Any, name: str, description: str, **values: Any) -> Workspace:
    """Make the rows of a workspace: with its maker's own defaults, and its maker as its owner."""
    workspace = Workspace.objects.create(name=name, description=description, created_by=user, **values)
    defaults = DefaultRetrieval.objects.filter(user=user).first() if user is not None else None
    WorkspaceRetrieval.objects.create(workspace=workspace, **(defaults.values if defaults else {}))
    if user is not None:
        members.add(workspace, user, Role.OWNER)
    return workspace


def _try_storage(workspace: Workspace) -> None:
    path = f"documents/{workspace.pk}/.probe"
    try:
        default_storage.delete(path)
        filing.forget(default_storage.save(path, ContentFile(b"probe")))
    except OSError as error:
        text = "The storage does not take files. The operator can see why."
        raise SourceError("storage_full", text, retryable=True) from error


def _stop_jobs(job: Run, ids: list[int]) -> None:
    """Cancel what works on these workspaces, and wait until it has ended."""
    names = [f"workspace:{pk}" for pk in ids]
    rows = Job.objects.filter(object__in=names, state__in=OPEN).exclude(pk=job.id)
    for one in rows:
        try:
            lifecycle.cancel(one, job.owner)
        except Refused:
            continue  # it has just ended
    waited = 0.0
    while rows.all().exists():  # asked anew each time
        if waited > WAIT_SECONDS:
            raise SourceError("still_running", "A job of the workspace has not ended yet.", retryable=True)
        job.sleep(0.2)
        waited += 0.2
