"""Kill, freeze and stop workers and keepers: every accepted job ends, every effect stands exactly once."""

import os
import signal
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from ingestion import lifecycle
from ingestion.clock import ClockTimestamp
from ingestion.keeper import STALL_MINUTES
from ingestion.models import Job, Sighting, State
from tests.demo.models import Effect
from tests.demo.source import HURRIED_SECONDS
from tests.engine import (
    Engine,
    alive,
    described,
    effects_once,
    ended,
    fresh,
    horse_of,
    horses,
    keys,
    running,
    worker_of,
)
from tests.faults.conftest import FULL, ROUNDS, rounds, within
from tests.waiting import until

if TYPE_CHECKING:
    from django.db.models import QuerySet

N = 20


def shelves(owner: User, name: str, **params: object) -> Job:
    return lifecycle.create("shelves", {"name": name, "n": N, "wait": 0.1, **params}, owner=owner).job


def next_attempt(job: Job, number: int, seconds: float) -> float:
    """Return how long it took until another attempt began."""
    began = time.monotonic()
    until(lambda: fresh(job).attempt >= number, seconds, f"attempt {number} of {job}")
    return time.monotonic() - began


def test_a_killed_worker_takes_its_horse_along_and_the_job_goes_on(engine: Engine, owner: User) -> None:
    engine.keeper()
    workers = [engine.worker()]
    for n in rounds(ROUNDS):
        workers.append(engine.worker())
        job = running(shelves(owner, f"parent-{n}"))
        victim = worker_of(job, workers)
        horse = horse_of(victim)
        engine.kill(victim)
        until(lambda horse=horse: not alive(horse), within(1), "the horse's end")

        next_attempt(job, 2, within(15))  # P7
        effects_once(ended(job), keys(N))
        workers.remove(victim)


def test_without_rescue_the_job_of_a_killed_worker_never_ends(engine: Engine, owner: User) -> None:
    engine.keeper(HEADWAY_TEST_WITHOUT="rescue")
    workers = [engine.worker(), engine.worker()]
    job = running(shelves(owner, "control"))
    engine.kill(worker_of(job, workers))

    with pytest.raises(AssertionError, match="the end of"):
        ended(job, 16)


def test_a_killed_horse_is_replaced_at_once(engine: Engine, owner: User) -> None:
    engine.keeper()
    worker = engine.worker()
    for n in rounds(ROUNDS):
        job = running(shelves(owner, f"horse-{n}"))
        horse = horse_of(worker)
        engine_kill(horse)
        next_attempt(job, 2, within(3))  # P8
        effects_once(ended(job), keys(N))
        assert fresh(job).events.filter(kind="crashed").count() == 1


def engine_kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_without_the_parents_report_a_killed_horse_costs_a_lease(engine: Engine, owner: User) -> None:
    engine.keeper()
    worker = engine.worker(HEADWAY_TEST_WITHOUT="parent_report")
    job = running(shelves(owner, "control"))
    engine_kill(horse_of(worker))
    with pytest.raises(AssertionError, match="attempt 2"):
        next_attempt(job, 2, 4)


def test_a_frozen_worker_changes_nothing_after_its_lease(engine: Engine, owner: User) -> None:
    """X4, X5: one is frozen with its work-horse, of another the work-horse alone.

    They freeze inside an item's transaction, holding row locks; their sessions are ended with their leases.
    """
    engine.keeper()
    first = [engine.worker(), engine.worker()]
    for n in rounds(ROUNDS):
        jobs = [shelves(owner, f"frozen-{n}-{i}", wait=0.3) for i in range(2)]
        whole, half = [worker_of(running(job), first) for job in jobs]
        pids = [whole.pid, horse_of(whole), horse_of(half)]
        for pid in pids:
            engine_signal(pid, signal.SIGSTOP)
        others = [engine.worker(), engine.worker()]
        for job in jobs:
            next_attempt(job, 2, within(15))
        for pid in reversed(pids):
            engine_signal(pid, signal.SIGCONT)
        for job in jobs:
            effects_once(ended(job), keys(N))
            assert fresh(job).attempt == 2
        until(lambda pids=pids: not alive(pids[2]), 30, "the end of the work-horse that was left behind")
        assert alive(half.pid)
        for worker in first:
            engine.kill(worker)
        first = others


