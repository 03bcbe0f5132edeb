"""Decisions about causes: all rows follow, all can be taken back until approval, nobody overrules unseen."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.statements import execute
from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import JobEvent
from ingestion.source import SourceError
from ingestion.sources.imports import decisions, preview, together
from ingestion.sources.imports.deadline import within
from ingestion.sources.imports.models import Import, Unit
from ingestion.testing import resume_inline
from tests.imports.conftest import Run, definition, errors_of

pytestmark = pytest.mark.django_db(transaction=True)

BAD = (
    "tax_ident,name,employees,turnover,birth_date\n"
    "1,a,one,5,2020-01-01\n"
    '2,b,two,"1,234",2020-01-01\n'
    "3,c,3,5,14/14/2019\n"
    "4,,4,5,2020-01-01\n"
    "5,e,5,5,2020-01-01\n"
)


def key_of(imported: Import, column: str, code: str = "") -> str:
    """Return the key of the cause of a column."""
    found = [one for one in imported.problems if one["column"] == column and code in ("", one["code"])]
    assert len(found) == 1, imported.problems
    return found[0]["key"]


def counts(imported: Import) -> tuple[int, int, int]:
    """Return rows that are good, bad, new."""
    imported.refresh_from_db()
    return imported.rows_good, imported.rows_bad or 0, imported.rows_new or 0


def staged(imported: Import) -> list[tuple[Any, ...]]:
    """Return all that is staged."""
    return list(
        imported.rows.order_by("number").values_list("number", "fixed", "errors", "warnings", "settled")
    )


def approve(imported: Import, by: User) -> Import:
    """Approve and load; return the import as it is then."""
    imported.refresh_from_db()
    lifecycle.answer(imported.job, "approve", {"revision": imported.revision}, by)
    assert resume_inline(imported.job).state == ("partial" if imported.rows_bad else "completed")
    imported.refresh_from_db()
    return imported


def test_one_decision_empties_the_cell_of_every_row_of_its_cause(run: Run, alice: User) -> None:
    imported = run(BAD)
    assert counts(imported) == (1, 4, 1)
    imported = decisions.decide(imported, key_of(imported, "employees"), "empty", None, 0, alice)
    assert counts(imported) == (3, 2, 3)
    assert errors_of(imported) == {4: {"birth_date": "not_a_date"}, 5: {"name": "is_empty"}}
    decided = imported.decisions[key_of(imported, "employees")]
    assert (decided["choice"], decided["by"], bool(decided["at"])) == ("empty", "alice", True)
    assert JobEvent.objects.filter(job=imported.job, kind="decided").get().message == (
        "Set the cell empty: employees is not a whole number, by alice"
    )
    approve(imported, alice)
    assert dict(Unit.objects.values_list("tax_ident", "employees")) == {"1": None, "2": None, "5": 5}


def test_a_value_is_read_as_its_column_reads_it(run: Run, alice: User) -> None:
    imported = run(BAD)
    key = key_of(imported, "birth_date")
    for wrong in ("tomorrow", "", " ", None, "x" * 501):
        with pytest.raises(SourceError) as caught:
            decisions.decide(imported, key, "value", wrong, 0, alice)
        assert caught.value.code == "validation_failed"
    imported = decisions.decide(imported, key, "value", "1.2.2019", 0, alice)
    approve(imported, alice)
    assert str(Unit.objects.get(tax_ident="3").birth_date) == "2019-02-01"


def test_a_warning_can_leave_its_rows_out(run: Run, alice: User) -> None:
    imported = run(BAD, review="always")
    imported = decisions.decide(imported, key_of(imported, "employees"), "empty", None, 0, alice)
    assert counts(imported) == (3, 2, 3)
    key = key_of(imported, "turnover")
    imported = decisions.decide(imported, key, "leave_out", None, 1, alice)
    assert counts(imported) == (2, 3, 2)
    assert key_of(imported, "turnover") == key  # it stays a warning, with its decision
    imported = decisions.decide(imported, key, "keep", None, 2, alice)
    assert counts(imported) == (3, 2, 3)


def test_a_required_cell_cannot_be_emptied_and_a_strange_choice_is_refused(run: Run, alice: User) -> None:
    imported = run(BAD)
    for column, choice in (("name", "empty"), ("name", "last"), ("employees", "keep"), ("employees", "x")):
        with pytest.raises(SourceError, match="cannot be decided"):
            decisions.decide(imported, key_of(imported, column), choice, None, 0, alice)
    with pytest.raises(SourceError, match="no such problem"):
        decisions.decide(imported, "nothing", "leave_out", None, 0, alice)


def test_a_row_that_is_mended_is_compared_with_the_others(run: Run, alice: User) -> None:
    imported = run("tax_ident,name,employees\n1,a,x\n1,b,2\n2,c,3\n")
    assert counts(imported) == (2, 1, 2)
    key = key_of(imported, "employees")
    imported = decisions.decide(imported, key, "empty", None, 0, alice)
    assert errors_of(imported) == {2: {"tax_ident": "appears_twice"}, 3: {"tax_ident": "appears_twice"}}
    twice = key_of(imported, "tax_ident")
    imported = decisions.decide(imported, twice, "last", None, 1, alice)
    assert errors_of(imported) == {2: {"tax_ident": "appears_twice"}}
    imported = decisions.decide(imported, key, "leave_out", None, 2, alice)
    assert errors_of(imported) == {2: {"employees": "not_an_integer"}}
    imported = decisions.decide(imported, key, "empty", None, 3, alice)
    assert errors_of(imported) == {2: {"tax_ident": "appears_twice"}}  # what was decided still holds
    approve(imported, alice)
    assert dict(Unit.objects.values_list("tax_ident", "name")) == {"1": "b", "2": "c"}


def test_a_decision_about_what_one_did_not_see_is_refused(run: Run, alice: User, bob: User) -> None:
    imported = run(BAD)
    key = key_of(imported, "employees")
    decisions.decide(imported, key, "empty", None, 0, alice)
    with pytest.raises(SourceError) as caught:
        decisions.decide(imported, key, "leave_out", None, 0, bob)
    assert caught.value.code == "changed_meanwhile"
    with pytest.raises(Refused) as refused:  # approving too names what was seen
        lifecycle.answer(imported.job, "approve", {"revision": 0}, bob)
    assert refused.value.code == "changed_meanwhile"
    approve(imported, alice)
    with pytest.raises(Refused) as late:
        decisions.decide(imported, key, "leave_out", None, 1, bob)
    assert late.value.code == "already_answered"


def test_values_are_mapped_to_codes_of_the_list(run: Run, alice: User) -> None:
    column = {"name": "legal_form_code", "type": "enum", "codes": {"AS": "Limited", "ENK": "Sole"}}
    definition(column)
    rows = "".join(f"{n},u,{form}\n" for n, form in enumerate(["AS", "Ltd", "Ltd", "one man", "?"]))
    imported = run("tax_ident,name,legal_form_code\n" + rows, definition="mine")
    cause = imported.problems[0]
    assert decisions.choices(imported, cause) == ["leave_out", "empty", "value", "map"]
    assert [tuple(one) for one in cause["values"]] == [("Ltd", 2), ("?", 1), ("one man", 1)]
    for wrong in ({"Ltd": "XX"}, {}, "AS", {"Ltd": 1}):
        with pytest.raises(SourceError):
            decisions.decide(imported, cause["key"], "map", wrong, 0, alice)
    imported = decisions.decide(imported, cause["key"], "map", {"Ltd": "AS", "one man": "Sole"}, 0, alice)
    assert counts(imported) == (4, 1, 4)
    assert [tuple(one) for one in imported.problems[0]["values"]] == [("Ltd", 2), ("?", 1), ("one man", 1)]
    approve(imported, alice)
    found = dict(Unit.objects.values_list("tax_ident", "legal_form_code"))
    assert found == {"0": "AS", "1": "AS", "2": "AS", "3": "ENK"}


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "3", ""]),
        st.sampled_from(["a", ""]),
        st.sampled_from(["1", "x"]),
        st.sampled_from(["1", '"1,234"', "?"]),
    ),
    min_size=1,
    max_size=8,
)


@given(rows=ROWS, picks=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=6))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_decisions_can_be_taken_back_and_the_preview_is_what_is_loaded(
    rows: list[tuple[str, ...]], picks: list[tuple[int, int]], run_anew: Any, alice: User
) -> None:
    """UX40."""
    imported = run_anew("tax_ident,name,employees,turnover\n" + "\n".join(map(",".join, rows)) + "\n")
    before, problems = staged(imported), imported.problems
    for cause, choice in picks:
        if not imported.problems:
            break
        imported = pick(imported, imported.problems[cause % len(imported.problems)], choice, alice)
    good, bad, _ = counts(imported)
    assert good + bad == imported.rows_total
    touched = list(imported.decisions)
    kept = imported
    for key in touched:
        cause_now = next((one for one in kept.problems if one["key"] == key), None)
        if cause_now is not None:
            kept = pick(kept, cause_now, 0, alice)
    for key in list(kept.decisions):  # those whose cause had gone meanwhile
        cause_now = next((one for one in kept.problems if one["key"] == key), None)
        if cause_now is not None:
            kept = pick(kept, cause_now, 0, alice)
    assert (staged(kept), kept.problems) == (before, problems)
    if kept.rows_good:
        approved = approve(kept, alice)
        assert (approved.created, (approved.created or 0) + (approved.updated or 0)) == (
            kept.rows_new,
            kept.rows_good,
        )


def pick(imported: Import, cause: Mapping[str, Any], number: int, by: User) -> Import:
    """Decide the n-th thing that can be decided about a cause."""
    possible = decisions.choices(imported, cause)
    return decisions.decide(
        imported, cause["key"], possible[number % len(possible)], "7", imported.revision, by
    )


def test_every_code_that_rows_together_have_is_known_as_such(run: Run) -> None:
    """A code left out of CODES would stay although its reason is gone."""
    imported = run(
        "tax_ident,name,valid_from,valid_to\n1,a,2024-01-01,2023-01-01\n2,b,,\n2,c,,\n3,d,2024-01-01,\n"
    )
    found = {code for columns in errors_of(imported).values() for code in columns.values()}
    assert found <= set(together.CODES)
    imported.noted.update(errors=None)
    together.check_together(imported)
    preview.count(imported)
    assert {code for columns in errors_of(imported).values() for code in columns.values()} == found


def test_a_decision_that_takes_too_long_is_refused_and_changes_nothing(
    run: Run, alice: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = run(BAD)
    before = staged(imported)
    monkeypatch.setattr(decisions, "SECONDS", 0.3)
    client.force_login(alice)
    said = {"key": key_of(imported, "employees"), "choice": "empty", "revision": 0}
    body = {"cause": said["key"], "choice": "empty"}
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN; LOCK TABLE imports_importrow IN SHARE MODE")  # as millions of rows would
        answer = client.post(f"/api/imports/{imported.pk}/decisions", body, "application/json")
        assert (answer.status_code, answer.json()["code"]) == (422, "too_slow")
        page = client.post(f"{imported.get_absolute_url()}decide/", said)
        assert page.status_code == 422
        assert "This takes too long here, so nothing was changed." in page.content.decode()
    finally:
        other.close()
    imported.refresh_from_db()
    assert (staged(imported), imported.decisions, imported.revision) == (before, {}, 0)


def test_the_time_is_that_of_all_statements_together() -> None:
    with pytest.raises(SourceError) as caught, transaction.atomic(), within(0.3):
        for _ in range(2):
            execute("SELECT pg_sleep(0.2)")
    assert caught.value.code == "too_slow"


def test_what_takes_too_long_within_a_savepoint_is_said_so_too() -> None:
    with pytest.raises(SourceError) as caught, transaction.atomic(), within(0.2), transaction.atomic():
        execute("SELECT pg_sleep(5)")
    assert caught.value.code == "too_slow"
