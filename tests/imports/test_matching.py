"""Which column is which: recognised, guessed, asked, remembered."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import Job
from ingestion.sources.imports import matching
from ingestion.sources.imports.default import DEFAULT
from ingestion.sources.imports.models import HeaderMatch, Import, Unit
from ingestion.testing import resume_inline
from tests.imports.conftest import Run

pytestmark = pytest.mark.django_db(transaction=True)

UNCLEAR = "Reg. no,Business title,Staff\nA-1,Aspen Bakery,12\nB-2,Birch Mill,3\n"


def targets(proposals: list[matching.Proposal]) -> dict[str, tuple[str, str]]:
    return {one.header: (one.target, str(one.why)) for one in proposals}


def test_headers_that_are_alike_and_cells_that_look_so_are_proposed() -> None:
    header = ["Companys number", "Designation", "Employes", "Foo", "Place"]
    rows = [["01", "Aspen Bakery", "1", "x", "www.a.example"], ["02", "Birch", "2", "x", "www.b.example"]]
    assert targets(matching.propose(header, rows, DEFAULT)) == {
        "Companys number": ("tax_ident", "similar"),
        "Designation": ("name", "content"),
        "Employes": ("employees", "similar"),
        "Foo": ("", ""),
        "Place": ("web_address", "content"),
    }


def test_samples_are_a_few_different_cells_of_the_file() -> None:
    rows = [["1", "a"], ["1", ""], ["2", "b" * 100], ["3", "c"], ["4", "d"]]
    found = matching.propose(["tax_ident", "name"], rows, DEFAULT)
    assert [one.samples for one in found] == [["1", "2", "3"], ["a", "b" * 60 + "…", "c"]]


def test_only_a_clear_header_is_not_asked_about() -> None:
    clear = matching.propose(["Company Number", "Name"], [["1", "a"]], DEFAULT)
    guessed = matching.propose(["Companys number", "Name"], [["1", "a"]], DEFAULT)
    assert not matching.is_doubtful(DEFAULT, clear)
    assert matching.is_doubtful(DEFAULT, guessed)


def test_an_unclear_header_waits_for_a_person_and_is_remembered(run: Run, alice: User) -> None:
    imported = run(UNCLEAR)
    assert (imported.job.waiting_for["kind"], imported.rows_total) == ("match", None)
    assert imported.job.waiting_for["text"] == "Which column is Identifier and which is Name?"
    answer = {"Reg. no": "tax_ident", "Business title": "name", "Staff": "employees"}
    lifecycle.answer(imported.job, "match", {"columns": answer}, alice)
    assert resume_inline(imported.job).state == "completed"
    assert dict(Unit.objects.values_list("tax_ident", "employees")) == {"A-1": 12, "B-2": 3}
    assert HeaderMatch.objects.count() == 3
    again = run(UNCLEAR.replace("Aspen", "Ash"))
    assert (again.job.state, again.updated) == ("completed", 2)
    assert {one.why for one in again.matches} == {"saved"}


def test_what_is_known_comes_first_and_a_column_can_be_left_out(run: Run, alice: User) -> None:
    imported = run("tax_ident,name,crew\n1,a,5\n", match="always")
    assert imported.job.waiting_for["kind"] == "match"
    lifecycle.answer(imported.job, "match", {"columns": {"crew": "employees"}}, alice)
    resume_inline(imported.job)
    assert Unit.objects.get().employees == 5
    assert set(HeaderMatch.objects.values_list("header", "target")) == {("crew", "employees")}
    other = run("tax_ident,name,crew\n2,a,5\n", match="always")
    lifecycle.answer(other.job, "match", {"columns": {"crew": ""}}, alice)
    resume_inline(other.job)
    assert (Unit.objects.get(tax_ident="2").employees, Unit.objects.get(tax_ident="2").extra) == (
        None,
        {"crew": "5"},
    )


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"Business title": ""}, "Say which column is Name (name)."),
        ({"Staff": "nothing"}, 'There is no target column "nothing".'),
        ({"Staff": "name", "Business title": "name"}, 'Two columns were matched to "name".'),
        ({"Nobody": "name"}, 'The file has no column "Nobody".'),
        (["name"], "Send columns as {file column: target column}."),
        ({"Staff": 1}, "Send columns as {file column: target column}."),
    ],
)
def test_an_answer_that_leaves_something_open_is_refused(
    run: Run, alice: User, columns: object, words: str
) -> None:
    imported = run(UNCLEAR)
    with pytest.raises(Refused) as caught:
        lifecycle.answer(imported.job, "match", {"columns": columns}, alice)
    assert (caught.value.code, caught.value.message) == ("validation_failed", words)
    assert Job.objects.get(pk=imported.job_id).state == "waiting"
    assert not HeaderMatch.objects.exists()


def test_a_header_that_nobody_could_match_is_refused_before_a_job_is_made(run: Run) -> None:
    with pytest.raises(Refused, match=r'Column "tax_ident" is missing\. Found: value\.'):
        run("value\n1\n")
    with pytest.raises(Refused, match=r'Column "tax_ident" is missing\. Found: a, b\.'):
        run("a,b\n1,2\n", match="never")
    assert not Import.objects.exists()


def test_terminals_answer(run: Run, alice: User) -> None:
    imported = run(UNCLEAR)
    pairs = ["Reg. no=tax_ident", "Business title=name", "Staff="]
    call_command("job", "answer", str(imported.job_id), "match", *pairs, "--user", "alice")
    assert resume_inline(imported.job).state == "completed"
    assert Unit.objects.get(tax_ident="A-1").extra == {"Staff": "12"}


def test_programs_answer_by_the_api(run: Run, client: Client, alice: User) -> None:
    imported = run(UNCLEAR)
    client.force_login(alice)
    url = f"/api/jobs/{imported.job_id}/answer"
    bad = client.post(url, {"answer": "match", "data": {"columns": {"Staff": "x"}}}, "application/json")
    assert (bad.status_code, bad.json()["detail"]) == (400, 'There is no target column "x".')
    good = client.post(url, {"answer": "approve"}, "application/json")  # as proposed
    assert good.status_code == 200, good.content
    assert resume_inline(imported.job).state == "completed"
    assert set(Unit.objects.values_list("name", flat=True)) == {"Aspen Bakery", "Birch Mill"}
