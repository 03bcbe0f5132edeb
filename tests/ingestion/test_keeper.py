"""The keeper's duties one by one, and doing them ten times."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config import patience
from config.statements import execute
from ingestion import lifecycle, retention
from ingestion.keeper import Keeper, end_sessions
from ingestion.models import IdempotencyKey, Job, PendingReason, Schedule, State, Upload
from ingestion.orphans import end_orphans
from ingestion.schedules import next_time, plan, run_now, start_due
from ingestion.source import Outcome, get
from realtime.models import Session
from tests.sessions import another_session, holding

pytestmark = pytest.mark.django_db


def lost(owner: User, **params: object) -> Job:
    job = lifecycle.create("ping", params, owner=owner).job
    assert lifecycle.start(job.pk, worker="w", token=uuid4()) is not None
    Job.objects.filter(pk=job.pk).update(lease_until=Now() - timedelta(seconds=1))
    return job


def test_a_young_keeper_rescues_and_blames_nobody(alice: User) -> None:
    job = lost(alice)
    keeper = Keeper()
    for _ in range(10):
        keeper.rescue()
    job.refresh_from_db()
    assert (job.state, job.crashes) == (State.PENDING, 0)
    assert job.events.filter(kind="rescued").count() == 1


def test_a_keeper_that_was_always_there_counts_the_crash(alice: User) -> None:
    job = lost(alice)
    keeper = Keeper()
    keeper.began -= 100
    now = keeper.began + 100
    keeper.good_ticks.extend(now - 15 + n for n in range(16))
    keeper.rescue()
    job.refresh_from_db()
    assert (job.state, job.crashes) == (State.PENDING, 1)


def test_one_job_that_cannot_be_rescued_keeps_no_other_from_it(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reviewers(self: object) -> None:
        raise ZeroDivisionError

    first, broken, last = lost(alice), lost(alice), lost(alice)
    Job.objects.filter(pk=broken.pk).update(source="shelves")
    monkeypatch.setattr(type(get("shelves")), "reviewers", reviewers)
    Keeper().rescue()
    states = dict(Job.objects.values_list("pk", "state"))
    assert states == {first.pk: State.PENDING, broken.pk: State.RUNNING, last.pk: State.PENDING}


def test_without_knowing_of_its_outage_a_keeper_blames_the_worker(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keeper, "outage", lambda self: False)
    job = lost(alice)
    Keeper().rescue()
    job.refresh_from_db()
    assert job.crashes == 1


def test_a_gap_in_the_keepers_own_ticks_is_an_outage() -> None:
    keeper = Keeper()
    keeper.began -= 100
    now = keeper.began + 100
    keeper.good_ticks.extend([now - 14, now - 13, now - 2, now - 1])
    assert keeper.outage()


def test_due_retries_and_schedules_become_queued_once(alice: User) -> None:
    job = lifecycle.create("ping", {}, owner=alice, run_after=timezone.now() + timedelta(hours=1)).job
    assert lifecycle.make_due() == 0
    Job.objects.filter(pk=job.pk).update(run_after=Now() - timedelta(seconds=1))
    assert (lifecycle.make_due(), lifecycle.make_due()) == (1, 0)
    assert Job.objects.get(pk=job.pk).pending_reason == PendingReason.QUEUE


def test_a_job_whose_source_is_gone_ends_and_says_why(alice: User) -> None:
    job = lifecycle.create("ping", {}, owner=alice).job
    Job.objects.filter(pk=job.pk).update(source="uninstalled")
    assert end_orphans() == 0
    Job.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(minutes=11))
    assert (end_orphans(), end_orphans()) == (1, 0)
    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (State.FAILED, "unknown_source")


def test_a_stall_is_told_once(alice: User) -> None:
    job = lifecycle.create("ping", {}, owner=alice).job
    lifecycle.start(job.pk, worker="w", token=uuid4())
    Job.objects.filter(pk=job.pk).update(progress_at=Now() - timedelta(minutes=6))
    for _ in range(10):
        Keeper().note_stalls()
    assert job.events.filter(kind="stalled").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_stall_is_told_once_and_beside_one_whose_row_is_held(alice: User, bob: User) -> None:
    jobs = [lifecycle.create("ping", {}, owner=user).job for user in (alice, bob)]
    for job in jobs:
        lifecycle.start(job.pk, worker="w", token=uuid4())
    Job.objects.update(progress_at=Now() - timedelta(minutes=6))
    held, other = jobs
    with holding(held):
        Keeper().note_stalls()
        assert not held.events.filter(kind="stalled").exists()
        assert other.events.filter(kind="stalled").exists()
    Keeper().note_stalls()
    assert held.events.filter(kind="stalled").exists()
    with CaptureQueriesContext(connection) as queries:
        Keeper().note_stalls()
    assert len(queries) == 1


@pytest.mark.django_db(transaction=True)
def test_what_somebody_holds_of_one_user_holds_up_nothing_of_others(alice: User, bob: User) -> None:
    """X22: their inbox, which nearly all that is theirs writes to."""
    for user in (alice, bob):
        for _ in range(2):
            lifecycle.create("ping", {}, owner=user, run_after=timezone.now() + timedelta(hours=1))
        Schedule.objects.create(name="s", source="ping", cron="0 0 1 1 *", owner=user)
    Job.objects.update(run_after=Now() - timedelta(seconds=1))
    Schedule.objects.update(next_at=Now() - timedelta(seconds=1))
    with another_session() as session:
        session.execute("SELECT 1 FROM notifications_inbox WHERE user_id = %s FOR UPDATE", [alice.pk])
        assert (lifecycle.make_due(), start_due()) == (2, 1)
    assert (lifecycle.make_due(), start_due()) == (2, 1)


@pytest.mark.django_db(transaction=True)
def test_a_duty_that_waits_for_somebody_keeps_no_other_from_being_done() -> None:
    def waits() -> None:
        with patience.a_moment():
            execute("SELECT pg_advisory_xact_lock(9, 0)")

    done: list[int] = []
    keeper = Keeper()
    keeper.duties = [waits, lambda: done.append(1)]
    with another_session() as session:
        session.execute("SELECT pg_advisory_xact_lock(9, 0)")
        keeper.once()
    assert done == [1]


@pytest.mark.django_db(transaction=True)
def test_what_follows_an_end_is_not_lost_while_somebody_holds_what_it_needs(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = []

    def ended(self: object, job: Job) -> None:
        execute("SELECT pg_advisory_xact_lock(4, 0)")
        followed.append(job.pk)

    monkeypatch.setattr(type(get("shelves")), "ended", ended)
    job = lifecycle.create("shelves", {"name": "a"}, owner=alice).job
    lifecycle.start(job.pk, worker="w", token=uuid4())
    lifecycle.cancel(job, alice)
    Job.objects.filter(pk=job.pk).update(lease_until=Now() - timedelta(seconds=1))
    with another_session() as session:
        session.execute("SELECT pg_advisory_xact_lock(4, 0)")
        Keeper().rescue()
        assert Job.objects.get(pk=job.pk).state == State.RUNNING
    Keeper().rescue()
    assert (Job.objects.get(pk=job.pk).state, followed) == (State.CANCELLED, [job.pk])


@pytest.mark.django_db(transaction=True)
def test_the_sessions_of_a_given_up_attempt_are_ended(alice: User) -> None:
    import psycopg

    token = uuid4()
    settings = connection.settings_dict
    with psycopg.connect(
        dbname=settings["NAME"],
        host=settings["HOST"],
        user=settings["USER"],
        port=settings["PORT"] or None,
        application_name=f"hw:{token}",
    ) as held:
        assert end_sessions(uuid4()) == 0
        assert end_sessions(token) == 1
        with pytest.raises(psycopg.OperationalError):
            held.execute("SELECT 1")


def test_missed_slots_run_once_late_within_a_period(alice: User) -> None:
    schedule = Schedule.objects.create(name="s", source="ping", cron="0 * * * *", owner=alice)
    slot = timezone.now().replace(minute=0, second=0, microsecond=0)  # the last one: the next is yet to come
    Schedule.objects.filter(pk=schedule.pk).update(next_at=slot)
    assert (start_due(), start_due()) == (1, 0)
    schedule.refresh_from_db()
    assert schedule.last_job.source == "ping"
    assert schedule.next_at > timezone.now()

    Schedule.objects.filter(pk=schedule.pk).update(next_at=slot - timedelta(hours=5))
    assert start_due() == 0


def test_a_slot_whose_previous_job_is_open_joins_it(alice: User) -> None:
    schedule = Schedule(name="s", source="shelves", params={"name": "a"}, cron="0 * * * *", owner=alice)
    assert run_now(schedule)
    first = schedule.last_job
    assert run_now(schedule)
    assert schedule.last_job == first


def test_a_paused_schedule_is_not_due(alice: User) -> None:
    schedule = Schedule(name="s", source="ping", cron="0 * * * *", owner=alice, paused=True)
    plan(schedule, timezone.now())
    assert schedule.next_at is None


def test_a_refused_start_is_kept_as_the_schedules_error(alice: User) -> None:
    schedule = Schedule(name="s", source="nosuch", cron="0 * * * *", owner=alice)
    assert not run_now(schedule)
    assert schedule.last_error


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        # 02:30 does not exist on 29 March 2026 in Berlin: it runs at 03:00 local
        (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        # 02:30 exists twice on 25 October 2026: it runs once, the first time
        (datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)),
        (datetime(2026, 7, 1, 0, 30, tzinfo=UTC), datetime(2026, 7, 2, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_schedule_keeps_its_wall_clock_through_changes_of_time(after: datetime, expected: datetime) -> None:
    assert next_time("30 2 * * *", "Europe/Berlin", after) == expected


@pytest.mark.parametrize(("cron", "zone"), [("0 6 * *", "UTC"), ("x", "UTC"), ("0 6 * * *", "Mars/Base")])
def test_nonsense_is_refused(cron: str, zone: str) -> None:
    with pytest.raises(ValueError, match=r"zone|cron"):
        next_time(cron, zone, timezone.now())


def test_prune_takes_what_is_old_and_never_what_is_open(alice: User) -> None:
    open_job = lifecycle.create("ping", {}, owner=alice).job
    done = lifecycle.create("ping", {}, owner=alice).job
    started = lifecycle.start(done.pk, worker="w", token=uuid4())
    lifecycle.finish(done.pk, started.lease_token, Outcome())
    old = Now() - timedelta(days=400)
    Job.objects.filter(pk=open_job.pk).update(created_at=old)
    Job.objects.filter(pk=done.pk).update(created_at=old, finished_at=old)
    IdempotencyKey.objects.create(user=alice, key="k", body_hash="x", created_at=old)
    Upload.objects.create(
        owner=alice, name="a.csv", path="a", size=1, sha256="x", type="text/csv", expires_at=old
    )
    Session.objects.create(session_key="over", expire_date=old)
    Session.objects.create(session_key="lasting", expire_date=Now() + timedelta(days=1))

    assert {kind: n for kind, n in retention.prune().items() if n} == {
        "uploads": 1,
        "jobs": 1,
        "idempotency_keys": 1,
        "sessions": 1,
    }
    assert list(Job.objects.all()) == [open_job]
