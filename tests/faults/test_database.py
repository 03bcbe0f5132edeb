"""The database ends sessions, takes no writes, locks a row, is full: nothing is lost, and it is said."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from config import places
from ingestion import lifecycle
from ingestion.models import Job, State
from tests.engine import Engine, effects_once, ended, fresh, keys, running
from tests.faults.conftest import FULL, rounds
from tests.faults.programs import Program
from tests.sessions import holding
from tests.site import Site
from tests.waiting import until


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def end_sessions() -> None:
    """End every session of this test's database but our own."""
    execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def shelves(owner: User, name: str, **params: object) -> Job:
    return lifecycle.create("shelves", {"name": name, "n": 20, "wait": 0.1, **params}, owner=owner).job


def assert_away(answer: tuple[int, object]) -> None:
    """Assert that an answer says that the database is away, and nothing of the inside."""
    status, problem = answer
    assert status == 503, answer
    assert isinstance(problem, dict)
    said = "The service is busy. Nothing was created. Try again in 5 seconds."
    assert (problem["code"], problem["detail"]) == ("unavailable", said)


def test_sessions_that_are_ended_cost_no_job_and_no_error(site: Site, engine: Engine, owner: User) -> None:
    """X20."""
    before = len(site.log())
    engine.keeper()
    engine.worker()
    program = Program(site.front.address, owner)
    job = running(shelves(owner, "ended", n=200 if FULL else 40))
    for _ in rounds(50 if FULL else 3):
        end_sessions()
        status, _ = program.ask("GET", "/api/jobs")
        assert status in (200, 503)
        status, _ = program.start("nap", seconds=0, name="again")
        assert status in (200, 201, 503)
        until(lambda: program.ask("GET", "/api/jobs")[0] == 200, 20, "an answer from new sessions")
    effects_once(ended(job), keys(200 if FULL else 40))
    assert "request_failed" not in site.log()[before:]
    for one in Job.objects.all():
        assert ended(one).state == State.COMPLETED


@contextmanager
def read_only() -> Iterator[None]:
    """Let new sessions read alone, as on a standby; ours may write."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        end_sessions()
        yield
    finally:
        execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        end_sessions()


def test_a_database_that_takes_no_writes_is_read_and_starts_are_refused(site: Site, owner: User) -> None:
    """X21."""
    before = len(site.log())
    program = Program(site.front.address, owner)
    known = program.start()[1]["id"]
    with read_only():
        until(lambda: program.ask("GET", f"/api/jobs/{known}")[0] == 200, 20, "a reading session")
        assert_away(program.start("nap", seconds=0))
        assert_away(program.ask("POST", f"/api/jobs/{known}/cancel"))
        assert program.ask("GET", "/api/jobs")[0] == 200
    until(lambda: program.start("nap", seconds=0)[0] == 201, 20, "a start afterwards")
    assert Job.objects.count() == 2
    assert "request_failed" not in site.log()[before:]


def test_a_row_that_somebody_holds_holds_nobody_else(site: Site, engine: Engine, owner: User) -> None:
    """X22: who wants that row is answered after the three seconds that a lock is waited for."""
    engine.keeper()
    engine.worker()
    program = Program(site.front.address, owner)
    held = lifecycle.create("nap", {"seconds": 500, "name": "held"}, owner=owner, run_after=later()).job
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=held.pk)
        others = [program.start("shelves", name=f"other-{n}", n=3)[1]["id"] for n in range(6)]
        assert_away(program.ask("POST", f"/api/jobs/{held.pk}/cancel"))
        assert program.ask("GET", f"/api/jobs/{held.pk}")[0] == 200
        for other in others:
            effects_once(ended(Job.objects.get(pk=other)), keys(3))
    status, _ = program.ask("POST", f"/api/jobs/{held.pk}/cancel")
    assert status in (200, 202)
    assert ended(held).state == State.CANCELLED


@pytest.mark.skipif(not FULL, reason="a rate takes a minute: with all rounds")
def test_others_keep_their_rate_while_a_row_is_held(engine: Engine, owner: User) -> None:
    """X22: the row of a job that runs is held for 30 s; the job in the middle says how fast others are."""
    engine.keeper()
    engine.worker()
    held = running(lifecycle.create("nap", {"seconds": 500, "name": "held"}, owner=owner).job, 0)
    engine.worker()
    before = seconds_each(owner, "before", 3)
    with holding(held):
        meanwhile = median(seconds_each(owner, "meanwhile", 13))
    calm = median(before + seconds_each(owner, "after", 2))
    assert calm / meanwhile >= 0.9, f"{meanwhile:.2f} s a job, {calm:.2f} s before and after"


def seconds_each(owner: User, name: str, n: int) -> list[float]:
    """Return what each of some jobs takes, one after the other: a worker more or less does not count."""
    took = []
    for number in range(n):
        began = time.monotonic()
        effects_once(ended(shelves(owner, f"{name}-{number}", wait=0.1)), keys(20))
        took.append(time.monotonic() - began)
    return took


def test_a_due_job_whose_row_is_held_holds_nobody_else(engine: Engine, owner: User) -> None:
    """X22: though it would be the next."""
    held = shelves(owner, "held", wait=0)
    others = [shelves(owner, f"other-{n}", wait=0) for n in range(6)]
    with holding(held):
        engine.keeper()
        engine.worker()
        for other in others:
            effects_once(ended(other), keys(20))
        assert Job.objects.get(pk=held.pk).state == State.PENDING
    effects_once(ended(held), keys(20))


def later() -> object:
    from datetime import timedelta

    from django.utils import timezone

    return timezone.now() + timedelta(hours=1)


@pytest.fixture
def full_disk(transactional_db: None) -> Iterator[Callable[[], None]]:
    """Put the table of jobs on a disk of 16 MB that is full; give what makes room on it."""
    if not connection.settings_dict["HOST"].startswith("/"):
        pytest.skip("DATABASE_URL names a database that may be on another machine")
    disk = Path(tempfile.mkdtemp(prefix="headway-disk-", dir="/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "headway", str(disk)]
    if subprocess.run(mount, check=False).returncode:
        disk.rmdir()
        pytest.skip("no disk can be mounted here: that takes root, and a kernel that lets it")
    try:
        if postgres := places.postgres_user():
            os.chown(disk, postgres.pw_uid, postgres.pw_gid)
        execute(f"CREATE TABLESPACE full_disk LOCATION '{disk}'")
        execute("TRUNCATE ingestion_job CASCADE")  # its pages may have room
        execute("ALTER TABLE ingestion_job SET TABLESPACE full_disk")
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        yield lambda: filler.unlink()
    finally:
        execute("ALTER TABLE ingestion_job SET TABLESPACE pg_default")
        execute("DROP TABLESPACE IF EXISTS full_disk")
        subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()


def test_a_full_database_accepts_nothing_and_says_so(
    site: Site, owner: User, full_disk: Callable[[], None]
) -> None:
    """X36."""
    before = len(site.log())
    program = Program(site.front.address, owner)
    assert_away(program.start(key="once"))
    assert program.ask("GET", "/api/jobs") == (200, {"jobs": [], "next": None})
    assert not Job.objects.exists()
    full_disk()
    status, job = program.start(key="once")
    assert status == 201
    assert fresh(Job.objects.get(pk=job["id"])).state == State.PENDING
    assert "request_failed" not in site.log()[before:]
