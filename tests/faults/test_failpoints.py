"""Crash, fail and stall at every named place: the job still ends, every effect once."""

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle
from ingestion.failpoints import POINTS
from ingestion.models import State
from tests.engine import Engine, effects_once, ended, fresh, keys
from tests.faults.conftest import FULL
from tests.waiting import until

N = 6
KEEPER = ["keeper.after_rescue", "keeper.before_rescue", "job.lost.before_commit"]
OF_KEEPERS = ("keeper.", "listener.", "stability.")
OTHER_PATHS = (
    "job.create.",
    "job.partial.",
    "job.failed.",
    "job.cancelled.",
    "job.waiting.",
    "job.retry.",
    "job.lost.",
)
ON_THE_WAY = [
    point
    for point in POINTS
    if not point.startswith((*OTHER_PATHS, *OF_KEEPERS, "job.released", "job.crashed", "item.before_failure"))
]
FEW = [
    "claim.after_commit",
    "item.before_commit",
    "item.after_commit",
    "run.before_outcome",
    "reporter.after_write",
]


@pytest.mark.parametrize("mode", ["exit", "raise"] if FULL else ["exit"])
@pytest.mark.parametrize("point", ON_THE_WAY if FULL else FEW)
def test_a_worker_that_breaks_at(engine: Engine, owner: User, point: str, mode: str) -> None:
    engine.keeper()
    job = lifecycle.create("shelves", {"name": point, "n": N, "wait": 0.05}, owner=owner).job
    broken = engine.worker(HEADWAY_DEBUG_FAILPOINTS="1", HEADWAY_FAILPOINTS=f"{point}={mode}*1@1")
    until(
        lambda: broken.poll() is not None or fresh(job).events.count() > 2 or fresh(job).is_final,
        40,
        f"something at {point}",
    )
    if broken.poll() is None:
        engine.kill(broken)
    engine.worker()
    job = ended(job)
    assert job.state == State.COMPLETED
    effects_once(job, keys(N))


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
