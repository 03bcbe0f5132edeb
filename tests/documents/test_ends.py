"""The end of a job and what is said of its document: one transaction, whoever ends it, and no deadlock."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from ingestion import embedders, lifecycle
from ingestion.embedders import DEFAULT_EMBEDDER
from ingestion.models import Job, JobItem, State
from ingestion.sources.documents import chunks, members, processing
from ingestion.sources.documents.models import Chunk, Document, Role, Workspace, WorkspaceRetrieval
from ingestion.testing import Killed, kill_at, lose_worker, resume_inline
from tests.documents.conftest import Add, Counting, store
from tests.sessions import waiting_for_locks
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "Cobalt is audited. " * 400


def created(alice: User, workspace: Workspace) -> Job:
    return lifecycle.create(
        "documents", {"file": store(alice, TEXT), "workspace": workspace.pk}, owner=alice
    ).job


@pytest.mark.seed("S3.23", "S3.5")
def test_a_failed_job_and_its_failed_document_are_one_transaction(
    alice: User, workspace: Workspace, counting: Counting
) -> None:
    job = created(alice, workspace)
    with transaction.atomic():
        lifecycle.cancel(job, alice)
        document = Document.objects.get(job=job)
        assert (document.status, document.error) == ("failed", "It was cancelled before it was ready.")
        transaction.set_rollback(True)
    assert Document.objects.get(job=job).status == "pending"
    assert Job.objects.get(pk=job.pk).state == State.PENDING


@pytest.mark.seed("S3.7")
def test_a_workspace_whose_preparation_ends_is_in_error_in_the_same_transaction(alice: User) -> None:
    job = lifecycle.create("workspaces", {"name": "Risk"}, owner=alice).job
    with transaction.atomic():
        lifecycle.cancel(job, alice)
        workspace = Workspace.objects.get(job=job)
        assert (workspace.status, workspace.status_message) == ("error", "Its preparation was cancelled.")


def test_what_became_ready_before_its_job_was_lost_stays_ready(
    alice: User, workspace: Workspace, counting: Counting
) -> None:
    job = created(alice, workspace)
    with kill_at("job.completed.before_commit"), pytest.raises(Killed):
        resume_inline(job)
    lose_worker(job)
    lifecycle.cancel(job, alice)
    document = Document.objects.get(job=job)
    assert (Job.objects.get(pk=job.pk).state, document.status) == (State.CANCELLED, "ready")


def test_the_index_takes_its_job_before_its_document(
    alice: User, workspace: Workspace, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a job holds the job and writes the document: the other order would be a deadlock."""
    job = created(alice, workspace)
    waits, goes = threading.Event(), threading.Event()
    index = processing.index

    def held_up(*args: Any) -> None:
        waits.set()
        assert goes.wait(30)
        index(*args)

    def in_a_thread() -> None:
        try:
            resume_inline(job)
        finally:
            connection.close()

    monkeypatch.setattr(processing, "index", held_up)
    worker = threading.Thread(target=in_a_thread)
    worker.start()
    assert waits.wait(30)
    with transaction.atomic():
        running = Job.objects.select_for_update().get(pk=job.pk)
        goes.set()
        until(waiting_for_locks)
        assert Document.objects.select_for_update(nowait=True).get(job=job).status == "processing"
        assert running.lease_token is not None and lifecycle.stop(running.pk, running.lease_token)
    worker.join(30)
    assert not worker.is_alive()
    assert (Job.objects.get(pk=job.pk).state, Document.objects.get().status) == (State.CANCELLED, "failed")


def test_documents_follow_other_settings_and_are_found_all_the_time(
    add: Add, alice: User, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = add(TEXT, "policy.txt")
    first = document.generation
    other = Counting()
    other.id = "other"
    monkeypatch.setitem(embedders._loaded, "other", other)
    workspace.retrieval.embedder, workspace.retrieval.chunk_size = "other", 500
    workspace.retrieval.save()
    job = lifecycle.create("document_refresh", {"workspace": workspace.pk}, owner=alice).job
    with kill_at("item.before_commit"), pytest.raises(Killed):
        resume_inline(job)
    document.refresh_from_db()
    assert (document.status, document.generation, document.embedder) == ("ready", first, DEFAULT_EMBEDDER)
    lose_worker(job)
    assert resume_inline(job).state == State.COMPLETED
    document.refresh_from_db()
    assert (document.status, document.embedder, document.chunk_size) == ("ready", "other", 500)
    chunks = Chunk.objects.filter(document=document)
    assert set(chunks.values_list("generation", flat=True)) == {document.generation}
    assert chunks.count() == document.chunk_count
    assert set(chunks.values_list("vector__model", "vector__dim")) == {("other", 64)}


def test_a_refresh_of_all_workspaces_takes_those_of_which_one_is_an_owner(
    add: Add, alice: User, bob: User, workspace: Workspace
) -> None:
    members.add(workspace, bob, Role.EDITOR)
    document = add(TEXT, "policy.txt")
    WorkspaceRetrieval.objects.update(chunk_size=500)
    for who, size in ((bob, 1000), (alice, 500)):
        assert resume_inline(lifecycle.create("document_refresh", {}, owner=who).job).state == State.COMPLETED
        document.refresh_from_db()
        assert document.chunk_size == size


def test_a_refresh_leaves_a_document_as_it_is_that_would_become_too_many_passages(
    add: Add, alice: User, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = add(TEXT, "policy.txt")
    workspace.retrieval.chunk_size = 500
    workspace.retrieval.save()
    monkeypatch.setattr(chunks, "MAX_CHUNKS", 2)
    job = resume_inline(lifecycle.create("document_refresh", {"workspace": workspace.pk}, owner=alice).job)
    assert (job.items_failed, JobItem.objects.get(job=job).error_code) == (1, "document_limits")
    document.refresh_from_db()
    assert (document.status, document.chunk_size) == ("ready", 1000)


def test_a_refresh_leaves_alone_what_another_job_has_taken_meanwhile(
    add: Add, alice: User, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = add(TEXT, "policy.txt")
    workspace.retrieval.chunk_size = 500
    workspace.retrieval.save()
    encode = Counting.encode
    taken: list[Job] = []

    def meanwhile(self: Any, texts: Any) -> Any:
        if not taken:
            taken.append(lifecycle.create("documents", {"document": document.pk}, owner=alice).job)
        return encode(self, texts)

    monkeypatch.setattr(Counting, "encode", meanwhile)
    refreshed = resume_inline(
        lifecycle.create("document_refresh", {"workspace": workspace.pk}, owner=alice).job
    )
    assert (refreshed.items_skipped, Document.objects.get().chunk_size) == (1, 1000)
    assert set(document.chunks.values_list("generation", flat=True)) == {document.generation}
    assert resume_inline(taken[0]).state == State.COMPLETED
    document.refresh_from_db()
    assert (document.status, document.chunk_size) == ("ready", 500)
    assert document.chunks.count() == document.chunk_count
