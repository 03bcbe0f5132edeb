"""One schedule's trouble is no other schedule's."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now

from ingestion.models import Job, Schedule
from ingestion.schedules import start_due
from ingestion.source import get

pytestmark = pytest.mark.django_db


def due(owner: User, **values: object) -> Schedule:
    given = {"name": "s", "source": "ping", "cron": "0 * * * *", "owner": owner} | values
    schedule = Schedule.objects.create(**given)
    Schedule.objects.filter(pk=schedule.pk).update(next_at=Now() - timedelta(seconds=1))
    return schedule


def test_a_source_that_breaks_does_not_keep_other_schedules_from_starting(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = due(alice, source="shelves", params={"name": "a"})
    others = [due(alice), due(alice)]

    def can_start(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(type(get("shelves")), "can_start", can_start)

    assert start_due() == 2
    broken.refresh_from_db()
    assert "went wrong" in broken.last_error
    assert "secret" not in broken.last_error
    assert broken.next_at is not None
    assert Job.objects.count() == len(others)


def test_a_zone_that_is_no_longer_known_stops_only_its_own_schedule(alice: User) -> None:
    lost = due(alice, zone="Mars/Base")
    due(alice)

    assert start_due() == 1
    lost.refresh_from_db()
    assert (lost.next_at, "Mars/Base" in lost.last_error) == (None, True)
    assert start_due() == 0
