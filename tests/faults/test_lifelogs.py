"""Lifelogs whose workers are killed: each day comes once, and none that was finished is asked for again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db import connection

from ingestion import lifecycle
from ingestion.models import Job, State
from ingestion.sources.lifelogs import accounts
from ingestion.sources.lifelogs.models import Account, Day, Ingestion
from tests.engine import Engine, described, ended, fresh, horse_of
from tests.faults.conftest import FULL, pass_time
from tests.lifelogs.service import KEY, Asked, Server
from tests.waiting import until

ZONE = ZoneInfo("Europe/Oslo")
FIRST, DAYS = (date(2025, 1, 1), 365) if FULL else (date(2025, 11, 1), 30)
KILLS, ITEMS = (10, 27) if FULL else (2, 3)
PER_SECOND = 180
ANSWER_SECONDS = 0.02 if FULL else 0.1  # so long a request takes: a kill meets a day in the middle
LATEST = 15  # days before the last that a kill comes; some are read ahead


@pytest.fixture
def service() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def fill(service: Server) -> None:
    for n in range(DAYS):
        service.fill(FIRST + timedelta(days=n), ZONE, ITEMS)


def begin(account: Account) -> Job:
    last = FIRST + timedelta(days=DAYS - 1)
    what = {"mode": "range", "start": FIRST.isoformat(), "end": last.isoformat()}
    what = what if FULL else {"mode": "month", "month": f"{FIRST:%Y-%m}"}
    return lifecycle.create("lifelogs", {"account": account.pk, **what}, owner=account.owner).job


def reached(job: Job, attempt: int, items: int) -> bool:
    """Say whether an attempt has done an item of its own, and the job so many."""
    now = fresh(job)
    return (
        now.state == State.RUNNING and (now.attempt, now.crashes) == (attempt, 0) and now.items_done >= items
    )


def busiest(times: list[float]) -> int:
    """Return the most requests of any second."""
    times = sorted(times)
    return max(sum(1 for at in times[n : n + 1000] if at < begin + 1) for n, begin in enumerate(times))


def kill(engine: Engine, worker: subprocess.Popen[bytes], whole: bool) -> None:
    """Kill the work-horse, or the worker with it."""
    horse = horse_of(worker)
    if whole:
        engine.kill(worker)
    os.kill(horse, signal.SIGKILL)


def test_a_backfill_whose_workers_are_killed_brings_each_day_once(
    engine: Engine, owner: User, service: Server
) -> None:
    again: list[str] = []

    def note(asked: Asked) -> None:
        """Note days that are asked for although they are complete; answer after a while."""
        if day := asked.params.get("date"):
            if Day.objects.filter(date=day, ingestion_status=Ingestion.COMPLETE).exists():
                again.append(day)
            connection.close()
        pass_time(ANSWER_SECONDS)

    fill(service)
    service.before_page = note
    env = {"HEADWAY_LIMITLESS_URL": service.url, "HEADWAY_LIMITLESS_PER_MINUTE": str(60 * PER_SECOND)}
    account = accounts.add(owner, "limitless", KEY, ZONE.key)
    engine.keeper()
    worker = engine.worker(**env)
    job = begin(account)
    for n in range(KILLS):
        least = (n + 1) * (DAYS - LATEST) // KILLS - (0 if FULL else 5)
        until(partial(reached, job, n + 1, least), 120, f"day {least} in attempt {n + 1}")
        whole = n % 2 == 1
        kill(engine, worker, whole)
        if whole:
            worker = engine.worker(**env)
    job = ended(job, 300)
    told = described(job)
    assert (job.state, job.items_done, job.items_total) == (State.COMPLETED, DAYS, DAYS), told
    outcomes = list(job.attempts.order_by("number").values_list("outcome", flat=True))
    # A worker that dies with its horse is missed by the keeper, and one that is young itself blames nobody.
    expected = [{"crashed", "lost"} if n % 2 else {"crashed"} for n in range(KILLS)]
    assert len(outcomes) == KILLS + 1 and outcomes.pop() == "completed", told
    assert all(outcome in among for outcome, among in zip(outcomes, expected, strict=True)), told
    assert again == [], "finished days were asked for again"
    assert account.items.count() == DAYS * ITEMS == account.items.values("key").distinct().count()
    days = account.days.filter(ingestion_status=Ingestion.COMPLETE, items_count=ITEMS, version=1)
    assert days.count() == account.days.count() == DAYS
    account.refresh_from_db()
    assert account.version == 1 + DAYS  # each day moved it once
    assert busiest([asked.at for asked in service.asked]) <= PER_SECOND
