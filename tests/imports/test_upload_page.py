"""A file is sent from the list of imports; what is known of it is said before anything starts."""

import re

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from ingestion.models import Job, Upload
from ingestion.sources.imports.models import Import
from tests.imports.conftest import Run

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = "tax_ident,name\n1,a\n"


def send(client: Client, content: str, name: str = "register.csv", **headers: str):
    file = SimpleUploadedFile(name, content.encode(), "text/csv")
    return client.post("/imports/new/", {"file": file}, headers=headers)


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_a_file_is_sent_first_and_started_then(signed_in: Client) -> None:
    assert "data-upload" in signed_in.get("/imports/").content.decode()
    sent = send(signed_in, GOOD)
    assert sent.status_code == 302
    page = signed_in.get(sent["Location"]).content.decode()
    assert "register.csv" in page and "Nothing has started yet" in page and "imported before" not in page
    assert not Job.objects.exists()
    kept = re.search(r'name="start-file__kept" value="([0-9a-f-]{36})"', page)
    assert kept and str(Upload.objects.get().pk) == kept[1]
    form = {"start-file__kept": kept[1], "start-definition": "register", "start-review": "always"}
    started = signed_in.post("/start/imports/", {**form, "start-match": "auto"})
    assert (started.status_code, started["Location"]) == (302, Job.objects.get().get_absolute_url())
    assert signed_in.get(sent["Location"]).status_code == 404  # it was imported already


def test_the_same_content_is_named_before_it_starts(run: Run, signed_in: Client, bob: User) -> None:
    imported = run(GOOD, name="october.csv")
    page = signed_in.get(send(signed_in, GOOD, "november.csv")["Location"]).content.decode()
    assert (
        f'The same content was imported before: <a href="{imported.get_absolute_url()}">october.csv</a>'
        in page
    )
    assert "Import it again" in page
    signed_in.force_login(bob)  # what others imported is not told
    assert "imported before" not in signed_in.get(send(signed_in, GOOD)["Location"]).content.decode()


@pytest.mark.parametrize(
    ("content", "name", "status", "words"),
    [
        ("", "a.csv", 400, "The file is empty."),
        ("\x7fELF\x02\x01\x01", "a.csv", 400, "This is not a CSV file."),
    ],
)
def test_a_bad_file_is_refused_in_words_to_people_and_scripts(
    signed_in: Client, content: str, name: str, status: int, words: str
) -> None:
    page = send(signed_in, content, name)
    assert (page.status_code, words in page.content.decode()) == (status, True)
    told = send(signed_in, content, name, accept="application/json")
    assert (told.status_code, told.json()) == (status, {"detail": words})
    assert not Upload.objects.exists()


def test_nothing_and_somebody_elses_file_are_refused(signed_in: Client, bob: User) -> None:
    assert "Choose a file." in signed_in.post("/imports/new/").content.decode()
    url = send(signed_in, GOOD, accept="application/json").json()["url"]
    signed_in.force_login(bob)
    assert signed_in.get(url).status_code == 404
    signed_in.logout()
    assert send(signed_in, GOOD).status_code == 302
    assert Upload.objects.count() == 1
    assert not Import.objects.exists()
