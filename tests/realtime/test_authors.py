"""An app of its own declares a kind in three functions and has every transport."""

import json
import re
from pathlib import Path

import pytest

from ingestion import lifecycle
from ingestion.source import SourceError
from realtime import limits
from realtime.patch import apply
from tests.demo import streams as demo
from tests.demo.models import Shelf
from tests.ingestion.test_run import running
from tests.realtime.client import fresh_hub, in_database, wire_of
from tests.realtime.requests import program_of
from tests.realtime.test_hub import joined
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parent.parent.parent


def put_on(shelf, alice, *, fails=False):
    """Do as a source does: rename the shelf inside an item, which commits both or neither."""
    run = running(lifecycle.create("ping", {}, owner=alice).job)
    with run.step("work") as step:
        for item in step.items([0], key=str):
            with item:
                Shelf.objects.filter(pk=shelf.pk).update(name="full")
                run.changed(shelf)
                if fails:
                    raise SourceError("no", "No.")


@pytest.mark.seed("S0.33")
async def test_a_kind_of_three_functions_is_on_all_transports(alice, bob, monkeypatch):
    monkeypatch.setattr(limits, "CHECK_SECONDS", 60)  # so that only the hint of `changed` can bring it
    shelf = await in_database(Shelf.objects.create, name="empty")
    async with fresh_hub() as hub, wire_of(bob) as wire:
        program = await program_of(bob)
        await wire.hello(shelf.stream)
        state = await wire.next("state")
        first = await program.poll(shelf.stream)
        asked = program.begin(shelf.stream, cursor=first["cursor"], wait=25)
        async with program.follow(shelf.stream) as stream:
            await stream.event("state")
            await until_async(viewers(hub, shelf.stream, 3), what="all three")
            await until_async(joined(hub, shelf.stream), what="the group")
            await in_database(put_on, shelf, alice)
            changes = [
                await wire.next("change"),
                await stream.event("change"),
                *json.loads((await asked.done()).body)["frames"],
            ]

    assert (state["data"], state["version"]) == ({"name": "empty"}, 1)
    assert first["frames"] == [state]
    assert changes[0] == changes[1] == changes[2]
    assert (changes[0]["from"], changes[0]["version"]) == (1, 2)
    assert apply(state["data"], changes[0]["data"]) == {"name": "full"}


def viewers(hub, name, count):
    async def look():
        return len(hub.watched[name].viewers) == count

    return look


async def test_what_is_rolled_back_moves_no_page(alice, monkeypatch):
    shelf = await in_database(Shelf.objects.create, name="empty")
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello(shelf.stream)
        await wire.next("state")
        await in_database(put_on, shelf, alice, fails=True)
        await in_database(put_on, shelf, alice)
        assert (await wire.next("change"))["version"] == 2
        assert hub.watched[shelf.stream].copy.version == 2


async def test_a_deleted_row_is_gone(alice):
    shelf = await in_database(Shelf.objects.create, name="empty")
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello(shelf.stream, f"{shelf.stream}0", "shelf:x", "shelf:01")
        await wire.next("state")
        await in_database(shelf.delete)
        await until_async(all_gone(wire, 4), what="four times gone")


def all_gone(wire, count):
    async def look():
        await wire.next("gone")
        return len([frame for frame in wire.frames if frame["type"] == "gone"]) == count

    return look


def test_the_document_is_what_the_demo_does():
    """The three functions in docs/streams.md are those that the tests above ran."""
    text = (ROOT / "docs" / "streams.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.S))
    for function in (demo.visible, demo.versions, demo.read):
        body = Path(demo.__file__).read_text().split(f"def {function.__name__}(")[1].split('"""\n', 2)[-1]
        for line in body.split("\n\n\n")[0].strip().splitlines():
            assert line.strip().replace("tests.demo", "shelves") in code, line
