"""Which job is next: priority, ageing, fairness, limits, pauses, and many workers at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ingestion import claims, lifecycle, positions
from ingestion.admission import Created
from ingestion.keeper import Keeper
from ingestion.models import Job, Pause, Priority, State
from ingestion.source import get
from tests.sessions import another_session, holding

pytestmark = pytest.mark.django_db


def claim(queue: str = "default") -> Job | None:
    return lifecycle.claim(queue, worker="w", token=uuid4())


def ping(owner: User, **extra: object) -> Job:
    return lifecycle.create("ping", {}, owner=owner, **extra).job  # type: ignore[arg-type]


def older(job: Job, seconds: float) -> None:
    Job.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(seconds=seconds))


def test_the_oldest_comes_first(alice: User) -> None:
    first, second = ping(alice), ping(alice)
    assert [claim().pk, claim().pk] == [first.pk, second.pk]  # type: ignore[union-attr]
    assert claim() is None


@pytest.mark.seed("S2.108")
def test_high_goes_before_normal_and_low(alice: User) -> None:
    low, normal, high = (ping(alice, priority=p) for p in (Priority.LOW, Priority.NORMAL, Priority.HIGH))
    assert [claim().pk for _ in range(3)] == [high.pk, normal.pk, low.pk]  # type: ignore[union-attr]


def test_waiting_raises_the_priority_so_that_nothing_starves(alice: User) -> None:
    low = ping(alice, priority=Priority.LOW)
    older(low, 2 * claims.AGEING_SECONDS + 1)
    normal = ping(alice, priority=Priority.NORMAL)
    assert [claim().pk, claim().pk] == [low.pk, normal.pk]  # type: ignore[union-attr]


def test_the_owner_with_fewer_running_jobs_goes_first(alice: User, bob: User) -> None:
    first, second, other = ping(alice), ping(alice), ping(bob)
    assert [claim().pk for _ in range(3)] == [first.pk, other.pk, second.pk]  # type: ignore[union-attr]


def test_a_source_runs_as_often_as_its_limit_says(alice: User) -> None:
    for _ in range(5):
        ping(alice)
    assert [claim() is not None for _ in range(5)] == [True, True, True, False, False]


def test_a_key_runs_as_often_as_its_own_limit_says(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get("shelves"), "limit_key", "{name}")

    def shelves(owner: User, name: str) -> Job:
        return lifecycle.create("shelves", {"name": name}, owner=owner).job

    first, second, other = shelves(alice, "a"), shelves(bob, "a"), shelves(alice, "b")
    token = uuid4()
    assert lifecycle.claim("default", worker="w", token=token) == first
    assert claim() == other  # the source has slots left, the key "a" has none
    assert claim() is None
    lifecycle.fail(first.pk, token, {"code": "x", "text": "No."})
    assert claim() == second


def test_what_is_not_due_or_needs_another_is_not_claimed(alice: User) -> None:
    later = ping(alice, run_after=timezone.now() + timedelta(hours=1))
    parent = later
    ping(alice, depends_on=[parent])
    assert claim() is None


@pytest.mark.parametrize("scope", ["all", "queue:default", "source:ping"])
def test_a_pause_holds_jobs_back_until_it_is_over(alice: User, scope: str) -> None:
    ping(alice)
    pause = Pause.objects.create(scope=scope, reason="maintenance")
    assert claim() is None
    Pause.objects.filter(pk=pause.pk).update(until=Now() - timedelta(seconds=1))
    assert claim() is not None


@pytest.mark.django_db(transaction=True)
def test_a_due_job_whose_row_another_session_holds_is_passed_over(alice: User) -> None:
    """X22: who waited for the row would hold the lock of the queue meanwhile."""
    held, other = ping(alice), ping(alice)
    with holding(held):
        assert claim() == other
        assert claim() is None
    assert claim() == held


@pytest.mark.django_db(transaction=True)
def test_a_due_job_whose_owners_inbox_another_session_holds_is_passed_over(alice: User, bob: User) -> None:
    """X22: the start writes to the inbox, with the lock of the queue."""
    held = [ping(alice), ping(alice)]
    other, nobodys = ping(bob), ping(None)  # type: ignore[arg-type]
    with another_session() as session:
        session.execute("SELECT 1 FROM notifications_inbox WHERE user_id = %s FOR UPDATE", [alice.pk])
        assert {claim(), claim()} == {other, nobodys}
        assert claim() is None
    assert claim() == held[0]


def test_a_pause_of_another_source_holds_nothing(alice: User) -> None:
    ping(alice)
    Pause.objects.create(scope="source:shelves", reason="x")
    assert claim() is not None


def test_the_question_of_the_claim_is_not_planned_at_every_claim() -> None:
    def plans() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT sum(custom_plans) FROM pg_prepared_statements WHERE statement LIKE %s",
                ["%OF j SKIP LOCKED"],
            )
            return int(cursor.fetchone()[0])

    for _ in range(2):
        claim()
    known = plans()
    for _ in range(3):
        claim()
    assert plans() == known


@pytest.mark.seed("S2.87", "S2.97")
def test_the_fourth_job_is_told_its_place(alice: User) -> None:
    jobs = [ping(alice) for _ in range(6)]
    for _ in range(3):
        claim()
    Keeper().tell_positions()
    told = [Job.objects.get(pk=job.pk) for job in jobs[3:]]
    assert [(job.pending_reason, job.message) for job in told] == [
        ("slot", "3 of 3 busy, 0 before yours"),
        ("slot", "3 of 3 busy, 1 before yours"),
        ("slot", "3 of 3 busy, 2 before yours"),
    ]
    before = told[0].version
    Keeper().tell_positions()
    assert Job.objects.get(pk=told[0].pk).version == before


@pytest.mark.parametrize("waiting", [2, 12])
def test_all_that_wait_are_told_their_place_by_one_statement(alice: User, waiting: int) -> None:
    jobs = [ping(alice) for _ in range(waiting)]
    with CaptureQueriesContext(connection) as asked:
        positions.tell("default")
    assert len(asked) == 1
    told = Job.objects.in_bulk([job.pk for job in jobs])
    assert [told[job.pk].message for job in jobs] == ["", *(f"{n} before yours" for n in range(1, waiting))]
    assert [told[job.pk].version - job.version for job in jobs] == [0, *(1 for _ in jobs[1:])]


@pytest.mark.django_db(transaction=True)
def test_a_job_that_somebody_holds_is_told_its_place_later(alice: User) -> None:
    jobs = [ping(alice) for _ in range(3)]
    with ThreadPoolExecutor(1) as keeper, transaction.atomic():
        Job.objects.select_for_update().get(pk=jobs[1].pk)
        keeper.submit(_tell_once).result(20)  # it would wait for us for ever
    assert [Job.objects.get(pk=job.pk).message for job in jobs] == ["", "", "2 before yours"]
    positions.tell("default")
    assert Job.objects.get(pk=jobs[1].pk).message == "1 before yours"


def _tell_once() -> None:
    try:
        positions.tell("default")
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_never_exceed_a_limit_and_never_share_a_job(alice: User) -> None:
    for _ in range(12):
        ping(alice)
    claimed: list[Job] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        job = claim()
        if job is not None:
            claimed.append(job)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len({job.pk for job in claimed}) == 3
    assert Job.objects.filter(state=State.RUNNING).count() == 3


@pytest.mark.django_db(transaction=True)
def test_without_the_queues_lock_a_limit_leaks(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: between one worker's look and its claim another one takes the last place."""
    for _ in range(3):
        ping(alice)
    claim(), claim()
    looked, taken = threading.Event(), threading.Event()
    pick = claims.pick

    def pick_and_wait(queue: str) -> Any:
        chosen = pick(queue)
        if threading.current_thread() is slow:
            looked.set()
            taken.wait(20)
        return chosen

    def work() -> None:
        claim()
        connection.close()

    monkeypatch.setattr(claims, "lock", lambda queue: None)
    monkeypatch.setattr(claims, "pick", pick_and_wait)
    slow = threading.Thread(target=work)
    slow.start()
    assert looked.wait(20)
    ping(alice, priority=Priority.HIGH)
    assert claim() is not None
    taken.set()
    slow.join()
    assert Job.objects.filter(state=State.RUNNING).count() == 4  # the limit is 3


def fifty_starts(alice: User) -> list[Created]:
    made: list[Created] = []
    barrier = threading.Barrier(10)

    def ask() -> None:
        barrier.wait()
        for _ in range(5):
            made.append(lifecycle.create("shelves", {"name": "same"}, owner=alice))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 50
    return made


@pytest.mark.django_db(transaction=True)
def test_fifty_starts_of_the_same_work_make_one_job(alice: User) -> None:
    made = fifty_starts(alice)
    assert sum(one.created for one in made) == 1
    assert len({one.job.pk for one in made}) == 1


@pytest.mark.django_db(transaction=True)
def test_without_a_unique_key_fifty_starts_make_fifty(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get("shelves"), "unique", None)
    assert len({one.job.pk for one in fifty_starts(alice)}) == 50
