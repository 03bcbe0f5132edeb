"""The status service with a repository and a publisher of the test's own: no database, no stream."""

import itertools
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from ingestion.sources.documents.models import Document, DocumentStatus, Workspace, WorkspaceStatus
from ingestion.sources.documents.results import Err, Ok
from ingestion.sources.documents.statuses import (
    DOCUMENT_EVENT,
    ENTERED_FROM,
    DocumentChange,
    SqlStatusRepository,
    StatusEvent,
    StatusRepository,
    StatusService,
)


class Shelf(StatusRepository):
    """Holds one document and one workspace."""

    def __init__(self) -> None:
        self.document = Document(pk=7, workspace_id=3, added_by_id=1, name="a.pdf", status="processing")
        self.workspace = Workspace(pk=3, created_by_id=1, name="Risk")

    def update_document_status(self, pk: int, change: DocumentChange) -> Document | str | None:
        if pk != 7:
            return None
        self.document.status, self.document.error = change.status, change.error
        return self.document

    def update_workspace_status(
        self, pk: int, status: WorkspaceStatus, message: str
    ) -> Workspace | str | None:
        if pk != 3:
            return None
        self.workspace.status, self.workspace.status_message = status, message
        return self.workspace


class Heard:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.events: list[StatusEvent] = []

    def publish(self, event: StatusEvent) -> None:
        self.events.append(event)


@pytest.mark.seed("S3.11", "S3.15", "S3.18", "S3.36", "S3.37", "S3.57")
def test_a_status_is_written_without_a_publisher() -> None:
    written = StatusService(Shelf()).update_document_status(7, DocumentChange(DocumentStatus.READY))
    assert isinstance(written, Ok) and written.is_ok and not written.is_err and written.error is None
    assert written.unwrap().status == "ready"


@pytest.mark.seed("S3.11", "S3.16", "S3.17", "S3.39", "S3.58")
def test_what_is_not_there_is_an_err_that_says_so() -> None:
    service = StatusService(Shelf())
    for missing in (
        service.update_document_status(8, DocumentChange(DocumentStatus.READY)),
        service.update_workspace_status(8, WorkspaceStatus.READY),
    ):
        assert isinstance(missing, Err) and missing.is_err and "not found" in missing.error
        with pytest.raises(ValueError, match="not found"):
            missing.unwrap()


@pytest.mark.seed("S3.14", "S3.33", "S3.38")
def test_what_was_written_is_told_with_whose_it_is() -> None:
    heard = Heard()
    service = StatusService(Shelf(), heard)
    service.update_document_status(7, DocumentChange(DocumentStatus.FAILED, error="It is damaged."))
    service.update_document_status(8, DocumentChange(DocumentStatus.READY))
    (event,) = heard.events
    assert (event.routing_key, event.user_id, event.document_id) == (DOCUMENT_EVENT, 1, 7)
    message: Any = event.message
    assert (message["status"], message["error"], message["filename"]) == ("failed", "It is damaged.", "a.pdf")


@pytest.mark.seed("S3.8", "S3.10", "S3.13")
def test_no_order_of_events_breaks_the_order_of_a_status(alice: User) -> None:
    workspace = Workspace.objects.create(name="Risk", created_by=alice)
    repository = SqlStatusRepository()
    values = {"generation": 1, "chunk_count": 1}
    for before, after in itertools.product(DocumentStatus, DocumentStatus):
        Document.objects.all().delete()
        error = "It is damaged." if before == DocumentStatus.FAILED else ""
        document = Document.objects.create(
            workspace=workspace, name="a", size=1, status=before, error=error, **values
        )
        change = DocumentChange(after, error="Another reason.")
        done = isinstance(repository.update_document_status(document.pk, change), Document)
        document.refresh_from_db()
        assert done == (before in ENTERED_FROM[after]), (before, after)
        assert document.status == (after if done else before)
        # What was wrong before does not outlive it.
        assert bool(document.error) == (document.status == DocumentStatus.FAILED)


def test_a_job_that_was_replaced_has_no_word(alice: User) -> None:
    workspace = Workspace.objects.create(name="Risk", created_by=alice)
    document = Document.objects.create(workspace=workspace, name="a", size=1)
    change = DocumentChange(DocumentStatus.PROCESSING, job=uuid4())
    assert SqlStatusRepository().update_document_status(document.pk, change) == "another job works on it"
