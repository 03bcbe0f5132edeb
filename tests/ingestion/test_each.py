"""Items done in several sessions at once: each exactly once, whatever happens to any of them."""

import threading
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection

from config.statements import execute
from ingestion import lifecycle
from ingestion.interrupts import Cancelled, Fenced
from ingestion.models import Job
from ingestion.run import Run
from ingestion.side_by_side import side_by_side
from ingestion.source import SourceError
from ingestion.testing import Killed, kill_at, lose_worker
from tests.demo.models import Effect, Shelf
from tests.demo.source import put
from tests.ingestion.test_run import counts, effects, running
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = [f"k{n:04}" for n in range(8)]
MEET = 30  # seconds after which two that should meet never will


@pytest.fixture
def run(alice: User) -> Run:
    """Begin a job that fills a shelf."""
    return running(lifecycle.create("shelves", {}, owner=alice).job)


def fill(run: Run, do: Callable[[str], object] = lambda key: None, threads: int = 2) -> Job:
    """Put each key on the shelf, and do something with it in the same transaction."""

    def one(key: str) -> object:
        put(run.id, key)
        return do(key)

    with run.step("fill") as step:
        step.each(KEYS, one, key=str, label=str.upper, threads=threads)
    return Job.objects.get(pk=run.id)


def test_two_are_done_at_once_each_in_a_session_of_its_own(run: Run) -> None:
    meeting = threading.Barrier(2)

    def do(key: str) -> object:
        meeting.wait(MEET)
        assert connection.connection is not None
        return {"session": connection.connection.info.backend_pid}

    job = fill(run, do)
    assert counts(job) == {"done": len(KEYS)} and effects(job) == dict.fromkeys(KEYS, 1)
    assert len({item.result["session"] for item in job.items.all()}) == 2
    assert run.steps["fill"].finished == len(KEYS)


def test_none_is_left_open_behind_it(run: Run) -> None:
    name = f"each {run.id}"

    def do(key: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", [name])

    fill(run, do)
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    until(lambda: execute(left, [name]) == [(0,)], MEET, "the server to have ended them")


@pytest.mark.parametrize("threads", [1, 2])
def test_one_that_fails_stops_no_other_and_is_rolled_back(run: Run, threads: int) -> None:
    slipped = []

    def do(key: str) -> None:
        if key == KEYS[2]:
            raise SourceError("broken_box", "Broken.")
        if key == KEYS[5] and not slipped:
            slipped.append(key)
            raise ConnectionError("slipped")

    job = fill(run, do, threads)
    assert counts(job) == {"done": len(KEYS) - 1, "failed": 1}
    assert effects(job) == dict.fromkeys([key for key in KEYS if key != KEYS[2]], 1)
    assert job.items.get(key=KEYS[5]).tries == 2


@pytest.mark.parametrize(
    "point", ["item.before_body", "item.before_fence", "item.before_commit", "item.after_commit"]
)
def test_after_a_crash_each_was_done_exactly_once(run: Run, point: str) -> None:
    with kill_at(point, 4):
        fill(run)
        raise AssertionError("it went on")
    job = Job.objects.get(pk=run.id)
    assert set(effects(job)) == set(job.items.filter(state="done").values_list("key", flat=True))
    job = fill(running(lose_worker(job)))
    assert (counts(job), effects(job)) == ({"done": len(KEYS)}, dict.fromkeys(KEYS, 1))


def test_a_crash_ends_what_all_sessions_do(run: Run) -> None:
    meeting = threading.Barrier(2)
    with kill_at("item.before_fence"):
        fill(run, lambda key: meeting.wait(MEET))
    assert effects(Job.objects.get(pk=run.id)) == {}


def test_after_a_crash_there_is_one_at_a_time(run: Run) -> None:
    with kill_at("items.registered"):
        fill(run)
    here = threading.get_ident()
    again = running(lose_worker(Job.objects.get(pk=run.id)))
    assert again.careful

    def do(key: str) -> None:
        assert threading.get_ident() == here

    assert counts(fill(again, do)) == {"done": len(KEYS)}


def test_who_has_lost_the_lease_writes_nothing_in_any_session(run: Run) -> None:
    meeting = threading.Barrier(2, lambda: taken())

    def taken() -> None:
        # By a session that has nothing else open, before either of the two gets to its fence.
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()

    def take() -> None:
        Job.objects.filter(pk=run.id).update(lease_token=uuid4())
        connection.close()

    with pytest.raises(Fenced):
        fill(run, lambda key: meeting.wait(MEET))
    assert not Effect.objects.exists() and run.interrupt is Fenced


def test_cancel_begins_no_more(run: Run, alice: User) -> None:
    meeting = threading.Barrier(2)

    def do(key: str) -> None:
        if meeting.wait(MEET) == 0:
            run.interrupt = Cancelled
        meeting.wait(MEET)

    with pytest.raises(Cancelled):
        fill(run, do)
    job = Job.objects.get(pk=run.id)
    assert len(effects(job)) == counts(job)["done"] == 2


def test_sessions_that_are_ended_meanwhile_cost_nothing(run: Run) -> None:
    """Also that of the step itself, which is idle while the others work."""

    def do(key: str) -> None:
        if key == KEYS[3]:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    " AND backend_type = 'client backend'"
                )

    job = fill(run, do)
    assert (counts(job), effects(job)) == ({"done": len(KEYS)}, dict.fromkeys(KEYS, 1))


def test_a_session_looks_itself_before_it_begins_another() -> None:
    done: list[str] = []

    def check() -> None:
        if done and threading.current_thread() is not threading.main_thread():
            raise Cancelled

    with pytest.raises(Cancelled):
        list(side_by_side(done.append, KEYS, 2, check))
    assert len(done) <= 2


def test_what_one_changed_moves_with_it_and_with_no_other(run: Run) -> None:
    shelves = {key: Shelf.objects.create(name=key) for key in KEYS}
    meeting = threading.Barrier(2)

    def do(key: str) -> None:
        run.changed(shelves[key])
        meeting.wait(MEET)
        if key == KEYS[1]:
            raise SourceError("no", "No.")
        with pytest.raises(RuntimeError, match="inside an item"):
            run.once("x", dict)

    fill(run, do)
    versions = dict(Shelf.objects.values_list("name", "version"))
    assert versions == {key: 1 if key == KEYS[1] else 2 for key in KEYS}


def test_whatever_ends_one_session_is_raised(run: Run) -> None:
    def do(key: str) -> None:
        if key == KEYS[3]:
            raise Killed

    with pytest.raises(Killed):
        fill(run, do)
    assert KEYS[3] not in effects(Job.objects.get(pk=run.id))
