"""Who is let in, and what a client may do once it is."""

import json

import pytest

from ingestion import tokens
from ingestion.models import Job
from realtime import limits
from realtime.limits import Close
from tests.realtime.client import connect, fresh_hub, in_database, session, wire_of
from tests.realtime.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)


async def code_of(*args, **kwargs):
    async with fresh_hub():
        wire = await connect(*args, **kwargs)
        code = await wire.closed()
        assert wire.frames == []
        await wire.leave()
        return code


@pytest.mark.seed("SEC5")
async def test_without_a_session_it_says_4401_and_nothing_else():
    assert await code_of() == Close.SIGNED_OUT


@pytest.mark.parametrize(
    "value", ["x", "", "a" * 32, "A" * 10_000, "' OR 1=1 --", "a" * 40 + "%00", "é" * 20], ids=ascii
)
async def test_a_cookie_that_is_no_session_is_4401(value):
    assert await code_of(f"sessionid={value}") == Close.SIGNED_OUT


async def test_a_deactivated_user_is_4401(alice):
    cookie, csrf = await in_database(session, alice)
    alice.is_active = False
    await in_database(alice.save, update_fields=["is_active"])

    assert await code_of(cookie, csrf) == Close.SIGNED_OUT


@pytest.mark.parametrize("path", ["/ws/", "/ws/v9/", "/ws/live", "/ws/live/extra", "/", "/api/live"])
async def test_any_other_path_is_4404(path):
    assert await code_of(path=path, origin=None) == Close.NO_SUCH_PATH


@pytest.mark.seed("SEC6")
@pytest.mark.parametrize(
    "csrf", [None, "", "wrong", "b" * 32, "x" * 10_000, 7, ["a" * 32]], ids=lambda v: ascii(v)[:20]
)
async def test_a_wrong_csrf_token_is_4403(alice, csrf):
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.say({"type": "hello", "csrf": csrf, "streams": []})
        assert await wire.closed() == Close.FORBIDDEN
        assert wire.frames == []


async def test_a_page_with_the_masked_token_of_its_form_is_let_in(alice):
    from django.middleware.csrf import _mask_cipher_secret

    async with fresh_hub(), wire_of(alice) as wire:
        wire.csrf = _mask_cipher_secret("a" * 32)
        assert (await wire.hello())["type"] == "welcome"


async def test_a_token_without_a_cookie_needs_neither_origin_nor_csrf(alice):
    job = await in_database(make_job, alice)
    _, token = await in_database(tokens.create, alice, "t")
    async with fresh_hub():
        wire = await connect(origin=None, headers=[(b"authorization", f"Bearer {token}".encode())])
        await wire.say({"type": "hello", "streams": [job.stream]})
        assert (await wire.next("state"))["version"] == 1
        await wire.leave()


@pytest.mark.parametrize(
    "header", ["Bearer nonsense", "Bearer ", "Basic YTpi", "Bearer \xe9", "Bearer " + "x" * 9000]
)
async def test_a_wrong_token_is_4401(header):
    headers = [(b"authorization", header.encode("latin-1"))]

    assert await code_of(origin=None, headers=headers) == Close.SIGNED_OUT


async def test_no_hello_in_time_is_4408(alice, monkeypatch):
    monkeypatch.setattr(limits, "HELLO_SECONDS", 0.2)
    async with fresh_hub(), wire_of(alice) as wire:
        assert await wire.closed() == Close.HELLO_TIMEOUT


async def test_a_version_that_we_do_not_speak_is_4426(alice):
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.say({"type": "hello", "v": 2, "csrf": wire.csrf, "streams": []})
        assert await wire.closed() == Close.UPGRADE


async def test_hello_comes_first_and_once(alice):
    """WS2, WS3: each is a strike."""
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.say({"type": "subscribe", "id": 4, "streams": []})
        error = await wire.next("error")
        assert (error["code"], error["id"]) == ("hello_first", 4)
        await wire.hello()
        await wire.say({"type": "hello", "csrf": wire.csrf})
        assert (await wire.next("error"))["code"] == "already_hello"
        await wire.say({"type": "hello", "csrf": wire.csrf})
        assert await wire.closed() == Close.BAD_FRAMES


async def test_a_hello_without_streams_and_ids_is_welcome(alice):
    """WS40, WS45: who names no id is answered without one."""
    job = await in_database(make_job, alice)
    async with fresh_hub(), wire_of(alice) as wire:
        assert "id" not in await wire.hello()
        await wire.say({"type": "subscribe", "streams": [job.stream]})
        assert "id" not in await wire.next("state", "error")


