"""Crash and fail at every named place: the job still ends, every effect once."""

import signal
from typing import Any

import pytest
from django.contrib.auth.models import User

from ingestion import brake, lifecycle, pauses
from ingestion.failpoints import EXIT_CODE, POINTS
from ingestion.models import Job, Pause, State
from tests.engine import Engine, effects_once, ended, fresh, keys, running
from tests.faults.conftest import FULL, within
from tests.waiting import until

N = 6
ONE_FAILS: dict[str, Any] = {"n": N, "wait": 0.05, "fail": ["k0001"]}
# Places that a good run never comes to: the source and params that do, and how the job ends all the same.
OTHER_PATHS: dict[str, tuple[str, dict[str, Any], State]] = {
    "item.before_failure": ("shelves", ONE_FAILS, State.PARTIAL),
    "job.partial.before_commit": ("shelves", ONE_FAILS, State.PARTIAL),
    "job.failed.before_commit": ("faulty", {"times": 9, "retryable": False}, State.FAILED),
    "job.retry.before_commit": ("faulty", {"times": 1}, State.COMPLETED),
    "job.waiting.before_commit": ("door", {}, State.WAITING),
    "job.cancelled.before_commit": ("shelves", {"n": 200, "wait": 0.05}, State.CANCELLED),
    "job.released.before_commit": ("shelves", {"n": N, "wait": 0.3}, State.COMPLETED),
    "job.crashed.before_commit": ("shelves", {"n": N, "wait": 0.05}, State.COMPLETED),
}
ALSO = {"job.crashed.before_commit": ";item.after_commit=exit*1@1"}  # what leads there
STARTS = ["job.create.before_commit", "job.create.after_commit"]
KEEPER = ["keeper.after_rescue", "keeper.before_rescue", "job.lost.before_commit"]
OF_LISTENERS = ["listener.heard", "stability.before_commit"]  # test_stability.py
ON_THE_WAY = [p for p in POINTS if p not in {*OTHER_PATHS, *STARTS, *KEEPER, *OF_LISTENERS}]
FEW = [
    "claim.after_commit",
    "item.before_commit",
    "item.after_commit",
    "run.before_outcome",
    "reporter.after_write",
]
MODES = ["exit", "raise"] if FULL else ["exit"]


def breaking(point: str, mode: str) -> dict[str, str]:
    """Return the environment of a process that breaks at a place."""
    return {"HEADWAY_DEBUG_FAILPOINTS": "1", "HEADWAY_FAILPOINTS": f"{point}={mode}*1@1{ALSO.get(point, '')}"}


def broke_at(engine: Engine, point: str) -> bool:
    return f"failpoint {point}\n" in engine.log.read_text(errors="replace")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("point", ON_THE_WAY if FULL else FEW)
def test_a_worker_that_breaks_at(engine: Engine, owner: User, point: str, mode: str) -> None:
    engine.keeper()
    job = lifecycle.create("shelves", {"name": point, "n": N, "wait": 0.05}, owner=owner).job
    broken = engine.worker(**breaking(point, mode))
    until(lambda: broke_at(engine, point), 40, f"something at {point}")
    if broken.poll() is None:
        engine.kill(broken)
    engine.worker()
    job = ended(job)
    assert job.state == State.COMPLETED
    effects_once(job, keys(N))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "point", OTHER_PATHS if FULL else ["item.before_failure", "job.waiting.before_commit"]
)
def test_a_worker_that_breaks_where_a_job_ends_otherwise(
    engine: Engine, owner: User, point: str, mode: str
) -> None:
    engine.keeper()
    kind, params, end = OTHER_PATHS[point]
    job = lifecycle.create(kind, params, owner=owner).job
    broken = engine.worker(**breaking(point, mode))
    if "cancelled" in point or "released" in point:
        running(job)
        if "released" in point:
            broken.send_signal(signal.SIGTERM)
        else:
            lifecycle.cancel(job, owner)
    until(lambda: broke_at(engine, point), 40, f"something at {point}")
    if broken.poll() is None:
        engine.kill(broken)
    engine.worker()
    until(lambda: fresh(job).state == end, 90, f"{job} as {end}")
    if kind == "shelves" and end != State.CANCELLED:
        effects_once(fresh(job), [key for key in keys(N) if key not in params.get("fail", [])])
    assert fresh(job).events.filter(kind=end.value).count() == 1


@pytest.mark.parametrize("point", STARTS if FULL else STARTS[1:])
def test_a_start_that_breaks_at(engine: Engine, owner: User, point: str) -> None:
    """Before its commit nothing was asked for; after it the keeper finds the job that nobody was told of."""
    params = [f"n={N}", "name=start", "--user", owner.username]
    start = engine.start("ingest", "shelves", *params, **breaking(point, "exit"))
    assert start.wait(60) == EXIT_CODE
    made = list(Job.objects.all())
    assert len(made) == (point == STARTS[1])
    if made:
        engine.keeper()
        engine.worker()
        effects_once(ended(made[0]), keys(N))


@pytest.mark.parametrize("point", KEEPER if FULL else KEEPER[:1])
def test_a_keeper_that_breaks_at(engine: Engine, owner: User, point: str) -> None:
    broken = engine.keeper(HEADWAY_DEBUG_FAILPOINTS="1", HEADWAY_FAILPOINTS=f"{point}=exit")
    worker = engine.worker()
    job = lifecycle.create("shelves", {"name": point, "n": N, "wait": 0.3}, owner=owner).job
    until(lambda: fresh(job).items_done >= 1, 40, "an item")
    engine.kill(worker)
    until(lambda: broken.poll() is not None, 60, f"the keeper's end at {point}")
    engine.keeper()
    engine.worker()
    effects_once(ended(job), keys(N))


def test_a_deployment_that_ends_every_work_horse_is_stopped_and_fails_nobody(
    engine: Engine, owner: User
) -> None:
    """X35."""
    engine.keeper()
    params = [{"name": f"poison-{n}", "n": N} for n in range(brake.FEWEST + 2)]
    jobs = [lifecycle.create("shelves", one, owner=owner).job for one in params]
    broken = engine.worker(HEADWAY_DEBUG_FAILPOINTS="1", HEADWAY_FAILPOINTS="run.before_outcome=exit")
    until(lambda: Pause.objects.filter(scope="all").exists(), within(120), "the brake")
    assert pauses.current().get().reason == brake.REASON
    engine.kill(broken)
    assert all(fresh(job).state != State.FAILED for job in jobs)
    pauses.end("all")
    engine.worker()
    for job in jobs:
        job = ended(job)
        assert job.state == State.COMPLETED
        effects_once(job, keys(N))
