"""Companies from a source that limits and blocks, with workers that are killed."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection

from ingestion import lifecycle, queues
from ingestion.models import Job, Pause, State
from ingestion.sources.companies.models import Filing, Passage
from tests.companies.standin import BLOCKED, FACTS, Page, Standin
from tests.engine import Engine, described, ended, fresh, horses
from tests.faults.conftest import FULL, pass_time
from tests.waiting import until

MOST = 10  # requests in a second: the SEC's own limit
BLOCK = 5 if FULL else 8  # seconds
SOON = 1 if FULL else 3  # seconds: what was on its way when the block began
YEARS = 30 if FULL else 6
KILLS = 20 if FULL else 3
REASON = f"sec.gov asked us to stop for {BLOCK} seconds"
COMPANIES = {f"CO{n}": n for n in range(1, 5)}


@pytest.fixture
def sec() -> Iterator[Standin]:
    standin = Standin()
    yield standin
    standin.stop()


def environment(sec: Standin, **more: str) -> dict[str, str]:
    """Return what makes a worker ask the stand-in."""
    return {
        "HEADWAY_SEC_WWW_URL": sec.url,
        "HEADWAY_SEC_DATA_URL": sec.url,
        "HEADWAY_SEC_CONTACT": "Example Org admin@example.org",
        **more,
    }


def put(sec: Standin, tickers: dict[str, int], years: int) -> dict[str, list[str]]:
    """Put companies with as many reports, and the figures of the newest; return their accessions."""
    sec.tickers(*tickers.items())
    told = {}
    for ticker, cik in tickers.items():
        filings = [("10-K", f"{2025 - n}-02-20", f"{2024 - n}-12-31") for n in range(years)]
        told[ticker] = sec.company(cik, ticker, *filings)
        entry = {"start": "2024-01-01", "end": "2024-12-31", "val": 7, "accn": told[ticker][0]}
        sec.put(FACTS.format(cik), {"facts": {"us-gaap": {"Revenues": {"units": {"USD": [entry]}}}}})
    return told


def start(owner: User, years: int) -> list[Job]:
    return [
        lifecycle.create("companies", {"ticker": one, "years": years}, owner=owner).job for one in COMPANIES
    ]


def busiest(times: list[float]) -> int:
    """Return the most requests of any second."""
    times = sorted(times)
    return max(sum(1 for at in times[n:] if at < begin + 1) for n, begin in enumerate(times))


def test_four_workers_together_keep_the_limit_and_the_block(
    engine: Engine, owner: User, sec: Standin, tmp_path: Path
) -> None:
    switches = {"HEADWAY_TEST_SWITCHES": str(tmp_path), "HEADWAY_TEST_WITHOUT": "company_slots"}
    env = environment(sec, HEADWAY_SEC_BLOCK_SECONDS=str(BLOCK), **switches)
    told = put(sec, COMPANIES, YEARS)
    blocked_at: list[float] = []

    def mood(path: str) -> Page | None:
        if not blocked_at and len(sec.asked) > 3 * len(COMPANIES):
            blocked_at.append(sec.asked[-1].at)
        asked = sec.asked[-1].at
        return Page(BLOCKED, 429, "text/html") if blocked_at and asked < blocked_at[0] + BLOCK - 0.5 else None

    sec.mood = mood
    engine.keeper()
    for _ in COMPANIES:
        engine.worker(**env)
    jobs = start(owner, YEARS)
    until(Pause.objects.exists, 60, "the block")
    queues._client().flushall()
    until(
        lambda: Job.objects.filter(state=State.RUNNING, message__startswith=REASON).exists(),
        BLOCK + 10,
        "a job that says what it waits for",
    )
    for job in jobs:
        assert ended(job).state == State.COMPLETED, described(job)
        # All four waited, and said so.
        assert job.events.filter(message__startswith=REASON).exists(), described(job)
    times = [asked.at for asked in sec.asked]
    assert busiest(times) <= MOST
    late = [at - blocked_at[0] for at in times if blocked_at[0] + SOON < at < blocked_at[0] + BLOCK]
    assert late == [], "asked during the block"
    assert Filing.objects.filter(status="complete").count() == YEARS * len(COMPANIES)
    assert len({name for job in jobs for name in job.attempts.values_list("worker", flat=True)}) == 4
    assert sum(len(one) for one in told.values()) == Filing.objects.count()

    # The same with both protections off is seen here.
    for name in ("outside_rate", "host_pause"):
        (tmp_path / name).touch()
    Filing.objects.all().delete()
    sec.asked.clear()
    blocked_at.clear()
    for job in start(owner, YEARS):
        ended(job)
    times = [asked.at for asked in sec.asked]
    assert busiest(times) > MOST
    assert [at for at in times if blocked_at[0] + SOON < at < blocked_at[0] + BLOCK] != []


def test_a_company_whose_work_horses_are_killed_comes_whole_and_nothing_is_fetched_twice(
    engine: Engine, owner: User, sec: Standin
) -> None:
    again: list[str] = []

    def note(path: str) -> None:
        """Note documents that are asked for although their text is stored; give each after a while."""
        if path.startswith("/Archives/"):
            if Filing.objects.filter(url=sec.url + path, status="complete").exists():
                again.append(path)
            connection.close()
            pass_time(0.2)

    told = put(sec, {f"CO{n}": n for n in range(1, KILLS + 1)}, 5)  # the list is not read again so soon
    sec.before = note
    engine.keeper()
    worker = engine.worker(**environment(sec))
    seed = random.randrange(10**9)
    dice, killed, n = random.Random(seed), 0, 0
    while killed < KILLS:
        n += 1
        job = lifecycle.create("companies", {"ticker": f"CO{n}"}, owner=owner).job
        # Twice a job: a third crash with the same item in hand, one of several at a time, would set it aside.
        for least in sorted(dice.sample(range(5), 2)):
            progressed(job, least)
            pass_time(dice.uniform(0, 0.4))
            if killed < KILLS and not fresh(job).is_final:
                killed += kill_horse(worker)
        job = ended(job)
        assert (job.state, job.items_done) == (State.COMPLETED, 6), f"{seed}: {described(job)}"
        filings = Filing.objects.filter(companies__cik=n)
        assert sorted(filings.values_list("accession", flat=True)) == sorted(told[f"CO{n}"])
        assert Passage.objects.filter(filing__in=filings).count() == 5
        assert not filings.exclude(status="complete").exists()
    assert again == [], seed


def progressed(job: Job, items: int) -> None:
    """Return when a job has done so many items, or has ended."""
    until(lambda: fresh(job).is_final or fresh(job).items_done >= items, 60, f"progress of {job}")


def kill_horse(worker: subprocess.Popen[bytes]) -> int:
    """Kill a worker's work-horse; return 0 where it has none just now."""
    found = horses(worker.pid)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: pid not in horses(worker.pid), 20, "the end of the work-horse")
    return len(found)
