"""Days are read whole, stored once, and complete when they can be. The faults are those of DATA A2."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User

from ingestion import items, lifecycle
from ingestion.models import Schedule, State
from ingestion.sources.lifelogs import accounts, limitless, spans, storing
from ingestion.sources.lifelogs.models import Account, DataItem, Day, begins, ends
from ingestion.sources.lifelogs.walking import Walk
from ingestion.testing import Killed, kill_at, lose_worker, resume_inline, run_inline
from notifications.models import Notification
from tests.lifelogs.looks import sync, the_day
from tests.lifelogs.service import Answer, Server

pytestmark = pytest.mark.django_db
OSLO = ZoneInfo("Europe/Oslo")
NIGHT = datetime(2026, 11, 19, 12, tzinfo=UTC)  # long after the 18th has ended
EVENING = datetime(2026, 11, 18, 18, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, datetime]:
    """What time the client reads."""
    now = {"now": EVENING}
    monkeypatch.setattr(limitless, "read_clock", lambda: now["now"])
    return now


@pytest.mark.seed("S0.1", "S0.16", "S0.17", "S0.18", "S0.19", "S0.32")
def test_a_day_is_partial_until_it_is_read_whole_after_it_has_settled(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    service.put("a", "2026-11-18T08:00+01:00")
    job = sync(account)
    assert (job.state, job.message) == ("completed", "Wed 18 Nov 2026 is partial so far")
    assert (the_day(account).ingestion_status, the_day(account).items_count) == ("partial", 1)
    clock["now"] = datetime(2026, 11, 19, 1, 59, 59, tzinfo=UTC)  # 3 h after midnight in Oslo, less a second
    sync(account)
    assert the_day(account).ingestion_status == "partial" and the_day(account).version == 1
    clock["now"] += timedelta(seconds=1)
    job = sync(account)
    day = the_day(account)
    assert (day.ingestion_status, day.version, day.completed_version) == ("complete", 2, 2)
    assert job.message == "Wed 18 Nov 2026 is complete" and job.result_url == day.get_absolute_url()
    assert set(account.items.values_list("ingestion_status", flat=True)) == {"complete"}


@pytest.mark.seed("S0.2", "S0.13", "S0.15")
def test_the_mode_reaches_the_row_and_a_later_partial_look_does_not_turn_it_back(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    """Faults 1 and 2: every row was complete for ever, or was made partial again."""
    service.put("a", "2026-11-18T08:00+01:00")
    sync(account)
    assert DataItem.objects.get().ingestion_status == "partial"
    clock["now"] = NIGHT
    sync(account)
    created = DataItem.objects.get().created_at
    clock["now"] = EVENING  # an older look that comes late
    assert sync(account).items.get().state == "skipped"
    item = DataItem.objects.get()
    assert (item.ingestion_status, item.created_at) == ("complete", created)
    assert the_day(account).ingestion_status == "complete"


def test_what_grew_is_written_and_what_did_not_is_not(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    """Fault 3: known ids were skipped."""
    grows = service.put("a", "2026-11-18T08:00+01:00", text="begins")
    service.put("b", "2026-11-18T09:00+01:00")
    sync(account)
    before = DataItem.objects.get(key="limitless:b").updated_at
    grows.text, grows.version, grows.ended_at = "begins and goes on", 1, grows.ended_at + timedelta(minutes=5)
    job = sync(account)
    assert job.items.get().result == {"new": 0, "changed": 1, "deleted": 0, "completed": False}
    grown = DataItem.objects.get(key="limitless:a")
    assert "begins and goes on" in grown.markdown and grown.day_version == 2 and grown.first_version == 1
    same = DataItem.objects.get(key="limitless:b")
    assert (same.updated_at, same.day_version) == (before, 1)


def test_a_partial_day_is_completed_by_asking_for_it(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    """Fault 4: asking for a day that had items did nothing."""
    service.put("a", "2026-11-18T08:00+01:00")
    sync(account)
    service.put("b", "2026-11-18T20:00+01:00")
    clock["now"] = NIGHT
    sync(account)
    assert (the_day(account).ingestion_status, the_day(account).items_count) == ("complete", 2)


def test_an_older_day_is_found_and_asked_for_in_the_owners_zone(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    """Faults 5 and 6: newest first, an old day came back empty; a UTC time was read in the owner's zone."""
    clock["now"] = NIGHT
    service.put("late", "2026-11-17T23:30+00:00")  # 00:30 on the 18th in Oslo
    service.put("next", "2026-11-18T23:30+00:00")
    service.fill(date(2026, 11, 19), OSLO, 30)
    sync(account)
    assert list(DataItem.objects.values_list("key", flat=True)) == ["limitless:late"]
    params = service.asked[0].params
    assert (params["timezone"], params["date"], params["direction"]) == ("Europe/Oslo", "2026-11-18", "asc")
    assert "start" not in params and int(params["limit"]) <= 25


