"""Loads at the same time: of one import's spans, and of two imports about the same units."""

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from config.statements import execute
from ingestion.models import Job
from ingestion.sources.imports import loading, passing, recognition, records
from ingestion.sources.imports.columns import Columns
from ingestion.sources.imports.models import Import, Unit
from ingestion.sources.imports.records import Span
from ingestion.testing import run_inline
from tests.imports.conftest import Run, definition, store
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

MEET = 30  # seconds after which two that should meet never will
HEADER = "tax_ident,name,turnover\n"
WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database() AND locktype = 'advisory' AND classid = %s AND NOT granted
"""


class Side(threading.Thread):
    """Loads the only span of an import in a session of its own."""

    def __init__(self, imported: Import) -> None:
        super().__init__(daemon=True)
        self.imported = imported
        self.loaded: loading.Loaded | None = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            with transaction.atomic():
                self.loaded = loading.load(self.imported, *recognition.spans(self.imported))
        except BaseException as error:
            self.error = error
        finally:
            connection.close()

    def ended(self) -> loading.Loaded | None:
        self.join(MEET)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        return self.loaded


def units() -> list[tuple[str, str]]:
    return list(Unit.objects.order_by("tax_ident").values_list("tax_ident", "name"))


def test_new_units_with_doubts_and_without_never_wait_for_each_other(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each import has as a plain line what the other has as a row with a warning, written after its lines."""
    first = run(HEADER + '1,a,5\n2,b,"1,234"\n', review="always")
    second = run(HEADER + '1,c,"1,234"\n2,d,5\n', review="always")
    written: list[int] = []
    whole = passing.copy

    def copy(columns: Columns, import_id: int, span: Span, given: passing.Lines) -> int | None:
        rows = whole(columns, import_id, span, given)
        written.append(import_id)
        until(lambda: len(written) == 2 or execute(WAITING, [loading.LOCK]) == [(1,)], MEET, "the other")
        return rows

    monkeypatch.setattr(passing, "copy", copy)
    sides = [Side(first), Side(second)]
    found = [side.ended() for side in sides]
    assert sorted((one.created, one.updated) for one in found if one) == [(0, 2), (2, 0)]
    assert units() in ([("1", "a"), ("2", "b")], [("1", "c"), ("2", "d")])


@pytest.mark.parametrize("doubt", ["5", '"1,234"'])
def test_plain_new_units_of_two_imports_are_loaded_at_once(run: Run, doubt: str) -> None:
    """What has a doubt beside lines is loaded when nothing else is."""
    first = run(HEADER + "1,a,5\n2,b,5\n", review="always")
    second = run(HEADER + f"3,c,5\n4,d,{doubt}\n", review="always")
    with transaction.atomic():
        loading.load(first, *recognition.spans(first))
        side = Side(second)
        if doubt != "5":
            until(lambda: execute(WAITING, [loading.LOCK]) == [(1,)], MEET, "the second to wait")
        else:
            assert side.ended() == loading.Loaded(2, 0)
    assert side.ended() == loading.Loaded(2, 0)
    assert [ident for ident, _ in units()] == ["1", "2", "3", "4"]


def loaded(
    alice: User, monkeypatch: pytest.MonkeyPatch, do: Callable[[], None], third: str = "birth_date"
) -> Job:
    """Import a file of several spans; do something in the transaction of each."""
    monkeypatch.setattr(records, "SMALLEST", 1 << 10)
    whole = loading.load

    def load(imported: Import, span: Span) -> loading.Loaded:
        do()
        return whole(imported, span)

    monkeypatch.setattr(loading, "load", load)
    days = ("2024-01-01", "2024-02-01")
    rows = "".join(f"{n:06d},Unit {n},{n if third == 'stat_ident' else days[n % 2]}\n" for n in range(1000))
    params = {"definition": "mine"} if third == "stat_ident" else {}
    return run_inline("imports", alice, file=store(alice, f"tax_ident,name,{third}\n{rows}"), **params)


def test_two_spans_of_an_import_are_loaded_at_once(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: set[int] = set()
    meeting = threading.Event()

    def meet() -> None:
        execute("SELECT 1")
        assert connection.connection is not None
        sessions.add(connection.connection.info.backend_pid)
        if len(sessions) == 2 or not meeting.wait(MEET):
            meeting.set()

    job = loaded(alice, monkeypatch, meet)
    assert (job.state, job.message) == ("completed", "1,000 rows loaded: 1,000 new, 0 updated")
    assert Unit.objects.count() == 1000 and len(sessions) == 2


@pytest.mark.parametrize("third", ["valid_from", "stat_ident"])
def test_spans_that_must_see_each_other_are_loaded_one_by_one(
    alice: User, monkeypatch: pytest.MonkeyPatch, third: str
) -> None:
    """Of rows with periods, or with values that must be unique."""
    here = threading.get_ident()
    definition({"name": "stat_ident", "unique": True, "longest": 200})

    def look() -> None:
        assert threading.get_ident() == here

    job = loaded(alice, monkeypatch, look, third)
    assert (job.state, Unit.objects.count()) == ("completed", 1000)
