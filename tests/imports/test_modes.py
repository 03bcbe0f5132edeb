"""What a row does to a known unit, where its period comes from, and what only the whole file shows."""

import threading
from datetime import date

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client

from config.statements import execute
from ingestion import lifecycle
from ingestion.models import Job
from ingestion.sources.imports import decisions, loading, recognition
from ingestion.sources.imports.models import Import, Unit
from ingestion.testing import kill_at, lose_worker, resume_inline
from tests.imports.conftest import Run, definition, errors_of
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

EMPLOYEES = {"name": "employees", "type": "integer"}
FROM = {"name": "valid_from", "type": "date"}
TO = {"name": "valid_to", "type": "end_date"}


def units() -> list[tuple[object, ...]]:
    found = Unit.objects.order_by("tax_ident", "valid_from").values_list(
        "tax_ident", "name", "employees", "valid_from", "valid_to"
    )
    return [tuple(str(value) if isinstance(value, date) else value for value in row) for row in found]


def test_insert_makes_known_units_an_error(run: Run) -> None:
    run("tax_ident,name\n1,a\n")
    definition(EMPLOYEES, mode="insert")
    imported = run("tax_ident,name\n1,b\n2,c\n", definition="mine")
    assert errors_of(imported) == {2: {"tax_ident": "known_unit"}}
    assert imported.problems[0]["text"] == "is in the register already"
    assert (imported.rows_new, imported.rows_known) == (1, 0)


def test_update_makes_unknown_units_an_error_and_needs_no_name(run: Run) -> None:
    run("tax_ident,name,employees\n1,a,5\n")
    definition(EMPLOYEES, drop=("name",), mode="update")
    imported = run("tax_ident,employees\n1,7\n2,9\n", definition="mine", review="never")
    assert errors_of(imported) == {3: {"tax_ident": "unknown_unit"}}
    assert (imported.created, imported.updated) == (0, 1)
    assert units() == [("1", "a", 7, None, None)]
    assert Unit.objects.get().loaded_by == imported


def test_replace_writes_a_unit_whole(run: Run) -> None:
    run("tax_ident,name,employees,colour\n1,a,5,red\n2,b,6,blue\n")
    definition(mode="replace")
    imported = run("tax_ident,name,shape\n1,A,round\n3,c,flat\n", definition="mine")
    assert (imported.created, imported.updated) == (1, 1)
    assert units() == [("1", "A", None, None, None), ("2", "b", 6, None, None), ("3", "c", None, None, None)]
    assert Unit.objects.get(tax_ident="1").extra == {"shape": "round"}
    assert Unit.objects.get(tax_ident="2").extra == {"colour": "blue"}


def test_an_approval_of_what_no_longer_holds_is_asked_for_again(
    run: Run, client: Client, alice: User
) -> None:
    definition(mode="insert")
    waiting = run("tax_ident,name\n1,a\n2,b\n", definition="mine", review="always")
    run("tax_ident,name\n1,other\n")
    waiting.job = resume_inline(approved(waiting))
    told = (
        "The register has changed since this was approved. 2 rows checked, 1 has an error. Load the other 1?"
    )
    assert (waiting.job.state, waiting.job.waiting_for["text"]) == ("waiting", told)
    assert errors_of(waiting) == {2: {"tax_ident": "known_unit"}}
    client.force_login(alice)
    page = client.get(waiting.get_absolute_url()).content.decode()
    assert told in page and "Approve 1 row<" in page and "Approved by" not in page
    waiting.job = resume_inline(approved(waiting))
    assert waiting.job.message == "1 rows loaded: 1 new, 0 updated, 1 with errors left out"
    assert [row[:2] for row in units()] == [("1", "other"), ("2", "b")]


def test_an_approval_that_still_holds_is_asked_for_once(run: Run) -> None:
    waiting = run("tax_ident,name\n1,a\n2,b\n", review="always")
    run("tax_ident,name\n3,other\n")
    assert resume_inline(approved(waiting)).message == "2 rows loaded: 2 new, 0 updated"


