"""GET /api/live: the same frames as JSON and as an event stream."""

import asyncio
import json
import threading

import pytest
from django.db import connection

from config.problems import Problem
from ingestion import tokens
from ingestion.models import Job
from realtime import limits
from realtime.rates import Rates
from tests.realtime import rows
from tests.realtime.client import PATIENCE, counted, fresh_hub, in_database
from tests.realtime.requests import Exchange, Program, program_of
from tests.realtime.rows import make_job
from tests.realtime.test_hub import end, move
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)


async def test_json_says_everything_and_then_only_what_is_new(alice):
    job = await in_database(make_job, alice, version=7)
    async with fresh_hub():
        program = await program_of(alice)
        first = await program.poll(job.stream)
        again = await program.poll(job.stream, cursor=first["cursor"])
        await in_database(move, job, message="Half")

        async def moved():
            return (await program.poll(job.stream, cursor=first["cursor"]))["frames"]

        (state,) = await until_async(moved, what="the news")

    assert [frame["type"] for frame in first["frames"]] == ["state"]
    assert first["cursor"] == f"{first['frames'][0]['epoch']}~{job.stream}=7"
    assert first["poll_after_ms"] == limits.POLL_MS
    assert (again["frames"], again["cursor"]) == ([], first["cursor"])
    assert (state["why"], state["version"], state["data"]["message"]) == ("behind", 8, "Half")


async def test_an_unchanged_answer_costs_no_query(alice, monkeypatch):
    monkeypatch.setattr(limits, "CHECK_SECONDS", 60)
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        program = await program_of(alice)
        first = await program.poll(job.stream)
        asked = []
        hub.database.ask = lambda call, *args: asked.append(call)
        for _ in range(3):
            assert (await program.poll(job.stream, cursor=first["cursor"]))["frames"] == []
        assert asked == []


