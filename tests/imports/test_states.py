"""An import waits for its file, is worked on, waits for a decision, and ends, in S4's words."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from ingestion import lifecycle, stability
from ingestion.models import Job, JobItem, Upload
from ingestion.sources.imports import arrivals, status
from ingestion.sources.imports.models import Import, Unit
from ingestion.testing import Killed, kill_at, lose_worker, resume_inline
from tests.imports.conftest import Run, definition, store

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = b"tax_ident,name\n1,a\n2,b\n"
LOADED = {"created": 1, "updated": 1, "skipped": 0}


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def awaited(client: Client, **body: object) -> dict[str, object]:
    response = client.post("/api/imports", body, content_type="application/json")
    assert response.status_code == 201, response.content
    return response.json()


def send(client: Client, pk: object, data: bytes = GOOD, name: str = "register.csv") -> object:
    path = f"/api/imports/{pk}/file?name={name}"
    return client.post(path, data, content_type="application/octet-stream")


@pytest.mark.seed("S4.4", "S4.55", "S4.57")
def test_an_import_may_be_made_before_its_file(signed_in: Client) -> None:
    definition(validity="job")
    made = awaited(signed_in, definition="mine", valid_from="2024-01-01", priority="high")
    assert (made["state"], made["display"], made["slug"]) == ("waiting_for_upload",) * 2 + (
        f"import-{made['id']}",
    )
    assert (made["priority"], made["definition"], made["valid_from"]) == ("high", "mine", "2024-01-01")
    assert stability.is_stable()
    sent = send(signed_in, made["id"])
    assert (sent.status_code, sent.json()["state"]) == (200, "upload_completed")
    assert not stability.is_stable()
    job = resume_inline(Job.objects.get())
    assert (job.state, job.title) == ("completed", "Import register.csv")
    assert signed_in.get(f"/api/imports/{made['id']}").json()["state"] == "finished"
    assert str(Unit.objects.get(tax_ident="1").valid_from) == "2024-01-01"
    assert send(signed_in, made["id"]).json()["code"] == "not_waiting"
    assert Upload.objects.count() == 1


def test_a_form_may_send_the_file(signed_in: Client) -> None:
    made = awaited(signed_in)
    file = SimpleUploadedFile("register.csv", GOOD)
    answer = signed_in.post(f"/api/imports/{made['id']}/file", {"file": file})
    assert (answer.status_code, answer.json()["file_name"]) == (200, "register.csv")


def test_a_bad_file_leaves_the_import_waiting(signed_in: Client) -> None:
    made = awaited(signed_in)
    for data, code in ((b"", "file_empty"), (b"a\n1\n", "csv_columns"), (GOOD + b"\0", "csv_nul")):
        answer = send(signed_in, made["id"], data)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert send(signed_in, made["id"], name="").json()["code"] == "bad_parameter"
    assert status.state(Import.objects.get()) == "waiting_for_upload"
    assert not Upload.objects.exists()


def test_the_same_file_twice_is_told(signed_in: Client, alice: User) -> None:
    first = lifecycle.create("imports", {"file": store(alice, GOOD)}, owner=alice)
    answer = send(signed_in, awaited(signed_in)["id"])
    slug = Import.objects.get(job=first.job).slug
    assert (answer.status_code, answer.json()["code"]) == (409, "already_open")
    assert answer.json()["detail"] == f"The same file is being imported already: {slug}."
    other = awaited(signed_in, review="always")
    assert send(signed_in, other["id"]).status_code == 200
    again = lifecycle.create("imports", {"file": store(alice, GOOD), "review": "always"}, owner=alice)
    assert not again.created


def test_only_who_may_act_sends_the_file(signed_in: Client, alice: User, bob: User) -> None:
    made = awaited(signed_in)
    signed_in.force_login(bob)
    assert send(signed_in, made["id"]).status_code == 404
    job = Job.objects.get()
    with pytest.raises(lifecycle.Refused):  # his file is not hers to give
        lifecycle.answer(job, "upload", {"file": store(bob, GOOD)}, alice)
    assert Job.objects.get().state == "waiting"


def test_too_many_imports_that_wait_are_refused(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MAX_AWAITED", 1)
    awaited(signed_in)
    answer = signed_in.post("/api/imports", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")


def test_the_page_takes_the_file(signed_in: Client) -> None:
    made = awaited(signed_in)
    job = Job.objects.get()
    for page in (f"/jobs/{job.pk}/", f"/imports/{made['id']}/"):
        shown = signed_in.get(page).content.decode()
        assert f'action="/jobs/{job.pk}/answer/"' in shown and 'type="file"' in shown
        assert "Approve" not in shown
    file = SimpleUploadedFile("register.csv", GOOD)
    signed_in.post(f"/jobs/{job.pk}/answer/", {"answer": "upload", "file": file})
    assert resume_inline(job).state == "completed"
    assert Unit.objects.count() == 2


def test_the_start_form_without_a_file_waits_for_it(signed_in: Client) -> None:
    given = {"start-definition": "register", "start-review": "auto", "start-match": "auto"}
    assert "This field is required." in signed_in.post("/start/imports/", given).content.decode()
    assert not Import.objects.exists()
    signed_in.post("/start/imports/", {**given, "start-later": "on"})
    assert status.state(Import.objects.get()) == "waiting_for_upload"


def test_commands_do_the_same(alice: User, tmp_path: Path) -> None:
    call_command("ingest", "imports", "later=true", user="alice", stdout=io.StringIO())
    job = Job.objects.get()
    assert status.state_of(job) == "waiting_for_upload"
    file = tmp_path / "register.csv"
    file.write_bytes(GOOD)
    call_command("job", "answer", str(job.pk), "upload", f"file={file}", user="alice", stdout=io.StringIO())
    assert resume_inline(job).state == "completed"
    assert Import.objects.get().file_name == "register.csv"


def states(job: Job) -> Iterator[str]:
    """Yield the import's state before each step ends, the worker killed each time, and after all."""
    for number in (1, 2, 3, 2):  # what was checked is not read again
        with kill_at("step.before_end", number), pytest.raises(Killed):
            resume_inline(job)
        job = Job.objects.get(pk=job.pk)
        yield status.state_of(job)
        job = lose_worker(job)
        Job.objects.filter(pk=job.pk).update(run_after=None)
    yield status.state_of(resume_inline(job))


