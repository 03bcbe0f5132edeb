"""Zone, theme and shortcuts: kept for a person, and used by every page."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from account.models import Appearance
from tests.pages import rows

pytestmark = pytest.mark.django_db

CHOSEN = {"zone": "Asia/Kathmandu", "theme": "dark"}


@pytest.fixture
def web(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def html_tag(answer: Any) -> str:
    return re.search(r"<html[^>]*>", answer.text)[0]


def test_what_is_chosen_is_kept_and_said_by_every_page(web: Client, alice: User) -> None:
    assert html_tag(web.get("/")) == '<html lang="en-GB">'
    assert web.post("/account/appearance/", CHOSEN).status_code == 302  # no box ticked: no shortcuts
    tag = '<html lang="en-GB" data-theme="dark" data-time-zone="Asia/Kathmandu" data-single-keys="off">'
    for path in ("/", "/jobs/", "/account/", "/nowhere/"):
        assert html_tag(web.get(path)) == tag
    page = web.get("/account/").text
    assert "<option selected>Asia/Kathmandu</option>" in page
    assert '<option value="dark" selected>' in page
    web.post("/account/appearance/", {"zone": "", "theme": "", "single_keys": "on"})
    assert html_tag(web.get("/")) == '<html lang="en-GB">'
    assert Appearance.objects.count() == 1


def test_it_is_each_persons_own(web: Client, bob: User) -> None:
    web.post("/account/appearance/", CHOSEN)
    other = Client()
    assert html_tag(other.get("/signin/")) == '<html lang="en-GB">'
    other.force_login(bob)
    assert html_tag(other.get("/")) == '<html lang="en-GB">'


def test_times_are_written_in_the_zone_of_the_reader(web: Client, alice: User, bob: User) -> None:
    begun = datetime(2026, 1, 5, 20, 30, tzinfo=UTC)
    job = rows.job(alice, "failed", started_at=begun, created_at=begun, finished_at=begun)
    path = job.get_absolute_url()
    assert "5 January 2026, 20:30:00 UTC" in web.get(path).text
    web.post("/account/appearance/", CHOSEN)
    assert "6 January 2026, 02:15:00 UTC+05:45" in web.get(path).text
    web.logout()  # the next request in this thread is somebody else's
    web.force_login(bob)
    rows.job(bob, "failed", started_at=begun, created_at=begun, finished_at=begun, pk=None)
    assert "20:30:00 UTC" in web.get(bob.jobs.get().get_absolute_url()).text
    assert web.get("/api/jobs").json()["jobs"][0]["created_at"].endswith(("Z", "+00:00"))


@pytest.mark.parametrize("wrong", [{"zone": "Mars/Olympus"}, {"theme": "pink"}, {"zone": "../etc/passwd"}])
def test_what_there_is_not_is_refused(web: Client, wrong: dict[str, str]) -> None:
    answer = web.post("/account/appearance/", CHOSEN | wrong)
    assert answer.status_code == 422 and not Appearance.objects.exists()


def test_a_page_asks_for_the_reader_and_their_choices_at_once(web: Client, alice: User) -> None:
    Appearance.objects.create(user=alice, **CHOSEN)
    with CaptureQueriesContext(connection) as asked:
        web.get("/account/")
    of_account = [one["sql"] for one in asked if "account_appearance" in one["sql"]]
    assert len(of_account) == 1 and 'FROM "auth_user"' in of_account[0]


def test_two_clicks_collide_in_no_statement(web: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        web.post("/account/appearance/", CHOSEN)
    written = [one["sql"] for one in asked if 'INTO "account_appearance"' in one["sql"]]
    assert len(written) == 1 and "ON CONFLICT" in written[0]
