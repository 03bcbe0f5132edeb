"""The status of documents and workspaces: one service that writes it and says so (S3.12 to S3.18).

The repository is an interface, the publisher optional: tests give their own. The order of a status is kept
by one conditional UPDATE, so an event that comes late, twice or in another order changes nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from ingestion.sources.documents.models import Document, DocumentStatus, Workspace, WorkspaceStatus
from ingestion.sources.documents.results import Err, Ok, Result
from realtime.publish import publish

DOCUMENT_EVENT = "document.status.updated"
WORKSPACE_EVENT = "workspace.status.updated"
MAX_ERROR = 500
MAX_MESSAGE = 300

# The statuses each may be entered from. A job that begins anew brings a failed document back to pending; one
# that is ready stays so until what is made of it anew takes its place.
ENTERED_FROM: Mapping[DocumentStatus, frozenset[DocumentStatus]] = {
    DocumentStatus.PENDING: frozenset({DocumentStatus.FAILED, DocumentStatus.PENDING}),
    DocumentStatus.PROCESSING: frozenset({DocumentStatus.PENDING, DocumentStatus.PROCESSING}),
    DocumentStatus.READY: frozenset({DocumentStatus.PROCESSING, DocumentStatus.READY}),
    DocumentStatus.FAILED: frozenset({DocumentStatus.PENDING, DocumentStatus.PROCESSING}),
}
WORKSPACE_ENTERED_FROM: Mapping[WorkspaceStatus, frozenset[WorkspaceStatus]] = {
    WorkspaceStatus.PROVISIONING: frozenset({WorkspaceStatus.ERROR, WorkspaceStatus.PROVISIONING}),
    WorkspaceStatus.READY: frozenset({WorkspaceStatus.PROVISIONING, WorkspaceStatus.READY}),
    WorkspaceStatus.ERROR: frozenset({WorkspaceStatus.PROVISIONING}),
}


@dataclass(frozen=True)
class DocumentChange:
    """What is to be written of a document. job: whose word it is; a job that was replaced has none."""

    status: DocumentStatus
    error: str = ""
    error_code: str = ""
    job: UUID | None = None
    values: Mapping[str, Any] = field(default_factory=dict)  # chunk_count and other columns


@dataclass(frozen=True)
class StatusEvent:
    """What is told when a status was written."""

    routing_key: str
    user_id: int | None
    workspace_id: int
    document_id: int | None
    message: Mapping[str, Any]


class Publisher(Protocol):
    """Tells others of a status."""

    def publish(self, event: StatusEvent) -> None:
        """Tell it after the current transaction has committed."""


class StatusRepository(ABC):
    """Writes statuses. Returns the object, None where there is none, or the words of a refusal."""

    @abstractmethod
    def update_document_status(self, pk: int, change: DocumentChange) -> Document | str | None:
        """Write the status of a document."""

    @abstractmethod
    def update_workspace_status(
        self, pk: int, status: WorkspaceStatus, message: str
    ) -> Workspace | str | None:
        """Write the status of a workspace."""


class SqlStatusRepository(StatusRepository):
    """Writes statuses with one conditional UPDATE each."""

    def update_document_status(self, pk: int, change: DocumentChange) -> Document | str | None:
        """Write the status of a document, where the order allows it."""
        rows = Document.objects.filter(pk=pk)
        if change.job is not None:
            rows = rows.filter(job=change.job)
        values: dict[str, Any] = {
            **change.values,
            "status": change.status,
            "moved_at": Now(),
            # What was wrong before is over with the next status, whatever that is.
            "error": change.error[:MAX_ERROR] if change.status == DocumentStatus.FAILED else "",
            "error_code": change.error_code[:50] if change.status == DocumentStatus.FAILED else "",
        }
        if change.status != DocumentStatus.PROCESSING:
            values.setdefault("stage", "")
        written = rows.filter(status__in=ENTERED_FROM[change.status]).update(**values)
        found = Document.objects.select_related("workspace").filter(pk=pk).first()
        if found is None or written:
            return found
        if change.job is not None and found.job_id != change.job:
            return "another job works on it"
        return f"it is {found.status} and cannot become {change.status.value}"

    def update_workspace_status(
        self, pk: int, status: WorkspaceStatus, message: str
    ) -> Workspace | str | None:
        """Write the status of a workspace, where the order allows it."""
        rows = Workspace.objects.filter(pk=pk, status__in=WORKSPACE_ENTERED_FROM[status])
        written = rows.update(status=status, status_message=message[:MAX_MESSAGE])
        found = Workspace.objects.filter(pk=pk).first()
        if found is None or written:
            return found
        return f"it is {found.status} and cannot become {status.value}"


class StreamPublisher:
    """Tells whoever watches the workspace: its version rises with the status, in the same transaction."""

    def publish(self, event: StatusEvent) -> None:
        """Raise the version of the workspace; the hint follows the commit."""
        touch(event.workspace_id)


def touch(workspace: int) -> None:
    """Have open pages of a workspace look again."""
    with transaction.atomic():
        rows = Workspace.objects.filter(pk=workspace)
        if rows.update(version=F("version") + 1):
            publish(f"workspace:{workspace}", rows.values_list("version", flat=True).get())


class StatusService:
    """Writes a status and tells it."""

    def __init__(self, repository: StatusRepository, publisher: Publisher | None = None) -> None:
        self._repository, self._publisher = repository, publisher

    def update_document_status(self, pk: int, change: DocumentChange) -> Result[Document, str]:
        """Write where a document stands. Err where there is none, or where the order forbids it."""
        written = self._repository.update_document_status(pk, change)
        if written is None:
            return Err(f"Document {pk} not found")
        if isinstance(written, str):
            return Err(f"Document {pk} was left as it is: {written}")
        self._tell(
            StatusEvent(
                DOCUMENT_EVENT,
                written.added_by_id,
                written.workspace_id,
                written.pk,
                document_message(written),
            )
        )
        return Ok(written)

    def update_workspace_status(
        self, pk: int, status: WorkspaceStatus, message: str = ""
    ) -> Result[Workspace, str]:
        """Write where a workspace stands. Err where there is none, or where the order forbids it."""
        written = self._repository.update_workspace_status(pk, status, message)
        if written is None:
            return Err(f"Workspace {pk} not found")
        if isinstance(written, str):
            return Err(f"Workspace {pk} was left as it is: {written}")
        self._tell(
            StatusEvent(WORKSPACE_EVENT, written.created_by_id, written.pk, None, workspace_message(written))
        )
        return Ok(written)

    def _tell(self, event: StatusEvent) -> None:
        if self._publisher is not None:
            self._publisher.publish(event)


def document_message(document: Document) -> dict[str, Any]:
    """Return what an event says of a document (S3.33)."""
    return {
        "document_id": document.pk,
        "user_id": document.added_by_id,
        "workspace_id": document.workspace_id,
        "status": document.status,
        "error": document.error or None,
        "chunk_count": document.chunk_count,
        "filename": document.name,
        "metadata": {"embedding_model": document.embedder or None, "pages": document.pages},
    }


def workspace_message(workspace: Workspace) -> dict[str, Any]:
    """Return what an event says of a workspace."""
    return {
        "workspace_id": workspace.pk,
        "user_id": workspace.created_by_id,
        "status": workspace.status,
        "message": workspace.status_message or None,
        "name": workspace.name,
        "metadata": {},
    }


service = StatusService(SqlStatusRepository(), StreamPublisher())  # of this process (S3.19)
