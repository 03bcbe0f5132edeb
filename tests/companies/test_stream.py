"""The stream of a company: it moves with what happened, in the same transaction."""

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from ingestion import lifecycle
from ingestion.models import Job
from ingestion.sources.companies.models import Company, Turns
from ingestion.sources.companies.sample import standin as bundled
from ingestion.testing import Killed, kill_at, resume_inline, run_inline
from realtime import streams

pytestmark = pytest.mark.django_db(transaction=True)


def start(owner: User) -> Job:
    return lifecycle.create("companies", {"ticker": bundled.TICKER}, owner=owner).job


@pytest.fixture
def company(alice: User) -> Company:
    run_inline("companies", alice, ticker=bundled.TICKER)
    return Company.objects.get()


def die() -> None:
    raise Killed


def test_it_has_moved_when_the_process_dies_with_the_commit(alice: User, company: Company) -> None:
    before = company.place
    with pytest.raises(Killed), transaction.atomic():
        transaction.on_commit(die)  # the first of what follows the commit
        job = start(alice)
    assert company.place == before + 1
    with pytest.raises(Killed), transaction.atomic():
        transaction.on_commit(die)
        lifecycle.cancel(job, alice)
    assert Job.objects.get(pk=job.pk).state == "cancelled"
    assert company.place == before + 2


@pytest.mark.parametrize("point", ["job.create.before_commit", "job.completed.before_commit"])
def test_it_has_not_moved_for_what_was_rolled_back(alice: User, company: Company, point: str) -> None:
    turns, jobs = Turns.objects.get().number, Job.objects.filter(state="completed").count()
    with kill_at(point):
        resume_inline(start(alice))
    came = Job.objects.count() - 1  # it was created before the second of these points
    assert Job.objects.filter(state="completed").count() == jobs
    assert Turns.objects.get().number == turns + came


def test_it_stands_where_its_hints_and_its_page_say(
    alice: User, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(
        "realtime.publish._send", lambda stream, version, urgent: told.append((stream, version))
    )
    resume_inline(start(alice))
    versions = [version for stream, version in told if stream == company.stream]
    assert versions == sorted(versions) and len(set(versions)) == len(versions) >= 3
    company.refresh_from_db()
    kind = streams.kinds()["company"]
    key = str(company.pk)
    assert kind.versions([key]) == {key: company.place}
    assert kind.read({key: None})[key].version == company.place == versions[-1]


def test_a_company_without_jobs_stands_at_its_version(company: Company) -> None:
    Turns.objects.all().delete()
    assert streams.kinds()["company"].versions([str(company.pk)]) == {str(company.pk): company.version}
