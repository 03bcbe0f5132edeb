"""The keeper is killed while jobs come and go: the answer is pushed late at worst, never wrong."""

import random

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle
from ingestion.models import Job, Process, State
from tests.engine import Engine
from tests.faults.conftest import FULL, ROUNDS, within
from tests.realtime.rows import make_job
from tests.stability import Told, answer_of_the_database, ears, listening, row
from tests.waiting import until

POINTS = ["listener.heard", "stability.before_commit"]


@pytest.mark.seed("S4.10", "S4.11", "S4.20", "S4.66")
@pytest.mark.parametrize("point", POINTS if FULL else POINTS[:1])
def test_a_keeper_that_dies_with_the_news(engine: Engine, owner: User, point: str) -> None:
    with listening() as ear:
        told = Told(ear)
        first = engine.keeper()
        until(lambda: row() is True, within(5), "the first answer")
        engine.kill(first)
        until(lambda: ears() == 0, within(5), "the end of its session")
        broken = engine.keeper(HEADWAY_DEBUG_FAILPOINTS="1", HEADWAY_FAILPOINTS=f"{point}=exit")
        until(lambda: ears() == 1, within(10), "a keeper that listens")
        job = make_job(owner)
        until(lambda: broken.poll() is not None, within(10), f"the end of the keeper at {point}")
        by_its_tick = [[True, False]] if point == "listener.heard" else []  # which may have come first
        assert told.hear() in [[True], *by_its_tick]
        engine.keeper()
        until(lambda: row() is False, within(5), "the answer of the next keeper")
        Job.objects.filter(pk=job.pk).delete()
        until(lambda: row() is True, within(2), "the answer after the delete")
        assert told.hear() == [True, False, True]


@pytest.mark.seed("S4.10", "S4.11", "S4.66")
def test_keepers_are_killed_while_jobs_come_and_go(engine: Engine, owner: User) -> None:
    """Two keepers at a time, one of them killed in every round: what is pushed alternates all the same."""
    chance = random.Random(5)
    with listening() as ear:
        told = Told(ear)
        keepers = [engine.keeper(), engine.keeper()]
        engine.worker()
        for _ in range(max(3, ROUNDS)):
            jobs = [
                lifecycle.create("shelves", {"name": str(n), "n": 2, "wait": 0.05}, owner=owner).job
                for n in range(chance.randint(1, 3))
            ]
            engine.kill(keepers.pop(chance.randrange(2)))
            if chance.random() < 0.5:
                Job.objects.filter(pk=jobs[0].pk, state=State.PENDING).delete()
            keepers.append(engine.keeper())
            until(answer_of_the_database, within(30), "the end of all jobs")
            until(lambda: row() is answer_of_the_database() is True, within(3), "the answer")
            told.hear()
        assert told.hear()[-1] is True
        assert told.answers.count(False) >= 1
        assert Process.objects.filter(role="keeper").exists()
