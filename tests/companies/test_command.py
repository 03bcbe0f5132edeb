"""`companies sample` and `companies due`."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from ingestion import admission, queues
from ingestion.models import Job
from ingestion.sources.companies.models import Company, Ticker
from ingestion.sources.companies.sample import standin
from ingestion.testing import resume_inline
from tests.companies.standin import Standin, document_path
from tests.engine import ROOT, Engine, environment

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("companies", *words, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("admin")


def test_the_sample_is_ingested_and_never_due(admin: User) -> None:
    assert standin.TICKER in run("sample")
    job = resume_inline(Job.objects.get())
    assert (job.state, job.owner) == ("completed", admin)
    Company.objects.update(checked_at=Now() - timedelta(days=9))
    assert json.loads(run("due", "--json")) == []


def test_a_company_is_asked_for_as_any_ingestion(admin: User) -> None:
    out = io.StringIO()
    words = ("companies", "ticker=brk.b", "years=3", "--user", "admin", "--json")
    call_command("ingest", *words, stdout=out, stderr=io.StringIO())
    told = json.loads(out.getvalue().splitlines()[-1])
    job = Job.objects.get()
    assert (told["id"], told["subject"], told["state"]) == (str(job.pk), "BRK-B", "pending")
    assert (job.owner, job.params) == (admin, {"ticker": "BRK-B", "years": 3})
    with pytest.raises(CommandError, match="ticker"):
        call_command("ingest", "companies", "ticker=", "--user", "admin")


def test_it_is_no_data_of_a_production(admin: User, settings: Any) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="Not in production"):
        run("sample")


def test_what_was_not_looked_at_is_due_by_the_name_most_know(admin: User) -> None:
    for cik, days in ((1, 3), (2, 9), (3, 0), (4, 9)):
        Company.objects.create(cik=cik, name=f"C{cik}", checked_at=Now() - timedelta(days=days))
    Ticker.objects.create(symbol="GOOGL", cik=1, listed=True, rank=7)
    Ticker.objects.create(symbol="GOOG", cik=1, listed=True, rank=3)
    Ticker.objects.create(symbol="OLD", cik=2)
    busy = Company.objects.get(cik=4)
    Job.objects.create(source="companies", object=busy.stream, queue="default", title="x")
    assert [one["ticker"] for one in json.loads(run("due", "--json"))] == ["CIK2", "GOOG"]
    assert [one["ticker"] for one in json.loads(run("due", "--json", "--days", "5"))] == ["CIK2"]
    run("due", "--start")
    started = Job.objects.filter(owner=admin).order_by("subject")
    assert [(job.subject, job.unique_key) for job in started] == [("CIK2", "2"), ("GOOG", "1")]
    assert json.loads(run("due", "--json")) == []


def test_many_that_are_due_cost_as_many_queries_as_one(
    admin: User, django_assert_max_num_queries: Any
) -> None:
    for cik in range(1, 40):
        Company.objects.create(cik=cik, name=f"C{cik}")
    with django_assert_max_num_queries(4):
        assert len(json.loads(run("due", "--json"))) == 39


def test_those_that_find_no_room_are_left_for_the_next_time(
    admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_QUEUED_PER_USER", 3)
    for cik in range(1, 6):
        Company.objects.create(cik=cik, name=f"C{cik}")
    err = io.StringIO()
    call_command("companies", "due", "--start", "--json", stdout=io.StringIO(), stderr=err)
    assert Job.objects.count() == 3
    assert "3 of 5 started, the others next time: You already have 3 queued jobs" in err.getvalue()
    assert [one["ticker"] for one in json.loads(run("due", "--json"))] == ["CIK4", "CIK5"]


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A worker of its own."""
    queues._client().flushdb()
    started = Engine()
    yield started
    started.stop()


@pytest.mark.django_db(transaction=True)
def test_a_company_is_watched_in_a_terminal_while_a_worker_brings_it(engine: Engine) -> None:
    User.objects.create_superuser("admin")
    sec = Standin()
    try:
        sec.tickers(("ABC", 7))
        filings = [("10-K", "2026-02-20", "2025-12-31"), ("10-K", "2025-02-20", "2024-12-31")]
        missing = document_path(7, sec.company(7, "ABC", *filings)[1])
        del sec.pages[missing]
        contact = "Example Org admin@example.org"
        engine.worker(HEADWAY_SEC_WWW_URL=sec.url, HEADWAY_SEC_DATA_URL=sec.url, HEADWAY_SEC_CONTACT=contact)
        words = ("companies", "ticker=abc", "years=2", "--user", "admin", "--watch", "--json")
        done = subprocess.run(
            [sys.executable, "manage.py", "ingest", *words],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    finally:
        sec.stop()
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["subject"], told["state"], told["items"]["failed"]) == ("ABC", "partial", 1)
    for said in (
        "Company ABC Corp found, processing filings",
        "2024 10-K: The SEC lists this 10-K, and does not have its document.",
        "Completed with errors: ABC Corp is ready. 1 done, 1 failed, 1 skipped.",
    ):
        assert said in done.stderr, done.stderr
