"""From the upload to ready: what is written, what is told, and by whom (S3)."""

import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from ingestion import lifecycle
from ingestion.models import State
from ingestion.sources.documents import filing, indexing, processing, source, statuses, workspaces
from ingestion.sources.documents.models import Document, DocumentStatus, Workspace, WorkspaceStatus
from ingestion.sources.documents.statuses import (
    DOCUMENT_EVENT,
    WORKSPACE_EVENT,
    DocumentChange,
    SqlStatusRepository,
    StatusEvent,
    StatusRepository,
    StatusService,
)
from ingestion.testing import assert_live_equals_fresh, resume_inline
from tests.documents.conftest import Counting, store

pytestmark = pytest.mark.django_db(transaction=True)


class Heard:
    """Tells as ours does, and remembers what was told."""

    def __init__(self) -> None:
        self.events: list[StatusEvent] = []
        self._ours = statuses.StreamPublisher()

    def publish(self, event: StatusEvent) -> None:
        self.events.append(event)
        self._ours.publish(event)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    heard = Heard()
    monkeypatch.setattr(statuses, "service", StatusService(SqlStatusRepository(), heard))
    return heard


@pytest.mark.seed("S3.2", "S3.53", "S3.54", "S3.55", "S3.56", "S3.59")
def test_every_step_of_a_document_is_told_by_the_service(
    alice: User, counting: Counting, heard: Heard
) -> None:
    job = lifecycle.create("workspaces", {"name": "Risk"}, owner=alice).job
    assert resume_inline(job).state == State.COMPLETED
    workspace = Workspace.objects.get(job=job)
    job = lifecycle.create(
        "documents", {"file": store(alice, "Cobalt. " * 300), "workspace": workspace.pk}, owner=alice
    ).job
    with assert_live_equals_fresh(job, workspace.stream):
        assert resume_inline(job).state == State.COMPLETED
    document = Document.objects.get()
    said = [(one.routing_key, one.document_id, one.message["status"]) for one in heard.events]
    told = [(DOCUMENT_EVENT, document.pk, status) for status in ("pending", *["processing"] * 4)]
    assert said == [(WORKSPACE_EVENT, None, "provisioning"), (WORKSPACE_EVENT, None, "ready"), *told]
    assert {one.user_id for one in heard.events} == {alice.pk}
    # That it is ready is told with the item that makes it so: the version of the workspace rises with it.
    workspace.refresh_from_db()
    assert (document.status, workspace.indexed) == ("ready", 1)


@pytest.mark.seed("S3.12", "S3.18")
def test_a_repository_is_what_writes_both_statuses() -> None:
    class Half(StatusRepository):
        def update_document_status(self, pk: int, change: DocumentChange) -> Any:
            return None

    with pytest.raises(TypeError, match="update_workspace_status"):
        Half()  # type: ignore[abstract]


@pytest.mark.seed("S3.3", "S3.19")
def test_web_and_workers_share_one_service_of_their_process() -> None:
    ours = {module.statuses for module in (source, processing, workspaces, filing, indexing)}  # type: ignore[attr-defined]
    assert {one.service for one in ours} == {statuses.service}


@pytest.mark.seed("S3.6", "S3.9", "S3.40", "S3.43")
def test_the_database_takes_no_document_that_is_two_things_at_once(alice: User) -> None:
    from django.db import IntegrityError, transaction

    workspace = Workspace.objects.create(name="Risk", created_by=alice)
    assert workspace.status == WorkspaceStatus.PROVISIONING
    for values in (
        {"status": DocumentStatus.FAILED, "error": ""},
        {"status": DocumentStatus.READY, "error": "It is damaged.", "generation": 1, "chunk_count": 1},
        {"status": DocumentStatus.READY},
        {"status": DocumentStatus.READY, "generation": 1, "chunk_count": 0},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Document.objects.create(workspace=workspace, name="a", size=1, sha256="x", **values)  # type: ignore[misc]


@pytest.mark.seed("S3.41", "S3.44", "S3.45")
def test_migrations_make_the_tables_and_the_indexes_on_statuses() -> None:
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'documents_%'")
        indexes = dict(cursor.fetchall())
    names = ("workspace", "workspaceretrieval", "defaultretrieval", "document", "chunk", "vector")
    assert {f"documents_{name}" for name in names} <= tables
    assert "(workspace_id, status)" in indexes["document_by_status"]
    assert "(status)" in indexes["workspace_by_status"]
    call_command("migrate", "--check", verbosity=0, stdout=io.StringIO())
