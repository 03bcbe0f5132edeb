"""The migrations of what imports write, over imports that are not through, there and back."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config.statements import execute
from ingestion import lifecycle
from ingestion.models import Job, JobItem
from ingestion.sources.imports import records
from ingestion.sources.imports.models import Import, StagedSpan, Unit
from ingestion.testing import kill_at, lose_worker, resume_inline
from tests.imports.conftest import Run, errors_of, store

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = ("imports", "0010_rows_are_forgotten")
WITH_AN_INDEX = ("imports", "0012_units_written_quickly")
SPANS = 4
ROWS = """
    SELECT import_id, number, cells, fixed, errors, warnings, settled FROM imports_importrow ORDER BY 1, 2
"""
NUMBERS = """
    SELECT cache_size, attnotnull,
        EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'imports_unit'::regclass AND contype = 'p')
    FROM pg_sequences JOIN pg_attribute ON attrelid = 'imports_unit'::regclass AND attname = 'id'
    WHERE sequencename = 'imports_unit_id_seq'
"""
UNIT = "INSERT INTO imports_unit (tax_ident, name) VALUES (%s, '')"
Migrate = Callable[[tuple[str, str] | None], None]


@pytest.fixture
def migrate(transactional_db: None) -> Iterator[Migrate]:
    """Return a function that migrates to the state of a migration, or (None) to the newest."""

    def migrate(to: tuple[str, str] | None) -> None:
        executor = MigrationExecutor(connection)
        executor.migrate([to] if to else executor.loader.graph.leaf_nodes())

    yield migrate
    migrate(None)


def register(first: int) -> str:
    """Return a file of several spans, with rows that have an error, a doubt, or nothing in them."""
    lines = [f"{n:06d},Unit {n},{n % 7}" for n in range(first, first + 400)]
    lines[3] = f"{first + 3:06d},Unit,many"
    lines[5] = f'{first + 5:06d},"Unit, quoted",5.0'
    lines[7] = ""
    lines[310] = f"{first + 310:06d},,1"
    return "tax_ident,name,employees\n" + "\n".join(lines) + "\n"


def stopped(job: Job, point: str, n: int) -> Job:
    """Run a job until its worker is lost at a point."""
    with kill_at(point, n):
        resume_inline(job)
    job = lose_worker(job)
    Job.objects.filter(pk=job.pk).update(run_after=None)
    return job


def spans() -> set[tuple[int, ...]]:
    return set(StagedSpan.objects.values_list("parent_id", "first", "rows", "total"))


def loaded() -> list[Any]:
    found = ("tax_ident", "name", "employees", "loaded_by__file_name")
    return list(Unit.objects.order_by("tax_ident").values_list(*found))


def test_imports_under_way_and_under_review_go_on_after_it(
    run: Run, alice: User, monkeypatch: pytest.MonkeyPatch, migrate: Migrate
) -> None:
    monkeypatch.setattr(records, "SMALLEST", 2 << 10)

    def start(name: str, first: int) -> Job:
        file = store(alice, register(first), f"{name}.csv")
        return lifecycle.create("imports", {"file": file, "review": "never"}, owner=alice).job

    whole = resume_inline(start("whole", 0))
    review = run(register(1000), "review.csv", review="always")
    reading = stopped(start("reading", 2000), "item.after_commit", 2)
    loading = stopped(start("loading", 3000), "item.after_commit", SPANS + 2)
    done = {job.pk: job.items.filter(state="done").count() for job in (reading, loading)}
    assert [done[reading.pk] < SPANS, SPANS < done[loading.pk] < 2 * SPANS] == [True, True]
    rows, units, staged = execute(ROWS), loaded(), spans()
    assert StagedSpan.objects.exclude(lines="").count() > SPANS

    migrate(BEFORE)
    assert execute(ROWS) == rows
    assert execute("SELECT relkind FROM pg_class WHERE relname = 'imports_importrow'") == [("r",)]
    migrate(None)
    assert (execute(ROWS), loaded(), spans()) == (rows, units, staged)
    assert not StagedSpan.objects.exclude(lines="").exists()  # what was staged row by row stays so

    assert review.job is not None and errors_of(review).keys() == {5, 312}
    lifecycle.answer(review.job, "approve", {"revision": review.revision}, alice)
    ended = [resume_inline(Job.objects.get(pk=job.pk)) for job in (review.job, reading, loading)]
    assert [job.message for job in ended] == [whole.message] * 3
    assert {job.state for job in ended} == {"partial"} and whole.result["created"] == 397
    assert not JobItem.objects.exclude(state="done").exists()
    assert len(loaded()) == len(set(loaded())) == 4 * 397
    names = {job.pk: job.title.removeprefix("Import ") for job in (whole, *ended)}
    assert {Unit.objects.filter(loaded_by__job=pk).count() for pk in names} == {397}
    for one in Import.objects.all():
        assert (one.rows.count(), one.rows_total, one.rows_good) == (399, 399, 397)


def test_units_have_numbers_of_their_own_with_an_index_and_without(
    run: Run, alice: User, monkeypatch: pytest.MonkeyPatch, migrate: Migrate
) -> None:
    monkeypatch.setattr(records, "SMALLEST", 2 << 10)
    file = store(alice, register(0), "loading.csv")
    loading = lifecycle.create("imports", {"file": file, "review": "never"}, owner=alice).job
    loading = stopped(loading, "item.after_commit", SPANS + 1)
    assert 0 < Unit.objects.count() < 397
    assert execute(NUMBERS) == [(1000, True, False)]
    with closing(connection.copy()) as another, another.cursor() as session:
        session.execute(UNIT, ["before"])  # it has taken its numbers
        migrate(WITH_AN_INDEX)
        assert execute(NUMBERS) == [(1, True, True)]
        loading = stopped(loading, "item.after_commit", 1)
        session.execute(UNIT, ["between"])
        run(register(1000), "with.csv", review="never")
        migrate(None)
        assert execute(NUMBERS) == [(1000, True, False)]
        assert resume_inline(loading).state == "partial"
        run(register(2000), "without.csv", review="never")
        session.execute(UNIT, ["after"])
    assert Unit.objects.values("pk").distinct().count() == Unit.objects.count() == 3 * 397 + 3
