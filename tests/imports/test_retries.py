"""A retry goes on with what was approved, unless the register has changed since."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion import lifecycle
from ingestion.models import Job
from ingestion.source import SourceError
from ingestion.sources.imports import decisions
from ingestion.sources.imports.models import Import, Unit
from ingestion.testing import kill_at, lose_worker, resume_inline
from tests.imports.conftest import Run, definition, errors_of

pytestmark = pytest.mark.django_db(transaction=True)

FEW = "tax_ident,name\n1,a\n2,b\n"
# More than one batch, and a row with an error in the first.
MANY = "tax_ident,name\nx,\n" + "".join(f"{n},unit number {n}\n" for n in range(10, 2010))


def approve(imported: Import) -> Job:
    """Approve what the import shows now."""
    current = Import.objects.get(pk=imported.pk)
    assert current.job is not None
    return lifecycle.answer(current.job, "approve", {"revision": current.revision}, current.owner)


def stopped(job: Job, point: str) -> Job:
    """Run a job to a point, lose its worker there, and cancel it."""
    with kill_at(point):
        resume_inline(job)
    return lifecycle.cancel(lose_worker(job), job.owner)


def retried(job: Job) -> Job:
    """Retry a job, and run one attempt of that."""
    return resume_inline(lifecycle.retry(job, job.owner).job)


def test_it_asks_anew_where_the_register_has_changed(run: Run) -> None:
    definition(mode="insert")
    imported = run(FEW, definition="mine", review="always")
    job = stopped(approve(imported), "item.before_body")
    run("tax_ident,name\n1,other\n")

    job = retried(job)

    assert job.state == "waiting" and job.waiting_for is not None
    assert job.waiting_for["text"] == (
        "The register has changed since this was approved. 2 rows checked, 1 has an error. Load the other 1?"
    )
    assert errors_of(imported) == {2: {"tax_ident": "known_unit"}}
    assert resume_inline(approve(imported)).message.startswith("1 rows loaded: 1 new")


def test_it_keeps_an_approval_that_still_holds_and_says_whose(run: Run, client: Client, alice: User) -> None:
    imported = run(FEW, review="always")
    job = stopped(approve(imported), "item.before_body")
    run("tax_ident,name\n3,other\n")
    job = retried(job)
    assert job.message == "2 rows loaded: 2 new, 0 updated" and job.answer is None
    client.force_login(alice)
    page = client.get(imported.get_absolute_url()).content.decode()
    assert re.search(r'Approved by alice at <time [^>]*data-says="clock">\d\d:\d\d:\d\d</time>', page)
    for name, given in list(job.memo.items()):
        if name.startswith("answer:review"):
            job.memo[name] = {**given, "at": "2025-02-03T12:00:00+00:00"}
    job.save(update_fields=["memo"])
    page = client.get(imported.get_absolute_url()).content.decode()
    assert re.search(r"Approved by alice at <time [^>]*>3 Feb \d\d:00</time>", page)


def test_it_goes_on_with_the_rest_where_nobody_else_has_loaded(run: Run) -> None:
    imported = run(MANY, review="always")
    job = stopped(approve(imported), "item.after_commit")
    assert 0 < Unit.objects.count() < 2000

    job = retried(job)

    assert (job.state, job.result["created"], Unit.objects.count()) == ("partial", 2000, 2000)


def test_once_a_part_is_loaded_the_rest_can_only_be_approved_or_rejected(
    run: Run, client: Client, alice: User
) -> None:
    imported = run(MANY, review="always")
    job = stopped(approve(imported), "item.after_commit")
    run("tax_ident,name\nother,other\n")

    job = retried(job)

    text = "The register has changed since this was approved. A part of the file is loaded. Load the rest?"
    assert job.state == "waiting" and job.waiting_for is not None and job.waiting_for["text"] == text
    imported = Import.objects.get(pk=imported.pk)
    with pytest.raises(SourceError, match="A part of this file is loaded already"):
        decisions.decide(imported, imported.problems[0]["key"], "value", "a name", None, alice)
    client.force_login(alice)
    page = client.get(imported.get_absolute_url()).content.decode()
    assert text in page and 'name="choice"' not in page and 'value="approve"' in page
    # Stopped once more, and nothing came in between: who has approved the rest is not asked again.
    job = stopped(approve(imported), "item.before_body")
    job = retried(job)
    assert (job.state, job.result["created"]) == ("partial", 2000)
