"""What a job that failed has written: no later settings go for it, and it goes when no retry takes it."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from ingestion import lifecycle, retention
from ingestion.admission import Refused
from ingestion.models import Job, State
from ingestion.source import SourceError
from ingestion.sources.documents import indexing, keeping, members, processing, reading
from ingestion.sources.documents.chunks import Passage
from ingestion.sources.documents.models import Chunk, Document, Role, Vector, Workspace, WorkspaceRetrieval
from ingestion.testing import resume_inline, run_inline
from tests.documents.conftest import Add, Counting, store

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "Cobalt is audited. " * 2000  # two batches of passages of 1,000 characters


class Failing(Counting):
    """Refuses what comes after its first batches, as long as it is told to."""

    left = 2  # the first is the probe

    def encode(self, texts: Any) -> Any:
        if self.left == 0:
            raise SourceError("embedder_answer", "The embedding service answered with nothing.")
        self.left -= 1
        return super().encode(texts)


@pytest.fixture
def half(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Have an encoder that fails half-way."""
    from ingestion import embedders

    one = Failing()
    monkeypatch.setitem(embedders._loaded, embedders.DEFAULT_EMBEDDER, one)
    return one


def failed(alice: User, workspace: Workspace) -> Job:
    """Return a job that has written half of a document."""
    job = run_inline("documents", alice, file=store(alice, TEXT), workspace=workspace.pk)
    assert (job.state, job.items_done, job.items_failed) == (State.FAILED, 1, 1)
    return job


def refused(job: Job, by: User) -> tuple[str, str]:
    with pytest.raises(Refused) as found:
        lifecycle.retry(job, by)
    return found.value.code, found.value.message


def let_pass(days: int) -> None:
    """Let all jobs have ended earlier."""
    Job.objects.exclude(finished_at=None).update(finished_at=Now() - timedelta(days=days))


@pytest.mark.parametrize(
    ("ended", "anew"),
    [("half written", "documents"), ("cancelled", "documents"), ("processed again", "document_refresh")],
)
def test_a_retry_brings_no_settings_back_that_newer_ones_have_replaced(
    ended: str, anew: str, alice: User, workspace: Workspace, half: Failing
) -> None:
    if ended == "half written":
        old = failed(alice, workspace)
    elif ended == "cancelled":
        params = {"file": store(alice, TEXT), "workspace": workspace.pk}
        old = lifecycle.create("documents", params, owner=alice).job
        lifecycle.cancel(old, alice)
    else:
        half.left = 100
        ready = run_inline("documents", alice, file=store(alice, TEXT), workspace=workspace.pk)
        half.left = 0  # it fails before it has written anything
        old = run_inline("documents", alice, document=Document.objects.get(job=ready).pk)
    document = Document.objects.get(job=old)
    half.left = 1000
    WorkspaceRetrieval.objects.update(chunk_size=500)
    params = {"document": document.pk} if anew == "documents" else {"workspace": workspace.pk}
    assert run_inline(anew, alice, **params).state == State.COMPLETED
    code, told = refused(Job.objects.get(pk=old.pk), alice)
    assert code == "nothing_to_retry" and "Process notes.txt again" in told
    document.refresh_from_db()
    assert (document.status, document.chunk_size) == ("ready", 500)


def test_a_retry_that_was_asked_for_before_the_document_was_made_anew_does_nothing(
    alice: User, workspace: Workspace, half: Failing
) -> None:
    """Whatever lets an older plan through: what is found is never of an older generation than before."""
    old = failed(alice, workspace)
    half.left = 1000
    retry = lifecycle.retry(old, alice).job
    document = Document.objects.get(job=retry)
    plan, passages = {**retry.memo["plan"], "generation": 2}, [Passage(0, "Herons.", None, "")]
    indexing.write(document, 2, "counting", passages, half.encode(["Herons."]))
    Document.objects.filter(pk=document.pk).update(generations=2, status="processing")
    with transaction.atomic():
        indexing.publish(document, plan, reading.Parsed(), 1, retry.pk)
    assert (resume_inline(retry).state, Document.objects.get().generation) == (State.FAILED, 2)
    error = Job.objects.get(pk=retry.pk).error
    assert error is not None and "processed anew meanwhile" in error["text"]


