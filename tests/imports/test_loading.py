"""Good rows become units: new ones, updated ones, in periods; once, whatever kills the worker."""

import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from config.statements import execute
from ingestion import lifecycle
from ingestion.models import Job, JobItem
from ingestion.sources.imports import status
from ingestion.sources.imports.models import Import, Unit
from ingestion.testing import Killed, kill_at, lose_worker, resume_inline, run_inline
from tests.costs import cost_of
from tests.imports.conftest import Run, state_of, store
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

BAD = "tax_ident,name,employees\n1,a,1\n2,b,two\n3,c,3\n"


def test_a_second_import_updates_what_it_knows_and_keeps_the_rest(run: Run) -> None:
    run("tax_ident,name,employees,colour\n007,Bond,3,red\n008,Bill,4,blue\n")
    imported = run("tax_ident,name,shape\n007,James Bond,round\n009,New,\n")
    assert (imported.created, imported.updated) == (1, 1)
    bond = Unit.objects.get(tax_ident="007")
    assert (bond.name, bond.employees) == ("James Bond", 3)
    assert bond.extra == {"colour": "red", "shape": "round"}
    assert (bond.loaded_by, Unit.objects.get(tax_ident="008").loaded_by) != (imported, imported)
    assert imported.job.message == "2 rows loaded: 1 new, 1 updated"
    assert imported.job.result_url == imported.get_absolute_url()


def test_blanks_words_for_nothing_and_other_forms_are_read(run: Run) -> None:
    header = "tax_ident;name;birth_date;turnover;valid_to;web_address\n"
    run(header + " 01 ; A\u00a0;1.2.2020;1 234,5;infinity;n/a\n")
    unit = Unit.objects.get()
    assert (unit.tax_ident, unit.name, str(unit.birth_date)) == ("01", "A", "2020-02-01")
    assert (float(unit.turnover), unit.valid_to, unit.web_address) == (1234.5, None, "")


def test_a_later_period_ends_the_one_before(run: Run) -> None:
    run("tax_ident,name,valid_from,valid_to\n1,a,2024-01-01,infinity\n")
    run("tax_ident,name,valid_from,valid_to\n1,b,2025-03-01,infinity\n")
    run("tax_ident,name\n1,now\n")
    found = Unit.objects.order_by("valid_from").values_list("name", "valid_from", "valid_to")
    assert [(name, str(start), str(end)) for name, start, end in found] == [
        ("a", "2024-01-01", "2025-02-28"),
        ("now", "2025-03-01", "None"),
    ]


def test_approve_loads_the_good_rows(run: Run, alice: User) -> None:
    imported = run(BAD)
    assert imported.job.waiting_for["text"] == "3 rows checked, 1 has an error. Load the other 2?"
    staged = list(imported.rows.values_list("number", flat=True))
    lifecycle.answer(imported.job, "approve", {}, alice)
    job = resume_inline(imported.job)
    assert (job.state, job.message) == (
        "partial",
        "2 rows loaded: 2 new, 0 updated, 1 with errors left out",
    )
    assert set(Unit.objects.values_list("tax_ident", flat=True)) == {"1", "3"}
    assert list(imported.rows.values_list("number", flat=True)) == staged


def test_reject_cancels_and_writes_nothing(run: Run, alice: User) -> None:
    imported = run(BAD)
    lifecycle.answer(imported.job, "reject", {"reason": "Wrong year"}, alice)
    job = Job.objects.get(pk=imported.job_id)
    assert (job.state, job.error["code"]) == ("cancelled", "rejected")
    assert "Wrong year" in job.error["text"]
    assert not Unit.objects.exists()


def test_review_can_be_always_or_never(run: Run) -> None:
    assert run("tax_ident,name\n1,a\n", review="always").job.waiting_for["kind"] == "review"
    imported = run(BAD, review="never")
    assert (imported.job.state, imported.created) == ("partial", 2)


def test_a_file_without_a_good_row_fails_when_nobody_is_asked(run: Run) -> None:
    imported = run("tax_ident,name\n,a\n,b\n", review="never")
    assert imported.job.error["code"] == "no_good_rows"


def test_the_same_file_twice_joins_the_open_import(run: Run, alice: User) -> None:
    first = run(BAD)
    again = lifecycle.create("imports", {"file": store(alice, BAD)}, owner=alice)
    assert (again.created, again.job.pk) == (False, first.job_id)


def test_a_review_never_blocks_another_import(run: Run) -> None:
    run(BAD)
    assert run("tax_ident,name\n9,z\n").job.state == "completed"


def test_a_unit_that_another_import_is_just_making_is_updated_after_it(run: Run, alice: User) -> None:
    imported = run(BAD)
    lifecycle.answer(imported.job, "approve", {}, alice)
    ended: list[Job] = []

    def load() -> None:
        ended.append(resume_inline(imported.job))
        connection.close()

    loading = threading.Thread(target=load, daemon=True)
    with transaction.atomic():
        Unit.objects.create(tax_ident="3", name="theirs", sector_code="7")
        loading.start()
        until(_somebody_waits, what="the load to wait for what is being made")
    loading.join(60)
    assert (ended[0].state, ended[0].message.split(",")[:2]) == (
        "partial",
        ["2 rows loaded: 1 new", " 1 updated"],
    )
    assert [*Unit.objects.order_by("tax_ident").values_list("tax_ident", "name", "sector_code")] == [
        ("1", "a", ""),
        ("3", "c", "7"),
    ]


