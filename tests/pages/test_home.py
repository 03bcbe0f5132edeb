"""The home page: what can be started, what runs, what ended, what waits for the user."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from tests.pages import rows

pytestmark = pytest.mark.django_db
HOME = "/"


def test_it_shows_the_users_jobs(client: Client, alice):
    rows.job(alice, "running", subject="now")
    rows.job(alice, "waiting", subject="asks")
    rows.job(alice, "completed", subject="before")
    client.force_login(alice)
    page = client.get(HOME).content.decode()
    for text in ("now", "asks", "before", "61 of 5,000 rows need a decision"):
        assert text in page


def test_the_menu_names_each_page_once_however_many_kinds_of_job_lead_there(client: Client, alice):
    client.force_login(alice)
    menu = client.get(HOME).content.decode().partition('id="nav"')[2].partition("</nav>")[0]
    links = re.findall(r'<li><a href="([^"]+)"', menu)
    assert "/topics/" in links and len(links) == len(set(links))


def test_it_has_a_form_for_every_kind_and_a_link_to_switch_without_script(client: Client, alice):
    client.force_login(alice)
    page = client.get(HOME, {"kind": "shelves"}).content.decode()
    assert f'href="{HOME}?kind=nap"' in page
    assert f'action="{reverse("ingestion:start", args=["shelves"])}"' in page
    assert 'name="start-n"' in page and 'name="start-fail"' in page


def test_switching_the_kind_with_script_answers_the_form_alone(client: Client, alice):
    client.force_login(alice)
    headers = {"HX-Request": "true", "HX-Target": "start"}
    page = client.get(HOME, {"kind": "nap"}, headers=headers).content.decode()
    assert page.startswith('<section class="card" id="start"')
    assert 'name="start-seconds"' in page


def test_the_refetched_part_is_the_part_of_the_first_paint(client: Client, alice):
    rows.job(alice, "completed")
    client.force_login(alice)
    part = client.get(HOME, headers={"HX-Request": "true", "HX-Target": "home"}).content.decode()
    whole = client.get(HOME).content.decode()
    assert part.strip().split("csrf")[0] in whole


def test_empty_home_says_what_to_do(client: Client, alice):
    client.force_login(alice)
    assert "Nothing has been ingested yet" in client.get(HOME).content.decode()


def test_only_five_active_and_six_recent_are_shown(client: Client, alice):
    for n in range(8):
        rows.job(alice, "running", subject=f"run {n}")
        rows.job(alice, "completed", subject=f"end {n}")
    client.force_login(alice)
    page = client.get(HOME).content.decode()
    assert page.count(">run ") == 5
    assert page.count(">end ") == 6


def test_rows_cost_no_query_each(client: Client, alice, django_assert_max_num_queries):
    client.force_login(alice)
    for _ in range(5):
        rows.job(alice, "running")
        rows.job(alice, "completed")
        rows.job(alice, "waiting")
    with django_assert_max_num_queries(12):
        client.get(HOME)


def test_somebody_elses_jobs_are_not_shown(client: Client, alice, bob):
    rows.job(alice, "running", subject="secret shelf")
    client.force_login(bob)
    assert "secret shelf" not in client.get(HOME).content.decode()


def test_it_asks_to_sign_in_first(client: Client):
    response = client.get(HOME)
    assert response.status_code == 302
    assert response["Location"] == "/signin/?next=/"


def test_it_rejects_post(client: Client, alice):
    client.force_login(alice)
    assert client.post(HOME).status_code == 405


def test_hostile_names_are_shown_as_text(client: Client, alice):
    rows.job(alice, "running", title="<img src=x onerror=alert(1)>", message="<script>1</script>")
    client.force_login(alice)
    page = client.get(HOME).content.decode()
    assert "<img src=x" not in page and "<script>1" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_many_options_are_folded_away_and_unfolded_where_something_is_wrong(client: Client, alice):
    client.force_login(alice)
    page = client.get("/?kind=imports").content.decode()
    form = page.split('id="start"')[1].split("</section>")[0]
    shown, folded = form.split('<details class="more">')
    assert 'name="start-file"' in shown and 'name="start-review"' in folded
    refused = client.post("/start/imports/", {"start-valid_from": "yesterday"}).content.decode()
    assert '<details class="more" open>' in refused


def test_options_are_shown_where_nothing_is_required(client: Client, alice):
    client.force_login(alice)
    assert '<details class="more"' not in client.get("/?kind=shelves").content.decode()


def test_the_form_is_that_of_what_the_user_started_last(client: Client, alice, bob):
    client.force_login(alice)
    for kind in ("imports", "shelves", "ping"):
        rows.job(alice, "completed", source=kind)
        assert f'action="/start/{kind}/"' in client.get("/").content.decode()
    rows.job(bob, "completed", source="imports")
    assert 'action="/start/ping/"' in client.get("/").content.decode()
