"""GET /metrics: who may read it, and that what it says is so."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import AsyncClient, Client
from limits import RateLimitItemPerMinute

from config import rates
from config.metrics import text
from ingestion import lifecycle, tokens
from ingestion import metrics as jobs
from ingestion.models import Job
from realtime.limits import Close
from realtime.metrics import Family, Sample
from tests.api.clients import assert_problem
from tests.realtime.client import connect, fresh_hub, in_database, session
from tests.realtime.noise import noise
from tests.realtime.requests import program_of
from tests.realtime.rows import make_job
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LINE = re.compile(
    rf"(?:# (?:HELP {NAME} .*|TYPE {NAME} (?:counter|gauge|histogram)))|({NAME}(?:\{{.*\}})?) (\S+)"
)


def parsed(body: str) -> dict[str, float]:
    """Return the samples by name and labels, having checked every line."""
    found: dict[str, float] = {}
    assert body.endswith("\n")
    for line in body.splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        if match[1]:
            assert match[1] not in found, "twice"
            found[match[1]] = float(match[2])
    return found


async def scraped(user: Any) -> dict[str, float]:
    client = AsyncClient()
    await client.aforce_login(user)
    answer = await client.get("/metrics")
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(answer.content.decode())


@pytest.mark.seed("SEC73")
def test_only_operators_and_named_networks_read_it(alice: Any, staff: Any, settings: Any) -> None:
    def status(user: Any = None, **headers: str) -> Any:
        client = Client(headers=headers)
        if user is not None:
            client.force_login(user)
        return client.get("/metrics")

    def bearer(user: Any, *scopes: str) -> str:
        return f"Bearer {tokens.create(user, 't', scopes=scopes)[1]}"

    assert_problem(status(), 401, "auth_required")
    assert_problem(status(alice), 404, "not_found")
    assert_problem(status(authorization="Bearer x"), 404, "not_found")
    assert_problem(status(authorization=bearer(alice, "read")), 404, "not_found")
    assert_problem(status(authorization=bearer(staff, "write")), 404, "not_found")
    assert status(authorization=bearer(staff, "read")).status_code == 200
    assert status(staff).status_code == 200
    settings.METRICS_NETWORKS = ["10.0.0.0/8", "127.0.0.1"]
    assert status().status_code == 200
    settings.METRICS_NETWORKS = ["10.0.0.0/8"]
    assert status().status_code == 401
    assert Client().post("/metrics").status_code in (403, 405)


@pytest.mark.seed("SEC73")
def test_only_they_and_the_machine_itself_are_told_what_is_missing(
    alice: Any, staff: Any, settings: Any
) -> None:
    def ready(user: Any = None, address: str = "192.0.2.7", **headers: str) -> Any:
        client = Client(headers=headers, REMOTE_ADDR=address)
        if user is not None:
            client.force_login(user)
        return client.get("/readyz")

    assert_problem(ready(), 401, "auth_required")
    assert_problem(ready(alice), 404, "not_found")
    assert_problem(ready(authorization="Bearer x"), 404, "not_found")
    # A proxy on this machine that nobody named.
    assert_problem(ready(address="127.0.0.1", x_forwarded_for="203.0.113.9"), 401, "auth_required")
    of_staff = f"Bearer {tokens.create(staff, 't', scopes=('read',))[1]}"
    told = [ready(staff), ready(authorization=of_staff), ready(address="127.0.0.1"), ready(address="::1")]
    settings.METRICS_NETWORKS = ["192.0.2.0/24"]
    told.append(ready())
    assert all(answer.json()["checks"]["keeper"] == "No keeper is alive." for answer in told)
    assert Client(REMOTE_ADDR="198.51.100.1").get("/healthz").content == b"ok\n"


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
def test_refusals_are_limited_by_address(path: str, staff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "UNSIGNED", RateLimitItemPerMinute(3, namespace=f"refused{path}"))
    guess = Client(headers={"authorization": "Bearer x"}, REMOTE_ADDR="192.0.2.9")
    assert [guess.get(path).status_code for _ in range(3)] == [404] * 3
    assert_problem(guess.get(path), 429, "rate_limited")
    operator = Client(REMOTE_ADDR="192.0.2.9")
    operator.force_login(staff)
    answer = operator.get(path)
    assert answer.status_code == 200 if path == "/metrics" else "checks" in answer.json()


@pytest.mark.seed("S1.99", "S4.68")
async def test_it_says_what_runs_and_who_watches(alice: Any, staff: Any) -> None:
    waits = (await in_database(lifecycle.create, "ping", {}, owner=alice)).job.queue
    job = await in_database(make_job, alice)
    await in_database(make_job, alice, state="failed")
    await Job.objects.filter(pk=job.pk).aupdate(lease_until="2020-01-01T00:00Z", crashes=1)
    async with fresh_hub() as hub:
        wire = await connect(*await in_database(session, alice))
        await wire.hello(job.stream)
        await wire.next("state")
        program = await program_of(alice)
        async with program.follow(job.stream) as stream:
            await stream.event("state")
            await program.poll(job.stream)
            found = await scraped(staff)
        await wire.leave()

    assert found['headway_live_connections{transport="websocket"}'] == 1
    assert found['headway_live_connections{transport="sse"}'] == 1
    assert found['headway_live_connections{transport="poll"}'] == 1
    assert found["headway_live_streams"] == 1
    assert found["headway_live_frames_total"] == hub.counts["frames"] == 3
    assert found["headway_live_polls_open"] == 0
    assert found['headway_jobs_open{state="running",reason="",queue="default"}'] == 1
    assert found[f'headway_jobs_open{{state="pending",reason="queue",queue="{waits}"}}'] == 1
    assert found['headway_jobs_ended_last_hour{state="failed"}'] == 1
    assert found["headway_jobs_lease_over"] == found["headway_jobs_crashing"] == 1
    assert found[f'headway_jobs_oldest_due_seconds{{queue="{waits}"}}'] > 0
    assert found["headway_database_up"] == found["headway_redis_up"] == 1
    assert 0 < found["headway_process_cpu_seconds_total"] <= time.process_time()
    assert 20e6 < found["headway_process_resident_bytes"] < 20e9


async def test_it_counts_what_goes_wrong(alice: Any, staff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.limits.CREDIT_FRAMES", 2)
    monkeypatch.setattr("realtime.limits.CHECK_SECONDS", 0.1)
    with noise() as streams:
        async with fresh_hub() as hub:
            wire = await connect(*await in_database(session, alice))
            name = streams.make("a", n=1)
            await wire.hello(name, ack=True)
            await wire.next("state")
            await wire.say({"type": "ack", "versions": {name: 1}})
            streams.versions["a"] = 2  # and nobody hints
            await wire.next("change")
            await wire.say({"type": "subscribe", "id": 5, "streams": [{"stream": name}]})
            await wire.next("state")
            parked = await scraped(staff)
            monkeypatch.setattr("realtime.limits.PARKED_SECONDS", 0.0)
            assert await wire.closed() == Close.SLOW
            closed = await scraped(staff)
            assert hub.counts["hints"] == 0

    assert parked["headway_live_hints_lost_total"] == parked["headway_live_position_repairs_total"] == 1
    assert parked["headway_live_parked"] == parked["headway_live_parked_total"] == 1
    assert (parked["headway_live_closed_slow_total"], closed["headway_live_closed_slow_total"]) == (0, 1)
    assert parked["headway_live_delivery_lag_seconds_count"] == 1
    assert parked['headway_live_delivery_lag_seconds_bucket{le="+Inf"}'] == 1
    assert 0 < parked["headway_live_delivery_lag_seconds_sum"] < 8


async def test_without_the_database_it_says_so_to_the_named_networks(
    staff: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise OperationalError("away")

    monkeypatch.setattr(jobs, "figures", away)
    async with fresh_hub() as hub:
        client = AsyncClient()
        await client.aforce_login(staff)
        assert_problem(await client.get("/metrics"), 503, "unavailable")
        settings.METRICS_NETWORKS = ["127.0.0.0/8"]
        hub.database.away(OperationalError("away"))

        async def grows() -> bool:
            found = parsed((await client.get("/metrics")).content.decode())
            return found["headway_database_up"] == 0 and found["headway_live_stale_seconds"] > 0

        await until_async(grows, what="the outage to be told")


def test_labels_are_escaped() -> None:
    sample = Sample(1, {"a": 'x"\\\n'})

    assert text([Family("n", "gauge", "h", [sample])]).splitlines()[2] == r'headway_n{a="x\"\\\n"} 1'


async def test_every_metric_is_documented_and_no_other(staff: Any) -> None:
    async with fresh_hub():
        found = await scraped(staff)
    names = {re.sub(r"_(bucket|count|sum)$", "", name.split("{")[0]) for name in found}
    document = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    # Without a sample in an empty deployment: nothing is open, nothing has beaten, nothing was probed.
    empty = {"headway_jobs_open", "headway_processes", "headway_probe_seconds", "headway_probe_failed"}
    documented = set(re.findall(r"`(headway_\w+[a-z])`", document))
    assert empty <= documented
    assert documented - empty == names - empty
