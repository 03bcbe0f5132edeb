"""Redis flushed, killed and hung; PostgreSQL stopped: nothing accepted is lost, nothing is done twice."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection

from config import children, embedded, places
from ingestion import lifecycle, queues
from ingestion.models import Job, State
from tests import conftest
from tests.engine import Engine, effects_once, ended, fresh, keys, running
from tests.faults.conftest import ROUNDS, rounds, within
from tests.faults.programs import Program
from tests.waiting import until

N = 20


def shelves(owner: User, name: str, **params: object) -> Job:
    return lifecycle.create("shelves", {"name": name, "n": N, "wait": 0.1, **params}, owner=owner).job


@pytest.fixture
def services() -> Iterator[conftest.Services]:
    """PostgreSQL and Valkey that this run started and may break; they run again afterwards."""
    services = conftest._services
    if services.postgres is None or services.valkey is None:
        pytest.skip("DATABASE_URL and REDIS_URL name services that are not ours to break")
    yield services
    start_valkey(services)
    start_postgres(services)


def log(services: conftest.Services) -> Path:
    assert services.folder is not None
    return services.folder / "services.log"


def start_valkey(services: conftest.Services) -> None:
    assert services.folder is not None and services.valkey is not None
    if services.valkey.poll() is not None:
        place = places.layout(services.folder / "data")
        with log(services).open("ab") as output:
            services.valkey = embedded.start_valkey(place, output=output, durable=False)
        embedded.wait_for_valkey(place, services.valkey)


def start_postgres(services: conftest.Services) -> None:
    assert services.folder is not None and services.postgres is not None
    if services.postgres.poll() is not None:
        place = places.layout(services.folder / "data")
        with log(services).open("ab") as output:
            services.postgres = embedded.start_postgres(place, output=output, durable=False)
        embedded.wait_for_postgres(place, services.postgres)
    connection.close()


def test_a_flushed_redis_loses_no_queued_job(engine: Engine, owner: User) -> None:
    engine.keeper()
    for n in rounds(ROUNDS):
        jobs = [shelves(owner, f"flush-{n}-{i}", n=5, wait=0) for i in range(6)]
        queues._client().flushall()
        worker = engine.worker()
        until(lambda jobs=jobs: fresh(jobs[0]).attempt == 1, within(10), "the first after the flush")  # P10
        for job in jobs:
            effects_once(ended(job), keys(5))
        engine.kill(worker)


def test_without_the_keepers_wake_a_flushed_redis_loses_them(engine: Engine, owner: User) -> None:
    engine.keeper(HEADWAY_TEST_WITHOUT="wake")
    job = shelves(owner, "control")
    queues._client().flushall()
    engine.worker()
    with pytest.raises(AssertionError, match="the end of"):
        ended(job, 8)


def test_a_killed_redis_disturbs_no_running_job(
    engine: Engine, owner: User, services: conftest.Services
) -> None:
    engine.keeper()
    for n in rounds(ROUNDS):
        worker = engine.worker()
        job = running(shelves(owner, f"killed-{n}", n=40))
        assert services.valkey is not None
        services.valkey.kill()
        services.valkey.wait(10)
        queued = shelves(owner, f"later-{n}")
        effects_once(ended(job), keys(40))
        assert fresh(job).attempt == 1
        start_valkey(services)
        if worker.poll() is not None:  # the supervisor would start it again
            worker = engine.worker()
        until(lambda queued=queued: fresh(queued).attempt == 1, within(10), "the queued job's start")  # P10
        effects_once(ended(queued), keys(N))
        engine.kill(worker)


def test_a_hung_redis_costs_a_caller_less_than_a_second(
    engine: Engine, owner: User, services: conftest.Services
) -> None:
    engine.keeper()
    engine.worker()
    assert services.valkey is not None
    for n in rounds(ROUNDS):
        before = running(shelves(owner, f"before-{n}", n=40))
        os.kill(services.valkey.pid, signal.SIGSTOP)
        began = time.monotonic()
        jobs = [shelves(owner, f"hung-{n}-{i}", n=3) for i in range(3)]
        took = time.monotonic() - began
        effects_once(ended(before), keys(40))  # a running job needs no Redis
        os.kill(services.valkey.pid, signal.SIGCONT)

        assert took < within(1)  # X13: 0.3 s of time-out at most twice, then Redis is left alone
        assert fresh(before).attempt == 1
        for job in jobs:
            effects_once(ended(job), keys(3))


def test_a_stopped_database_loses_nothing_and_blames_nobody(
    engine: Engine, owner: User, services: conftest.Services
) -> None:
    for n in rounds(ROUNDS):
        keeper, worker = engine.keeper(), engine.worker()
        job = running(shelves(owner, f"database-{n}", n=40))
        queued = [shelves(owner, f"database-{n}-{i}", n=3) for i in range(3)]
        connection.close()
        stop_database(services)
        began = time.monotonic()
        until(lambda began=began: time.monotonic() - began > 10, 20, "ten seconds without a database")
        start_postgres(services)
        back = time.monotonic()
        if worker.poll() is not None:
            worker = engine.worker()
        until(lambda job=job: fresh(job).is_final or fresh(job).attempt > 1, 90, "the job going on")
        assert time.monotonic() - back < within(20)  # P11
        effects_once(ended(job, 120), keys(40))
        for one in queued:
            effects_once(ended(one, 120), keys(3))
        assert not fresh(job).events.filter(kind="crashed").exists()
        assert Job.objects.exclude(state=State.COMPLETED).count() == 0
        for child in (keeper, worker):
            if child.poll() is None:
                engine.kill(child)


def stop_database(services: conftest.Services) -> None:
    assert services.postgres is not None
    children.stop(services.postgres, signal.SIGQUIT, 10)  # immediate: as if the power had gone
    assert isinstance(services.postgres, subprocess.Popen)


def test_a_full_redis_loses_nothing(engine: Engine, owner: User, services: conftest.Services) -> None:
    """X14: it takes no more writes, and says so to everybody who asks."""
    engine.keeper()
    for n in rounds(min(ROUNDS, 5)):
        worker = engine.worker()
        before = running(shelves(owner, f"before-{n}", n=40))
        queues._client().config_set("maxmemory", "1mb")
        try:
            began = time.monotonic()
            jobs = [shelves(owner, f"full-{n}-{i}", n=3) for i in range(3)]
            took = time.monotonic() - began
            effects_once(ended(before), keys(40))
            assert took < within(1)
            assert fresh(before).attempt == 1
        finally:
            queues._client().config_set("maxmemory", "0")
        if worker.poll() is not None:  # the supervisor would start it again
            worker = engine.worker()
        until(lambda jobs=jobs: fresh(jobs[0]).attempt == 1, within(10), "the start of what was accepted")
        for job in jobs:
            effects_once(ended(job), keys(3))
        engine.kill(worker)


def hog() -> list[psycopg.Connection[Any]]:
    """Take every connection that the database still gives."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    url = urlunsplit(parts._replace(path="/" + connection.settings_dict["NAME"]))
    held = []
    while True:
        try:
            held.append(psycopg.connect(url, connect_timeout=10))
        except psycopg.OperationalError as error:
            assert "connection" in str(error), error
            return held


def test_without_a_free_connection_work_goes_on_and_nothing_is_lost(
    engine: Engine, owner: User, services: conftest.Services
) -> None:
    """X23."""
    engine.keeper()
    engine.worker()
    _, port = engine.web()
    program = Program(f"127.0.0.1:{port}", owner)
    for n in rounds(min(ROUNDS, 3)):
        job = running(shelves(owner, f"job-{n}", n=40))
        held = hog()
        with connection.cursor() as cursor:  # the web process's own are taken as well
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND application_name NOT LIKE 'hw:%%' AND pid <> ALL(%s)",
                [[one.info.backend_pid for one in held]],
            )
        held += hog()
        status, _ = program.start("nap", seconds=0, name=f"refused-{n}")
        assert status in (201, 503)
        for one in held:
            one.close()
        until(
            lambda n=n: program.start("nap", seconds=0, name=f"later-{n}")[0] in (200, 201), 30, "an answer"
        )
        effects_once(ended(job, 120), keys(40))
        assert not fresh(job).events.filter(kind="crashed").exists()
    for one in Job.objects.all():
        assert ended(one, 120).state == State.COMPLETED
    assert "request_failed" not in engine.log.read_text(errors="replace")
