"""The API and the command of workspaces and documents, and what strangers find there: nothing."""

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import override_settings

from ingestion.models import Job, State
from ingestion.sources.documents import members, search, workspaces
from ingestion.sources.documents.models import Document, Role, Workspace
from ingestion.sources.documents.sample import shelf
from ingestion.testing import resume_inline
from tests.api.clients import ApiClient, assert_problem, client_of, without_id
from tests.documents.conftest import Add, Counting, store
from tests.documents.making import pdf

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(alice: User) -> ApiClient:
    return client_of(alice)


@pytest.fixture
def stranger(bob: User) -> ApiClient:
    return client_of(bob)


def ask(client: ApiClient, method: str, path: str, body: Any) -> Any:
    kind = "application/json"
    return client.generic(method, f"/api{path}", json.dumps(body).encode(), kind, CONTENT_TYPE=kind)


def run(*words: Any) -> str:
    out = io.StringIO()
    call_command("documents", *map(str, words), "--user", "alice", stdout=out, stderr=out)
    return out.getvalue()


def test_a_workspace_is_made_changed_and_removed(api: ApiClient, counting: Counting, alice: User) -> None:
    answer = api.send("/workspaces", {"name": "Risk"})
    made = answer.json()
    assert (answer.status_code, made["status"], made["role"]) == (201, "provisioning", "owner")
    assert resume_inline(Job.objects.get(pk=made["job"])).state == State.COMPLETED
    address = f"/workspaces/{made['id']}"
    assert api.read(address).json()["status"] == "ready"
    changed = ask(api, "PATCH", address, {"name": "Other", "top_k": 3}).json()
    assert (changed["name"], changed["settings"]["top_k"]) == ("Other", 3)
    for wrong in (
        {"overlap": 900},
        {"chunk_size": 10},
        {"top_k": 99},
        {"embedder": "none"},
        {"name": " "},
    ):
        assert_problem(ask(api, "PATCH", address, wrong), 400, "validation_failed")
    assert_problem(ask(api, "PATCH", address, {"name": "a\u202eb"}), 400, "bad_character")
    gone = ask(api, "DELETE", address, {}).json()
    assert_problem(api.read(address), 404, "not_found")
    assert resume_inline(Job.objects.get(pk=gone["job"])).state == State.COMPLETED
    assert not Workspace.objects.exists()


@pytest.mark.seed("S3.42")
def test_a_changed_embedder_or_passage_starts_the_job_that_makes_documents_follow(
    api: ApiClient, workspace: Workspace, add: Add
) -> None:
    add("word " * 500)
    ask(api, "PATCH", f"/workspaces/{workspace.pk}", {"top_k": 3})
    assert not Job.objects.filter(source="document_refresh").exists()
    ask(api, "PATCH", f"/workspaces/{workspace.pk}", {"chunk_size": 400})
    assert resume_inline(Job.objects.get(source="document_refresh")).state == State.COMPLETED
    assert Document.objects.get().chunk_size == 400


def test_members_have_roles_and_the_last_owner_stays(api: ApiClient, workspace: Workspace, bob: User) -> None:
    address = f"/workspaces/{workspace.pk}/members"
    ask(api, "PUT", f"{address}/bob", {"role": "editor"})
    assert api.read(address).json()["members"][1] == {"user": "bob", "role": "editor"}
    assert_problem(ask(api, "PUT", f"{address}/alice", {"role": "viewer"}), 400, "validation_failed")
    assert_problem(ask(client_of(bob), "PUT", f"{address}/bob", {"role": "owner"}), 403, "permission_denied")
    assert_problem(ask(api, "PUT", f"{address}/nobody", {"role": "owner"}), 404, "not_found")
    assert len(ask(api, "DELETE", f"{address}/bob", {}).json()["members"]) == 1


