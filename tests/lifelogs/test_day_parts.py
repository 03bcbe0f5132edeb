"""Parts of the pages of days: what is asked for again, what stands beside a day, how weeks are named."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ingestion.sources.lifelogs import accounts, calendars, day_page, limitless
from ingestion.sources.lifelogs.models import Account, Day
from ingestion.sources.lifelogs.sample import standin
from tests.lifelogs.looks import sync
from tests.lifelogs.service import Server

pytestmark = pytest.mark.django_db
NIGHT = datetime(2026, 11, 19, 12, tzinfo=UTC)


@pytest.fixture
def web(client: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(limitless, "read_clock", lambda: NIGHT)
    monkeypatch.setattr(day_page, "clock_of", lambda account: NIGHT)
    client.force_login(alice)
    return client


@pytest.mark.parametrize("part", ["?since=0&was=partial&f=all", "cell/?on=2026-11-18", "cell/?on=2026-11-01"])
def test_a_part_that_did_not_change_is_neither_made_nor_sent_again(
    web: Client, account: Account, service: Server, part: str
) -> None:
    path = f"/days/{account.pk}/2026-11-18/{part}"
    target = {"HX-Target": "day"}
    service.put("a", "2026-11-18T08:00+01:00")
    sync(account)
    with CaptureQueriesContext(connection) as whole:
        first = web.get(path, headers=target)
    known = {**target, "If-None-Match": first["ETag"]}
    with CaptureQueriesContext(connection) as same:
        again = web.get(path, headers=known)
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again["ETag"] == first["ETag"] and len(same) <= len(whole)
    if part.startswith("?"):
        assert len(same) < len(whole) / 2
    service.put("b", "2026-11-18T09:00+01:00")
    sync(account)
    assert web.get(path, headers=known).status_code == 200


def test_a_cell_is_another_where_its_day_is_shown(web: Client, account: Account) -> None:
    path = f"/days/{account.pk}/2026-11-18/cell/?on="
    shown, beside = (web.get(f"{path}2026-11-{day}")["ETag"] for day in (18, 17))
    assert shown != beside
    failed = Day.objects.create(account=account, date=date(2026, 11, 18), trouble="It did not answer.")
    assert web.get(f"{path}2026-11-18", headers={"If-None-Match": shown}).status_code == 200
    assert failed.version == 0  # a failure moves none


def test_beside_another_day_stands_how_far_today_is(web: Client, account: Account, service: Server) -> None:
    service.put("a", "2026-11-19T08:00+01:00")
    sync(account, "2026-11-19")
    text = web.get(f"/days/{account.pk}/2026-11-18/").content.decode()
    assert "Today, Thu 19 Nov" in text and f'data-live="day:{account.pk}:2026-11-19"' in text
    assert (
        'Items so far: <b data-field="items">1</b>. Limitless has the full day after 03:00 on Friday.' in text
    )
    assert f'href="/days/{account.pk}/2026-11-19/">Open today</a>' in text
    assert "Open today" not in web.get(f"/days/{account.pk}/2026-11-19/").content.decode()


def test_a_week_is_named_by_the_month_in_which_it_begins(account: Account) -> None:
    weeks = calendars.last_weeks(account, NIGHT).weeks
    assert [week.month for week in weeks] == ["Sep", "Oct", "", "", "", "Nov", "", ""]
    months = [week.month for week in calendars.year(account, 2026, NIGHT).weeks if week.month]
    assert months == [f"{date(2026, n, 1):%b}" for n in range(1, 13)]


def test_when_the_sample_was_read_is_told_on_the_clock_on_the_wall(web: Client, alice: User) -> None:
    """It plays a night in a minute: what it read some seconds ago was 17 hours ago on its own clock."""
    sample = accounts.sample_of(alice)
    born = sample.created_at
    for seconds in (0, 1, 30, 40, 3600, 90_000):
        now = born + timedelta(seconds=seconds)
        assert abs(standin.really(born, standin.played(born, now)) - now) < timedelta(milliseconds=1)
    read = standin.played(born, born + timedelta(seconds=6))
    day = Day.objects.create(account=sample, date=read.date(), walked_at=read)
    text = web.get(day.get_absolute_url()).content.decode()
    assert f'datetime="{(born + timedelta(seconds=6)).isoformat()[:19]}' in text.replace("Z", "")
