"""A year of 27 items a day, brought with kills, exactly once (PERFORMANCE: 180 requests a second here)."""

import os
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle
from ingestion.sources.lifelogs import limitless
from ingestion.sources.lifelogs.models import Account, Ingestion
from ingestion.testing import Killed, kill_at, lose_worker, resume_inline
from tests.lifelogs.service import Server

pytestmark = pytest.mark.django_db
FULL = os.environ.get("HEADWAY_FAULTS") == "full"
DAYS, KILLS = (365, 10) if FULL else (24, 3)
ITEMS = 27
POINTS = ["item.before_commit", "item.after_commit", "item.before_fence", "item.before_body"]


def test_a_year_is_brought_exactly_once_whatever_is_killed(
    service: Server, account: Account, alice: User, monkeypatch: pytest.MonkeyPatch, settings: object
) -> None:
    settings.LIMITLESS_PER_MINUTE = 180 * 60  # type: ignore[attr-defined]
    monkeypatch.setattr(limitless, "read_clock", lambda: datetime(2027, 6, 1, tzinfo=UTC))
    first = date(2026, 1, 1)
    last = first + timedelta(days=DAYS - 1)
    for n in range(DAYS):
        service.fill(first + timedelta(days=n), ZoneInfo("Europe/Oslo"), ITEMS)
    params = {"account": account.pk, "mode": "range", "start": first.isoformat(), "end": last.isoformat()}
    job = lifecycle.create("lifelogs", params, owner=alice).job
    again: Counter[str] = Counter()
    for n in range(KILLS):
        done = set(account.days.filter(ingestion_status=Ingestion.COMPLETE).values_list("date", flat=True))
        service.asked.clear()
        with kill_at(POINTS[n % len(POINTS)], max(2, DAYS // KILLS - 2)):
            try:
                job = resume_inline(job)
            except Killed:
                job = lose_worker(job, crashed=False)
        again.update(
            one.params["date"]
            for one in service.asked
            if date.fromisoformat(one.params.get("date", "1999-01-01")) in done
        )
    assert job.state == "pending", "it was not killed"
    job = resume_inline(job)
    assert (job.state, job.items_done, job.items_total) == ("completed", DAYS, DAYS)
    assert not again, "finished days were fetched again"
    assert account.items.count() == DAYS * ITEMS
    assert account.items.values("key").distinct().count() == DAYS * ITEMS
    days = account.days.all()
    assert days.filter(ingestion_status=Ingestion.COMPLETE, items_count=ITEMS, version=1).count() == DAYS
    account.refresh_from_db()
    assert account.version == 1 + DAYS  # each day moved it once
