"""What stands still with an account, and goes on with it."""

import pytest

from ingestion import schedules
from ingestion.models import Schedule
from ingestion.sources.lifelogs import accounts
from ingestion.sources.lifelogs.models import Account

pytestmark = pytest.mark.django_db


def test_a_schedule_that_was_paused_by_itself_does_not_go_on_with_its_account(account: Account) -> None:
    mine = Schedule.objects.get()
    other = schedules.put(
        Schedule(
            name="Each night",
            source=accounts.KIND,
            params={"account": account.pk, "mode": "incomplete"},
            cron="0 4 * * *",
            zone="UTC",
            owner=account.owner,
        )
    )
    schedules.set_paused(mine.pk, True)
    for stop, go_on in (
        (accounts.pause, accounts.resume),
        (accounts.revoke, lambda one: accounts.give_key(one, "another-key")),
    ):
        stop(account)
        assert not Schedule.objects.filter(paused=False).exists()
        go_on(account)
        assert list(Schedule.objects.filter(paused=False)) == [other]
    accounts.give_key(account, "a-third-key")  # it stood not still
    assert list(Schedule.objects.filter(paused=True)) == [mine]


def test_what_stopped_with_a_pause_goes_on_with_a_key_that_was_forgotten_meanwhile(account: Account) -> None:
    accounts.pause(account)
    accounts.revoke(account)
    accounts.give_key(account, "another-key")
    schedule = Schedule.objects.get()
    assert not schedule.paused and schedule.next_at is not None
    account.refresh_from_db()
    assert account.stopped == []