def test_what_is_only_an_update_now_is_asked_for_again(run: Run) -> None:
    waiting = run("tax_ident,name\n1,a\n2,a\n2,b\n", review="always")
    waiting = decisions.decide(waiting, waiting.problems[0]["key"], "last", None, 0, waiting.owner)
    assert waiting.rows_new == 2
    run("tax_ident,name\n2,other\n")
    waiting.job = resume_inline(approved(waiting))
    assert waiting.job.state == "waiting"
    waiting.refresh_from_db()
    assert (waiting.rows_new, waiting.rows_known, waiting.rows_bad, waiting.revision) == (1, 1, 1, 2)
    assert errors_of(waiting) == {3: {"tax_ident": "appears_twice"}}  # what was decided still holds
    assert resume_inline(approved(waiting)).result["updated"] == 1
    assert [row[:2] for row in units()] == [("1", "a"), ("2", "b")]


def load_late(waiting: Import, data: str, run: Run, **params: str) -> loading.Loaded:
    """Load a file beside one that waits, then that one, as when the approval came in between."""
    run(data, **params)
    with transaction.atomic():
        return loading.load(waiting, *recognition.spans(waiting))


def test_no_load_cuts_off_what_another_import_said_meanwhile(run: Run) -> None:
    header = "tax_ident,name,valid_from,valid_to\n"
    waiting = run(header + "1,a,2024-01-01,2024-12-31\n2,b,2024-01-01,\n", review="always")
    loaded = load_late(waiting, header + "1,b,2023-01-01,2026-12-31\n2,z,2023-01-01,\n", run)
    assert loaded == loading.Loaded(created=1, updated=0, skipped=1)
    assert [(row[0], *row[3:]) for row in units()] == [
        ("1", "2023-01-01", "2026-12-31"),
        ("2", "2023-01-01", "2023-12-31"),
        ("2", "2024-01-01", None),
    ]


@pytest.mark.parametrize("mode", ["insert", "replace", "insert_or_update"])
def test_no_load_takes_a_unique_value_of_another_import(mode: str, run: Run) -> None:
    definition({"name": "stat_ident", "unique": True, "longest": 200}, mode=mode)
    header = "tax_ident,name,stat_ident\n"
    waiting = run(header + "1,a,S1\n3,c,\n4,d,\n5,e,S5\n", definition="mine", review="always")
    loaded = load_late(waiting, header + "2,b,S1\n6,f,\n", run, definition="mine")
    assert loaded == loading.Loaded(created=3, updated=0, skipped=1)
    assert dict(Unit.objects.exclude(stat_ident="").values_list("stat_ident", "tax_ident")) == {
        "S1": "2",
        "S5": "5",
    }


def test_what_was_skipped_is_shown_as_left_out(run: Run, client: Client, alice: User) -> None:
    definition(mode="insert")
    waiting = run("tax_ident,name\n1,a\n2,b\n", definition="mine", review="always")
    job = approved(waiting)
    with kill_at("item.before_body"):  # the approval was looked at, nothing is loaded yet
        resume_inline(job)
    run("tax_ident,name\n1,other\n")
    job = lose_worker(job)
    Job.objects.filter(pk=job.pk).update(run_after=None)
    job = resume_inline(job)
    assert job.message.startswith("1 rows loaded: 1 new, 0 updated, 1 left out")
    assert [row[:2] for row in units()] == [("1", "other"), ("2", "b")]
    client.force_login(alice)
    page = client.get(waiting.get_absolute_url()).content.decode()
    assert "<dt>Left out</dt><dd>1</dd>" in page
    assert page.count("<td>Loaded, or left out") == 2 and "<td>Loaded</td>" not in page


def approved(imported: Import) -> Job:
    return lifecycle.answer(imported.job, "approve", {}, imported.owner)