def test_an_empty_day_completes_and_is_not_the_same_as_one_never_looked_at(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    """Fault 8: a day without items never became complete."""
    clock["now"] = NIGHT
    sync(account)
    day = the_day(account)
    assert (day.ingestion_status, day.items_count, day.version) == ("complete", 0, 1)


def test_a_day_that_is_read_again_and_did_not_change_says_nothing(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    """Fault 9: days were told of because they were read, not because they changed."""
    service.put("a", "2026-11-18T08:00+01:00")
    sync(account)
    before = the_day(account).version, Account.objects.get(pk=account.pk).version
    sync(account)
    assert (the_day(account).version, Account.objects.get(pk=account.pk).version) == before


def test_long_days_are_read_in_pages_with_their_contents(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    clock["now"] = NIGHT
    service.fill(date(2026, 11, 18), OSLO, 60)
    sync(account)
    assert DataItem.objects.count() == 60 and the_day(account).is_complete
    assert all(item.contents for item in DataItem.objects.all())


def test_a_page_that_shifts_loses_nothing_and_deletes_nothing(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    clock["now"] = NIGHT
    service.fill(date(2026, 11, 18), OSLO, 40)
    sync(account)
    moved: list[str] = []

    def shift(asked: Any) -> None:
        if asked.params.get("cursor") and not moved:
            moved.append("20261118-000")
            del service.items["20261118-000"]  # the 26th slips onto the first page, which was read already

    service.before_page = shift
    sync(account)
    assert moved
    gone = DataItem.objects.filter(deleted_at__isnull=False).values_list("key", flat=True)
    assert list(gone) == ["limitless:20261118-000"]
    assert the_day(account).items_count == 39


def test_a_day_that_shifts_again_and_again_is_not_called_complete(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    clock["now"] = NIGHT
    service.fill(date(2026, 11, 18), OSLO, 40)

    def grow(asked: Any) -> None:
        if asked.params.get("limit") == "100":  # the list, after the pages
            service.items["20261118-000"].version += 1

    service.before_page = grow
    sync(account)
    assert not the_day(account).is_complete and the_day(account).items_count == 40
    service.before_page = lambda asked: None
    sync(account)
    assert the_day(account).is_complete


def test_deleted_items_are_marked_and_come_back(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    kept = service.put("a", "2026-11-18T08:00+01:00")
    service.put("b", "2026-11-18T09:00+01:00")
    sync(account)
    del service.items["a"]
    sync(account)
    assert DataItem.objects.get(key="limitless:a").deleted_at is not None
    assert the_day(account).items_count == 1
    service.items["a"] = kept
    sync(account)
    assert DataItem.objects.get(key="limitless:a").deleted_at is None and the_day(account).version == 3


def test_a_complete_day_that_changes_gets_a_version_and_says_so(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    clock["now"] = NIGHT
    sync(account)
    assert not the_day(account).changed_after
    service.put("a", "2026-11-18T08:00+01:00")
    clock["now"] += timedelta(hours=6)
    sync(account)
    day = the_day(account)
    assert (day.ingestion_status, day.version, day.completed_version) == ("complete", 2, 1)
    assert day.changed_after and DataItem.objects.get().ingestion_status == "complete"


def test_what_crosses_midnight_belongs_to_the_day_it_began(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    clock["now"] = NIGHT
    service.put("night", "2026-11-18T23:50+01:00", minutes=30)
    sync(account, "2026-11-19")
    assert the_day(account, "2026-11-19").items_count == 0
    sync(account)
    assert the_day(account).items_count == 1


def test_what_another_job_brought_and_the_service_lost_meanwhile_keeps_a_day_open(
    service: Server, account: Account, clock: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job reads what is known once, before its first day; what it calls complete must equal theirs."""
    service.put("a", "2026-11-18T08:00+01:00")
    clock["now"] = NIGHT - timedelta(hours=12)  # partial still
    known_ids = storing.known_ids

    def overtaken(*given: Any) -> Any:
        monkeypatch.setattr(storing, "known_ids", known_ids)
        known = known_ids(*given)
        service.put("b", "2026-11-18T09:00+01:00")
        sync(account)
        del service.items["b"]
        clock["now"] = NIGHT
        return known

    monkeypatch.setattr(storing, "known_ids", overtaken)
    run_inline(
        "lifelogs", account.owner, account=account.pk, mode="range", start="2026-11-18", end="2026-11-18"
    )
    assert (the_day(account).items_count, the_day(account).is_complete) == (2, False)
    run_inline("lifelogs", account.owner, account=account.pk, mode="sync")
    assert (the_day(account).items_count, the_day(account).is_complete) == (1, True)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Oslo", date(2026, 3, 29), 23),
        ("Europe/Oslo", date(2026, 10, 25), 25),
        ("Europe/Oslo", date(2026, 11, 18), 24),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),  # midnight is skipped
        ("America/Havana", date(2026, 11, 1), 25),  # midnight comes twice
        ("Pacific/Apia", date(2011, 12, 30), 0),  # a day that never was
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
    ],
)
def test_days_have_the_hours_they_have(zone: str, day: date, hours: float) -> None:
    local = ZoneInfo(zone)
    length = ends(day, local).astimezone(UTC) - begins(day, local).astimezone(UTC)
    assert length == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("zone", "day", "ended"),
    [
        # the clock is changed within the three hours after the day
        ("Europe/Oslo", date(2026, 3, 28), datetime(2026, 3, 28, 23, tzinfo=UTC)),
        ("Europe/Oslo", date(2026, 10, 24), datetime(2026, 10, 24, 22, tzinfo=UTC)),
        ("America/Sao_Paulo", date(2018, 11, 3), datetime(2018, 11, 4, 3, tzinfo=UTC)),
        ("Europe/Oslo", date(2026, 11, 18), datetime(2026, 11, 18, 23, tzinfo=UTC)),
    ],
)
def test_a_day_settles_for_three_hours_whatever_the_clock_on_the_wall_does(
    zone: str, day: date, ended: datetime
) -> None:
    settled = ended + timedelta(hours=3)
    assert spans.settles_at(Account(zone=zone), day) == settled
    for late, completes in ((-1, False), (0, True)):
        look = Walk(settled + timedelta(seconds=late), [])
        assert look.completes(day, ZoneInfo(zone), timedelta(hours=3)) is completes


@pytest.mark.seed("S0.22")
def test_a_failed_look_changes_nothing_and_says_why(
    service: Server, account: Account, clock: dict[str, Any], django_capture_on_commit_callbacks: Any
) -> None:
    service.put("a", "2026-11-18T08:00+01:00")
    sync(account)
    before = the_day(account).version, Account.objects.get(pk=account.pk).version
    clock["now"] = NIGHT
    service.put("b", "2026-11-18T09:00+01:00")
    service.mood = lambda asked: Answer(500)
    with django_capture_on_commit_callbacks(execute=True):
        job = sync(account)
    assert job.state == "failed"
    assert (the_day(account).version, Account.objects.get(pk=account.pk).version) == before
    assert the_day(account).trouble == "Limitless answered 500."
    service.mood = lambda asked: None
    sync(account)
    assert the_day(account).is_complete and not the_day(account).trouble


def test_that_a_day_is_not_failed_any_more_moves_it_once(
    service: Server, account: Account, clock: dict[str, Any], django_capture_on_commit_callbacks: Any
) -> None:
    """Open pages and calendars said "failed" until they were loaded anew."""
    service.mood = lambda asked: Answer(500)
    with django_capture_on_commit_callbacks(execute=True):
        sync(account)
    assert (the_day(account).version, bool(the_day(account).trouble)) == (0, True)
    before = Account.objects.get(pk=account.pk).version
    service.mood = lambda asked: None
    for _ in range(2):
        sync(account)  # the service has nothing of this day yet
        assert (the_day(account).version, the_day(account).trouble) == (1, "")
        account.refresh_from_db()
        assert account.version == the_day(account).moved_at == before + 1


def test_a_failure_that_was_mended_does_not_come_back_with_a_retry(
    service: Server, account: Account, clock: dict[str, Any], django_capture_on_commit_callbacks: Any
) -> None:
    """The retry of some days takes the others over as they failed."""
    service.mood = lambda asked: Answer(500)
    with django_capture_on_commit_callbacks(execute=True):
        job = run_inline(
            "lifelogs", account.owner, account=account.pk, mode="range", start="2026-11-17", end="2026-11-18"
        )
    assert the_day(account).trouble and the_day(account, "2026-11-17").trouble
    service.mood = lambda asked: None
    sync(account)  # it is partial until its night
    assert not the_day(account).trouble
    with django_capture_on_commit_callbacks(execute=True):
        retry = resume_inline(lifecycle.retry(job, by=account.owner, keys=["2026-11-17"]).job)
    assert sorted(retry.items.values_list("key", "state")) == [
        ("2026-11-17", "done"),
        ("2026-11-18", "failed"),
    ]
    assert not the_day(account).trouble and not the_day(account, "2026-11-17").trouble


def test_a_failure_says_nothing_of_a_day_that_was_read_well_since_then(
    service: Server, account: Account, clock: dict[str, Any], django_assert_max_num_queries: Any
) -> None:
    sync(account)
    day = date(2026, 11, 18)
    before, after = EVENING - timedelta(seconds=1), EVENING + timedelta(seconds=1)
    storing.note_troubles(account.pk, {day: storing.Trouble("It was away.", before)})
    assert not the_day(account).trouble
    storing.note_troubles(account.pk, {day: storing.Trouble("It was away.", after)})
    assert the_day(account).trouble == "It was away."
    year = {day - timedelta(days=n): storing.Trouble("It was away.", None) for n in range(1, 367)}
    with django_assert_max_num_queries(8):  # savepoints, too
        storing.note_troubles(account.pk, year)
    assert account.days.exclude(trouble="").count() == 367
    accounts.delete(account)
    storing.note_troubles(account.pk, year)
    assert not Day.objects.exists()


@pytest.mark.parametrize(
    ("forget", "code"),
    [
        (accounts.pause, "account_paused"),
        (accounts.revoke, "account_paused"),
        (accounts.delete, "no_account"),
    ],
)
def test_a_job_asks_and_stores_no_more_once_its_account_is_paused_or_forgotten(
    service: Server,
    account: Account,
    alice: User,
    clock: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    forget: Callable[[Account], Any],
    code: str,
) -> None:
    committed: list[set[date]] = []

    def passed(name: str) -> None:
        if name == "item.after_commit" and not committed:  # of the first day
            committed.append(set(account.days.values_list("date", flat=True)))
            forget(Account.objects.get(pk=account.pk))

    monkeypatch.setattr(items, "hit", passed)
    job = run_inline("lifelogs", alice, account=account.pk, mode="month", month="2026-10")
    assert job.state == "failed" and job.error is not None and job.error["code"] == code
    assert committed == [{date(2026, 10, 1)}]
    kept = set() if forget is accounts.delete else committed[0]
    assert set(Day.objects.values_list("date", flat=True)) == kept
    assert len(service.asked) <= 6  # the first day, and those that were read ahead, of 31


def test_a_month_goes_on_where_its_worker_was_lost(
    service: Server, account: Account, clock: dict[str, Any], alice: User
) -> None:
    clock["now"] = datetime(2026, 12, 24, tzinfo=UTC)
    for n in range(1, 31):
        service.fill(date(2026, 11, n), OSLO, 2)
    job = lifecycle.create(
        "lifelogs", {"account": account.pk, "mode": "month", "month": "2026-11"}, owner=alice
    ).job
    with kill_at("item.before_commit", 12):
        try:
            resume_inline(job)
        except Killed:
            job = lose_worker(job)
    stored = set(account.days.values_list("date", flat=True))
    assert len(stored) == 11
    service.asked.clear()
    job = resume_inline(job)
    assert (job.state, job.items_done) == ("completed", 30)
    assert not {asked.params["date"] for asked in service.asked} & {day.isoformat() for day in stored}
    assert account.items.count() == 60 and account.days.filter(ingestion_status="complete").count() == 30


def test_a_sync_begins_an_hour_before_the_one_before_it_began(
    service: Server, account: Account, clock: dict[str, Any], alice: User
) -> None:
    """Fault 7: the time of a sync was its end; what was made meanwhile was lost."""
    began = clock["now"] = datetime(2026, 11, 17, 23, 30, tzinfo=UTC)  # half past midnight in Oslo

    def pass_an_hour(asked: Any) -> None:
        clock["now"] += timedelta(hours=1)

    service.before_page = pass_an_hour
    run_inline("lifelogs", alice, account=account.pk, mode="sync")
    account.refresh_from_db()
    assert account.synced_from == began and clock["now"] > began + timedelta(hours=6)
    # The next one begins in the 17th, an hour before, although that was complete when it was read.
    assert the_day(account, "2026-11-17").is_complete
    service.before_page = lambda asked: None
    clock["now"] = datetime(2026, 11, 22, 12, tzinfo=UTC)
    service.asked.clear()
    run_inline("lifelogs", alice, account=account.pk, mode="sync")
    assert {one.params["date"] for one in service.asked} == {f"2026-11-{n}" for n in range(17, 23)}


def test_a_sync_that_could_not_read_a_day_is_none_that_the_next_one_begins_after(
    service: Server, account: Account, clock: dict[str, Any], alice: User
) -> None:
    """Fault 7: the time was kept although items had failed."""
    run_inline("lifelogs", alice, account=account.pk, mode="sync")
    account.refresh_from_db()
    assert account.synced_from == EVENING
    assert {one.params["date"] for one in service.asked} == {f"2026-11-{n}" for n in range(12, 19)}
    assert account.days.get(date="2026-11-17").is_complete and not the_day(account).is_complete
    clock["now"] = datetime(2026, 11, 21, 12, tzinfo=UTC)
    service.asked.clear()
    service.mood = lambda asked: Answer(500) if asked.params["date"] == "2026-11-20" else None
    job = run_inline("lifelogs", alice, account=account.pk, mode="sync")
    assert job.state == "partial"
    assert {one.params["date"] for one in service.asked} == {f"2026-11-{n}" for n in range(18, 22)}
    account.refresh_from_db()
    assert account.synced_from == EVENING  # not every day was read
    service.mood = lambda asked: None
    assert [f"{day:%d}" for day in spans.of_sync(account, clock["now"])] == ["18", "19", "20", "21"]


def test_a_day_that_has_not_begun_is_not_looked_at(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    job = sync(account, "2026-11-19")
    assert job.state == "failed" and job.error is not None
    assert job.error == {"code": "day_ahead", "text": "Thu 19 Nov 2026 has not begun yet."}
    assert not service.asked and not account.days.exists()
    Day.objects.create(account=account, date=date(2030, 1, 1))  # of an older version
    Day.objects.create(account=account, date=date(2026, 10, 20))
    found = [day.isoformat() for day in spans.of_sync(account, EVENING)]
    assert found == ["2026-10-20", *(f"2026-11-{n}" for n in range(12, 19))]
    clock["now"] = datetime(2026, 11, 18, 23, tzinfo=UTC)  # midnight in Oslo
    assert sync(account, "2026-11-19").state == "completed"


def test_incomplete_days_are_synced_in_one_job(
    service: Server, account: Account, clock: dict[str, Any], alice: User
) -> None:
    clock["now"] = NIGHT
    sync(account)
    job = run_inline("lifelogs", alice, account=account.pk, mode="incomplete")
    # From the Monday on with which the calendar of eight weeks begins; the 18th is complete already.
    assert job.items_total == 52 and account.days.filter(ingestion_status="complete").count() == 52
    assert account.days.earliest("date").date == date(2026, 9, 28)
    assert [day.isoformat() for day in spans.incomplete(account, NIGHT)] == ["2026-11-19"]


@pytest.mark.parametrize("scheduled", [True, False], ids=["scheduled", "by hand"])
def test_a_scheduled_sync_tells_nobody_and_one_by_hand_who_waits_for_it(
    service: Server, account: Account, clock: dict[str, Any], scheduled: bool
) -> None:
    job = lifecycle.create("lifelogs", {"account": account.pk, "mode": "sync"}, owner=account.owner).job
    if scheduled:
        Schedule.objects.update(last_job=job)
    assert resume_inline(job).state == State.COMPLETED
    unread = Notification.objects.filter(recipient=account.owner, about=job.stream, read_at=None)
    assert unread.exists() != scheduled
