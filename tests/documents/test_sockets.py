"""S3's socket: the owner hears of each status, in order, and nobody else."""

from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now

from ingestion.sources.documents import members
from ingestion.sources.documents.models import Document, Membership, Role, Workspace
from ingestion.sources.documents.sockets import Statuses
from ingestion.sources.documents.statuses import WorkspaceStatus, service
from ingestion.testing import run_inline
from realtime import streams
from realtime.frames import Ready
from realtime.plain_sockets import LISTENS
from tests.documents.conftest import Add
from tests.realtime.client import Wire, connect, fresh_hub, in_database, session

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def opened(user: Any) -> Any:
    cookie, _ = await in_database(session, user)
    wire = await connect(cookie, path="/ws/status/")
    try:
        await wire.next("beat")
        yield wire
    finally:
        await wire.leave()


async def until_ready(wire: Wire) -> list[dict[str, Any]]:
    """Return all that is told of documents until one is ready."""
    told: list[dict[str, Any]] = []
    while not told or told[-1]["message"]["status"] != "ready":
        told.append(await wire.next("document_status"))
    return told


@pytest.mark.seed("S3.1", "S3.29", "S3.30", "S3.31", "S3.33", "S3.46", "S3.47", "S3.48", "S3.59")
async def test_the_owner_hears_where_their_document_stands(
    add: Add, workspace: Workspace, alice: User, bob: User
) -> None:
    await in_database(members.add, workspace, bob, Role.EDITOR)
    async with fresh_hub(), opened(alice) as wire, opened(bob) as other:
        document = await in_database(add, "Otters cross the river.", "otters.txt")
        told = await until_ready(wire)
        assert told[-1] == {
            "type": "document_status",
            "routing_key": "document.status.updated",
            "user_id": alice.pk,
            "workspace_id": workspace.pk,
            "document_id": document.pk,
            "message": {
                "document_id": document.pk,
                "user_id": alice.pk,
                "workspace_id": workspace.pk,
                "status": "ready",
                "error": None,
                "chunk_count": 1,
                "filename": "otters.txt",
                "metadata": {"embedding_model": document.embedder, "pages": None},
            },
        }
        # Ticks skip what is over; what is told keeps the order.
        statuses = [one["message"]["status"] for one in told]
        order = ["pending", "processing", "ready"]
        assert statuses == [one for one in order if one in statuses]
        # A member hears of their own alone, and of that at once: nothing else came before it.
        mine = await in_database(add, "Badgers dig.", "badgers.txt", bob)
        heard = await until_ready(other)
        assert {one["document_id"] for one in heard} == {mine.pk}


async def test_what_has_gone_on_since_a_state_was_read_is_told_once(
    workspace: Workspace, alice: User, bob: User
) -> None:
    def stand(document: Document, status: str, error: str = "") -> Ready:
        Document.objects.filter(pk=document.pk).update(status=status, error=error)
        return state()

    def state() -> Ready:
        key = str(workspace.pk)
        reading = streams.kinds()["workspace"].read({key: None})[key]
        return Ready("", "change", workspace.stream, data=reading.data)

    def waits(n: int, who: User) -> Document:
        values: dict[str, Any] = {"name": f"{n}.txt", "size": 1, "sha256": f"{n:064}"}
        return Document.objects.create(workspace=workspace, added_by=who, **values)

    async with fresh_hub() as hub:
        feed = Statuses(alice, {})
        for frame in (Ready("", "state", f"user:{alice.pk}"), await in_database(state)):
            told = await feed.tell(hub, frame)
        assert told == [LISTENS]
        mine, theirs = await in_database(waits, 1, alice), await in_database(waits, 2, bob)
        frames = [
            await in_database(stand, theirs, "processing"),  # mine is pending
            await in_database(stand, mine, "processing"),
            await in_database(stand, mine, "failed", "It is damaged. " * 20),
        ]
        heard = [one for frame in frames for one in await feed.tell(hub, frame) or []]
        assert [one["message"]["status"] for one in heard] == ["failed"]
        # That the workspace itself stands elsewhere is told in the same way.
        await in_database(Workspace.objects.filter(pk=workspace.pk).update, status="error")
        late = await in_database(state)
        await in_database(Workspace.objects.filter(pk=workspace.pk).update, status="ready")
        assert await feed.tell(hub, late) == []
        told = await feed.tell(hub, await in_database(state))
        assert [(one["type"], one["message"]["status"]) for one in told] == [("workspace_status", "ready")]


@pytest.mark.seed("S3.23", "S3.31", "S3.33")
async def test_a_failure_is_told_with_its_words(add: Add, alice: User) -> None:
    async with fresh_hub(), opened(alice) as wire:
        await in_database(add, b"%PDF-1.7 and nothing else", "broken.pdf")
        while (told := await wire.next("document_status"))["message"]["status"] != "failed":
            pass
        stored = await in_database(Document.objects.get, name="broken.pdf")
        assert told["message"]["error"] == stored.error != ""


