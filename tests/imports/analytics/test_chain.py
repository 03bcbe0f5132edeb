"""An import is followed by one chain of jobs: none of its changes is lost or counted twice."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction

from ingestion import details, lifecycle, stability
from ingestion.admission import Refused
from ingestion.models import FINAL, Job, PendingReason, State
from ingestion.sources.imports.analytics import chain, units
from ingestion.sources.imports.analytics.models import (
    Cell,
    CellChange,
    Change,
    ChangedImport,
    Reports,
    StatisticalUnit,
)
from ingestion.sources.imports.models import Unit
from ingestion.testing import Killed, assert_live_equals_fresh, kill_at, lose_worker, resume_inline
from notifications.models import Notification
from tests.imports.conftest import Run, store
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "tax_ident,name,employees,turnover,physical_region_code,birth_date\n"
TWO = HEADER + "1,a,3,10.5,0301,2020-05-01\n2,b,,,,\n"
KINDS = [chain.COLLECT, chain.UNITS, chain.REPORTS]


def chain_jobs() -> list[Job]:
    return list(Job.objects.filter(source__in=KINDS).order_by("pk"))


def work() -> None:
    """Run what is due of the chain, as the worker of its queue would, until nothing is."""
    while True:
        due = Job.objects.filter(source__in=KINDS, state=State.PENDING).exclude(
            pending_reason=PendingReason.DEPENDENCY
        )
        job = due.order_by("pk").first()
        if job is None:
            return
        Job.objects.filter(pk=job.pk).update(run_after=None)
        resume_inline(job)


def total() -> tuple[int, int]:
    """Return how many units and employees the cells count now."""
    rows = Cell.objects.filter(dimension="all").values_list("units", "employees")
    return sum(units for units, _ in rows), int(sum(employees for _, employees in rows))


def nothing_is_left() -> bool:
    return not any(table.objects.exists() for table in (ChangedImport, Change, CellChange))


@pytest.mark.seed("S4.5", "S4.12", "S4.48")
def test_an_import_brings_a_whole_chain_of_tasks(run: Run, bob: User) -> None:
    run(TWO)
    jobs = chain_jobs()
    assert [job.source for job in jobs] == KINDS
    assert [job.pending_reason for job in jobs] == ["queue", "dependency", "dependency"]
    assert {job.queue for job in jobs} == {"analytics"}
    seen = []
    while not all(job.state in FINAL for job in chain_jobs()):
        assert not stability.is_stable()
        (task,) = details.read(bob)["analytics_tasks"]
        assert details.linked(bob, details.read(bob)) == set()
        seen.append(task["command"])
        resume_inline(Job.objects.get(pk=task["id"]))
    assert seen == KINDS
    assert stability.is_stable()
    assert details.read(bob) == {
        "system_stable": True,
        "import_jobs": [],
        "analytics_tasks": [],
        "others": 0,
    }
    assert total() == (2, 3)
    assert nothing_is_left()


def test_the_uploader_is_told_of_the_import_alone(run: Run, alice: User) -> None:
    run(TWO)
    work()
    assert Notification.objects.filter(recipient=alice).count() == 1
    assert Notification.objects.count() == 1


def test_only_what_changed_is_derived(run: Run) -> None:
    run(TWO)
    work()
    kept = StatisticalUnit.objects.get(tax_ident="1")
    where = "SELECT ctid FROM analytics_statisticalunit WHERE tax_ident = '1'"
    with connection.cursor() as cursor:
        cursor.execute(where)
        place = cursor.fetchone()
        run("tax_ident,name,employees\n2,b,40\n3,c,1\n")
        work()
        cursor.execute(where)
        assert cursor.fetchone() == place
    results = Job.objects.filter(source=chain.UNITS).order_by("-pk").first().items.values_list("result")
    assert [result["identifiers"] for (result,) in results] == [2]
    assert kept.employees == 3
    assert total() == (3, 44)
    assert StatisticalUnit.objects.get(tax_ident="2").size == "20"


def test_imports_that_end_while_a_chain_waits_or_works_share_it_or_have_the_next(run: Run) -> None:
    run(TWO)
    run("tax_ident,name,employees\n3,c,1\n")
    assert len(chain_jobs()) == 3
    collect, units, _ = chain_jobs()
    resume_inline(collect)
    run("tax_ident,name,employees\n4,d,2\n")
    assert len(chain_jobs()) == 3
    resume_inline(units)
    assert StatisticalUnit.objects.count() == 3
    work()
    assert [job.source for job in chain_jobs()] == [*KINDS, *KINDS]
    assert total() == (4, 6)
    assert nothing_is_left()


def test_a_chain_that_ends_while_an_import_does_waits_for_what_it_wrote(run: Run) -> None:
    """The import has seen the open chain and has not committed: the chain must not end without looking."""
    run(TWO)
    imported = run("tax_ident,name,employees\n3,c,1\n")
    for job in chain_jobs()[:2]:
        resume_inline(job)
    last = chain_jobs()[2]
    assert not ChangedImport.objects.exists()

    def end() -> None:
        try:
            resume_inline(last)
        finally:
            connections.close_all()

    thread = threading.Thread(target=end)
    with transaction.atomic():
        chain.import_ended(imported)
        thread.start()
        until(lambda: waits_for_a_lock() or not thread.is_alive(), 30, "the end of the chain")
    thread.join()
    assert len(chain_jobs()) == 6
    work()
    assert nothing_is_left()


def waits_for_a_lock() -> bool:
    """Say whether a session waits for an advisory lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")
        return bool(cursor.fetchone()[0])


