"""Starting a job from its form."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from ingestion.forms import source_form
from ingestion.models import Job, Upload
from ingestion.source import Source, SourceParams, UploadId, source
from tests.pages import rows

pytestmark = pytest.mark.django_db


def test_it_starts_and_goes_to_the_job(client: Client, alice):
    client.force_login(alice)
    response = client.post(
        "/start/shelves/", {"start-name": "mine", "start-n": "7", "start-fail": "k1\n\n k2 "}
    )
    job = Job.objects.get()
    assert (response.status_code, response["Location"]) == (302, job.get_absolute_url())
    assert job.owner == alice
    assert (job.params["name"], job.params["n"], job.params["fail"]) == ("mine", 7, ["k1", "k2"])
    assert job.params["threads"] == 1  # an empty field keeps its default


def test_a_second_start_of_the_same_goes_to_the_running_one(client: Client, alice):
    """UX 22."""
    client.force_login(alice)
    first = client.post("/start/shelves/", {"start-name": "mine"})
    second = client.post("/start/shelves/", {"start-name": "mine"}, follow=True)
    assert second.redirect_chain[0][0] == first["Location"]
    assert Job.objects.count() == 1
    assert "This is running already" in second.content.decode()


def test_a_refused_form_says_why_and_keeps_what_was_typed(client: Client, alice):
    client.force_login(alice)
    response = client.post("/start/shelves/", {"start-name": "my shelf", "start-n": "9999"})
    html = response.content.decode()
    assert response.status_code == 422
    assert Job.objects.count() == 0
    assert 'value="my shelf"' in html and 'value="9999"' in html
    assert 'aria-invalid="true"' in html and 'id="id_start-n_error"' in html


def test_what_only_the_params_know_is_said_at_its_field(client: Client, alice):
    client.force_login(alice)
    response = client.post("/start/shelves/", {"start-name": "x", "start-wait": "61"})
    assert response.status_code == 422
    assert 'id="id_start-wait_error"' in response.content.decode()


def test_quota_is_said_with_its_status(client: Client, alice, monkeypatch):
    from ingestion import admission

    monkeypatch.setattr(admission, "MAX_QUEUED_PER_USER", 1)
    client.force_login(alice)
    client.post("/start/shelves/", {"start-name": "one"})
    response = client.post("/start/shelves/", {"start-name": "two"})
    assert response.status_code == 429
    html = response.content.decode()
    assert "which is the limit" in html and 'value="two"' in html


class FileParams(SourceParams):
    file: UploadId
    note: str = ""


@pytest.fixture
def file_kind():
    from ingestion import source as module

    @source("filed", label="Filed")
    def filed(job, p: FileParams) -> None:
        """Take a file."""

    yield "filed"
    del module._registry["filed"]


def test_a_file_becomes_an_upload_of_the_job(client: Client, alice, file_kind, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    client.force_login(alice)
    response = client.post(
        "/start/filed/", {"start-file": SimpleUploadedFile("a.csv", b"name,n\nx,1\n"), "start-note": "hi"}
    )
    assert response.status_code == 302
    upload = Upload.objects.get()
    assert (upload.name, upload.owner, upload.job) == ("a.csv", alice, Job.objects.get())


def test_a_file_for_a_job_that_is_open_already_is_not_kept(client: Client, alice, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    client.force_login(alice)
    for name in ("first.txt", "same.txt"):
        sent = {"start-file": SimpleUploadedFile(name, b"Suppliers are audited every two years.")}
        assert client.post("/start/documents/", sent).status_code == 302
    upload = Upload.objects.get()
    assert (upload.name, upload.job) == ("first.txt", Job.objects.get())


def test_a_stored_file_is_kept_when_the_form_is_refused(
    client: Client, alice, file_kind, settings, tmp_path, monkeypatch
):
    from ingestion import admission

    settings.MEDIA_ROOT = tmp_path
    client.force_login(alice)
    monkeypatch.setattr(admission, "MAX_QUEUED_PER_USER", 0)
    refused = client.post("/start/filed/", {"start-file": SimpleUploadedFile("a.csv", b"name,n\nx,1\n")})
    upload = Upload.objects.get()
    assert refused.status_code == 429
    html = refused.content.decode()
    assert f'value="{upload.pk}"' in html and "a.csv is here already" in html
    monkeypatch.setattr(admission, "MAX_QUEUED_PER_USER", 100)
    assert client.post("/start/filed/", {"start-file__kept": str(upload.pk)}).status_code == 302
    assert Job.objects.get().params["file"] == str(upload.pk)


def test_a_file_is_kept_when_something_else_in_the_form_is_wrong(
    client: Client, alice, file_kind, settings, tmp_path
):
    settings.MEDIA_ROOT = tmp_path
    client.force_login(alice)
    form = {"start-file": SimpleUploadedFile("a.csv", b"name,n\nx,1\n"), "start-note": "x" * 20_000}
    refused = client.post("/start/filed/", form)
    upload = Upload.objects.get()
    html = refused.content.decode()
    assert refused.status_code == 422 and "at most 10000 characters" in html
    assert f'value="{upload.pk}"' in html and "a.csv is here already" in html
    assert client.post("/start/filed/", {"start-file__kept": str(upload.pk)}).status_code == 302


def test_somebody_elses_file_is_not_there(client: Client, alice, bob, file_kind):
    theirs = Upload.objects.create(
        owner=bob, name="b.csv", path="x", size=1, sha256="0" * 64, type="text/csv"
    )
    client.force_login(alice)
    response = client.post("/start/filed/", {"start-file__kept": str(theirs.pk)})
    assert response.status_code == 422
    assert Job.objects.count() == 0
    assert "no longer available" in response.content.decode()


def test_a_file_that_is_not_what_its_name_says_is_refused(
    client: Client, alice, file_kind, settings, tmp_path
):
    settings.MEDIA_ROOT = tmp_path
    client.force_login(alice)
    response = client.post(
        "/start/filed/", {"start-file": SimpleUploadedFile("a.csv", b"\x7fELF" + b"\0" * 99)}
    )
    assert response.status_code == 400
    assert "This is not a CSV file" in response.content.decode()


def test_every_kind_of_field_has_an_input():
    import datetime
    from decimal import Decimal
    from typing import Literal

    class AllParams(SourceParams):
        text: str
        number: int = 3
        amount: Decimal = Decimal("1.5")
        flag: bool = True
        day: datetime.date | None = None
        choice: Literal["one", "two"] = "one"
        lines: list[str] = []
        maybe: Literal["x"] | None = None

    class All(Source):
        kind, label, params = "all", "All", AllParams

    data = {"start-text": "a", "start-number": "4", "start-amount": "2.50", "start-day": "2026-11-18",
            "start-choice": "two", "start-lines": "a\nb"}  # fmt: skip
    form = source_form(All(), data)
    assert form.is_valid(), form.errors
    assert AllParams.model_validate(form.params()) == AllParams(
        text="a", number=4, amount=Decimal("2.50"), flag=False, day=datetime.date(2026, 11, 18), choice="two",
        lines=["a", "b"],
    )  # fmt: skip
    html = form.as_p()
    for one in ('type="text"', 'type="number"', 'type="checkbox"', 'type="date"', "<select", "<textarea"):
        assert one in html


def test_an_unknown_kind_is_not_found(client: Client, alice):
    client.force_login(alice)
    assert client.post("/start/nope/").status_code == 404


def test_it_asks_to_sign_in_first(client: Client):
    assert client.post("/start/shelves/")["Location"].startswith("/signin/")
    assert Job.objects.count() == 0


def test_it_rejects_get(client: Client, alice):
    client.force_login(alice)
    assert client.get("/start/shelves/").status_code == 405


def test_a_form_without_its_token_is_refused(alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post("/start/shelves/", {"start-name": "x"}).status_code == 403
    assert Job.objects.count() == 0


def test_starting_again_starts_the_same_from_nothing(client: Client, alice, bob):
    job = rows.job(alice, "completed", params={"name": "old", "n": 3})
    client.force_login(alice)
    response = client.post(f"{job.get_absolute_url()}again/")
    new = Job.objects.exclude(pk=job.pk).get()
    assert response["Location"] == new.get_absolute_url()
    assert (new.params["n"], new.retry_of) == (3, None)
    client.force_login(bob)
    assert client.post(f"{job.get_absolute_url()}again/").status_code == 404
