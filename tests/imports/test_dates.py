"""Dates with slashes: day first, unless a person says of a whole column that the month comes first."""

import pytest
from django.contrib.auth.models import User

from ingestion import lifecycle
from ingestion.sources.imports import decisions, records, values
from ingestion.sources.imports.models import Import, Unit
from ingestion.testing import resume_inline
from tests.imports.conftest import Run, errors_of

HEAD = "tax_ident,name,birth_date\n"


def causes(imported: Import) -> dict[str, tuple[str, int]]:
    """Return level -> (code, rows)."""
    imported.refresh_from_db()
    return {one["level"]: (one["code"], one["rows"]) for one in imported.problems}


def chosen(imported: Import) -> dict[str, str]:
    return {one["level"]: decisions.chosen(imported, one) for one in imported.problems}


def decide(imported: Import, level: str, choice: str, by: User) -> Import:
    key = next(one["key"] for one in imported.problems if one["level"] == level)
    return decisions.decide(imported, key, choice, "", None, by)


def loaded(imported: Import, by: User) -> dict[str, str]:
    """Return what is loaded when it is approved."""
    resume_inline(lifecycle.answer(imported.job, "approve", {}, by))
    return {unit.tax_ident: str(unit.birth_date) for unit in Unit.objects.all()}


@pytest.mark.parametrize(
    ("text", "read", "doubtful"),
    [
        ("03/04/2024", "2024-04-03", True),
        ("3/4/2024", "2024-04-03", True),
        ("04/04/2024", "2024-04-04", False),
        ("28/04/2024", "2024-04-28", False),
        ("03.04.2024", "2024-04-03", False),
        ("2024-04-03", "2024-04-03", False),
        ("04/28/2024", values.DAY_OR_MONTH, False),
        ("02/29/2024", values.DAY_OR_MONTH, False),
        ("02/29/2023", "not_a_date", False),
        ("13/13/2024", "not_a_date", False),
        ("04/28/0000", "not_a_date", False),
        ("04.28.2024", "not_a_date", False),
    ],
)
def test_how_a_date_is_read(text: str, read: str, doubtful: bool) -> None:
    try:
        assert values.read_date(text) == read
        assert bool(values.doubt_date(text)) is doubtful
    except values.Unreadable as problem:
        assert problem.code == read


@pytest.mark.django_db(transaction=True)
def test_a_column_that_may_be_either_is_decided_as_one(run: Run, alice: User) -> None:
    imported = run(HEAD + "1,a,03/04/2024\n2,b,05/05/2024\n3,c,1/12/2020\n4,d,2001-02-03\n", review="always")
    assert causes(imported) == {"warning": ("day_or_month", 2)}
    assert decisions.choices(imported, imported.problems[0]) == ["day_first", "month_first", "leave_out"]
    assert chosen(imported) == {"warning": "day_first"}
    imported = decide(imported, "warning", "month_first", alice)
    assert (imported.rows_bad, imported.rows_doubtful, chosen(imported)) == (0, 0, {"warning": "month_first"})
    imported = decide(imported, "warning", "day_first", alice)
    assert imported.rows.get(number=2).fixed == {"2": "2024-04-03"}  # as the file says
    imported = decide(imported, "warning", "month_first", alice)
    assert loaded(imported, alice) == {
        "1": "2024-03-04",
        "2": "2024-05-05",
        "3": "2020-01-12",
        "4": "2001-02-03",
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["error", "warning"])
def test_dates_with_the_month_first_are_mended_together(first: str, run: Run, alice: User) -> None:
    imported = run(HEAD + "1,a,03/04/2024\n2,b,04/28/2024\n3,c,99/99/2024\n")
    assert errors_of(imported) == {3: {"birth_date": "day_or_month"}, 4: {"birth_date": "not_a_date"}}
    imported.problems = [one for one in imported.problems if one["code"] == "day_or_month"]
    imported = decide(imported, first, "month_first", alice)
    both = [decisions.chosen(imported, one) for one in imported.problems if one["code"] == "day_or_month"]
    assert both == ["month_first", "month_first"]
    assert errors_of(imported) == {4: {"birth_date": "not_a_date"}}
    key = next(one["key"] for one in imported.problems if one["level"] == "warning")
    imported = decisions.decide(imported, key, "day_first", "", None, alice)  # neither is read so any more
    assert errors_of(imported) == {3: {"birth_date": "day_or_month"}, 4: {"birth_date": "not_a_date"}}
    imported = decisions.decide(imported, key, "month_first", "", None, alice)
    assert loaded(imported, alice) == {"1": "2024-03-04", "2": "2024-04-28"}


@pytest.mark.django_db(transaction=True)
def test_one_day_that_is_no_month_settles_the_column(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "SMALLEST", 60)
    doubtful = "".join(f"{n},a,03/04/2024\n" for n in range(30))
    imported = run(HEAD + doubtful + "x,x,28/04/2024\n", review="always")
    assert len(imported.spans) > 5  # what settles it is in the last
    assert (imported.rows_bad, imported.rows_doubtful) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_a_column_of_both_kinds_stays_in_doubt(
    run: Run, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one cell decides over all others: they are read as a person says, also beside a day above 12."""
    monkeypatch.setattr(records, "SMALLEST", 60)
    surely = "y,y,28/04/2024\nb,b,05/05/2024\nc,c,03/4/2024\n"
    doubtful = "".join(f"{n},a,03/04/2024\n" for n in range(10))
    imported = run(HEAD + surely + doubtful + "z,z,04/28/2024\nd,d,99/99/2024\n", review="always")
    assert len(imported.spans) > 2
    assert imported.rows_doubtful == 11
    assert set(errors_of(imported)) == {15, 16}
    imported.problems = [one for one in imported.problems if one["code"] == "day_or_month"]
    imported = decide(imported, "warning", "month_first", alice)
    assert errors_of(imported) == {16: {"birth_date": "not_a_date"}}
    days = loaded(imported, alice)
    assert [days[name] for name in "ybcz0"] == [
        "2024-04-28",
        "2024-05-05",
        "2024-03-04",
        "2024-04-28",
        "2024-03-04",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_row_that_is_too_short_says_nothing_of_the_column(run: Run) -> None:
    imported = run("tax_ident,birth_date,name\n1,03/04/2024,a\n2,28/04/2024\n")
    assert (imported.rows_bad, imported.rows_doubtful) == (1, 1)