def test_imports_and_a_chain_that_end_at_once_lose_nothing(alice: User, run: Run) -> None:
    """Three ends at the same moment: of two imports and of the last job of a chain."""
    run(TWO)
    for job in chain_jobs()[:2]:
        resume_inline(job)
    last = chain_jobs()[2]
    files = [f"tax_ident,name,employees\n{n},x,{n}\n" for n in (7, 8)]
    jobs = [lifecycle.create("imports", {"file": store(alice, one)}, owner=alice).job for one in files]
    gate = threading.Barrier(3)

    def end(job: Job, ended: Callable[[Job], Job] = resume_inline) -> None:
        gate.wait()
        try:
            ended(job)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=end, args=(job,)) for job in [*jobs, last]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work()
    assert total() == (4, 18)
    assert nothing_is_left()
    assert not Job.objects.filter(source__in=KINDS).exclude(state=State.COMPLETED).exists()
    assert len(chain_jobs()) <= 9


@pytest.mark.parametrize("point", ["job.completed.before_commit", "job.told.before_commit"])
def test_an_import_killed_at_its_end_neither_loses_nor_doubles_the_chain(point: str, alice: User) -> None:
    job = lifecycle.create("imports", {"file": store(alice, TWO)}, owner=alice).job
    killed = False
    with kill_at(point, 1 if point.startswith("job.completed") else 2):
        try:
            resume_inline(job)
        except Killed:
            killed = True
    assert killed and not chain_jobs()
    lose_worker(job)
    Job.objects.filter(pk=job.pk).update(run_after=None)
    resume_inline(job)
    assert [one.source for one in chain_jobs()] == KINDS
    work()
    assert total() == (2, 3)
    assert len(chain_jobs()) == 3


