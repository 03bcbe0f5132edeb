"""`companies sample` and `companies due`."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from ingestion.models import Job
from ingestion.sources.companies.models import Company, Ticker
from ingestion.sources.companies.sample import standin
from ingestion.testing import resume_inline

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
