"""Recordings whose beginning is told anew: they move from one day to another, and stand on one of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingestion import lifecycle
from ingestion.sources.lifelogs import limitless
from ingestion.sources.lifelogs.models import Account, DataItem
from ingestion.testing import Killed, kill_at, lose_worker, resume_inline, run_inline
from tests.lifelogs.looks import overtaken, sync, the_day
from tests.lifelogs.service import Answer, Server

pytestmark = pytest.mark.django_db
NIGHT = datetime(2026, 11, 19, 12, tzinfo=UTC)  # long after the 18th has ended
EVENING = datetime(2026, 11, 18, 18, tzinfo=UTC)
TWENTY = timedelta(minutes=20)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, datetime]:
    """What time the client reads."""
    now = {"now": EVENING}
    monkeypatch.setattr(limitless, "read_clock", lambda: now["now"])
    return now


def range_of(account: Account, day: str) -> dict[str, Any]:
    """Return a day as a range: another job."""
    return {"account": account.pk, "mode": "range", "start": day, "end": day}


def test_an_item_that_began_on_another_day_leaves_this_one_and_comes_with_the_other(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    item = service.put("a", "2026-11-18T00:10+01:00")
    sync(account)
    item.started_at -= timedelta(minutes=20)
    clock["now"] = NIGHT
    sync(account)
    assert (the_day(account).ingestion_status, the_day(account).items_count) == ("complete", 0)
    sync(account, "2026-11-17")
    assert the_day(account, "2026-11-17").items_count == 1 and the_day(account).version == 2


def test_a_day_does_not_move_when_what_was_deleted_of_it_comes_on_another(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    item = service.put("a", "2026-11-18T00:10+01:00")
    sync(account)
    del service.items["a"]
    sync(account)
    assert (the_day(account).items_count, the_day(account).version) == (0, 2)
    item.started_at -= timedelta(minutes=20)
    service.items["a"] = item
    sync(account, "2026-11-17")
    assert (the_day(account).version, the_day(account, "2026-11-17").items_count) == (2, 1)


def test_an_older_look_takes_nothing_from_a_day_that_was_read_after_it_began(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    item = service.put("a", "2026-11-17T23:50+01:00")
    clock["now"] = NIGHT
    sync(account, "2026-11-17")
    item.started_at += timedelta(minutes=20)
    clock["now"] = EVENING
    sync(account)  # what the service said before
    assert (the_day(account).items_count, the_day(account, "2026-11-17").items_count) == (0, 1)
    clock["now"] = NIGHT - timedelta(minutes=1)
    sync(account)  # settled, but which of the two is right is not known
    assert not the_day(account).is_complete
    clock["now"] = NIGHT + timedelta(minutes=1)
    sync(account)
    assert (the_day(account).is_complete, the_day(account).items_count) == (True, 1)


def test_an_item_whose_beginning_moves_to_another_day_moves_with_it(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    item = service.put("a", "2026-11-18T00:10+01:00")
    sync(account)
    item.started_at -= timedelta(minutes=20)
    sync(account, "2026-11-17")
    assert (the_day(account).items_count, the_day(account, "2026-11-17").items_count) == (0, 1)
    assert (the_day(account).version, DataItem.objects.get().first_version) == (2, 1)


def test_what_an_overlapping_look_took_from_another_day_is_not_lost(
    service: Server, account: Account, clock: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at the 17th began before that at the 18th, and read its page after it."""
    item = service.put("a", "2026-11-18T00:10+01:00")
    sync(account)
    item.started_at -= TWENTY

    def leaves() -> None:
        clock["now"] = NIGHT + timedelta(minutes=1)
        service.mood = lambda asked: Answer(400) if asked.params.get("date") == "2026-11-17" else None
        assert sync(account).state == "partial"  # where it went to cannot be read
        service.mood = lambda asked: None
        clock["now"] = NIGHT

    with overtaken(monkeypatch, leaves):
        run_inline("lifelogs", account.owner, **range_of(account, "2026-11-17"))
    assert DataItem.objects.get().deleted_at is None
    assert (the_day(account).items_count, the_day(account, "2026-11-17").items_count) == (0, 1)
    assert the_day(account, "2026-11-17").is_complete


def test_what_moves_after_an_overlapping_look_has_brought_it_is_looked_at_again(
    service: Server, account: Account, clock: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each day was read whole, one after the other; without a second look the 17th would lack it."""
    service.put("a", "2026-11-18T00:10+01:00")
    looks: list[str] = []

    def comes() -> None:
        clock["now"] = NIGHT + timedelta(minutes=1)
        sync(account)
        service.items["a"].started_at -= TWENTY
        clock["now"] = NIGHT
        service.before_page = goes_on

    def goes_on(asked: Any) -> None:
        looks.append(asked.params["date"])
        clock["now"] = NIGHT + timedelta(minutes=2)  # when the first look at the 17th has begun

    with overtaken(monkeypatch, comes):
        job = run_inline("lifelogs", account.owner, **range_of(account, "2026-11-17"))
    assert job.state == "completed" and looks == ["2026-11-17", "2026-11-17"]
    assert list(job.items.order_by("pk").values_list("key", flat=True)) == ["2026-11-17", "2026-11-17#2"]
    assert (the_day(account).items_count, the_day(account, "2026-11-17").items_count) == (0, 1)
    assert the_day(account, "2026-11-17").is_complete


def test_an_item_that_is_found_on_an_old_complete_day_comes_there(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    """No sync looks at a day of a month ago any more: the item had left one day and come to none."""
    item = service.put("a", "2026-11-18T00:10+01:00")
    clock["now"] = NIGHT
    sync(account, "2026-10-01")
    assert the_day(account, "2026-10-01").is_complete
    sync(account)
    item.started_at -= timedelta(days=48)
    job = run_inline("lifelogs", account.owner, account=account.pk, mode="sync")
    assert job.state == "completed"
    old = the_day(account, "2026-10-01")
    assert (old.items_count, old.changed_after, the_day(account).items_count) == (1, True, 0)
    assert DataItem.objects.get().deleted_at is None


def test_a_second_look_is_not_lost_with_its_worker(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    item = service.put("a", "2026-11-18T00:10+01:00")
    clock["now"] = NIGHT
    sync(account, "2026-10-01")
    sync(account)
    item.started_at -= timedelta(days=48)
    job = lifecycle.create("lifelogs", range_of(account, "2026-11-18"), owner=account.owner).job
    with kill_at("item.before_commit", 2), pytest.raises(Killed):
        resume_inline(job)
    job = resume_inline(lose_worker(job))
    assert (job.state, job.items_done, job.items_total) == ("completed", 2, 2)
    assert the_day(account, "2026-10-01").items_count == 1


def test_an_item_that_is_told_of_another_day_each_time_ends_the_job(
    service: Server, account: Account, clock: dict[str, Any]
) -> None:
    """It is looked for three times; a day that has not begun is not looked at."""
    item = service.put("a", "2026-11-18T00:10+01:00")
    clock["now"] = NIGHT
    sync(account)

    def runs(asked: Any) -> None:
        item.started_at = datetime(2026, 11, 1 + len(service.asked) % 17, tzinfo=UTC)

    service.before_page = runs
    job = run_inline("lifelogs", account.owner, **range_of(account, "2026-11-18"))
    assert job.state == "completed" and job.items_total <= 3
    service.before_page = lambda asked: None
    item.started_at = NIGHT + timedelta(days=3)
    job = run_inline("lifelogs", account.owner, account=account.pk, mode="sync")
    assert job.state == "completed" and not account.days.filter(date__gt=NIGHT).exists()