POINTS = ["items.registered", "item.before_body", "item.before_commit", "item.after_commit"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", [*POINTS, "step.before_end", "job.completed.before_commit"])
def test_a_chain_killed_anywhere_counts_everything_once(kind: str, point: str, run: Run) -> None:
    run("tax_ident,name,employees\n1,a,1\n2,b,2\n")
    work()
    run("tax_ident,name,employees\n2,b,20\n3,c,3\n")
    killed = False
    for job in chain_jobs()[3:]:
        if job.source == kind:
            with kill_at(point):
                try:
                    resume_inline(job)
                except Killed:
                    killed = True
            lose_worker(job)
            Job.objects.filter(pk=job.pk).update(run_after=None)
        resume_inline(job)
    assert killed
    work()
    assert total() == (3, 24)
    assert nothing_is_left()


def test_an_import_that_failed_halfway_is_counted_as_far_as_it_came(
    alice: User, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingestion.source import SourceError
    from ingestion.sources.imports import loading, records

    monkeypatch.setattr(records, "SMALLEST", 64)
    whole = loading.load

    def refuse(imported: object, span: records.Span) -> loading.Loaded:
        if span.row > 2:
            raise SourceError("tested", "No.")
        return whole(imported, span)

    monkeypatch.setattr(loading, "load", refuse)
    rows = "".join(f"{n},{'x' * 70},1\n" for n in range(10))
    imported = run("tax_ident,name,employees\n" + rows)
    assert imported.job.state == State.PARTIAL
    work()
    assert total() == (Unit.objects.count(), Unit.objects.count())
    assert 0 < Unit.objects.count() < 10


def test_a_chain_that_fails_leaves_its_work_to_the_next(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingestion.source import SourceError

    def fail(*_: int) -> int:
        raise SourceError("tested", "No.")

    run(TWO)
    with monkeypatch.context() as patch:
        patch.setattr(units, "derive", fail)
        work()
    assert [job.state for job in chain_jobs()] == ["completed", "failed", "cancelled"]
    assert Change.objects.count() == 2
    run("tax_ident,name,employees\n3,c,1\n")
    work()
    assert total() == (3, 4)
    assert nothing_is_left()


def test_a_load_that_commits_while_units_are_derived_is_derived_after_its_own_end(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(TWO)
    work()
    run("tax_ident,name\n1,renamed\n")
    whole, seen = units.execute, []

    def load() -> None:
        Unit.objects.filter(tax_ident="1").update(employees=50)
        connections.close_all()

    def execute(query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        rows = whole(query, values)
        if query == units._GONE and not seen:
            seen.append(query)
            other = threading.Thread(target=load)
            other.start()
            other.join(30)
            assert not other.is_alive()
        return rows

    monkeypatch.setattr(units, "execute", execute)
    work()
    assert seen
    assert {job.state for job in chain_jobs()} == {State.COMPLETED}
    assert total() == (2, 3)
    run("tax_ident,name,employees\n1,renamed,50\n")
    work()
    assert total() == (2, 50)
    assert nothing_is_left()


def test_a_deleted_unit_leaves_the_figures_with_the_next_chain(run: Run) -> None:
    run(TWO)
    work()
    Unit.objects.filter(tax_ident="1").delete()
    run("tax_ident,name,employees\n2,b,9\n")
    work()
    assert total() == (1, 9)
    assert not StatisticalUnit.objects.filter(tax_ident="1").exists()


def test_operators_can_derive_everything_anew(run: Run, alice: User, staff: User) -> None:
    run(TWO)
    work()
    before = sorted(Cell.objects.values_list())
    Cell.objects.filter(dimension="region").delete()
    Cell.objects.filter(dimension="all").update(units=99)
    StatisticalUnit.objects.filter(tax_ident="2").delete()
    for kind in KINDS:
        with pytest.raises(Refused, match="Only operators"):
            lifecycle.create(kind, {"everything": True}, owner=alice)
    lifecycle.create(chain.COLLECT, {"everything": True}, owner=staff)
    work()
    assert sorted(Cell.objects.values_list()) == before
    assert nothing_is_left()


def test_the_charts_move_when_the_figures_do(run: Run) -> None:
    run(TWO)
    with assert_live_equals_fresh("reports"):
        work()
    version = Reports.objects.get().version
    run(TWO.replace("a,", "renamed,"))
    with assert_live_equals_fresh("reports"):
        work()
    assert Reports.objects.get().version == version
