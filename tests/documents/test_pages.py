"""The pages of workspaces: uploads, documents as they come, search, members."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from ingestion import admission, embedders
from ingestion.models import Job, State
from ingestion.sources.documents import members, search, vectors, views, workspace_views, workspaces
from ingestion.sources.documents.models import DefaultRetrieval, Document, Role, Workspace, WorkspaceRetrieval
from ingestion.testing import resume_inline
from realtime import streams
from tests.documents.conftest import Add, Counting

pytestmark = pytest.mark.django_db(transaction=True)
UNREAD = (
    "This is not a PDF, .docx, HTML, Markdown or text file. Save it as .docx or PDF, then upload it again."
)
XSS = "<img src=x onerror=alert(1)>"


@pytest.fixture
def web(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def read(web: Client, url: str, **headers: str) -> str:
    answer = web.get(url, headers=headers)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def send(web: Client, workspace: Workspace, name: str, data: bytes) -> Any:
    files = {"file": SimpleUploadedFile(name, data)}
    url = f"/workspaces/{workspace.pk}/upload/"
    return web.post(url, files, headers={"Accept": "application/json"})


@pytest.mark.seed("S3.49", "S3.50")
def test_what_is_uploaded_has_its_row_at_once_and_is_found_when_ready(
    web: Client, workspace: Workspace, counting: Any
) -> None:
    assert (
        send(web, workspace, "audit.txt", b"The smelter list names cobalt " + XSS.encode()).status_code == 200
    )
    url = workspace.get_absolute_url()
    text = read(web, url)
    assert "audit.txt" in text and "Search 0 ready documents" in text and "1 still processing" in text
    assert resume_inline(Job.objects.get(source="documents")).state == State.COMPLETED
    text = read(web, f"{url}?q=cobalt", HX_Target="workspace")
    assert "Search 1 ready document<" in text and "<mark>cobalt</mark>" in text and "<html" not in text
    assert XSS not in text and "&lt;img" in text
    document = Document.objects.get()
    assert f"/workspaces/documents/{document.pk}/?at=0#p0" in text
    assert 'id="p0"' in read(web, f"{document.get_absolute_url()}?at=0")


def test_what_cannot_be_taken_is_said_and_the_same_file_comes_once(
    web: Client, workspace: Workspace, add: Add
) -> None:
    add("the same text", "first.txt")
    assert "Same file as first.txt" in send(web, workspace, "second.txt", b"the same text").json()["detail"]
    for name, data, status, said in [
        ("empty.txt", b"", 400, "The file is empty."),
        ("old.doc", b"\xd0\xcf\x11\xe0" + bytes(600), 400, UNREAD),
        ("note.rtf", b"{\\rtf1 hello}", 400, UNREAD),
        ("not.pdf", b"no pdf at all", 400, "This is not a PDF file."),
    ]:
        answer = send(web, workspace, name, data)
        assert (answer.status_code, answer.json()["detail"]) == (status, f"{name}: {said}")
    assert Document.objects.count() == 1


def test_only_what_is_ready_is_found(workspace: Workspace, add: Add) -> None:
    ready = add("cobalt is mined", "ready.txt")
    other = add("cobalt is mined elsewhere too", "other.txt")
    Document.objects.filter(pk=other.pk).update(status="processing")
    found = search.search(workspace, "cobalt")
    assert [hit.chunk.document_id for hit in found.hits] == [ready.pk]
    assert (found.ready, found.not_ready) == (1, 1)


def test_news_fetch_the_part_of_a_page_that_is_shown(web: Client, workspace: Workspace, add: Add) -> None:
    url = add("cobalt is mined here", "ready.txt").get_absolute_url()
    assert f'data-fragment="{url}?at=0"' in read(web, f"{url}?at=0")
    assert f'data-fragment="{url}"' in read(web, url)
    url = workspace.get_absolute_url()
    shown = read(web, f"{url}?q=cobalt%26nickel&s=ready&before=900")
    assert f'data-fragment="{url}?q=cobalt%26nickel&amp;s=ready&amp;before=900"' in shown
    assert f'data-fragment="{url}"' in read(web, f"{url}?s=none&before=-1")


def test_what_is_processed_anew_is_not_found_among_vectors_in_memory(
    workspace: Workspace, add: Add, monkeypatch: pytest.MonkeyPatch, counting: Counting
) -> None:
    monkeypatch.setattr(vectors, "has_pgvector", lambda: False)
    monkeypatch.setitem(embedders._loaded, counting.id, counting)
    WorkspaceRetrieval.objects.update(embedder=counting.id)
    for name in ("ready.txt", "other.txt"):
        other = add(f"cobalt is mined, says {name}", name)
    workspace.refresh_from_db()
    assert len(search.search(workspace, "cobalt").hits) == 2
    Document.objects.filter(pk=other.pk).update(status="processing")
    assert [hit.chunk.document.name for hit in search.search(workspace, "cobalt").hits] == ["ready.txt"]
    Document.objects.filter(pk=other.pk).update(status="ready", generation=other.generations + 1)
    assert [hit.chunk.document.name for hit in search.search(workspace, "cobalt").hits] == ["ready.txt"]


@pytest.mark.parametrize("query", ["'; DROP TABLE", "\\", "&|!():*", "a" * 600, "\0", "  ", "' \\' &"])
def test_a_question_of_any_signs_is_a_question(query: str, workspace: Workspace, add: Add) -> None:
    add("cobalt is mined here, says O'Neil", "ready.txt")
    assert search.search(workspace, query).ready == 1


def test_a_stranger_finds_nothing_and_a_viewer_changes_nothing(
    client: Client, bob: User, workspace: Workspace, add: Add
) -> None:
    document = add("secret cobalt", "secret.txt")
    client.force_login(bob)
    pages = [workspace.get_absolute_url(), document.get_absolute_url(), f"{document.get_absolute_url()}file/"]
    for url in pages:
        assert client.get(url).status_code == 404
    assert streams.visible(bob, [workspace.stream]) == set()
    members.add(workspace, bob, Role.VIEWER)
    assert streams.visible(bob, [workspace.stream]) == {workspace.stream}
    for url in pages:
        assert client.get(url).status_code == 200
    for verb in ("retry", "remove", "cancel"):
        assert client.post(f"{document.get_absolute_url()}{verb}/").status_code == 403
    assert client.get(f"{workspace.get_absolute_url()}settings/").status_code == 403
    assert send(client, workspace, "x.txt", b"x").status_code == 403


def test_settings_members_and_removal(web: Client, workspace: Workspace, bob: User, alice: User) -> None:
    url = workspace.get_absolute_url()
    values = {
        "name": "New name",
        "chunk_size": 500,
        "overlap": 100,
        "embedder": "use-multilingual-3",
        "top_k": 5,
    }
    assert web.post(f"{url}settings/", values).status_code == 302
    workspace.refresh_from_db()
    assert (workspace.name, workspace.retrieval.chunk_size) == ("New name", 500)
    assert (
        "At most half a passage." in web.post(f"{url}settings/", {**values, "overlap": 300}).content.decode()
    )
    web.post(f"{url}member/", {"user": "bob", "role": "editor"})
    assert members.role_of(bob, workspace.pk) == Role.EDITOR
    web.post(f"{url}member/", {"user": "alice", "role": ""})
    assert members.role_of(alice, workspace.pk) == Role.OWNER
    web.post(f"{url}remove/", {"name": "another"})
    assert Workspace.objects.of(alice).exists()
    web.post(f"{url}remove/", {"name": "New name"})
    assert not Workspace.objects.of(alice).exists()


SETTINGS = {"name": "Risk", "chunk_size": 500, "overlap": 100, "embedder": "use-multilingual-3", "top_k": 5}


def test_a_name_that_cannot_be_shown_is_refused_beside_its_field(web: Client, workspace: Workspace) -> None:
    answer = web.post(f"{workspace.get_absolute_url()}settings/", {**SETTINGS, "name": "a\u202eb"})
    assert answer.status_code == 200 and list(answer.context["form"].errors) == ["name"]
    workspace.refresh_from_db()
    assert (workspace.name, workspace.retrieval.chunk_size) == ("Supplier risk", 1000)


def test_settings_are_saved_while_the_queue_is_full_and_that_nothing_follows_is_said(
    web: Client, workspace: Workspace, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("cobalt is mined here", "ready.txt")
    monkeypatch.setattr(admission, "MAX_QUEUED", 0)
    url = workspace.get_absolute_url()
    answer = web.post(f"{url}settings/", {**SETTINGS, "as_default": "on"}, follow=True)
    text = answer.content.decode()
    assert "The documents do not follow yet. The service is busy." in text and "Process again" in text
    workspace.refresh_from_db()
    assert (workspace.name, workspace.retrieval.chunk_size) == ("Risk", 500)
    assert DefaultRetrieval.objects.get().chunk_size == 500


def test_a_file_is_given_back_as_a_download(web: Client, add: Add) -> None:
    document = add(b"<html><script>alert(1)</script><p>Words of it", "page.html")
    url = f"{document.get_absolute_url()}file/"
    answer = web.get(url)
    assert (
        answer["Content-Disposition"].startswith("attachment")
        and "sandbox" in answer["Content-Security-Policy"]
    )
    Document.objects.filter(pk=document.pk).update(path="")  # as while it waits
    assert web.get(url).status_code == web.get(f"/api/documents/{document.pk}/file").status_code == 404


def test_more_workspaces_than_a_page_shows_are_on_the_next(
    web: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace_views, "MOST", 2)
    for name in ("Cobalt", "Nickel", "Copper"):
        workspaces.make(alice, name, "", status="ready")
    first = read(web, "/workspaces/")
    assert "Copper" in first and "Nickel" in first and "Cobalt" not in first and "First page" not in first
    following = re.search(r'href="(\?before=\d+)" rel="next"', first)[1]
    second = read(web, f"/workspaces/{following}")
    assert "Cobalt" in second and "Nickel" not in second and 'rel="next"' not in second
    assert "First page" in second


def test_a_workspace_that_is_refused_keeps_what_was_typed(web: Client) -> None:
    answer = web.post("/workspaces/", {"name": "Ri\u202evers", "description": f"All of them {XSS}"})
    html = answer.content.decode()
    assert answer.status_code == 422 and not Workspace.objects.exists()
    assert 'value="Ri\ufffdvers"' in html and 'value="All of them &lt;img' in html


def test_files_beyond_the_most_at_once_are_told_of(
    web: Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MAX_AT_ONCE", 1)
    files = [SimpleUploadedFile(f"{n}.txt", b"text of %d" % n) for n in range(3)]
    answer = web.post(f"/workspaces/{workspace.pk}/upload/", {"file": files}, follow=True)
    assert "At most 1 files at a time: the last 2 were not taken." in answer.content.decode()
    assert Document.objects.get().name == "0.txt"
