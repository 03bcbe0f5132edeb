"""Files made from a job."""

import csv
import io

import pytest
from django.test import Client
from structlog.testing import capture_logs

from ingestion.downloads import safe_cell
from tests.pages import rows

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\0=1", " =1", "  @x"])
def test_a_formula_is_shown_not_run(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "plain", "a=b", "12", "'=1"])
def test_other_text_stays_as_it_is(text):
    assert safe_cell(text) == text


def test_failed_items_as_csv(client: Client, alice):
    job = rows.job(alice, "partial")
    rows.items(job, {"done": 2, "failed": 2})
    job.items.filter(key="k0002").update(
        label='=HYPERLINK("http://evil")', error='with "quotes",\r\nand lines'
    )
    client.force_login(alice)
    response = client.get(f"{job.get_absolute_url()}failed.csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith("attachment;")
    lines = list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))
    assert [line["key"] for line in lines] == ["k0002", "k0003"]
    assert lines[0]["label"] == '\'=HYPERLINK("http://evil")'
    assert lines[0]["error"] == 'with "quotes",\r\nand lines'


def test_events_as_text_one_a_line(client: Client, alice):
    job = rows.job(alice, "running")
    rows.event(job, "first\nline")
    rows.event(job, "second", level="error")
    client.force_login(alice)
    with capture_logs() as logged:
        lines = client.get(f"{job.get_absolute_url()}events.txt").content.decode().splitlines()
    assert lines[0].endswith("info    first line") and lines[1].endswith("error   second")
    assert [one["what"] for one in logged if one["event"] == "file_taken"] == [f"events-{job.pk}.txt"]


@pytest.mark.seed("SEC14")
@pytest.mark.parametrize("name", ["failed.csv", "events.txt"])
def test_strangers_and_signed_out_people_get_none(client: Client, alice, bob, name):
    url = f"{rows.job(alice, 'failed').get_absolute_url()}{name}"
    assert client.get(url)["Location"].startswith("/signin/")
    client.force_login(bob)
    assert client.get(url).status_code == 404
    client.force_login(alice)
    assert client.post(url).status_code == 405