@pytest.mark.seed("S4.55")
def test_what_it_does_is_told_at_every_moment(alice: User) -> None:
    job = lifecycle.create("imports", {"file": store(alice, GOOD)}, owner=alice).job
    assert status.state_of(job) == "upload_completed"
    assert list(states(job)) == [
        "preparing_data",
        "preparing_data",
        "analysing_data",
        "processing_data",
        "finished",
    ]


@pytest.mark.seed("S4.55")
def test_it_ends_rejected_failed_or_finished_and_stays_so(run: Run, alice: User) -> None:
    rejected = run("tax_ident,name\n1,\n2,b\n")
    assert status.state(rejected) == "waiting_for_review"
    lifecycle.answer(rejected.job, "reject", {"reason": "Wrong year"}, alice)
    failed = run("tax_ident,name\n,a\n", review="never")
    finished = run(GOOD)
    for imported, word in ((rejected, "rejected"), (failed, "failed"), (finished, "finished")):
        imported = Import.objects.select_related("job").get(pk=imported.pk)
        assert status.state(imported) == word
        assert (imported.job.error is not None) == (word != "finished")
        lifecycle.delete(imported.job, alice)
        assert status.state(Import.objects.select_related("job").get(pk=imported.pk)) == word


@pytest.mark.seed("S4.45")
def test_the_details_show_rows_only_once_they_are_counted(run: Run, signed_in: Client) -> None:
    imported = run(b"tax_ident,name\n1,a\n2,b\n3,c\n", review="always")

    def shown(state: str) -> str:
        page = signed_in.get("/status/details/", headers={"HX-Request": "true"}).content.decode()
        assert f'title="{imported.slug}"' in page and state in page
        assert f'aria-valuenow="{status.rows([job])[0]["progress_pct"]}"' in page
        return page

    job = lifecycle.answer(imported.job, "approve", {}, imported.owner)
    assert "0 of 3 rows (" in shown("Processing data")
    JobItem.objects.create(job=job, step="load", key="x", ordinal=0, state="done", result=LOADED)
    assert re.search(r"2 of 3 rows \(<span[^>]*>\d+%</span>\)", shown("Processing data"))
    Import.objects.update(rows_total=None)
    assert " rows (" not in shown("Processing data")


@pytest.mark.seed("S4.26", "S4.46", "S4.57")
def test_the_details_list_imports_by_priority_with_their_slug(signed_in: Client, alice: User) -> None:
    for name, priority in (("late", 2), ("early", 0)):
        params = {"file": store(alice, GOOD + name.encode() + b",c\n", f"{name}.csv")}
        lifecycle.create("imports", params, owner=alice, priority=priority)
    awaited(signed_in)
    listed = signed_in.get("/api/system-status/details").json()["import_jobs"]
    slugs = [f"{name}-{Import.objects.get(file_name=f'{name}.csv').pk}" for name in ("early", "late")]
    assert [one["slug"] for one in listed] == slugs
    assert {one["state"] for one in listed} == {"upload_completed"}