def test_the_period_of_the_job_is_every_rows(run: Run) -> None:
    definition(validity="job")
    run("tax_ident,name\n1,a\n2,b\n", definition="mine", valid_from="2024-01-01")
    imported = run("tax_ident,name\n1,c\n", definition="mine", valid_from="2025-01-01", valid_to="2025-12-31")
    assert (imported.created, imported.updated) == (1, 0)
    assert units() == [
        ("1", "a", None, "2024-01-01", "2024-12-31"),
        ("1", "c", None, "2025-01-01", "2025-12-31"),
        ("2", "b", None, "2024-01-01", None),
    ]
    again = run("tax_ident,name\n1,x\n1,y\n", definition="mine", valid_from="2025-01-01", review="never")
    assert errors_of(again) == {2: {"tax_ident": "appears_twice"}, 3: {"tax_ident": "appears_twice"}}


def test_a_period_column_is_only_more_words_where_the_job_says_the_period(run: Run) -> None:
    definition(validity="job")
    run("tax_ident,name,valid_from\n1,a,1999-01-01\n", definition="mine", valid_from="2024-01-01")
    assert units() == [("1", "a", None, "2024-01-01", None)]
    assert Unit.objects.get().extra == {"valid_from": "1999-01-01"}


# what the register says, what a row says, what becomes of them; None: the row is an error
OPEN_2024, WHOLE_2024, FROM_2025 = ("2024-01-01", ""), ("2024-01-01", "2024-12-31"), ("2025-01-01", "None")
OVERLAPS = [
    (OPEN_2024, ("2025-01-01", ""), [WHOLE_2024, FROM_2025]),
    (OPEN_2024, ("2025-01-01", "2025-06-30"), [WHOLE_2024, ("2025-01-01", "2025-06-30")]),
    (
        WHOLE_2024,
        ("2024-06-01", "2024-12-31"),
        [("2024-01-01", "2024-05-31"), ("2024-06-01", "2024-12-31")],
    ),
    (WHOLE_2024, ("2024-06-01", "2024-06-30"), None),
    (WHOLE_2024, ("2025-01-01", ""), [WHOLE_2024, FROM_2025]),
    (OPEN_2024, ("2023-01-01", ""), [("2023-01-01", "2023-12-31"), ("2024-01-01", "None")]),
    (OPEN_2024, ("2023-01-01", "2023-12-31"), [("2023-01-01", "2023-12-31"), ("2024-01-01", "None")]),
    (OPEN_2024, ("2023-01-01", "2024-01-01"), None),
    (OPEN_2024, ("", "2024-03-01"), None),
    (("", "2024-03-01"), ("2024-01-01", ""), [("2024-01-01", "None"), ("None", "2023-12-31")]),
    (OPEN_2024, ("2024-01-01", "2024-03-01"), [("2024-01-01", "2024-03-01")]),
]


@pytest.mark.parametrize(("before", "row", "after"), OVERLAPS)
def test_the_earlier_of_two_periods_gives_way_where_nothing_is_lost(
    before: tuple[str, str], row: tuple[str, str], after: list[tuple[str, str]] | None, run: Run
) -> None:
    header = "tax_ident,name,valid_from,valid_to\n"
    earlier = run(header + f"1,a,{before[0]},{before[1]}\n2,z,2000-01-01,\n")
    imported = run(header + f"1,b,{row[0]},{row[1]}\n")
    if after is None:
        assert errors_of(imported) == {2: {"valid_from": "period_overlaps"}}
        text = imported.rows.get().errors["valid_from"]["text"]
        assert text == f"overlaps the period from {before[0]} in the register"
        return
    assert imported.job.state == "completed", errors_of(imported)
    found = Unit.objects.filter(tax_ident="1").values_list("valid_from", "valid_to")
    assert sorted((str(start), str(end)) for start, end in found) == after
    # A row is of the import that wrote it last: whether it made it, updated it or moved its end.
    was = tuple(end or "None" for end in before)
    for unit in Unit.objects.filter(tax_ident="1"):
        kept = (unit.name, str(unit.valid_from), str(unit.valid_to)) == ("a", *was)
        assert unit.loaded_by == (earlier if kept else imported), unit.valid_from
    assert Unit.objects.get(tax_ident="2").loaded_by == earlier