@pytest.mark.seed("S3.16", "S3.32")
async def test_who_made_a_workspace_hears_where_it_stands(alice: User) -> None:
    async with fresh_hub(), opened(alice) as wire:
        job = await in_database(run_inline, "workspaces", alice, name="Shelf")
        while (told := await wire.next("workspace_status"))["message"]["status"] != "ready":
            pass
        made = await in_database(Workspace.objects.get, job=job.pk)
        assert (told["routing_key"], told["user_id"]) == ("workspace.status.updated", alice.pk)
        assert told["message"]["workspace_id"] == told["workspace_id"] == made.pk


async def test_an_old_document_that_is_read_again_is_told_too(
    add: Add, workspace: Workspace, alice: User
) -> None:
    """The stream speaks of the 60 that moved last, not of the 60 newest."""
    old = await in_database(add, "The first of many.", "first.txt")
    rows = [
        Document(
            workspace=workspace, added_by=alice, name=f"{n}.txt", size=1, type="text/plain", sha256=f"{n:064}"
        )
        for n in range(61)
    ]
    await in_database(Document.objects.bulk_create, rows)
    async with fresh_hub(), opened(alice) as wire:
        await in_database(_again, old)
        told = await until_ready(wire)
        assert {one["document_id"] for one in told} == {old.pk}


async def test_of_more_documents_than_a_state_tells_each_that_moved_is_told_once(
    workspace: Workspace, alice: User, bob: User
) -> None:
    def stand(**values: Any) -> Ready:
        if values:
            Document.objects.filter(workspace=workspace).update(**values, moved_at=Now())
        key = str(workspace.pk)
        read = streams.kinds()["workspace"].read({key: None})
        return Ready("", "change", workspace.stream, data=read[key].data)

    def more(who: User, first: int, count: int) -> list[int]:
        rows = [
            Document(workspace=workspace, added_by=who, name=f"{n}.txt", size=1, sha256=f"{n:064}")
            for n in range(first, first + count)
        ]
        return [row.pk for row in Document.objects.bulk_create(rows)]

    def gone(pk: int) -> None:
        Document.objects.filter(pk=pk).delete()

    async with fresh_hub() as hub:
        feed = Statuses(alice, {})

        async def told(frame: Ready) -> list[tuple[int, str]]:
            said = await feed.tell(hub, frame) or []
            return sorted((one["document_id"], one["message"]["status"]) for one in said if one != LISTENS)

        for frame in (Ready("", "state", f"user:{alice.pk}"), await in_database(stand)):
            assert await told(frame) == []
        mine = await in_database(more, alice, 0, 150)
        await in_database(more, bob, 1000, 20)
        assert await told(await in_database(stand)) == [(pk, "pending") for pk in mine]
        assert await told(await in_database(stand)) == []
        moved = await in_database(stand, status="processing")
        assert await told(moved) == [(pk, "processing") for pk in mine]
        # What comes into a state because another went is no news.
        for pk in (mine[-1], mine[-2]):
            await in_database(gone, pk)
            assert await told(await in_database(stand)) == []
        late = await in_database(more, alice, 2000, 1)
        assert await told(await in_database(stand)) == [(late[0], "pending")]


async def test_those_are_told_too_whose_place_in_a_state_others_took_that_stand_as_before(
    workspace: Workspace, alice: User
) -> None:
    def made() -> list[int]:
        rows = [
            Document(workspace=workspace, added_by=alice, name=f"{n}.txt", size=1, sha256=f"{n:064}")
            for n in range(140)
        ]
        return [row.pk for row in Document.objects.bulk_create(rows)]

    def state(moved: list[int] | None = None, stepped: list[int] | None = None) -> Ready:
        Document.objects.filter(pk__in=moved or []).update(status="processing", moved_at=Now())
        Document.objects.filter(pk__in=stepped or []).update(stage="embed", moved_at=Now())
        read = streams.kinds()["workspace"].read({str(workspace.pk): None})
        return Ready("", "change", workspace.stream, data=read[str(workspace.pk)].data)

    async with fresh_hub() as hub:
        feed = Statuses(alice, {})
        pks = await in_database(made)
        await feed.tell(hub, Ready("", "state", f"user:{alice.pk}"))
        assert await feed.tell(hub, await in_database(state)) == [LISTENS]
        for moved, stepped in ((pks[:61], pks[-1:]), (pks[61:70], pks[-60:])):
            said = await feed.tell(hub, await in_database(state, moved, stepped)) or []
            told = sorted(one["document_id"] for one in said)
            assert [pk for pk in told if pk not in stepped] == moved
        assert not await feed.tell(hub, await in_database(state, None, pks[-60:]))


def _again(document: Document) -> None:
    run_inline("documents", document.added_by, document=document.pk)


async def test_who_has_more_workspaces_than_a_socket_follows_hears_of_the_newest(alice: User) -> None:
    newest = await in_database(_many, alice)
    async with fresh_hub(), opened(alice) as wire:
        await in_database(service.update_workspace_status, newest.pk, WorkspaceStatus.READY)
        told = await wire.next("workspace_status")
        assert (told["workspace_id"], told["message"]["status"]) == (newest.pk, "ready")


def _many(user: User) -> Workspace:
    made = Workspace.objects.bulk_create(Workspace(name=f"{n}", created_by=user) for n in range(120))
    rows = [Membership(workspace=one, user=user, role=Role.OWNER) for one in made]
    Membership.objects.bulk_create(rows)
    return made[-1]
