"""The jobs list."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ingestion.models import Job
from tests.pages import rows

pytestmark = pytest.mark.django_db
LIST = "/jobs/"


@pytest.fixture
def listed(client: Client, alice):
    """Return the subjects of the jobs on a page of alice's list, and the page."""
    client.force_login(alice)

    def get(query: str = "") -> tuple[list[str], str]:
        response = client.get(LIST + query)
        assert response.status_code == 200
        html = response.content.decode()
        return re.findall(r'<span class="sub">([^<]*)</span></td><td><span class="badge', html), html

    return get


def test_running_ones_come_first_then_the_newest(listed, alice):
    for subject, state in [("a", "completed"), ("b", "running"), ("c", "failed"), ("d", "running")]:
        rows.job(alice, state, subject=subject)
    assert listed()[0] == ["d", "b", "c", "a"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?state=active", ["queued", "running"]),
        ("?state=waiting", ["asks"]),
        ("?state=failed", ["broken"]),
        ("?state=completed", ["done"]),
        ("?q=BROK", ["broken"]),
        ("?source=shelves&state=failed", ["broken"]),
        ("?source=nope", []),
        ("?by=alice&state=waiting", ["asks"]),
        ("?by=nobody", []),
        ("?state=nonsense&q=asks", ["asks"]),
        ("?q=%00asks", ["asks"]),
        ("?q=%25", []),
    ],
)
def test_filters_are_in_the_url(listed, alice, query, found):
    states = {
        "queued": "pending",
        "running": "running",
        "asks": "waiting",
        "broken": "failed",
        "done": "completed",
    }
    for subject, state in states.items():
        rows.job(alice, state, subject=subject)
    assert sorted(listed(query)[0]) == found


def test_segments_count_what_is_open(listed, alice):
    for state in ("pending", "running", "running", "waiting", "failed"):
        rows.job(alice, state)
    html = listed()[1]
    assert "Active 3<" in html and "Needs attention 1<" in html


@pytest.mark.parametrize("running", [0, 3, 30])
def test_paging_shows_every_job_once(listed, alice, running):
    for n in range(60):
        rows.job(alice, "running" if n < running else "completed", subject=f"n{n}")
    seen, query = [], ""
    while True:
        subjects, html = listed(query)
        assert len(subjects) <= 25
        seen += subjects
        following = re.search(r'href="/jobs/(\?[^"]*)" rel="next"', html)
        if following is None:
            break
        query = following[1].replace("&amp;", "&")
    assert sorted(seen) == sorted(f"n{n}" for n in range(60))


@pytest.mark.parametrize("before", ["x", "1-x", "2-0198", "0-", "1-" + "f" * 40])
def test_a_damaged_page_address_shows_the_first_page(listed, alice, before):
    rows.job(alice, "completed", subject="a")
    assert listed(f"?before={before}")[0] == ["a"]


def test_rows_cost_no_query_each(client: Client, alice, bob, staff, django_assert_max_num_queries):
    for n in range(12):
        rows.job(alice if n % 2 else bob, "running" if n % 3 else "failed")
    client.force_login(staff)
    with django_assert_max_num_queries(12):
        client.get(LIST)


def test_a_job_that_starts_while_the_list_is_read_is_in_it(listed, alice):
    job = rows.job(alice, "pending", subject="starts now")
    values = {"state": "running", "pending_reason": "", "lease_token": uuid4(), "lease_until": timezone.now()}

    def start_after_the_running_ones_were_read(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if params and "running" in params and "LIMIT 26" in sql:
            Job.objects.filter(pk=job.pk, state="pending").update(**values)
        return result

    with connection.execute_wrapper(start_after_the_running_ones_were_read):
        assert listed()[0] == ["starts now"]
    assert Job.objects.get().state == "running"


def test_new_jobs_wait_behind_a_button(client: Client, listed, alice):
    shown = rows.job(alice, "completed")
    headers = {"HX-Request": "true", "HX-Target": "new-jobs"}
    listed()
    url = f"{LIST}?since={shown.pk}"
    assert "show" not in client.get(url, headers=headers).content.decode()
    rows.job(alice, "pending")
    rows.job(alice, "pending")
    assert "2 new jobs, show" in client.get(url, headers=headers).content.decode()


def news(client: Client, since: str, tag: str = ""):
    headers = {"HX-Request": "true", "HX-Target": "new-jobs"} | ({"If-None-Match": tag} if tag else {})
    return client.get(f"{LIST}?since={since}", headers=headers)


def test_an_operators_list_asks_for_what_no_stream_tells_and_others_do_not(client: Client, alice, staff):
    rows.job(alice, "running")
    for user, asks in [(alice, False), (staff, True)]:
        client.force_login(user)
        assert ('data-every="5000"' in client.get(LIST).content.decode()) is asks


def test_nothing_new_is_304_until_something_is(client: Client, alice, staff):
    shown = rows.job(alice, "running")
    client.force_login(staff)
    tag = re.search(r'data-tag="([^"]*)"', client.get(LIST).content.decode())[1]
    unchanged = news(client, shown.pk, f'"{tag}"')
    assert (unchanged.status_code, unchanged.content, unchanged["ETag"]) == (304, b"", f'"{tag}"')

    rows.job(alice, "pending")
    moved = news(client, shown.pk, f'"{tag}"')
    html = moved.content.decode()
    assert moved.status_code == 200 and moved["ETag"] != f'"{tag}"'
    assert "1 new job, show" in html and "<span>1 queued</span>" in html and "Active 2<" in html
    assert f'data-tag="{moved["ETag"][1:-1]}"' in html
    assert news(client, shown.pk, moved["ETag"]).status_code == 304


def test_a_job_that_moves_changes_the_tag(client: Client, alice, staff):
    shown = rows.job(alice, "pending")
    client.force_login(staff)
    tag = news(client, shown.pk)["ETag"]
    Job.objects.filter(pk=shown.pk).update(
        state="running", pending_reason="", lease_token=uuid4(), lease_until=timezone.now()
    )
    assert news(client, shown.pk, tag).status_code == 200


def test_asking_costs_as_much_with_many_jobs_as_with_one(client: Client, alice, staff):
    shown = rows.job(alice, "running")
    client.force_login(staff)
    tag = news(client, shown.pk)["ETag"]
    with CaptureQueriesContext(connection) as one:
        assert news(client, shown.pk, tag).status_code == 304
    for n in range(12):
        rows.job(alice, "running" if n % 2 else "failed")
    tag = news(client, shown.pk)["ETag"]
    with CaptureQueriesContext(connection) as many:
        assert news(client, shown.pk, tag).status_code == 304
    assert len(many) == len(one) <= 6


def test_empty_lists_say_why(listed, alice):
    assert "Nothing has been ingested yet" in listed()[1]
    assert "Clear filters" in listed("?state=failed")[1]


def test_strangers_see_nothing(client: Client, alice, bob):
    rows.job(alice, "running", subject="secret shelf")
    client.force_login(bob)
    assert "secret shelf" not in client.get(LIST).content.decode()


def test_it_asks_to_sign_in_first(client: Client):
    assert client.get(LIST)["Location"] == "/signin/?next=/jobs/"


def test_it_rejects_post(client: Client, alice):
    client.force_login(alice)
    assert client.post(LIST).status_code == 405