def test_a_retry_does_not_take_a_document_from_who_works_on_it(
    alice: User, bob: User, workspace: Workspace, half: Failing
) -> None:
    old = failed(alice, workspace)
    members.add(workspace, bob, Role.EDITOR)
    theirs = lifecycle.create("documents", {"document": Document.objects.get().pk}, owner=bob).job
    assert refused(old, alice)[0] == "already_open"
    lifecycle.cancel(theirs, bob)
    again = lifecycle.retry(old, alice)
    assert again.created and lifecycle.retry(old, alice).job == again.job  # the second click joins


def test_a_job_whose_retries_were_cancelled_is_retried_with_its_file(
    alice: User, workspace: Workspace, half: Failing
) -> None:
    old = failed(alice, workspace)
    first = lifecycle.retry(old, alice).job
    lifecycle.cancel(first, alice)
    second = lifecycle.retry(first, alice).job
    lifecycle.cancel(second, alice)
    half.left = 1000
    again = lifecycle.retry(old, alice).job
    assert again.uploads.count() == 1 and resume_inline(again).state == State.COMPLETED


def test_what_a_failed_job_wrote_is_kept_for_its_retry_and_then_goes(
    alice: User, workspace: Workspace, half: Failing, client: Client
) -> None:
    old = failed(alice, workspace)
    wrote = Chunk.objects.count()
    assert wrote == Vector.objects.count() == 32
    let_pass(29)
    assert retention.prune()["passages"] == 0
    let_pass(31)
    assert retention.prune()["passages"] == wrote
    assert not Chunk.objects.exists() and not Vector.objects.exists()
    assert refused(old, alice)[0] == "nothing_to_retry"
    half.left = 1000
    client.force_login(alice)
    document = Document.objects.get()
    client.post(reverse("documents:retry", args=[document.pk]))
    document = Document.objects.select_related("job").get()
    assert document.job is not None and resume_inline(document.job).state == State.COMPLETED
    let_pass(31)
    assert retention.prune()["passages"] == 0
    assert Chunk.objects.count() == Document.objects.get().chunk_count


def test_what_processing_again_left_goes_and_what_is_found_stays(
    alice: User, workspace: Workspace, half: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    half.left = 1000
    ready = run_inline("documents", alice, file=store(alice, TEXT), workspace=workspace.pk)
    document = Document.objects.get(job=ready)
    half.left = 2
    assert run_inline("documents", alice, document=document.pk).state == State.FAILED
    let_pass(31)
    # Neither while something works on it, nor while the documents of its workspace follow other settings.
    for kind, params in (
        ("documents", {"document": document.pk}),
        ("document_refresh", {"workspace": workspace.pk}),
        ("document_refresh", {}),
    ):
        waits = lifecycle.create(kind, params, owner=alice).job
        assert keeping.forget(1) == 0
        lifecycle.cancel(waits, alice)
        let_pass(31)
    monkeypatch.setattr(keeping, "BATCH", 20)
    assert [keeping.forget(1) for _ in range(3)] == [20, 12, 0]
    document.refresh_from_db()
    assert set(Chunk.objects.values_list("generation", flat=True)) == {document.generation}
    assert Chunk.objects.count() == Vector.objects.count() == document.chunk_count


def test_settings_that_change_while_a_document_is_processed_are_followed_as_it_ends(
    alice: User, workspace: Workspace, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = processing.cut

    def meanwhile(*args: Any) -> Any:
        WorkspaceRetrieval.objects.update(chunk_size=500)
        return cut(*args)

    monkeypatch.setattr(processing, "cut", meanwhile)
    job = run_inline("documents", alice, file=store(alice, TEXT), workspace=workspace.pk)
    assert (job.state, Document.objects.get().chunk_size) == (State.COMPLETED, 1000)
    follows = Job.objects.get(source="document_refresh")
    assert (follows.object, follows.owner, resume_inline(follows).state) == (
        workspace.stream,
        None,
        State.COMPLETED,
    )
    assert Document.objects.get().chunk_size == 500
    assert Job.objects.filter(source="document_refresh").count() == 1


def test_nothing_follows_a_document_whose_settings_are_those_of_now(add: Add) -> None:
    add(TEXT)
    add("  ", "empty.txt")
    assert not Job.objects.filter(source="document_refresh").exists()
