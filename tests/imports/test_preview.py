"""What the preview says is what the load does: in every mode, with periods, whatever was decided."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import lifecycle
from ingestion.models import Job, State
from ingestion.sources.imports import decisions
from ingestion.sources.imports.definition import Mode
from ingestion.sources.imports.models import Import, ImportDefinition, Unit
from ingestion.testing import resume_inline, run_inline
from tests.faults.conftest import FULL
from tests.imports.conftest import definition, store

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "tax_ident,name,valid_from,valid_to,employees\n"
COLUMNS = [
    {"name": "valid_from", "type": "date"},
    {"name": "valid_to", "type": "end_date"},
    {"name": "employees", "type": "integer"},
]
row = st.tuples(
    st.sampled_from("123"),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["", "2023-01-01", "2024-01-01", "03/04/2024", "2025-01-01"]),
    st.sampled_from(["", "2023-12-31", "2024-12-31", "never"]),
    st.sampled_from(["", "1", "many"]),
)
rows = st.lists(row, min_size=1, max_size=6)
SIMPLE = ("leave_out", "keep", "last", "empty", "day_first", "month_first")


def text_of(given_rows: list[tuple[str, ...]]) -> str:
    return HEADER + "".join(",".join(one) + "\n" for one in given_rows)


def forget() -> None:
    for model in (Unit, Import, Job, ImportDefinition):
        found: Any = model.objects.all()
        (found.filter(slug="mine") if model is ImportDefinition else found).delete()


@settings(max_examples=200 if FULL else 6, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=rows, now=rows, mode=st.sampled_from(list(Mode)), by_job=st.booleans(), data=st.data())
def test_the_load_does_what_the_preview_says(
    alice: User, before: list[Any], now: list[Any], mode: Mode, by_job: bool, data: st.DataObject
) -> None:
    forget()
    run_inline("imports", alice, file=store(alice, text_of(before)), review="never")
    columns = [one for one in COLUMNS if not by_job or one["name"] == "employees"]
    definition(*columns, mode=mode, validity="job" if by_job else "columns")
    params = {"definition": "mine", "review": "always", "file": store(alice, text_of(now))}
    period = data.draw(st.sampled_from(["2023-01-01", "2024-01-01", "2026-01-01"]))
    job = run_inline("imports", alice, **params, **({"valid_from": period} if by_job else {}))
    imported = Import.objects.get(job=job)
    for key in [cause["key"] for cause in imported.problems]:
        cause = next((one for one in imported.problems if one["key"] == key), None)
        if cause is None:  # it went with another: who is left out is nobody's twin
            continue
        offered = [one for one in decisions.choices(imported, cause) if one in SIMPLE]
        imported = decisions.decide(imported, key, data.draw(st.sampled_from(offered)), "", None, alice)
    told = (imported.rows_new, imported.rows_known, imported.rows_bad)
    old = set(Unit.objects.values_list("pk", flat=True))
    lifecycle.answer(job, "approve", {}, alice)
    job = resume_inline(Job.objects.get(pk=job.pk))
    imported.refresh_from_db()
    if not imported.rows_good:
        assert job.state == State.FAILED and set(Unit.objects.values_list("pk", flat=True)) == old
        return
    assert job.state == (State.PARTIAL if imported.rows_bad else State.COMPLETED), job.error
    assert (imported.created, imported.updated, imported.rows_bad, job.result["skipped"]) == (*told, 0)
    made = set(Unit.objects.values_list("pk", flat=True)) - old
    assert len(made) == imported.created
    spans = Unit.objects.order_by("tax_ident", "valid_from").values_list(
        "tax_ident", "valid_from", "valid_to"
    )
    ends: dict[str, list[tuple[str, str]]] = {}
    for ident, start, end in spans:
        ends.setdefault(ident, []).append((str(start or "0000"), str(end or "9999")))
    for periods in ends.values():  # they never overlap
        found = sorted(periods)
        assert all(found[n][1] < found[n + 1][0] for n in range(len(found) - 1)), found
