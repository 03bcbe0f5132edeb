"""Disk, descriptors and memory run out: a process refuses in words, lives on, and is whole again."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle
from ingestion.models import State, Upload
from tests.crowd import Crowd, all_right, has_all
from tests.engine import Engine, described, effects_once, ended, keys
from tests.faults.conftest import FULL, rounds, within
from tests.faults.programs import Program
from tests.realtime.rows import make_job, move
from tests.site import Site

MEGABYTE = 2**20


@contextmanager
def limited(pid: int, what: int, most: int) -> Iterator[None]:
    """Let a process have no more of something, for a while."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, what, before)


def stored() -> set[Path]:
    """Return the files of the test's storage."""
    return {path for path in Path(os.environ["HEADWAY_DATA"]).rglob("*") if path.is_file()}


@pytest.mark.parametrize("size", [2 * MEGABYTE, 8 * MEGABYTE])
def test_without_room_for_a_file_it_is_refused_and_nothing_is_left(
    site: Site, owner: User, size: int
) -> None:
    """X36: one that fits in memory has no room in the storage; one that does not, in the temporary folder."""
    program = Program(site.front.address, owner)
    before = stored()
    row = b"a,b\n1,2\n"
    with limited(site.process.pid, resource.RLIMIT_FSIZE, MEGABYTE):
        status, problem = program.ask("POST", "/api/uploads?name=a.csv", row * (size // len(row)))
        assert (status, problem["code"]) == (507, "storage_full"), problem
        assert problem["detail"] == "There is no room to store the file. Nothing was saved."
        assert (Upload.objects.count(), stored() - before) == (0, set())
        assert program.ask("POST", "/api/uploads?name=a.csv", row)[0] == 201
    assert program.ask("POST", "/api/uploads?name=b.csv", row * (size // len(row)))[0] == 201
    assert site.process.poll() is None


def test_without_free_descriptors_pages_live_on_and_newcomers_wait(
    site: Site, crowd: Crowd, owner: User
) -> None:
    """X37."""
    job = make_job(owner, items_total=1_000_000)
    viewers = crowd.add(owner, job.stream, number=3)
    for n in rounds(5 if FULL else 1):
        process = site.process
        newcomer = User.objects.create_superuser(f"newcomer-{n}")
        used = {int(path.name) for path in Path(f"/proc/{process.pid}/fd").iterdir()}
        first_free = min(set(range(len(used) + 1)) - used)
        with limited(process.pid, resource.RLIMIT_NOFILE, first_free):
            late = crowd.open(newcomer, job.stream, number=12)
            for number in range(5):
                move(job, event="log", message=f"No. {number}")
            all_right(viewers, within(2))
            assert not all(has_all(viewer) for viewer in late)
        all_right([*viewers, *late], within(10))
        assert process.poll() is None
    assert {len(viewer.connections) for viewer in viewers} == {1}


def test_an_item_that_is_refused_memory_fails_alone(engine: Engine, owner: User) -> None:
    """X3: its work-horse has a limit, as `LimitAS` of a unit gives it; it lives on and does the rest."""
    engine.keeper()
    worker = engine.worker()
    now = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    with limited(worker.pid, resource.RLIMIT_AS, now + 512 * MEGABYTE):
        params = {"name": "hungry", "n": 20, "eat": ["k0007"]}
        job = ended(lifecycle.create("shelves", params, owner=owner).job)

    assert job.state == State.PARTIAL, described(job)
    effects_once(job, [key for key in keys(20) if key != "k0007"])
    failed = job.items.get(key="k0007")
    assert (failed.state, failed.error_code) == ("failed", "internal_error")
    assert failed.error == "Something went wrong inside this source. The operator can see the details."
    assert (job.attempt, job.crashes) == (1, 0), described(job)