async def test_a_long_poll_is_answered_by_the_change(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        program = await program_of(alice)
        first = await program.poll(job.stream)
        asked = program.begin(job.stream, cursor=first["cursor"], wait=25)
        await until_async(present(hub), what="the request")
        await in_database(move, job, message="Now")
        answer = json.loads((await asked.done()).body)

    (change,) = answer["frames"]
    assert (change["type"], change["from"], change["data"]["message"]) == ("change", 1, "Now")
    assert answer["poll_after_ms"] == 0
    assert answer["cursor"].endswith(f"{job.stream}=2")


def present(hub, count=1):
    async def look():
        return hub.seats.present.total() == count

    return look


async def test_a_long_poll_without_news_says_so_in_time(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        program = await program_of(alice)
        first = await program.poll(job.stream)
        assert (await program.poll(job.stream, cursor=first["cursor"], wait=1))["frames"] == []
        assert hub.seats.present.total() == 0


async def test_long_polls_hold_no_connection_and_no_thread_and_end_with_their_client(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        program = await program_of(alice)
        first = await program.poll(job.stream)
        asked = [program.begin(job.stream, cursor=first["cursor"], wait=25) for _ in range(16)]
        await until_async(present(hub, 16), what="the requests")

        async def quiet():
            # The one that asks, and one for a position check that happens to run.
            return await in_database(sessions) <= 2

        await until_async(quiet, what="no session for those who wait")
        assert threading.active_count() <= limits.READERS + OTHER_THREADS
        for exchange in asked:
            await exchange.leave()
        assert hub.seats.present.total() == 0
        assert {exchange.status for exchange in asked} == {0}


OTHER_THREADS = 8  # the test's own, and those of asgiref's pools


def sessions():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return cursor.fetchone()[0]


async def test_events_tell_the_state_the_changes_and_the_end(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        program = await program_of(alice)
        async with program.follow(job.stream) as stream:
            state = await stream.event("state")
            await in_database(move, job, message="Half")
            change = await stream.event("change")
            await in_database(end, job)
            final = await stream.event("end")
            await stream.done()
        assert hub.watched == {} and hub.sockets == {}

    assert stream.body.startswith(b"retry: 2000\n\n")
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (state["why"], change["from"], final["data"]["state"]) == ("new", 1, "completed")
    assert stream.events[-1][0].endswith(f"{job.stream}=3")
    assert {name: stream.headers[name] for name in ("cache-control", "x-accel-buffering")} == {
        "cache-control": "no-store",
        "x-accel-buffering": "no",
    }


async def test_last_event_id_resumes_and_the_end_of_all_is_204(alice):
    job = await in_database(make_job, alice, version=4)
    async with fresh_hub():
        program = await program_of(alice)
        async with program.follow(job.stream) as stream:
            await stream.event("state")
        last = stream.events[-1][0]
        await in_database(move, job, message="Meanwhile")
        async with program.follow(job.stream, last=last) as stream:
            assert (await stream.event("state"))["why"] == "behind"
        async with program.follow(job.stream, last=stream.events[-1][0]) as stream:
            assert (await stream.event("change"))["data"] == {}
            await in_database(end, job)
            await stream.event("end")
            await stream.done()
        over = stream.events[-1][0]
        async with program.follow(job.stream, last=over) as stream:
            assert (await stream.done()).status == 204


@pytest.mark.parametrize(
    "last",
    ["garbage; %%", "x" * 10_240, "e~a=1\rx", "e~" + "a" * 10_240 + "=1", "\xff"],
    ids=lambda v: ascii(v)[:20],
)
async def test_a_last_event_id_that_is_none_counts_as_absent(alice, last):
    """API75."""
    job = await in_database(make_job, alice)
    async with fresh_hub():
        program = await program_of(alice)
        async with program.follow(job.stream, last=last) as stream:
            assert (await stream.event("state"))["why"] == "new"


async def test_a_turn_ends_the_answer_and_the_next_goes_on(alice, monkeypatch):
    monkeypatch.setattr(limits, "TURN_SECONDS", 0.3)
    monkeypatch.setattr(limits, "ANSWER_SECONDS", 0.2)
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        program = await program_of(alice)
        async with asyncio.timeout(PATIENCE):
            while not (stream := await a_turn(program, job)).events:
                assert stream.ended  # on a busy machine a turn may be over before anything was said
        assert stream.ended and [kind for _, kind, _ in stream.events] == ["state"]
        assert hub.sockets == {}


async def a_turn(program, job):
    return await program.begin(job.stream, headers={"Accept": "text/event-stream"}).done()


async def test_a_quiet_event_stream_hears_a_beat(alice, settings):
    settings.WS_HEARTBEAT_SECONDS = 1
    job = await in_database(make_job, alice)
    async with fresh_hub():
        program = await program_of(alice)
        async with program.follow(job.stream) as stream:
            assert (await stream.event("beat"))["versions"] == {job.stream: 1}


@pytest.mark.seed("SEC8")
async def test_what_may_not_be_seen_is_gone(alice, bob):
    """API74: somebody else's, whatever its kind."""
    job = await in_database(make_job, alice)
    names = [job.stream, f"user:{alice.pk}", "job:x", "nonsense", "", "x" * 300, "job:\x00", "a,b=c~d"]
    async with fresh_hub():
        answer = await (await program_of(bob)).poll(*names)

    assert {(frame["type"], frame["stream"]) for frame in answer["frames"]} == {("gone", n) for n in names}
    assert (answer["cursor"], answer["poll_after_ms"]) == ("", None)


async def test_a_token_does_as_well_and_a_wrong_one_does_not(alice):
    job = await in_database(make_job, alice)
    _, token = await in_database(tokens.create, alice, "t")
    async with fresh_hub():
        assert (await Program({"Authorization": f"Bearer {token}"}).poll(job.stream))["frames"]
        for headers in ({}, {"Authorization": "Bearer x"}, {"Cookie": "sessionid=" + "a" * 32}):
            for accept in ("*/*", "text/event-stream"):
                exchange = await Exchange({"stream": job.stream}, headers | {"Accept": accept}).done()
                assert_problem(exchange, 401, "auth_required")
                assert "www-authenticate" in exchange.headers


def assert_problem(exchange, status, code):
    body = json.loads(exchange.body)
    assert (exchange.status, body["code"], body["status"]) == (status, code, status)
    assert set(body) == {"type", "title", "status", "code", "detail", "request_id"}
    assert exchange.headers["content-type"] == "application/problem+json"
    assert exchange.headers["x-request-id"] == body["request_id"]
    assert "access-control-allow-origin" not in exchange.headers


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "bad_parameter"),
        ("stream=a&" * 51, "bad_parameter"),
        ("stream=a&" * 500, "bad_parameter"),
        ("stream=%ff", "bad_parameter"),
        ("stream=a&wait=26", "bad_parameter"),
        ("stream=a&wait=-1", "bad_parameter"),
        ("stream=a&wait=1.5", "bad_parameter"),
        ("stream=a&wait=", "bad_parameter"),
        ("stream=a&wait=1&wait=2", "bad_parameter"),
        ("stream=a&cursor=garbage", "bad_cursor"),
        ("stream=a&cursor=e~a", "bad_cursor"),
        ("stream=a&cursor=e~a=-1", "bad_cursor"),
        ("stream=a&cursor=e~a=" + "9" * 30, "bad_cursor"),
        ("stream=a&cursor=~a=1", "bad_cursor"),
        ("stream=a&cursor=e~" + "a" * 9000 + "=1", "bad_cursor"),
        ("stream=a&filter=x", "unknown_filter"),
        ("stream=a&token=x", "token_in_url"),
    ],
    ids=lambda value: value[:30],
)
async def test_a_bad_request_is_refused_in_one_shape(alice, query, code):
    """API74."""
    async with fresh_hub():
        program = await program_of(alice)
        assert_problem(await Exchange(query, program.headers).done(), 400, code)


@pytest.mark.parametrize("cursor", ["e~{}=1", "{}~{}=99", "zzzz~{}=1,other=2"])
async def test_a_cursor_that_fits_nothing_gets_everything(alice, cursor):
    job = await in_database(make_job, alice, version=3)
    async with fresh_hub():
        program = await program_of(alice)
        first = await program.poll(job.stream)
        epoch = first["frames"][0]["epoch"]
        text = cursor.format(*([epoch] if cursor.startswith("{}") else []), job.stream)
        (state,) = (await program.poll(job.stream, cursor=text))["frames"]

    assert (state["type"], state["version"], state["why"]) == (
        "state",
        3,
        "gap" if epoch in text else "epoch",
    )


async def test_a_host_that_is_not_ours_and_a_body_are_refused(alice):
    """API76: JSON and event streams are all it speaks."""
    async with fresh_hub():
        program = await program_of(alice)
        for headers in ({"Host": "evil.test"}, {"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}):
            lower = {name.lower(): value for name, value in headers.items()}
            assert_problem(await Exchange("stream=a", program.headers | lower).done(), 400, "bad_request")
        exchange = await Exchange("stream=a", program.headers | {"Accept": "image/png"}).done()
        assert_problem(exchange, 406, "not_acceptable")


async def test_head_is_the_answer_without_its_body(alice):
    async with fresh_hub():
        program = await program_of(alice)
        exchange = await Exchange("stream=a", program.headers, "HEAD").done()
        assert (exchange.status, exchange.body) == (200, b"")
        exchange = await Exchange("stream=a", {}, "HEAD").done()
        assert (exchange.status, exchange.body) == (401, b"")


@pytest.mark.seed("SEC75")
async def test_other_methods_and_other_sites_are_refused(alice):
    async with fresh_hub():
        program = await program_of(alice)
        for method, more, status, code in (
            ("DELETE", {}, 405, "method_not_allowed"),
            ("OPTIONS", {"Origin": "https://evil.test", "Access-Control-Request-Method": "GET"}, 403, None),
        ):
            exchange = await Exchange("stream=a", program.headers | more, method).done()
            assert exchange.status == status
            assert code in (None, json.loads(exchange.body)["code"])
            assert "access-control-allow-origin" not in exchange.headers
        evil = await Exchange("stream=a", program.headers | {"Origin": "https://evil.test"}).done()
        assert "access-control-allow-origin" not in evil.headers


async def test_the_21st_request_that_stays_is_one_too_many(alice, monkeypatch):
    monkeypatch.setattr(limits, "REQUESTS_A_USER", 2)
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        program = await program_of(alice)
        first = await program.poll(job.stream)
        asked = program.begin(job.stream, cursor=first["cursor"], wait=25)
        async with program.follow(job.stream) as stream:
            await stream.event("state")
            await until_async(present(hub, 2), what="two requests")
            for accept in ("application/json", "text/event-stream"):
                query = {"stream": job.stream, "cursor": first["cursor"], "wait": 5}
                third = await Exchange(query, program.headers | {"Accept": accept}).done()
                assert_problem(third, 429, "rate_limited")
            await asked.leave()
        assert (hub.seats.present.total(), await free_seats(hub)) == (0, 1)


async def free_seats(hub):
    return sum(len(seats) for seats in hub.seats._free.values())


async def test_a_full_process_says_503(alice, monkeypatch):
    monkeypatch.setattr(limits, "CONNECTIONS", 0)
    async with fresh_hub():
        program = await program_of(alice)
        exchange = await program.begin("job:x").done()
        assert_problem(exchange, 503, "unavailable")
        assert exchange.headers["retry-after"] == "5"


async def test_too_many_requests_a_minute_are_429(alice, bob, settings):
    job = await in_database(make_job, alice)
    async with fresh_hub():
        program = await program_of(alice)
        await program.poll(job.stream)
        settings.RATE_READS_PER_MINUTE = 0
        exchange = await program.begin(job.stream).done()
        assert_problem(exchange, 429, "rate_limited")
        assert 1 <= int(exchange.headers["retry-after"]) <= 60
        settings.RATE_UNSIGNED_PER_MINUTE = 0
        assert_problem(await Exchange("stream=a", {}).done(), 429, "rate_limited")


def test_requests_are_counted_a_minute_and_a_user():
    rates = Rates()
    for _ in range(3):
        rates.spend("alice", 3, now=59.0)
    with pytest.raises(Problem) as refused:
        rates.spend("alice", 3, now=59.0)
    assert refused.value.headers == {"Retry-After": "1"}
    rates.spend("bob", 3, now=59.0)
    rates.spend("alice", 3, now=60.0)


async def test_a_seat_is_given_up_when_nobody_comes_back(alice, monkeypatch):
    monkeypatch.setattr(limits, "SEAT_SECONDS", 0.0)
    monkeypatch.setattr(limits, "CHECK_SECONDS", 0.1)
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        await (await program_of(alice)).poll(job.stream)

        async def left():
            return not (hub.watched or hub.sockets or hub.seats._free)

        await until_async(left, what="the seat to be given up")


async def test_a_tick_costs_the_same_queries_whatever_the_transports(alice, monkeypatch):
    monkeypatch.setattr(limits, "CHECK_SECONDS", 60)
    monkeypatch.setattr("realtime.publish._send", lambda *hint: None)
    job = await in_database(make_job, alice)
    costs = []
    async with fresh_hub() as hub:
        program = await program_of(alice)
        for viewers in (1, 6):
            first = await program.poll(job.stream)
            polls = [program.begin(job.stream, cursor=first["cursor"], wait=25) for _ in range(viewers)]
            streams = [
                program.begin(job.stream, headers={"Accept": "text/event-stream"}) for _ in range(viewers)
            ]
            for stream in streams:
                await stream.event("state", "change")
            await until_async(present(hub, 2 * viewers), what="everybody")
            costs.append(await counted_read(hub, job, polls, streams))
            for exchange in streams:
                await exchange.leave()

    assert costs[0] == costs[1] > 0


async def counted_read(hub, job, polls, streams):
    """Move the job once; return the queries of the read that tells everybody."""
    seen = [len(stream.events) for stream in streams]
    version = await in_database(move, job, message="Go")
    async with counted(hub) as counts:
        hub.watching.hinted(job.stream, version, True)
        await asyncio.gather(*(exchange.done() for exchange in polls))
        for stream, before in zip(streams, seen, strict=True):
            await stream.event("change", after=before)
    return sum(counts)


async def test_drain_ends_event_streams_and_long_polls(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        program = await program_of(alice)
        first = await program.poll(job.stream)
        asked = program.begin(job.stream, cursor=first["cursor"], wait=25)
        async with program.follow(job.stream) as stream:
            await stream.event("state")
            await until_async(present(hub, 2), what="both")
            await hub.drain()
            assert (await stream.event("drain"))["after_ms"] < 5000
            await stream.done()
        answer = json.loads((await asked.done()).body)

    assert [frame["type"] for frame in answer["frames"]] == ["drain"]
    assert answer["poll_after_ms"] == answer["frames"][0]["after_ms"]


async def test_a_deleted_job_is_gone_everywhere(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub():
        program = await program_of(alice)
        async with program.follow(job.stream) as stream:
            await stream.event("state")
            await in_database(Job.objects.all().delete)
            await stream.event("gone")
            await stream.done()


def held_up(hub, name):
    """Let the hub's questions of this name wait for the event that is returned."""
    ask, gate = hub.in_database, asyncio.Event()

    async def waiting(call, *args, **kwargs):
        if call.__name__ == name:
            await gate.wait()
        return await ask(call, *args, **kwargs)

    hub.in_database = waiting
    return gate


async def test_who_lost_an_answer_is_told_no_change_from_beyond_it(alice):
    job = await in_database(make_job, alice)
    async with fresh_hub() as hub:
        program = await program_of(alice)
        first = await program.poll(job.stream, wait=5)
        await in_database(rows.move, job, event="log")
        lost = await program.poll(job.stream, cursor=first["cursor"], wait=5)
        assert lost["cursor"].endswith("=2")

        gate = held_up(hub, "seen_by_each")
        exchange = program.begin(job.stream, cursor=first["cursor"], wait=5)
        await until_async(asked_again(hub), what="the question")
        await in_database(rows.move, job, event="log")
        await until_async(stands_at(hub, job, 3), what="the news")
        gate.set()
        (state,) = json.loads((await exchange.done()).body)["frames"]

    assert (state["type"], state["why"], state["version"]) == ("state", "behind", 3)
    assert [event["version"] for event in state["events"]] == [2, 3]


def asked_again(hub):
    async def look():
        return any(viewer.judging for viewer in hub.everybody())

    return look


def stands_at(hub, job, version):
    async def look():
        watched = hub.watched.get(job.stream)
        return watched is None or watched.copy.version == version

    return look