def engine_signal(pid: int, number: int) -> None:
    os.kill(pid, number)


def test_without_the_fence_a_frozen_worker_writes_twice(engine: Engine, owner: User) -> None:
    engine.keeper(HEADWAY_TEST_WITHOUT="session_end")
    frozen = engine.worker(HEADWAY_TEST_WITHOUT="fence")
    job = shelves(owner, "control", n=120, wait=0.15)  # long enough for a second worker to start meanwhile
    until(lambda: fresh(job).items_done >= 2, 30, "two items")
    # The second one too: an item row that is done already would stop it, which is a protection of its own.
    engine.worker(HEADWAY_TEST_WITHOUT="fence")
    pids = [frozen.pid, horse_of(frozen)]
    for pid in pids:
        engine_signal(pid, signal.SIGSTOP)
    next_attempt(job, 2, within(15))
    for pid in reversed(pids):
        engine_signal(pid, signal.SIGCONT)

    with pytest.raises(AssertionError, match="effects of"):
        effects_once(ended(job), keys(120))


def test_sigterm_gives_the_job_back_and_costs_nothing(engine: Engine, owner: User) -> None:
    engine.keeper()
    first = engine.worker()
    for n in rounds(ROUNDS):
        job = running(shelves(owner, f"deploy-{n}"))
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0
        assert fresh(job).events.filter(kind="released").count() == 1
        first = engine.worker()
        effects_once(ended(job), keys(N))
        job = fresh(job)
        assert (job.failures, job.crashes) == (0, 0)


def test_a_worker_that_must_be_killed_costs_one_attempt(engine: Engine, owner: User) -> None:
    """X27: told to stop twice, it cannot, because its horse is frozen; then it is killed."""
    engine.keeper()
    for n in rounds(min(ROUNDS, 3)):
        stuck = engine.worker()
        job = running(shelves(owner, f"stuck-{n}"))
        horse = horse_of(stuck)
        engine_signal(horse, signal.SIGSTOP)
        stuck.send_signal(signal.SIGTERM)
        stuck.send_signal(signal.SIGTERM)
        other = engine.worker()
        engine.kill(stuck)
        next_attempt(job, 2, within(15))
        effects_once(ended(job), keys(N))
        assert fresh(job).attempt == 2
        engine.kill(other)


def test_who_hangs_is_told_of_in_seconds_and_is_not_killed(engine: Engine, owner: User) -> None:
    """X6: an item sleeps while its reporter beats. Its last progress is made older: five minutes are long."""
    engine.keeper()
    engine.worker()
    stall = timedelta(minutes=STALL_MINUTES)
    for n in rounds(3 if FULL else 1):
        job = shelves(owner, f"hung-{n}", n=1, wait=60)
        running(job, 0)
        row = Job.objects.filter(pk=job.pk)

        def told(job: Job = job, row: "QuerySet[Job]" = row) -> bool:
            row.filter(progress_at__gt=ClockTimestamp() - stall).update(progress_at=ClockTimestamp() - stall)
            return job.events.filter(kind="stalled").exists()

        until(told, within(5), "the warning")
        row.update(progress_at=ClockTimestamp() - 2 * stall)
        for _ in range(3):  # a second each, as a keeper's look
            lease = fresh(job).lease_until
            until(lambda job=job, lease=lease: fresh(job).lease_until > lease, 20, "the reporter's beat")
        job = fresh(job)
        assert (job.state, job.attempt, job.crashes) == (State.RUNNING, 1, 0), described(job)
        assert job.events.filter(kind="stalled").count() == 1
        lifecycle.cancel(job, owner)


def test_a_source_takes_no_longer_than_it_says(engine: Engine, owner: User) -> None:
    """X6: where a source says how long it may take, who hangs is ended within twice that."""
    engine.keeper()
    engine.worker()
    job = ended(lifecycle.create("hurried", {"seconds": 500, "name": "long"}, owner=owner).job)
    assert (job.state, job.error["code"], job.attempt) == (State.FAILED, "time_limit", 1)
    assert job.error["text"] == "The job took longer than this source allows."
    attempt = job.attempts.get()
    assert (attempt.ended_at - attempt.started_at).total_seconds() <= within(2 * HURRIED_SECONDS)


