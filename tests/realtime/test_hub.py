"""What viewers are told, against the real application, database and Redis."""

import asyncio
import json
import threading
from dataclasses import replace

import pytest
from django.db.models import F

from ingestion.models import Job, JobEvent
from notifications import inbox
from realtime import epoch, limits
from realtime import publish as door
from realtime.limits import Close
from realtime.models import Epoch
from realtime.streams import kind_of, register
from tests.realtime.client import connect, counted, fresh_hub, in_database, session, wire_of
from tests.realtime.noise import noise
from tests.realtime.rows import make_job
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def no_hints(monkeypatch):
    monkeypatch.setattr(door, "_send", lambda *hint: None)


def move(job, **values):
    """Change a row as the engine does: one UPDATE with the version, then the hint."""
    Job.objects.filter(pk=job.pk).update(version=F("version") + 1, **values)
    version = Job.objects.values_list("version", flat=True).get(pk=job.pk)
    door.publish(job.stream, version)
    return version


def end(job):
    from django.utils import timezone

    return move(
        job,
        state="completed",
        lease_token=None,
        lease_until=None,
        finished_at=timezone.now(),
    )


async def test_a_newcomer_is_told_everything(alice):
    job = await in_database(make_job, alice, version=7)
    await in_database(JobEvent.objects.create, job=job, version=7, kind="started", message="Started")
    async with fresh_hub(), wire_of(alice) as wire:
        welcome = await wire.hello(job.stream, id=3)
        state = await wire.next("state")

    assert (welcome["v"], welcome["id"], welcome["beat_ms"]) == (1, 3, 20_000)
    assert (state["stream"], state["version"], state["why"], state["id"]) == (job.stream, 7, "new", 3)
    assert state["data"]["title"] == "Test"
    assert [event["message"] for event in state["events"]] == ["Started"]


