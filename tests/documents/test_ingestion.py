"""A document from its file to its passages: found entirely or not at all, once, whatever is killed."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import Client

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import Job, State, Upload
from ingestion.sources.documents import filing, indexing, members, search, vectors, workspaces
from ingestion.sources.documents.models import Chunk, Document, Role, Vector, Workspace
from ingestion.testing import Killed, kill_at, lose_worker, resume_inline, run_inline
from tests.documents.conftest import Add, store

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "Cobalt policy. Suppliers are audited every two years.\n\n" + "More words about cobalt. " * 300


@pytest.mark.seed("S3.22", "S3.21", "S3.4")
def test_a_document_becomes_ready_with_its_passages_and_the_model_that_made_them(add: Add) -> None:
    document = add(TEXT, "policy.md")
    assert document.job is not None and document.job.state == State.COMPLETED
    assert (document.status, document.error, document.stage) == ("ready", "", "")
    rows = list(document.chunks.order_by("ordinal"))
    assert len(rows) == (document.chunk_count or 0) > 5 and [one.ordinal for one in rows] == list(
        range(len(rows))
    )
    assert all(len(one.text) <= 1000 for one in rows) and rows[0].text.startswith("Cobalt policy.")
    assert document.embedder == "use-multilingual-3" and document.ready_at is not None
    assert Vector.objects.filter(document=document).count() == len(rows)
    assert default_storage.exists(document.path) and document.sha256 in document.path


def test_what_failed_is_failed_with_a_sentence_and_a_retry_clears_it(add: Add, alice: User) -> None:
    document = add("  \n ", "empty.txt")
    assert (document.status, document.error_code) == ("failed", "document_no_text")
    assert "no readable text" in document.error and document.chunks.count() == 0
    assert document.job is not None
    again = lifecycle.retry(document.job, alice).job
    document.refresh_from_db()
    assert (document.status, document.error, document.job_id) == ("pending", "", again.pk)


def refused(job: Job, by: User) -> str:
    with pytest.raises(Refused) as error:
        lifecycle.retry(job, by)
    return error.value.code


def test_nobody_retries_in_a_workspace_that_is_not_theirs_any_more(
    add: Add, workspace: Workspace, bob: User
) -> None:
    members.add(workspace, bob, Role.EDITOR)
    job = add("  ", "empty.txt", bob).job
    assert job is not None
    for role in (Role.VIEWER, None):
        if role:
            members.add(workspace, bob, role)
        else:
            workspace.memberships.filter(user=bob).delete()
        assert refused(job, bob) == "not_found"
    members.add(workspace, bob, Role.EDITOR)
    assert lifecycle.retry(job, bob).created


def test_what_was_cancelled_in_the_queue_is_processed_again_from_its_upload(
    alice: User, workspace: Workspace, counting: Any
) -> None:
    # The same content in a workspace of their own is another document.
    lifecycle.create("documents", {"file": store(alice, TEXT)}, owner=alice)
    params = {"file": store(alice, TEXT), "workspace": workspace.pk}
    job = lifecycle.create("documents", params, owner=alice).job
    lifecycle.cancel(job, alice)
    document = workspace.documents.get()
    again = run_inline("documents", alice, document=document.pk)
    document.refresh_from_db()
    assert (again.state, document.status, document.error) == (State.COMPLETED, "ready", "")


def test_a_document_goes_with_the_file_that_was_kept_since_it_was_read(
    add: Add, workspace: Workspace
) -> None:
    path = add(TEXT).path
    stale = workspace.documents.get()
    stale.path = ""  # as before it was processed
    filing.remove(stale)
    assert not default_storage.exists(path)


@pytest.mark.parametrize("gone", ["document", "workspace"])
def test_a_retry_of_what_is_gone_is_refused(gone: str, add: Add, alice: User, workspace: Workspace) -> None:
    document = add("  ", "empty.txt")
    again = run_inline("documents", alice, document=document.pk)
    if gone == "document":
        filing.remove(document)
    else:
        workspace.delete()
    assert again.state == State.FAILED and refused(again, alice) == "not_found"
    assert document.job is not None and refused(document.job, alice) == "not_found"


def test_the_same_content_that_comes_again_while_the_first_goes_keeps_its_file(
    add: Add, alice: User, workspace: Workspace
) -> None:
    first = add(TEXT)
    with transaction.atomic():
        filing.remove(first)  # its file goes after this transaction
        second = Document.objects.create(
            workspace=workspace, name="again.txt", size=1, type="text/plain", sha256=first.sha256
        )
        upload = Upload.objects.get(pk=store(alice, TEXT))
        second.path = filing.keep(second, upload)
    assert not default_storage.exists(first.path)
    with filing.open_file(second) as kept:
        assert kept.read() == TEXT.encode()


def test_what_is_processed_again_is_found_all_the_time_and_stays_ready_when_that_fails(
    add: Add, alice: User, workspace: Workspace, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = add("Otters sleep while they hold hands.", "otters.txt")
    first = document.generation

    def stands() -> tuple[Any, ...]:
        document.refresh_from_db()
        hits = search.search(workspace, "otters").hits
        return document.status, document.error, document.generation, [one.chunk.document_id for one in hits]

    as_before = ("ready", "", first, [document.pk])
    client.force_login(alice)
    job = lifecycle.create("documents", {"document": document.pk}, owner=alice).job
    assert stands() == as_before
    seen: list[Any] = []
    write = indexing.write

    def looking(*args: Any) -> None:
        write(*args)
        seen.append((stands(), client.get(workspace.get_absolute_url()).content.decode()))

    with monkeypatch.context() as patched:
        patched.setattr(indexing, "write", looking)
        assert resume_inline(job).state == State.COMPLETED
    while_it_ran, page = seen[0]
    assert while_it_ran == as_before
    assert "Cancel otters.txt" in page and "Ready" in page
    assert stands() == ("ready", "", document.generations, [document.pk]) != as_before
    second = document.generation
    page = client.get(workspace.get_absolute_url()).content.decode()
    assert "Cancel otters.txt" not in page
    assert "could not be processed again" not in page

    version = Workspace.objects.get(pk=workspace.pk).version
    default_storage.delete(document.path)
    again = run_inline("documents", alice, document=document.pk)
    assert again.state == State.FAILED and stands() == ("ready", "", second, [document.pk])
    assert Workspace.objects.get(pk=workspace.pk).version > version  # open pages look again
    for url in (workspace.get_absolute_url(), document.get_absolute_url()):
        page = client.get(url).content.decode()
        assert "could not be processed again" in page and "The file is no longer kept." in page


def test_processing_again_replaces_all_passages_at_once(add: Add, alice: User, workspace: Workspace) -> None:
    document = add(TEXT)
    first = set(document.chunks.values_list("pk", flat=True))
    workspace.retrieval.chunk_size = 400
    workspace.retrieval.overlap = 100
    workspace.retrieval.save()
    job = run_inline("documents", alice, document=document.pk)
    document.refresh_from_db()
    assert (job.state, document.status, document.chunk_size) == (State.COMPLETED, "ready", 400)
    assert not first & set(document.chunks.values_list("pk", flat=True))
    assert document.chunks.count() == document.chunk_count == Vector.objects.filter(document=document).count()


@pytest.mark.parametrize(
    ("point", "n"),
    [
        ("once.after_write", 1), ("step.before_end", 2), ("item.before_commit", 1),
        ("item.after_commit", 1), ("item.before_commit", 2), ("item.after_commit", 2),
    ],
)  # fmt: skip
def test_a_worker_that_dies_anywhere_leaves_each_passage_once(
    point: str, n: int, alice: User, workspace: Workspace, counting: Any
) -> None:
    job = lifecycle.create(
        "documents", {"file": store(alice, TEXT), "workspace": workspace.pk}, owner=alice
    ).job
    with kill_at(point, n), pytest.raises(Killed):
        resume_inline(job)
    lose_worker(job)
    Job.objects.filter(pk=job.pk).update(run_after=None)
    assert resume_inline(job).state == State.COMPLETED
    document = Document.objects.get(job=job)
    ordinals = list(document.chunks.order_by("ordinal").values_list("ordinal", flat=True))
    assert document.status == "ready" and ordinals == list(range(document.chunk_count or 0))


@pytest.mark.seed("S3.20")
def test_a_document_that_is_replaced_by_a_newer_job_is_not_touched_by_the_older(
    alice: User, workspace: Workspace, counting: Any, bob: User
) -> None:
    members.add(workspace, bob, Role.EDITOR)
    older = lifecycle.create(
        "documents", {"file": store(alice, TEXT), "workspace": workspace.pk}, owner=alice
    ).job
    newer = lifecycle.create(
        "documents", {"file": store(bob, TEXT), "workspace": workspace.pk}, owner=bob
    ).job
    assert Document.objects.get().job_id == newer.pk
    assert resume_inline(newer).state == State.COMPLETED
    assert resume_inline(older).state == State.FAILED
    assert Document.objects.get().status == "ready"


def test_only_editors_add_and_strangers_see_nothing(workspace: Workspace, alice: User, bob: User) -> None:
    from ingestion.admission import Refused

    def refused() -> str:
        with pytest.raises(Refused) as found:
            lifecycle.create("documents", {"file": store(bob, TEXT), "workspace": workspace.pk}, owner=bob)
        return found.value.code

    assert refused() == "not_found"
    members.add(workspace, bob, Role.VIEWER)
    assert refused() == "permission_denied"
    assert not Document.objects.exists()


def test_a_file_without_a_workspace_goes_to_its_owners_own(alice: User, counting: Any) -> None:
    for text in ("one thing", "another thing"):
        assert run_inline("documents", alice, file=store(alice, text)).state == State.COMPLETED
    own = workspaces.own(alice)
    assert own.documents.count() == 2 and members.role_of(alice, own.pk) == Role.OWNER


def test_a_workspace_is_provisioned_and_removed_by_jobs(alice: User, counting: Any) -> None:
    job = run_inline("workspaces", alice, name="Risk")
    workspace = Workspace.objects.get(job=job)
    assert (job.state, workspace.status, job.object) == (State.COMPLETED, "ready", workspace.stream)
    document_job = run_inline("documents", alice, file=store(alice, TEXT), workspace=workspace.pk)
    path = Document.objects.get(job=document_job).path
    waiting = lifecycle.create(
        "documents", {"file": store(alice, "b"), "workspace": workspace.pk}, owner=alice
    ).job
    removal = lifecycle.create("workspace_removal", {"workspace": workspace.pk}, owner=alice).job
    assert not Workspace.objects.of(alice).exists()
    assert resume_inline(removal).state == State.COMPLETED
    assert Job.objects.get(pk=waiting.pk).state == State.CANCELLED
    assert not Workspace.objects.exists() and not Chunk.objects.exists() and not default_storage.exists(path)


@pytest.mark.parametrize("pgvector", [True, False])
def test_vectors_are_found_by_either_way_of_keeping_them(
    pgvector: bool, add: Add, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, counting: Any
) -> None:
    if pgvector and not vectors.has_pgvector():
        pytest.skip("this server has no pgvector")
    monkeypatch.setattr(vectors, "has_pgvector", lambda: pgvector)
    wanted = add("apples and pears grow here", "fruit.txt")
    add("cars and trains drive there", "traffic.txt")
    failed = add(" ", "nothing.txt")
    workspace.refresh_from_db()
    question = counting.encode(["apples and pears"])[0]
    assert vectors.nearest(workspace, "another model", question, 5) == []
    found = vectors.nearest(workspace, counting.id, question, 5)
    assert len(found) == 2 and Chunk.objects.get(pk=found[0][0]).document_id == wanted.pk
    assert found[0][1] < found[1][1]
    assert vectors.nearest(workspace, counting.id, question, 5, [failed.pk]) == []