def _somebody_waits() -> bool:
    """Say whether somebody waits for the end of this transaction."""
    rows = execute(
        "SELECT count(*) FROM pg_locks"
        " WHERE transactionid = pg_current_xact_id()::xid AND locktype = 'transactionid' AND NOT granted"
    )
    return bool(rows[0][0])


def register(rows: int) -> str:
    return "tax_ident,name,employees\n" + "".join(f"{n:06d},Unit {n},{n % 7}\n" for n in range(rows))


@pytest.mark.parametrize(
    ("point", "n"),
    [
        ("once.before_write", 1),
        ("once.after_write", 2),
        ("items.registered", 1),
        ("item.before_body", 3),
        ("item.before_fence", 4),
        ("item.before_commit", 5),
        ("item.after_commit", 6),
        ("once.before_write", 3),
        ("once.after_write", 4),
        ("items.registered", 2),
        ("item.before_commit", 25),
        ("item.after_commit", 30),
        ("step.before_end", 4),
    ],
)
def test_killed_anywhere_it_goes_on_and_every_row_is_there_once(
    point: str, n: int, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingestion.sources.imports import records

    monkeypatch.setattr(records, "SMALLEST", 1 << 10)
    job = lifecycle.create("imports", {"file": store(alice, register(1000))}, owner=alice).job
    killed = False
    with kill_at(point, n):
        try:
            resume_inline(job)
        except Killed:
            killed = True
    assert killed
    job = lose_worker(job)
    Job.objects.filter(pk=job.pk).update(run_after=None)
    job = resume_inline(job)
    assert (job.state, job.message) == ("completed", "1,000 rows loaded: 1,000 new, 0 updated")
    imported = Import.objects.get(job=job)
    assert (imported.rows_total, imported.rows.count(), Unit.objects.count()) == (1000, 1000, 1000)
    assert not JobItem.objects.filter(job=job).exclude(state="done").exists()


def test_a_retry_goes_on_with_the_same_import(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingestion.source import SourceError
    from ingestion.sources.imports import loading, records

    monkeypatch.setattr(records, "SMALLEST", 1 << 10)
    whole = loading.load

    def refuse(imported: Import, span: records.Span) -> loading.Loaded:
        if span.row > 500:
            raise SourceError("tested", "No.")
        return whole(imported, span)

    with monkeypatch.context() as patch:
        patch.setattr(loading, "load", refuse)
        job = run_inline("imports", alice, file=store(alice, register(1000)))
    assert job.state == "partial"
    child = lifecycle.retry(job, alice).job
    assert status.state_of(child) == "processing_data"  # what was checked is not checked again
    child = resume_inline(child)
    assert child.state == "completed"
    imported = Import.objects.get()
    assert (imported.job_id, imported.created, Unit.objects.count()) == (child.pk, 1000, 1000)
    assert state_of(imported) == "completed"


def test_300_000_rows_take_little_memory(alice: User) -> None:
    """In a process of its own: the highest that this one ever had says nothing of the import."""
    data = "tax_ident,name,birth_date,physical_postcode,employees,turnover\n" + "".join(
        f'{n:08d},"Unit, number {n}",01.02.{1990 + n % 30},{n % 9999:04d},{n % 500},{n * 3}.5\n'
        for n in range(300_000)
    )
    upload = store(alice, data)
    size = len(data)
    del data
    assert cost_of(lambda: bytearray(b"x" * (300 << 20))).megabytes > 290  # what is measured here can be seen
    grown = cost_of(lambda: run_inline("imports", alice, file=upload)).megabytes
    assert (Job.objects.get(source="imports").state, Unit.objects.count()) == ("completed", 300_000)
    assert grown < 200, f"{grown:.0f} MB for a file of {size >> 20} MB"


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_known_unit_is_met_wherever_it_stands_in_a_batch(run: Run, place: int) -> None:
    """A row without a period is about the newest one of its unit, also first or last of new ones."""
    run(f"tax_ident,name,valid_from\n{place},old,2020-01-01\n0,before,2020-01-01\n4,after,2020-01-01\n")
    imported = run("tax_ident,name\n3,c\n1,a\n2,b\n")
    assert (imported.created, imported.updated) == (2, 1)
    names = {"1": "a", "2": "b", "3": "c", "0": "before", "4": "after"}
    assert dict(Unit.objects.values_list("tax_ident", "name")) == names and Unit.objects.count() == 5


def test_new_units_among_known_ones_are_made(run: Run) -> None:
    run("tax_ident,name\n2,a\n4,b\n")
    imported = run("tax_ident,name\n1,x\n3,y\n5,z\n")
    assert (imported.created, imported.updated, Unit.objects.count()) == (3, 0, 5)