async def test_a_change_says_only_what_differs(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello(job.stream)
        await wire.next("state")
        await in_database(move, job, message="Half", progress=0.5)
        change = await wire.next("change")

    assert (change["from"], change["version"]) == (1, 2)
    assert change["data"] == {"message": "Half", "progress": 0.5, "version": 2}


async def test_a_hint_is_heard(alice, monkeypatch):
    monkeypatch.setattr(limits, "CHECK_SECONDS", 60)
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello(job.stream)
        await wire.next("state")
        await until_async(joined(hub, job.stream), what="the group")
        await in_database(move, job, message="Heard")
        await wire.next("change")
        assert hub.counts["hints"] == 1


def joined(hub, stream):
    async def look():
        return stream in hub.watching.hints._joined

    return look


async def test_without_hints_the_position_check_brings_every_change(alice, no_hints):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello(job.stream)
        await wire.next("state")
        await in_database(move, job, message="Found")
        assert (await wire.next("change"))["data"]["message"] == "Found"
        assert hub.counts["hints_lost"] == 1


async def test_a_stream_that_is_being_read_does_not_count_as_lost(alice, monkeypatch):
    monkeypatch.setattr(limits, "CHECK_SECONDS", 0.05)
    going, checks = threading.Event(), []
    with noise() as streams:
        name = streams.make("a", n=1)
        kind = kind_of(name)[0]
        read, versions = kind.read, kind.versions

        def slow(since):
            going.wait(8)
            return read(since)

        def counted(keys):
            checks.append(1)
            return versions(keys)

        async with fresh_hub() as hub, wire_of(alice) as wire:
            await wire.hello(name)
            await wire.next("state")
            register(replace(kind, read=slow, versions=counted))
            hub.watched[name].kind = kind_of(name)[0]
            streams.move(hub, "a", n=2)

            async def looked():
                return len(checks) >= 4

            await until_async(looked, what="checks during the read")
            going.set()
            assert (await wire.next("change"))["version"] == 2
            assert (hub.counts["hints_lost"], hub.counts["position_repairs"]) == (0, 0)


async def test_the_end_is_said_with_its_state_and_then_nothing_is_watched(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello(job.stream)
        await wire.next("state")
        await in_database(end, job)
        change, final = await wire.next(), await wire.next()

        assert (change["type"], change["data"]["state"]) == ("change", "completed")
        assert (final["type"], final["version"], final["data"]["state"]) == ("end", 2, "completed")
        await until_async(nothing_watched(hub), what="the stream to be left")


def nothing_watched(hub):
    async def look():
        return not hub.watched and not hub.watching._moved

    return look


async def test_a_finished_job_is_state_and_end(alice):
    """WS57."""
    job = await in_database(make_job, alice, state="failed")
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello(job.stream)
        assert [(await wire.next())["type"], (await wire.next())["type"]] == ["state", "end"]


@pytest.mark.seed("SEC8")
async def test_foreign_and_unknown_streams_are_gone_in_the_same_words(alice, bob):
    """WS50."""
    job = await in_database(make_job, alice)
    unknown = f"job:{'0' * 8}-0000-7000-8000-{'0' * 12}"
    async with fresh_hub(), wire_of(bob) as wire:
        await wire.hello(job.stream, unknown)
        first, second = await wire.next("gone"), await wire.next("gone")

    assert {first["stream"], second["stream"]} == {job.stream, unknown}
    assert json.dumps(first).replace(first["stream"], "") == json.dumps(second).replace(second["stream"], "")


@pytest.mark.seed("SEC9")
async def test_odd_and_foreign_names_are_gone(alice, bob):
    """WS49, WS51, WS69."""
    job = await in_database(make_job, bob)
    names = [
        "job:",
        "job:123",
        "job:../x",
        "JOB:x",
        "x" * 300,
        "",
        "user:0",
        "user:-1",
        "user:7e0",
        "job:\u202e",
        job.stream.upper(),
        f"JOB:{job.pk}",
        f"job:{job.pk}\u200b",
        f"job:\u202e{job.pk}",
        f"job:{str(job.pk).replace('0', chr(0xFF10))}",
        f"job:{{{job.pk}}}",
        f"job:{job.pk.hex}",
    ]
    names += [f"user:{alice.pk}", "\x00", "systems", ":", "user:" + "9" * 40]
    async with fresh_hub(), wire_of(bob) as wire:
        await wire.hello(*names)
        gone = {(await wire.next("gone"))["stream"] for _ in names}

    assert gone == set(names)


async def test_a_deleted_job_is_gone(alice):
    """WS56."""
    job = await in_database(make_job, alice)
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello(job.stream)
        await wire.next("state")
        stream = job.stream
        await in_database(job.delete)
        assert (await wire.next("gone"))["code"] == "not_found"
        await wire.say({"type": "subscribe", "id": 2, "streams": [stream]})
        assert (await wire.next("gone", "state"))["id"] == 2


async def test_an_equal_cursor_is_told_that_it_is_current(alice):
    job = await in_database(make_job, alice, version=5)
    stands = await in_database(epoch.current)
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello({"stream": job.stream, "epoch": stands, "version": 5}, id=1)
        change = await wire.next("state", "change")

    assert (change["type"], change["from"], change["version"], change["data"]) == ("change", 5, 5, {})


async def test_a_cursor_from_before_gets_the_state_with_the_events_since(alice):
    job = await in_database(make_job, alice, version=9)
    events = [JobEvent(job=job, version=v, kind="log", message=str(v)) for v in range(1, 10)]
    await in_database(JobEvent.objects.bulk_create, events)
    stands = await in_database(epoch.current)
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello({"stream": job.stream, "epoch": stands, "version": 6})
        state = await wire.next("state")

    assert (state["why"], [event["version"] for event in state["events"]]) == ("behind", [7, 8, 9])


@pytest.mark.parametrize(
    ("cursor", "why"),
    [
        ({"epoch": 7, "version": 1}, "epoch"),  # WS53
        ({"epoch": "", "version": 1}, "epoch"),
        ({"epoch": "x" * 200, "version": 1}, "epoch"),
        ({"version": -1}, "gap"),  # WS54
        ({"version": 1.5}, "gap"),
        ({"version": "5"}, "gap"),
        ({"version": True}, "gap"),
        ({"version": 2**63}, "gap"),
        ({"version": 99}, "gap"),  # WS55
        ({"version": None}, "new"),
    ],
    ids=str,
)
async def test_a_cursor_that_fits_nothing_gets_a_state_with_the_last_events(alice, cursor, why):
    job = await in_database(make_job, alice, version=3)
    await in_database(JobEvent.objects.create, job=job, version=3, kind="log", message="x")
    stands = await in_database(epoch.current)
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello({"stream": job.stream, "epoch": stands, **cursor})
        state = await wire.next("state")

    assert (state["why"], state["version"], len(state["events"])) == (why, 3, 1)
    assert hub.counts["cursor_ahead"] == (cursor.get("version") == 99)


async def test_a_users_stream_moves_when_the_inbox_is_touched(alice):
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello(f"user:{alice.pk}")
        assert (await wire.next("state"))["version"] == 0
        await in_database(make_job, alice)
        await in_database(inbox.touch, [alice.pk])
        assert (await wire.next("change"))["data"]["jobs"]["active"] == 1


async def test_a_version_that_went_back_raises_the_epoch_and_tells_everybody_afresh(alice, no_hints):
    job = await in_database(make_job, alice, version=50)
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello(job.stream)
        before = await wire.next("state")
        await in_database(Job.objects.filter(pk=job.pk).update, version=20)
        after = await wire.next("state")

    assert (after["version"], after["why"]) == (20, "epoch")
    assert after["epoch"] != before["epoch"]
    assert (await in_database(Epoch.objects.get)).value == after["epoch"]


async def test_an_epoch_raised_elsewhere_is_seen(alice, no_hints):
    job = await in_database(make_job, alice)
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello(job.stream)
        before = await wire.next("state")
        await in_database(epoch.raise_from, before["epoch"])
        assert (await wire.next("state"))["epoch"] != before["epoch"]


@pytest.mark.seed("SEC70")
async def test_what_was_read_before_a_restore_is_not_told_as_of_after_it(alice, monkeypatch, caplog):
    monkeypatch.setattr(limits, "CHECK_SECONDS", 0.05)
    reading, going = threading.Event(), threading.Event()
    with noise() as streams:
        name = streams.make("a", from_the="past")
        kind = kind_of(name)[0]

        def slow(since):
            found = kind.read(since)
            reading.set()
            going.wait(8)
            return found

        register(replace(kind, read=slow))
        async with fresh_hub() as hub, wire_of(alice) as wire:
            await wire.hello(name)
            assert await asyncio.to_thread(reading.wait, 8)
            before = hub.watching.epoch
            streams.data["a"] = {"from_the": "backup"}  # of the same version
            await in_database(epoch.raise_from, before)

            async def raised():
                return hub.watching.epoch != before

            await until_async(raised, what="the new epoch")
            going.set()
            state = await wire.next("state")
    assert (state["data"], state["epoch"] != before) == ({"from_the": "backup"}, True)
    assert f"realtime epoch is now {state['epoch']}" in caplog.text


async def test_a_tick_costs_the_same_queries_for_one_viewer_and_for_fifteen(alice, no_hints, monkeypatch):
    monkeypatch.setattr(limits, "CHECK_SECONDS", 60)
    job = await in_database(make_job, alice)
    costs = []
    async with fresh_hub() as hub:
        wires = []
        for viewers in (1, 15):
            while len(wires) < viewers:
                wires.append(await connect(*await in_database(session, alice)))
                await wires[-1].hello(job.stream)
                await wires[-1].next("state")
            costs.append(await counted_read(hub, job, wires))
        for wire in wires:
            await wire.leave()

    assert costs[0] == costs[1] > 0


async def counted_read(hub, job, wires):
    """Move the job once; return the queries of the read that tells every wire."""
    version = await in_database(move, job, message="Go")
    async with counted(hub) as counts:
        hub.watching.hinted(job.stream, version, True)
        for wire in wires:
            await wire.next("change")
    return sum(counts)


async def test_the_21st_socket_of_a_user_closes_the_oldest(alice):
    async with fresh_hub():
        cookie, csrf = await in_database(session, alice)
        wires = []
        for _ in range(21):
            wires.append(await connect(cookie, csrf))
            await wires[-1].hello()
        assert await wires[0].closed() == Close.REPLACED
        for wire in wires:
            await wire.leave()


async def test_drain_tells_everybody_and_closes(alice):
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello()
        await hub.drain()
        drain = await wire.next("drain")
        assert 0 <= drain["after_ms"] < 5000
        assert await wire.closed() == Close.DRAINING


async def test_a_frame_after_drain_does_no_harm(alice):
    """WS67: what is said while the server closes is answered or not, and the close is 4503."""
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello()
        draining = asyncio.ensure_future(hub.drain())
        await wire.say({"type": "subscribe", "streams": [job.stream]})
        await wire.say({"type": "ack", "id": 1})
        assert await wire.closed() == Close.DRAINING
        await draining
    kinds = [frame["type"] for frame in wire.frames]
    assert "drain" in kinds and "error" not in kinds


@pytest.mark.seed("SEC57")
async def test_junk_in_redis_is_ignored(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello(job.stream)
        await wire.next("state")
        await until_async(joined(hub, job.stream), what="the group")
        name, layer = door._redis_channel(job.stream), door._layer()
        junk = [
            b"",
            b"\xc1",
            b"x" * 1_000_000,
            layer.serialize([1]),
            layer.serialize({"type": "websocket.close"}),
        ]
        for stream, version in [(7, 1), ("job:x", 1), (job.stream, "9")]:
            junk.append(layer.serialize({"type": "hint", "stream": stream, "version": version}))
        for message in junk:
            await in_database(door._redis().publish, name, message)
        await in_database(move, job, message="Still here")
        assert (await wire.next("change", "state", "gone"))["data"]["message"] == "Still here"
        assert hub.counts["hints_ignored"] == 1


async def test_who_leaves_and_asks_again_is_answered_as_asked_last(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello()
        ask, gate = hub.in_database, asyncio.Event()

        async def waiting(call, *args, **kwargs):
            if call.__name__ == "seen_by_each":
                await gate.wait()
            return await ask(call, *args, **kwargs)

        hub.in_database = waiting
        (viewer,) = hub.everybody()
        await wire.say({"type": "subscribe", "id": 1, "streams": [job.stream]})
        await until_async(names(viewer, "judging"), what="the first question")
        await wire.say({"type": "unsubscribe", "streams": [job.stream]})
        await wire.say({"type": "subscribe", "id": 2, "streams": [job.stream]})
        await until_async(names(viewer, "judging"), what="the second question")
        await asyncio.sleep(3 * limits.TICK)  # a tick that would take both for one
        gate.set()
        assert (await wire.next("state"))["id"] == 2


def names(viewer, where):
    async def look():
        return bool(getattr(viewer, where))

    return look