def test_a_search_tells_over_how_many_documents_and_where(
    api: ApiClient, workspace: Workspace, add: Add
) -> None:
    add("Cobalt is audited every two years", "policy.txt")
    add(pdf(["Nothing here", "Cobalt was found <b>late</b>"]), "audit.pdf")
    add("  ", "empty.txt")
    address = f"/workspaces/{workspace.pk}/search"
    found = api.read(f"{address}?q=cobalt").json()
    assert (found["ready"], found["not_ready"], found["by_words_only"]) == (2, 1, False)
    best = {hit["name"]: hit for hit in found["hits"] if "<mark>" in hit["snippet"]}
    assert set(best) == {"policy.txt", "audit.pdf"}
    hit = best["audit.pdf"]
    assert (hit["page"], hit["place"], hit["text"]) == (2, "page 2", "Cobalt was found <b>late</b>")
    assert "<b>" not in hit["snippet"] and hit["url"].endswith(f"?at={hit['ordinal']}#p{hit['ordinal']}")
    for words, names in (
        ("format=pdf", {"audit.pdf"}),
        ("format=text&format=html", {"policy.txt"}),
        ("name=POL", {"policy.txt"}),
        (f"document={hit['document']}", {"audit.pdf"}),
        ("name=absent", set()),
        (f"document={2**63}", set()),
    ):
        found = api.read(f"{address}?q=cobalt&{words}").json()
        assert ({one["name"] for one in found["hits"]}, found["ready"]) == (names, len(names)), words
    assert len(api.read(f"{address}?q=cobalt&limit=1").json()["hits"]) == 1
    assert_problem(api.read(f"{address}?q="), 400, "bad_parameter")
    assert_problem(api.read(f"{address}?q=x&format=exe"), 400, "bad_parameter")


def test_documents_are_listed_read_processed_again_and_removed(
    api: ApiClient, workspace: Workspace, add: Add
) -> None:
    first, second = add("word " * 700, "first.txt"), add("other words", "second.txt")
    address = f"/workspaces/{workspace.pk}/documents"
    told = api.read(f"{address}?limit=1").json()
    assert [one["name"] for one in told["documents"]] == ["second.txt"]
    rest = api.read(f"{address}?limit=1&cursor={told['next']}").json()["documents"]
    assert (rest[0]["name"], rest[0]["status"], rest[0]["embedder"]) == (
        "first.txt",
        "ready",
        "use-multilingual-3",
    )
    assert api.read(f"{address}?status=failed").json()["documents"] == []
    page = api.read(f"/documents/{first.pk}/passages?limit=2").json()
    assert [one["ordinal"] for one in page["passages"]] == [0, 1] and page["next"] == 1
    more = api.read(f"/documents/{first.pk}/passages?after=1").json()
    assert more["passages"][0]["ordinal"] == 2 and more["next"] is None
    answer = api.read(f"/documents/{second.pk}/file")
    assert b"".join(answer.streaming_content) == b"other words"
    started = api.send(f"/documents/{second.pk}/process", {})
    assert started.status_code == 201
    assert resume_inline(Job.objects.get(pk=started.json()["job"])).state == State.COMPLETED
    assert ask(api, "DELETE", f"/documents/{second.pk}", {}).status_code == 204
    assert_problem(api.read(f"/documents/{second.pk}"), 404, "not_found")


def test_a_name_that_is_there_gets_a_number_or_its_document_is_replaced(
    api: ApiClient, workspace: Workspace, add: Add, alice: User, bob: User
) -> None:
    first = add("old words of the policy", "policy.txt")
    assert add("other words", "policy.txt").name == "policy (2).txt"

    def start(user: User, **params: Any) -> Any:
        values = {"file": store(user, "new words of the policy", "policy.txt"), **params}
        return client_of(user).send("/jobs", {"source": "documents", "params": values})

    assert_problem(start(alice, workspace=workspace.pk, replaces=999_999), 404, "not_found")
    assert_problem(start(bob, replaces=first.pk), 404, "not_found")
    job = Job.objects.get(pk=start(alice, workspace=workspace.pk, replaces=first.pk).json()["id"])
    assert Document.objects.get(pk=first.pk).status == "ready"  # found until the new one is
    assert resume_inline(job).state == State.COMPLETED
    names = [hit.chunk.document.name for hit in search.search(workspace, "words of the policy").hits]
    assert sorted(names) == ["policy (2).txt", "policy.txt"]
    assert (
        not Document.objects.filter(pk=first.pk).exists()
        and Document.objects.get(job=job).name == "policy.txt"
    )


