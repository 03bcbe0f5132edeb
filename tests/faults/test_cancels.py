"""A cancel whose answer is lost, and one that comes as the job ends: one end, and nothing after it (X33)."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.contrib.auth.models import User
from django.db import connection

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import FINAL, Job, State
from tests.demo.models import Effect
from tests.engine import Engine, described, ended, fresh, running
from tests.faults.conftest import FULL, rounds, within
from tests.faults.programs import Program
from tests.site import Site
from tests.waiting import until


def ends(job: Job) -> int:
    """Return how many ends a job's history tells of."""
    return job.events.filter(kind__in=FINAL).count()


def test_a_cancel_whose_answer_was_lost_is_asked_again_and_happens_once(
    site: Site, engine: Engine, owner: User
) -> None:
    engine.keeper()
    engine.worker()
    program = Program(site.front.address, owner)
    for n in rounds(10 if FULL else 1):
        job = running(lifecycle.create("shelves", {"name": f"c{n}", "n": 500, "wait": 0.1}, owner=owner).job)
        program.ask_unheard(site.front, "POST", f"/api/jobs/{job.pk}/cancel")
        assert program.ask("POST", f"/api/jobs/{job.pk}/cancel")[0] in (200, 202, 409)
        job = ended(job, within(10))
        assert (job.state, ends(job)) == (State.CANCELLED, 1), described(job)
        assert job.events.filter(kind="cancel_requested").count() == 1
        assert Effect.objects.filter(job=job.pk).count() == job.items_done


def test_a_cancel_as_the_job_ends_is_one_end_whoever_was_first(engine: Engine, owner: User) -> None:
    engine.keeper()
    engine.worker()
    chance = random.Random(33)
    for n in rounds(30 if FULL else 3):
        job = lifecycle.create("shelves", {"name": f"c{n}", "n": 3, "wait": 0.02}, owner=owner).job
        most = chance.randrange(4)
        until(lambda job=job, most=most: fresh(job).items_done >= most, 60, f"{most} items of {job}")
        with suppress(Refused):  # it has ended already
            lifecycle.cancel(fresh(job), owner)
        job = ended(job)
        assert job.state in (State.CANCELLED, State.COMPLETED), described(job)
        assert ends(job) == 1, described(job)
        assert Effect.objects.filter(job=job.pk).count() == job.items_done
        assert job.state == State.CANCELLED or job.items_done == 3


def test_of_many_cancels_at_once_one_happens(site: Site, owner: User) -> None:
    program = Program(site.front.address, owner)
    job = lifecycle.create("nap", {"seconds": 0}, owner=owner).job
    start = threading.Barrier(10)

    def cancel(_: int) -> int:
        start.wait(20)
        try:
            return program.ask("POST", f"/api/jobs/{job.pk}/cancel")[0]
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        said = list(pool.map(cancel, range(10)))
    assert set(said) <= {200, 202, 409} and {200, 202} & set(said)
    assert (fresh(job).state, ends(job)) == (State.CANCELLED, 1)
