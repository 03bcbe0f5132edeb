"""A right that ends ends event streams and polls as it ends sockets; other sites' pages get neither."""

import asyncio

import pytest
from django.test import Client

from ingestion import tokens
from notifications import inbox
from realtime import limits
from realtime import publish as door
from tests.realtime.client import fresh_hub, heard, in_database
from tests.realtime.requests import Program, program_of
from tests.realtime.rows import make_job
from tests.realtime.test_guard import Browser, change_password, make_staff
from tests.realtime.test_http import present
from tests.realtime.test_origin import FOREIGN
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)

PUSH_SECONDS = 4.0  # a hang guard


@pytest.fixture(autouse=True)
def no_sweep(settings, monkeypatch):
    """Let nothing but a push end anything."""
    settings.SESSION_SWEEP_SECONDS = 3600
    monkeypatch.setattr(door, "_skip_until", 0.0)


def program(browser):
    return Program({"Cookie": browser.cookie})


async def status(client, *streams):
    return (await client.begin(*streams).done()).status


@pytest.mark.seed("SEC15")
async def test_signing_out_ends_event_streams_with_bye_and_the_next_request_is_401(alice):
    job = await in_database(make_job, alice)
    here, there = await in_database(Browser, alice), await in_database(Browser, alice)
    async with fresh_hub() as hub:
        await heard(hub)
        left = program(here)
        async with left.follow(job.stream) as stream, program(there).follow(job.stream) as other:
            await stream.event("state")
            await other.event("state")
            await in_database(here.client.post, "/signout/")
            async with asyncio.timeout(PUSH_SECONDS):
                bye = await stream.event("bye")
                await stream.done()
            assert bye == {"type": "bye", "code": "signed_out"}
            assert stream.events[-1][1] == "bye"
            assert not other.ended
        assert await status(left, job.stream) == 401
        assert await status(program(there), job.stream) == 200


@pytest.mark.seed("SEC59")
async def test_a_revoked_token_ends_its_event_stream_and_its_long_poll(alice):
    job = await in_database(make_job, alice)
    rows = [await in_database(tokens.create, alice, name) for name in "ab"]
    gone, stays = (Program({"Authorization": f"Bearer {token}"}) for _, token in rows)
    async with fresh_hub() as hub:
        await heard(hub)
        async with gone.follow(job.stream) as stream, stays.follow(job.stream) as other:
            await stream.event("state")
            await other.event("state")
            first = await gone.poll(job.stream)
            asked = gone.begin(job.stream, cursor=first["cursor"], wait=25)
            await until_async(present(hub, 3), what="the requests")
            await in_database(tokens.revoke, [rows[0][0]])
            async with asyncio.timeout(PUSH_SECONDS):
                await stream.event("bye")
                await stream.done()
                assert (await asked.done()).status == 401
            assert not other.ended
        assert await status(gone, job.stream) == 401
        assert await status(stays, job.stream) == 200


@pytest.mark.seed("SEC15")
async def test_signing_out_ends_a_long_poll_and_empties_its_seat(alice):
    job = await in_database(make_job, alice)
    browser = await in_database(Browser, alice)
    async with fresh_hub() as hub:
        await heard(hub)
        client = program(browser)
        first = await client.poll(job.stream)
        asked = client.begin(job.stream, cursor=first["cursor"], wait=25)
        await until_async(present(hub), what="the request")
        await in_database(browser.client.session.flush)
        async with asyncio.timeout(PUSH_SECONDS):
            assert (await asked.done()).status == 401
        assert await status(client, job.stream) == 401


@pytest.mark.seed("SEC15")
async def test_a_kept_seat_lets_nobody_in_after_the_sign_out(alice):
    """Between two polls nothing is open, and the seat knows the cookie."""
    job = await in_database(make_job, alice)
    browser = await in_database(Browser, alice)
    async with fresh_hub() as hub:
        await heard(hub)
        client = program(browser)
        await client.poll(job.stream)
        await in_database(browser.client.session.flush)

        async def refused():
            return await status(client, job.stream) == 401

        await until_async(refused, PUSH_SECONDS, "a refusal")


@pytest.mark.seed("SEC18")
async def test_after_a_change_of_password_only_the_new_cookie_polls(alice):
    await in_database(make_staff, alice)
    job = await in_database(make_job, alice)
    own, other = await in_database(Browser, alice), await in_database(Browser, alice)
    async with fresh_hub() as hub:
        await heard(hub)
        before, theirs = program(own), program(other)
        async with before.follow(job.stream) as stream:
            await stream.event("state")
            first = await before.poll(job.stream)
            await theirs.poll(job.stream)
            asked = before.begin(job.stream, cursor=first["cursor"], wait=25)
            await until_async(present(hub, 2), what="the requests")
            await in_database(change_password, own)

            async def refused():
                return await status(theirs, job.stream) == 401 == await status(before, job.stream)

            await until_async(refused, PUSH_SECONDS, "the old cookies' refusal")
            # The own page is not told that it is signed out: its poll ends, and the next has the new cookie.
            assert (await asked.done()).status == 200
            assert await status(program(own), job.stream) == 200
            assert not stream.ended


@pytest.mark.seed("SEC20")
async def test_a_withdrawn_stream_is_gone_over_http(alice, bob):
    job = await in_database(make_job, alice)
    await in_database(inbox.follow, bob, job.stream)
    async with fresh_hub() as hub:
        await heard(hub)
        client = await program_of(bob)
        async with client.follow(job.stream) as stream:
            await stream.event("state")
            first = await client.poll(job.stream)
            asked = client.begin(job.stream, cursor=first["cursor"], wait=25)
            await until_async(present(hub, 2), what="the requests")
            await in_database(inbox.unfollow, bob.pk, job.stream)
            async with asyncio.timeout(PUSH_SECONDS):
                assert (await stream.event("gone"))["stream"] == job.stream
                answer = await asked.done()
            assert b'"gone"' in answer.body and b'"state"' not in answer.body
        (frame,) = (await client.poll(job.stream))["frames"]
        assert frame == {"type": "gone", "stream": job.stream, "code": "not_found"}


@pytest.mark.seed("SEC21")
async def test_an_event_stream_does_not_outlive_its_turn(alice, monkeypatch):
    assert limits.TURN_SECONDS < limits.LIFETIME_SECONDS


@pytest.mark.seed("SEC1", "SEC3", "SEC4")
@pytest.mark.parametrize("foreign", FOREIGN)
async def test_a_page_of_another_site_gets_no_frames_over_http(alice, foreign):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        client = await program_of(alice)
        for accept in ("application/json", "text/event-stream"):
            answer = await client.begin(job.stream, headers={"Origin": foreign, "Accept": accept}).done()
            assert (answer.status, b"permission_denied" in answer.body) == (403, True)
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert hub.sockets == {}


async def test_our_own_page_and_a_program_elsewhere_do(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub():
        client = await program_of(alice)
        for own in ("http://testserver", "HTTP://TestServer:80"):
            assert (await client.begin(job.stream, headers={"Origin": own}).done()).status == 200
        anonymous = Program({"Origin": "https://evil.test"})
        assert (await anonymous.begin(job.stream).done()).status == 401


@pytest.mark.seed("SEC22", "SEC24")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_only_get_and_head_are_known_at_the_live_address(alice, method):
    client = Client()
    client.force_login(alice)
    answer = client.generic(method, "/api/live?stream=system")
    assert answer.status_code == (204 if method == "OPTIONS" else 405)
    assert {"GET", "HEAD"} <= set(answer["Allow"].split(", "))