def test_a_stranger_finds_nothing_and_cannot_tell_it_from_what_is_not_there(
    stranger: ApiClient, api: ApiClient, workspace: Workspace, add: Add, bob: User
) -> None:
    document = add("secret cobalt", "secret.txt")
    own = workspaces.make(bob, "Mine", "", status="ready")
    paths = ["", "/members", "/documents", "/search?q=cobalt"]
    every = [(f"/workspaces/{workspace.pk}{path}", f"/workspaces/999999{path}") for path in paths]
    every += [
        (f"/documents/{document.pk}{path}", f"/documents/999999{path}") for path in ("", "/passages", "/file")
    ]
    for real, absent in every:
        answers = [stranger.read(path) for path in (real, absent)]
        for answer in answers:
            assert_problem(answer, 404, "not_found")
        assert without_id(answers[0]) == without_id(answers[1])
    for real, verb in (
        (f"/workspaces/{workspace.pk}", "delete"),
        (f"/documents/{document.pk}", "delete"),
        (f"/documents/{document.pk}/process", "post"),
        (f"/workspaces/{workspace.pk}/refresh", "post"),
    ):
        assert_problem(ask(stranger, verb.upper(), real, {}), 404, "not_found")
    assert stranger.read("/workspaces").json()["workspaces"][0]["id"] == own.pk
    # Neither by a search of their own workspace, nor by a document of another, nor by the same file.
    found = stranger.read(f"/workspaces/{own.pk}/search?q=cobalt&document={document.pk}").json()
    assert (found["hits"], found["ready"]) == ([], 0)
    params = {"file": store(bob, "secret cobalt", "mine.txt"), "workspace": own.pk}
    assert stranger.send("/jobs", {"source": "documents", "params": params}).status_code == 201
    assert Document.objects.filter(sha256=document.sha256).count() == 2
    for given in ({"document": document.pk}, {"document": 999_999}):
        assert_problem(stranger.send("/jobs", {"source": "documents", "params": given}), 404, "not_found")
    members.add(workspace, bob, Role.VIEWER)
    assert_problem(ask(stranger, "DELETE", f"/documents/{document.pk}", {}), 403, "permission_denied")
    assert stranger.read(f"/workspaces/{workspace.pk}/search?q=cobalt").json()["hits"]


def test_what_a_new_document_replaces_tells_a_stranger_nothing(
    stranger: ApiClient, workspace: Workspace, add: Add, bob: User
) -> None:
    document = add("secret cobalt", "secret.txt")
    file = store(bob, "other words", "mine.txt")

    def asked(**params: Any) -> Any:
        answer = stranger.send("/jobs", {"source": "documents", "params": {"file": file, **params}})
        assert_problem(answer, 404, "not_found")
        return without_id(answer)

    answers = [
        asked(workspace=workspace.pk, replaces=document.pk),
        asked(workspace=workspace.pk, replaces=999_999),
        asked(workspace=999_999, replaces=document.pk),
    ]
    assert answers[0] == answers[1] == answers[2]
    assert asked(replaces=document.pk) == asked(replaces=999_999)


def test_the_sample_is_five_documents_in_five_formats_that_are_found(alice: User, counting: Counting) -> None:
    told = json.loads(run("sample", "--json").splitlines()[-1])
    assert len(told["jobs"]) == 6
    for pk in told["jobs"]:
        assert resume_inline(Job.objects.get(pk=pk)).state == State.COMPLETED
    workspace = Workspace.objects.get(pk=told["workspace"])
    assert (workspace.name, workspace.status, workspace.documents.count()) == (shelf.NAME, "ready", 5)
    assert len({name.rpartition(".")[2] for name in workspace.documents.values_list("name", flat=True)}) == 5
    assert not Document.objects.exclude(status="ready").exists()
    assert json.loads(run("sample", "--json").splitlines()[-1]) == {"workspace": workspace.pk, "jobs": []}
    text = run("search", workspace.pk, "smelters confirmed", "--format", "pdf", "--limit", 1)
    assert "searched 1 ready documents" in text and "audit-ostrava-q2.pdf, page 2" in text
    assert "smelters was last confirmed in 2023" in text  # the file's own letter is a ligature
    assert "board-minutes.html" in run("list", workspace.pk) and shelf.NAME in run("workspaces")


def test_the_command_refuses_in_words(workspace: Workspace, bob: User) -> None:
    for words, said in (
        (("search", 999, "x"), "There is no workspace 999"),
        (("search", workspace.pk, "x", "--limit", 99), "--limit must be 1-50."),
    ):
        with pytest.raises(CommandError, match=said):
            run(*words)
    with override_settings(PRODUCTION=True), pytest.raises(CommandError, match="Not in production"):
        run("sample")