async def test_a_binary_frame_is_1003(alice):
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello()
        await wire.communicator.send_to(bytes_data=b"x")
        assert await wire.closed() == Close.BINARY


async def test_three_malformed_frames_are_4400_and_each_is_answered(alice):
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello()
        for _ in range(3):
            await wire.say("{")
        assert await wire.closed() == Close.BAD_FRAMES
    assert [frame["code"] for frame in wire.frames if frame["type"] == "error"] == ["bad_frame"] * 3


@pytest.mark.seed("SEC63")
@pytest.mark.parametrize(
    "kinds",
    [
        [{"type": "ack", "versions": {"job:x": 1}}],
        [
            {"type": "ack"},
            {"type": "subscribe", "streams": []},
            {"type": "unsubscribe", "streams": ["job:x"]},
        ],
    ],
    ids=["WS64 acks", "WS65 mixed"],
)
async def test_the_61st_frame_in_10_seconds_is_4529(alice, kinds):
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello()
        for number in range(limits.FRAMES - 1):
            await wire.say(kinds[number % len(kinds)])
        await wire.say({"type": "ack", "id": 1})  # the 61st, hello among them
        assert await wire.closed() == Close.TOO_MANY
    assert not [frame for frame in wire.frames if frame["type"] == "beat"]


@pytest.mark.seed("SEC63")
async def test_the_101st_stream_is_one_too_many_and_changes_nothing(alice):
    jobs = await in_database(lambda: [make_job(alice).stream for _ in range(101)])
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello(*jobs[:50])
        await wire.say({"type": "subscribe", "streams": jobs[50:100]})
        for _ in range(100):
            await wire.next("state")
        await wire.say({"type": "subscribe", "id": 9, "streams": jobs[100:]})
        error = await wire.next("error", "state")
        assert (error["type"], error["code"], error["id"]) == ("error", "too_many_streams", 9)
        await wire.say({"type": "unsubscribe", "streams": jobs[:1]})
        await wire.say({"type": "subscribe", "streams": jobs[100:]})
        assert (await wire.next("state", "error"))["stream"] == jobs[100]


async def test_a_stream_asked_for_twice_is_sent_again_from_the_given_cursor(alice):
    """WS47: one state for two in one frame. WS48."""
    job = await in_database(make_job, alice)
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello(job.stream, job.stream)
        first = await wire.next("state")
        cursor = {"stream": job.stream, "epoch": first["epoch"], "version": 1}
        await wire.say({"type": "subscribe", "id": 5, "streams": [cursor]})
        again = await wire.next("state", "change")
        assert (again["type"], again["from"], again["version"], again["id"]) == ("change", 1, 1, 5)
    assert [frame["type"] for frame in wire.frames] == ["welcome", "state", "change"]


async def test_an_unsubscribed_stream_is_silent_and_unknown_ones_are_ignored(alice):
    """WS58."""
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub, wire_of(alice) as wire:
        await wire.hello(job.stream)
        await wire.next("state")
        await wire.say({"type": "unsubscribe", "streams": [job.stream, "job:x", ""]})
        await wire.say({"type": "ack", "id": 1})
        assert (await wire.next("beat"))["versions"] == {}
        assert hub.watched == {}


async def test_an_ack_with_an_id_is_answered_with_a_beat(alice):
    """WS60, WS62."""
    job = await in_database(make_job, alice, version=4)
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello(job.stream)
        await wire.next("state")
        await wire.say({"type": "ack", "id": 8, "versions": {job.stream: 99, "job:x": 1}})
        beat = await wire.next("beat")
        assert (beat["id"], beat["stale"], beat["versions"]) == (8, False, {job.stream: 4})


async def test_a_quiet_socket_hears_a_beat(alice, settings):
    settings.WS_HEARTBEAT_SECONDS = 1
    async with fresh_hub(), wire_of(alice) as wire:
        await wire.hello()
        assert (await wire.next("beat"))["versions"] == {}


async def test_a_stranger_cannot_tell_a_foreign_job_from_none(alice, bob):
    job = await in_database(make_job, alice)
    async with fresh_hub(), wire_of(bob) as wire:
        await wire.hello(job.stream)
        here = await wire.next("gone")
        await in_database(Job.objects.all().delete)
        await wire.say({"type": "subscribe", "streams": [job.stream]})
        assert json.dumps(await wire.next("gone")) == json.dumps(here)