def test_a_worker_that_cannot_write_ends_itself_before_its_lease_does(engine: Engine, owner: User) -> None:
    """Its row is locked for longer than it may be silent: nobody else can have the job yet when it goes."""
    worker = engine.worker()
    job = lifecycle.create("nap", {"seconds": 500}, owner=owner).job
    running(job, 0)
    horse = horse_of(worker)
    with transaction.atomic():
        locked = Job.objects.select_for_update().get(pk=job.pk)
        until(lambda: not alive(horse), within(10), "the horse's end")
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s - clock_timestamp()", [locked.lease_until])
            left = cursor.fetchone()[0].total_seconds()
    assert left > 0 or not FULL
    engine.keeper()
    assert alive(worker.pid)
    next_attempt(job, 2, within(15))
    lifecycle.cancel(job, owner)
    assert ended(job).state == State.CANCELLED


def test_a_deaf_source_is_released_too(engine: Engine, owner: User) -> None:
    worker = engine.worker()
    job = lifecycle.create("nap", {"seconds": 500}, owner=owner).job
    running(job, 0)
    worker.send_signal(signal.SIGTERM)
    worker.wait(20)
    assert (fresh(job).state, fresh(job).crashes) == (State.PENDING, 0)


def test_a_killed_keeper_is_replaced_and_nothing_was_forgotten(engine: Engine, owner: User) -> None:
    keeper, workers = engine.keeper(), [engine.worker()]
    for n in rounds(ROUNDS):
        workers.append(engine.worker())
        job = running(shelves(owner, f"keeper-{n}"))
        victim = worker_of(job, workers)
        engine.kill(keeper)
        engine.kill(victim)
        keeper = engine.keeper()
        job = ended(job)
        effects_once(job, keys(N))
        assert not job.events.filter(kind="crashed").exists()  # a young keeper blames nobody
        workers.remove(victim)


def test_many_keepers_do_what_one_does(engine: Engine, owner: User) -> None:
    for _ in range(10 if FULL else 4):
        engine.keeper()
    workers = [engine.worker(), engine.worker()]
    jobs = [shelves(owner, f"many-{n}", n=10) for n in range(6)]
    engine.kill(worker_of(running(jobs[0]), workers))
    for job in jobs:
        effects_once(ended(job), keys(10))


def test_a_workers_own_clock_says_nothing_of_its_lease(engine: Engine, owner: User) -> None:
    """X38: one is an hour ahead, one an hour behind; all times of leases are the database's."""
    engine.keeper()
    workers = [engine.worker(HEADWAY_TEST_WITHOUT=clock) for clock in ("clock_ahead", "clock_behind")]
    for n in rounds(5 if FULL else 1):
        jobs = [shelves(owner, f"clock-{n}-{i}") for i in range(2)]
        for job in jobs:
            running(job)
            with connection.cursor() as cursor:
                row = "SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM ingestion_job"
                cursor.execute(f"{row} WHERE id = %s AND lease_until IS NOT NULL", [job.pk])
                left = cursor.fetchone()
            assert left is None or -60 < left[0] <= 10  # not by an hour
        assert len({worker_of(job, workers).pid for job in jobs}) == 2
        for job in jobs:
            effects_once(ended(job), keys(N))
            job = fresh(job)
            assert (job.attempt, job.crashes) == (1, 0)
            assert abs((job.finished_at - job.created_at).total_seconds()) < 600


def test_a_poison_item_is_set_aside_and_the_rest_is_done(engine: Engine, owner: User) -> None:
    engine.keeper()
    engine.worker()
    n = 1000 if FULL else 50  # P21
    job = ended(shelves(owner, "poison", wait=0, n=n, kill=["k0007"], threads=2))

    assert job.state == State.PARTIAL
    effects_once(job, [key for key in keys(n) if key != "k0007"])
    assert job.items.get(key="k0007").state == "quarantined"
    assert job.events.filter(kind__in=["crashed", "quarantined"]).count() == 3


