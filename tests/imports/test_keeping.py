"""Rows of a file go some time after their import has ended; what was found and loaded stays."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client

from ingestion import lifecycle, retention
from ingestion.admission import Refused
from ingestion.models import Job
from ingestion.source import SourceError
from ingestion.sources.imports import keeping, loading
from ingestion.sources.imports.models import Import, Unit
from ingestion.testing import resume_inline
from tests.imports.conftest import Run

pytestmark = pytest.mark.django_db(transaction=True)

BAD = "tax_ident,name,employees\n1,a,1\n2,b,two\n3,c,3\n"


def let_pass(days: int) -> None:
    """Let all jobs have ended earlier."""
    Job.objects.exclude(finished_at=None).update(finished_at=Now() - timedelta(days=days))


def test_rows_are_forgotten_with_their_file(run: Run, client: Client, alice: User) -> None:
    ended, waiting = run(BAD, review="never"), run(BAD.replace("a", "A"))
    client.force_login(alice)
    url = ended.get_absolute_url()
    until = f"{keeping.keeps_until(Import.objects.get(pk=ended.pk)):%-d %B %Y}"
    assert f">{until}</time>" in client.get(url).content.decode()
    let_pass(29)
    assert retention.prune()["import_rows"] == 0
    let_pass(31)
    assert retention.prune()["import_rows"] == 3
    assert (ended.rows.count(), waiting.rows.count(), Unit.objects.count()) == (0, 3, 2)
    page = client.get(url).content.decode()
    for text in ("The rows of this file are no longer kept", "<strong>employees</strong>", "<dd>2</dd>"):
        assert text in page
    assert "errors.csv" not in page and client.get(f"{url}errors.csv").status_code == 404
    answer = client.get(f"/api/imports/{ended.pk}").json()
    assert answer["forgotten_at"] and answer["rows_bad"] == 1 and answer["problems"]


def test_rows_go_in_batches_until_none_is_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        run(f"{BAD}4,{name},4\n", review="never")
    let_pass(31)
    monkeypatch.setattr(keeping, "BATCH", 4)  # as many as the span that each file is
    assert [keeping.forget(1) for _ in range(3)] == [4, 4, 0]


def test_many_small_imports_go_in_one_round(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper comes once an hour: what it leaves each time would grow."""
    for name in "abcde":
        run(f"{BAD}4,{name},4\n", review="never")
    let_pass(31)
    monkeypatch.setattr(keeping, "IMPORTS", 2)
    assert (keeping.forget(1), keeping.forget(1)) == (20, 0)
    assert not Import.objects.filter(forgotten_at=None).exists()


def test_rows_of_removed_jobs_go_too(run: Run) -> None:
    imported = run(BAD, review="never")
    lifecycle.delete(Job.objects.get(pk=imported.job_id), imported.owner)
    assert keeping.forget(1) == 0
    Import.objects.update(created_at=Now() - timedelta(days=31))
    assert keeping.forget(1) == 3


def test_no_retry_goes_on_without_the_rows(run: Run, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = fail(run, monkeypatch)
    let_pass(31)
    assert keeping.forget(1) == 3
    with pytest.raises(Refused, match=r"no longer kept\. Upload the file again\."):
        lifecycle.retry(failed, alice)


def test_only_the_latest_retry_goes_on_with_an_import(
    run: Run, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fail(run, monkeypatch)
    second = lifecycle.retry(first, alice).job
    assert lifecycle.retry(first, alice).job == second  # it is open: joined
    with monkeypatch.context() as patch:
        patch.setattr(loading, "load", broken)
        second = resume_inline(second)
    assert second.state == "partial"
    with pytest.raises(Refused, match=r"A later job goes on with this import\. Retry that one\."):
        lifecycle.retry(first, alice)
    third = resume_inline(lifecycle.retry(second, alice).job)
    assert (third.state, Import.objects.get().job_id, Unit.objects.count()) == ("partial", third.pk, 2)


def broken(*_: Any) -> None:
    raise SourceError("tested", "No.")


def fail(run: Run, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return the job of an import whose only batch failed."""
    with monkeypatch.context() as patch:
        patch.setattr(loading, "load", broken)
        job = run(BAD, review="never").job
    assert job is not None and job.state == "partial"
    return job
