"""Error pages: right status, one main action, the menu, and a reference on 500 (UX 50)."""

import re

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.urls import reverse

from config import errors
from ingestion import home_page
from ingestion.sources.lifelogs import accounts
from tests.pages import rows

pytestmark = pytest.mark.django_db
STATUSES = [400, 403, 404, 405, 409, 413, 429, 500, 503]


@pytest.mark.parametrize("status", STATUSES)
def test_each_has_one_main_action_and_the_menu_and_no_trace(status):
    html = render_to_string(f"errors/{status}.html", {"reference": "ab12"})
    main = html[html.index("<main") : html.index("</main>")]
    assert main.count("btn primary") == 1
    assert 'id="nav"' in html
    assert html.count("<h1") == 1
    assert "Traceback" not in html
    assert ("ab12" in html) == (status == 500)


@pytest.mark.parametrize("status", STATUSES)
def test_each_can_be_shown_without_a_database(status, django_db_blocker):
    with django_db_blocker.block():
        render_to_string(f"errors/{status}.html", {"reference": "ab12"})


def test_the_address_of_a_form_says_that_it_is_one(client: Client, alice):
    client.force_login(alice)
    response = client.get("/account/tokens/")  # where a browser stands after a form was refused
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert "only takes what a form sends" in response.text
    assert response["Content-Length"] == str(len(response.content))


def test_an_unknown_address_keeps_the_menu(client: Client, alice):
    client.force_login(alice)
    response = client.get("/no/such/page/")
    assert response.status_code == 404
    assert 'href="/jobs/"' in response.content.decode()


def test_404_of_a_job_says_which(client: Client, alice):
    client.force_login(alice)
    response = client.get("/jobs/0198c0de-0000-7000-8000-00000000beef/")
    assert response.status_code == 404
    assert "Job 0000beef does not exist" in response.content.decode()


def test_403(alice):
    request = RequestFactory().get("/")
    request.user = alice
    assert errors.forbidden(request, PermissionDenied()).status_code == 403


def test_a_zero_byte_that_no_field_looks_for_is_the_askers_fault(client: Client, alice, monkeypatch):
    client.force_login(alice)
    account = accounts.sample_of(alice)
    url = reverse("lifelogs:change", args=[account.pk, "rename"])
    answer = client.post(url, {"label": "a\0b"})
    assert answer.status_code == 422  # a field that looks for it says so
    account.refresh_from_db()
    assert "\0" not in account.label

    def broken(user):
        raise DataError("ours")

    monkeypatch.setattr(home_page, "overview", broken)
    client.raise_request_exception = False
    assert client.get("/").status_code == 500  # of our own making
    answer = client.get("/?q=%00")
    assert answer.status_code == 400 and 'id="nav"' in answer.text


def test_500_has_a_reference_and_nothing_else_about_us(client: Client, alice, monkeypatch):
    def broken(user):
        raise RuntimeError("secret detail in SELECT 1")

    monkeypatch.setattr(home_page, "overview", broken)
    client.force_login(alice)
    client.raise_request_exception = False
    response = client.get("/")
    html = response.content.decode()
    assert response.status_code == 500
    assert re.search(r"reference <code>[0-9a-f]{32}</code>", html)
    assert response["X-Request-Id"] in html
    assert "secret detail" not in html and "RuntimeError" not in html


def test_409_shows_the_job(client: Client, alice):
    job = rows.job(alice, "completed")
    client.force_login(alice)
    response = client.post(f"{job.get_absolute_url()}cancel/")
    assert response.status_code == 409
    assert f'href="{job.get_absolute_url()}"' in response.content.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/",
        "/jobs/jobs.csv",
        "/jobs/all/",
        "/inbox/",
        "/companies/",
        "/imports/units/",
        "/imports/units.csv",
    ],
)
def test_a_filter_of_which_nothing_shows_is_told_and_lists_nothing(path: str, client: Client, alice):
    """It would be none, and everything would be listed, or changed."""
    client.force_login(alice)
    job = rows.job(alice, "failed", subject="Quince")
    assert client.get(f"{job.get_absolute_url()}items.csv", {"item": "\u202e"}).status_code == 400
    for unseen in ("\u202e", "\u200b", "\0"):
        answer = client.get(path, {"q": unseen})
        text = answer.content.decode()
        assert (answer.status_code, "Quince" in text) == (400, False)
        assert "&quot;q&quot; is not valid: nothing of it can be seen." in text and 'href="/jobs/"' in text
    many = client.post("/jobs/bulk/", {"verb": "retry", "all": "1", "q": "\u202e"})
    assert many.status_code == 400
    assert client.get(path, {"q": " "}).status_code == 200