def test_a_cancel_is_obeyed_at_the_next_item(engine: Engine, owner: User) -> None:
    engine.keeper()
    engine.worker()
    for n in rounds(ROUNDS):
        job = running(shelves(owner, f"cancel-{n}", n=500, wait=0.3))
        lifecycle.cancel(job, owner)
        job = ended(job, within(2.3))  # P12: 2 s and the item in hand
        assert job.state == State.CANCELLED
        assert job.items_done == Effect.objects.filter(job=job.pk).count() < 100


@pytest.mark.parametrize("redis_away", [False, True])
def test_cancel_ends_a_deaf_worker_within_ten_seconds(engine: Engine, owner: User, redis_away: bool) -> None:
    engine.keeper(**({"REDIS_URL": "unix:///nowhere/redis.sock"} if redis_away else {}))
    engine.worker()
    job = lifecycle.create("nap", {"seconds": 500}, owner=owner).job
    running(job, 0)
    lifecycle.cancel(job, owner)
    assert ended(job, within(10)).state == State.CANCELLED  # P12


def test_without_insisting_a_deaf_worker_is_never_cancelled(engine: Engine, owner: User) -> None:
    engine.keeper(HEADWAY_TEST_WITHOUT="escalation")
    engine.worker()
    job = lifecycle.create("nap", {"seconds": 500}, owner=owner).job
    running(job, 0)
    lifecycle.cancel(job, owner)
    with pytest.raises(AssertionError, match="the end of"):
        ended(job, 12)


def test_a_frozen_worker_cannot_hold_up_a_cancel(engine: Engine, owner: User) -> None:
    engine.keeper()
    worker = engine.worker()
    job = running(shelves(owner, "frozen", wait=0.5))
    for pid in [worker.pid, horse_of(worker)]:
        engine_signal(pid, signal.SIGSTOP)
    lifecycle.cancel(job, owner)
    assert ended(job, within(10)).state == State.CANCELLED  # P12


def test_a_limit_is_never_exceeded_and_never_leaks(engine: Engine, owner: User) -> None:
    many, every = (500, 50) if FULL else (10, 4)  # P20; a worker is killed whenever so many have ended
    engine.keeper()
    workers = [engine.worker() for _ in range(5)]
    owners = [owner, *(User.objects.create_user(f"owner-{n}") for n in range(many // 100))]
    for n in range(many):  # of several owners: one may have 100 waiting
        size = {"n": 2, "wait": 0.1} if FULL else {"n": 15, "wait": 0.2}  # those few are seen together
        shelves(owners[n % len(owners)], f"limit-{n}", **size)
    most = kills = 0
    open_jobs = Job.objects.filter(source="shelves", finished_at=None)
    until(lambda: open_jobs.filter(state=State.RUNNING).count() == 4, 60, "four at once")
    while left := open_jobs.count():
        now = Job.objects.filter(source="shelves", state=State.RUNNING).count()
        most = max(most, now)
        assert now <= 4
        if many - left >= kills * every and now:
            kills += 1
            engine.kill(workers.pop(0))
            workers.append(engine.worker())
    assert most == 4 and kills >= 2
    assert Job.objects.filter(source="shelves", state=State.COMPLETED).count() == many


def test_light_sources_run_without_a_fork_and_are_released(engine: Engine, owner: User) -> None:
    worker = engine.worker("light")
    jobs = [lifecycle.create("flash", {}, owner=owner).job for _ in range(10)]
    engine.keeper()
    for job in jobs:
        assert ended(job, 40).message == "flash"
    assert alive(worker.pid)
    assert not horses(worker.pid)


def test_keepers_and_web_processes_tell_who_answers(engine: Engine) -> None:
    def told() -> set[tuple[str, bool]]:
        return set(Sighting.objects.values_list("component", "answered"))

    services = {("database", True), ("redis", True)}
    engine.keeper()
    until(lambda: told() >= {("keeper", True), *services}, 60, "the keeper's first look")
    engine.web()
    until(lambda: told() >= {("keeper", True), ("web", True), *services}, 60, "the web process's first look")
