"""Is the data stable: the question, what makes it be asked again, and who keeps the answer."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import ProgrammingError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from ingestion import lifecycle, stability
from ingestion.keeper import Keeper
from ingestion.listener import NAME, Listener
from ingestion.models import ACTIVE, ACTIVE_REASONS, FINAL, Job, PendingReason, Process, State, System
from tests.realtime.rows import make_job
from tests.stability import Told, answer_of_the_database, listening, row
from tests.waiting import until

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)  # where other sessions must see it

ACTIVE_ROWS = [
    {"state": State.RUNNING},
    *({"state": State.PENDING, "pending_reason": reason} for reason in ACTIVE_REASONS),
]
WAITING = """
    SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
"""
QUIET_ROWS = [
    *({"state": state} for state in FINAL),
    {"state": State.WAITING, "waiting_for": {"kind": "review", "since": "", "text": ""}},
    {"state": State.WAITING, "waiting_for": {"kind": "upload", "since": "", "text": ""}},
    {"state": State.PENDING, "pending_reason": PendingReason.SCHEDULE},
    {"state": State.PENDING, "pending_reason": PendingReason.DEPENDENCY},
]


def sql(text: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, params or None)
        return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener(stability.look)
    listener.start()
    assert listener.listening.wait(10)
    yield listener
    listener.stop()
    assert not listener.is_alive()


# ---- the question -----------------------------------------------------------------------------------------


@pytest.mark.seed("S4.3", "S4.4", "S4.6", "S4.55", "S4.58")
@pytest.mark.parametrize("values", ACTIVE_ROWS, ids=lambda values: "-".join(map(str, values.values())))
def test_what_works_makes_the_system_unstable(alice: User, values: dict[str, Any]) -> None:
    make_job(alice, **values)
    assert not stability.is_stable()


@pytest.mark.seed("S4.3", "S4.4", "S4.6", "S4.55", "S4.58")
def test_what_waits_or_has_ended_does_not(alice: User) -> None:
    """UX 42: waiting for a review or an upload is stable."""
    for values in QUIET_ROWS:
        make_job(alice, **dict(values))
    assert stability.is_stable()
    make_job(alice)
    assert not stability.is_stable()


def test_it_is_asked_of_a_source_and_of_an_object_too(alice: User) -> None:
    make_job(alice, object="company:1")
    make_job(alice, object="company:2", state=State.COMPLETED)
    assert not stability.is_stable(source="test")
    assert stability.is_stable(source="other")
    assert not stability.is_stable(object="company:1")
    assert stability.is_stable(object="company:2")


@pytest.mark.seed("S4.3")
def test_the_question_is_one_look_into_the_partial_index(alice: User) -> None:
    sql("SET enable_seqscan = off")
    sql("SET enable_bitmapscan = off")
    try:
        active = Job.objects.filter(ACTIVE)
        for asked in (active, active.filter(source="x"), active.filter(object="x:1")):
            assert "job_active" in asked.explain()
        body = sql("SELECT prosrc FROM pg_proc WHERE proname = 'is_system_stable'")[0][0]
        assert "job_active" in "".join(line for (line,) in sql(f"EXPLAIN {body}"))
    finally:
        sql("RESET enable_seqscan")
        sql("RESET enable_bitmapscan")


@pytest.mark.seed("S4.7")
def test_whoever_has_no_rights_may_ask_the_functions_and_no_table(alice: User) -> None:
    sql("CREATE ROLE stability_nobody")  # goes with the test's transaction
    sql("SET ROLE stability_nobody")
    assert sql("SELECT is_system_stable()") == [(True,)]
    assert sql("SELECT * FROM analytics_tasks_in_progress()") == []
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        sql("SELECT 1 FROM ingestion_job")
    sql("RESET ROLE")
    # Nor is anything of theirs run in our name.
    names = ["is_system_stable", "analytics_tasks_in_progress"]
    paths = sql("SELECT prosecdef, proconfig FROM pg_proc WHERE proname = ANY (%s)", names)
    assert paths == [(True, ["search_path=pg_catalog, public, pg_temp"])] * 2


@pytest.mark.seed("S4.5", "S4.12", "S4.56")
def test_tasks_in_progress_are_listed_by_priority(alice: User) -> None:
    low = make_job(alice, priority=2)
    high = make_job(alice, priority=0, state=State.PENDING)
    later = make_job(alice, priority=2, state=State.PENDING, pending_reason="retry")
    for values in QUIET_ROWS:
        make_job(alice, **dict(values))
    Job.objects.update(queue="analytics")
    make_job(alice)  # of another queue
    rows = sql("SELECT id, command, state, created_at, duration_ms FROM analytics_tasks_in_progress()")
    assert [line[:3] for line in rows] == [
        (high.pk, "test", "pending"),
        (low.pk, "test", "processing"),
        (later.pk, "test", "pending"),
    ]
    assert all(line[4] >= 0 for line in rows)


# ---- what makes it be asked again -------------------------------------------------------------------------


@committed
@pytest.mark.seed("S4.9", "S4.11", "S4.57", "S4.59")
def test_a_statement_that_moves_states_says_so_once(alice: User) -> None:
    with listening("headway_state") as ear:
        for _ in range(3):
            make_job(alice)
        assert ear.payloads() == ["", "", ""]
        Job.objects.update(state=State.PENDING, pending_reason="queue", lease_token=None, lease_until=None)
        assert ear.payloads() == [""]
        Job.objects.update(pending_reason="schedule")
        assert ear.payloads() == [""]
        sql("DELETE FROM ingestion_jobevent")
        sql("DELETE FROM ingestion_job")
        assert ear.payloads() == [""]
        sql("TRUNCATE ingestion_job CASCADE")
        assert ear.payloads() == [""]


@committed
def test_progress_says_nothing(alice: User) -> None:
    """RELIABILITY F19: a commit with NOTIFY takes a lock of the whole database."""
    job = make_job(alice)
    with listening("headway_state") as ear:
        Job.objects.update(progress=0.5, version=F("version") + 1, lease_until=F("lease_until"), message="x")
        Job.objects.filter(pk=job.pk).update(items_total=3, items_done=2)
        with transaction.atomic():
            make_job(alice)
            transaction.set_rollback(True)
        assert ear.payloads() == []


# ---- the answer -------------------------------------------------------------------------------------------


@committed
@pytest.mark.seed("S4.8", "S4.10")
def test_the_answer_is_written_and_pushed_only_when_it_changes(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints: list[int] = []
    publish = stability.publish

    def watched(stream: str, version: int, **how: Any) -> None:
        hints.append(version)
        publish(stream, version, **how)

    monkeypatch.setattr(stability, "publish", watched)
    with listening() as ear:
        assert stability.look()
        first = System.objects.get()
        assert (first.stable, stability.look(), stability.look()) == (True, False, False)
        jobs = [make_job(alice) for _ in range(3)]
        assert (stability.look(), stability.look()) == (True, False)
        for job in jobs[:2]:
            lifecycle.finish(job.pk, job.lease_token, lifecycle.Outcome())
            assert not stability.look()
        Job.objects.filter(pk=jobs[2].pk).delete()
        assert stability.look()
        last = System.objects.get()
        assert (last.stable, last.version) == (True, first.version + 2)
        assert hints == [first.version, first.version + 1, first.version + 2]
        assert ear.payloads() == ['{"stable": true}', '{"stable": false}', '{"stable": true}']
        Process.objects.create(name="w", role="worker", host="h", pid=1)
        assert stability.look()  # the row moves: there is a worker
        assert ear.payloads() == []


@committed
def test_a_look_at_what_stands_writes_nothing(alice: User) -> None:
    stability.look()
    with transaction.atomic():
        assert not stability.look()
        assert sql("SELECT pg_current_xact_id_if_assigned()") == [(None,)]


@committed
def test_a_look_that_waited_for_another_sees_what_that_one_saw(alice: User) -> None:
    """Two keepers: the older snapshot must not win, and what stands is not pushed again."""
    make_job(alice)
    stability.look()
    stands = System.objects.get().version
    Job.objects.all().delete()
    done = threading.Event()

    def second() -> None:
        try:
            stability.look()
        finally:
            connection.close()
            done.set()

    with transaction.atomic():
        sql(stability._LOCK)
        other = threading.Thread(target=second)
        other.start()
        until(lambda: sql(WAITING))
        make_job(alice)
    other.join(10)
    assert done.is_set()
    assert row() is False is answer_of_the_database()
    assert System.objects.get().version == stands


@committed
@pytest.mark.seed("S4.10", "S4.11", "S4.13", "S4.60")
def test_two_jobs_that_end_in_two_open_transactions(alice: User, bob: User, listener: Listener) -> None:
    """Each transaction sees the other's job as active: who answers there is wrong for ever."""
    jobs = [make_job(owner) for owner in (alice, bob)]
    until(lambda: row() is False)
    ready, go = threading.Barrier(3), threading.Event()
    seen: list[bool] = []

    def end(job: Job) -> None:
        try:
            with transaction.atomic():
                lifecycle.finish(job.pk, job.lease_token, lifecycle.Outcome())
                seen.append(stability.is_stable())
                ready.wait(10)
                assert go.wait(10)
        finally:
            connection.close()

    threads = [threading.Thread(target=end, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    ready.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert seen == [False, False]
    until(lambda: row() is True, 5, "the answer after both")


SESSIONS = f"""
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = '{NAME}'
"""


@committed
@pytest.mark.seed("S4.14", "S4.60", "S4.67")
def test_a_listener_that_lost_its_session_comes_back_and_looks(alice: User, listener: Listener) -> None:
    with listening() as ear:
        told = Told(ear)
        until(lambda: row() is True)
        for n in range(3):
            for (pid,) in until(lambda: sql(SESSIONS), what="its session"):
                sql("SELECT pg_terminate_backend(%s)", pid)
            if n % 2:
                Job.objects.all().delete()
            else:
                make_job(alice)
            until(lambda: row() is answer_of_the_database(), 10, f"the answer after loss {n}")
        assert told.hear()[-1] is row()


@committed
@pytest.mark.seed("S4.16")
def test_a_payload_that_means_nothing_is_no_harm(alice: User, listener: Listener) -> None:
    until(lambda: row() is True)
    for text in ("", "{", '{"stable": 7}', "x" * 7000, "\u0001"):
        sql("SELECT pg_notify('headway_state', %s)", text)
    make_job(alice)
    until(lambda: row() is False)


def test_a_look_that_fails_is_done_again(alice: User) -> None:
    failures = iter([RuntimeError("broken"), ValueError("broken")])
    looked = threading.Event()

    def look() -> None:
        for error in failures:
            raise error
        looked.set()

    listener = Listener(look)
    listener.start()
    try:
        assert looked.wait(10)
    finally:
        listener.stop()


def test_a_tick_finds_what_no_notification_told(alice: User) -> None:
    keeper = Keeper()
    keeper.duties.remove(keeper.courier.start)  # it has threads of its own
    keeper.once()
    assert row() is True
    make_job(alice)
    keeper.once()
    assert row() is False


@pytest.mark.seed("S4.40")
def test_nobody_knows_without_a_keeper(alice: User) -> None:
    Process.objects.create(name="k", role="keeper", host="h", pid=1)
    stability.look()
    stands = stability.position()
    assert (stands, row()) == (System.objects.get().version, True)
    Process.objects.update(role="worker")
    assert (stability.position(), row()) == (stands + 1, None)
    assert (stability.position(), stability.position()) == (stands + 1, stands + 1)
    assert stability.said(System.objects.get()) == {
        "stable": None,
        "state": "unknown",
        "since": None,
        "no_workers": True,
    }
    Process.objects.update(role="keeper")
    stability.look()  # a keeper is back
    assert (stability.position(), row()) == (stands + 2, True)
    Process.objects.update(beat_at=Now() - timedelta(minutes=1))
    assert (stability.position(), row()) == (stands + 3, None)