def test_what_overlaps_is_told_at_a_column_of_the_file(run: Run) -> None:
    definition(validity="job")
    period = {"valid_from": "2024-01-01", "valid_to": "2024-12-31"}
    run("ident,name\n1,a\n", definition="mine", columns=["ident = tax_ident"], **period)
    summer = {"valid_from": "2024-06-01", "valid_to": "2024-08-31"}
    by_job = run("ident,name\n1,a\n", definition="mine", columns=["ident = tax_ident"], **summer)
    by_end = run("tax_ident,name,valid_to\n1,b,2024-03-01\n")
    assert errors_of(by_job) == {2: {"ident": "period_overlaps"}}
    assert errors_of(by_end) == {2: {"valid_to": "period_overlaps"}}


def test_a_unique_value_belongs_to_one_unit(run: Run) -> None:
    definition({"name": "stat_ident", "unique": True, "longest": 200}, FROM, TO)
    header = "tax_ident,name,stat_ident,valid_from,valid_to\n"
    run(header + "9,z,S9,,\n", definition="mine")
    imported = run(
        header
        + "1,a,S1,2024-01-01,2024-12-31\n1,a,S1,2025-01-01,\n"  # one unit in two periods
        + "2,b,S2,,\n3,c,S2,,\n4,d,,,\n5,e,,,\n6,f,S9,,\n",
        definition="mine",
    )
    assert errors_of(imported) == {
        4: {"stat_ident": "not_unique"},
        5: {"stat_ident": "not_unique"},
        8: {"stat_ident": "not_unique"},
    }
    bad = imported.rows.filter(errors__isnull=False).order_by("number")
    texts = [row.errors["stat_ident"]["text"] for row in bad]
    assert texts == [
        "is not unique, also in row 5",
        "is not unique, also in row 4",
        "is not unique, unit 9 has it",
    ]


def test_codes_labels_defaults_and_words_for_nothing(run: Run) -> None:
    codes = {"S1": "State", "S2": "Private", "s3": "Other"}
    definition(
        {"name": "sector_code", "type": "enum", "codes": codes, "default": "private"},
        {**EMPLOYEES, "default": "0"},
        {"name": "legal_form_code", "default": "AS"},
        empty=["-"],
    )
    imported = run(
        "tax_ident,name,sector_code,employees\n1,a,S1,5\n2,NA,state,-\n3,c,-,\n4,d,S4,NA\n",
        definition="mine",
        review="never",
    )
    assert errors_of(imported) == {5: {"sector_code": "not_in_list", "employees": "not_an_integer"}}
    assert imported.rows.get(number=5).errors["sector_code"]["text"] == "is not one of the codes S1, S2, s3"
    names = ("name", "sector_code", "employees", "legal_form_code")
    found = Unit.objects.order_by("tax_ident").values_list(*names)
    assert list(found) == [("a", "S1", 5, "AS"), ("NA", "S1", 0, "AS"), ("c", "S2", 0, "AS")]


def test_a_default_of_a_column_the_file_lacks_is_for_new_units_only(run: Run) -> None:
    run("tax_ident,name,legal_form_code\n1,a,ENK\n")
    definition({"name": "legal_form_code", "default": "AS"})
    run("tax_ident,name\n1,b\n2,c\n", definition="mine")
    assert list(Unit.objects.order_by("tax_ident").values_list("legal_form_code", flat=True)) == ["ENK", "AS"]


WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database() AND locktype = 'advisory' AND classid = %s AND NOT granted
"""


def test_two_loads_of_periods_never_run_side_by_side(run: Run) -> None:
    """Neither would see the period that the other begins, and both would stay open."""
    header = "tax_ident,name,valid_from\n"
    first = run(header + "1,a,2024-01-01\n", review="always")
    second = run(header + "1,b,2025-01-01\n", review="always")
    done = threading.Event()

    def other() -> None:
        try:
            with transaction.atomic():
                loading.load(second, *recognition.spans(second))
            done.set()
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    with transaction.atomic():
        loading.load(first, *recognition.spans(first))
        thread.start()
        until(lambda: execute(WAITING, [loading.LOCK]) == [(1,)])
        assert not done.is_set()
    thread.join(10)
    assert done.is_set()
    assert [row[3:] for row in units()] == [("2024-01-01", "2024-12-31"), ("2025-01-01", None)]
