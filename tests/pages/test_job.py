"""The page of one job."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from ingestion import figures
from ingestion.models import Job
from tests.pages import rows

pytestmark = pytest.mark.django_db

ACTIONS = {"retry": 'id="retry"', "again": 'id="again"', "cancel": 'id="cancel"', "csv": 'id="failed-csv"'}


@pytest.fixture
def html_of(client: Client, alice):
    """Return the page of a job as its owner sees it."""
    client.force_login(alice)

    def get(job: Job, query: str = "") -> str:
        response = client.get(job.get_absolute_url() + query)
        assert response.status_code == 200
        return response.content.decode()

    return get


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("pending", {"cancel"}),
        ("running", {"cancel", "csv"}),
        ("waiting", {"cancel", "csv"}),
        ("completed", {"again"}),
        ("partial", {"retry", "again", "csv"}),
        ("failed", {"retry", "again", "csv"}),
        ("cancelled", {"retry", "again", "csv"}),
    ],
)
def test_actions_fit_the_state(html_of, alice, state, shown):
    job = rows.job(alice, state)
    if state == "completed":
        rows.items(job, {"done": 3})
    elif state != "pending":
        rows.items(job, {"done": 3, "failed": 2})
    html = html_of(job)
    assert {name for name, mark in ACTIONS.items() if mark in html} == shown


def test_a_follower_sees_but_may_not_act(client: Client, alice, bob):
    from notifications import inbox

    job = rows.job(alice, "running")
    inbox.follow(bob, job.stream)
    client.force_login(bob)
    html = client.get(job.get_absolute_url()).content.decode()
    assert ACTIONS["cancel"] not in html
    assert "Unfollow" in html


@pytest.mark.parametrize("progress", [0.0, 0.5, 0.996])
def test_figures_of_the_first_paint_are_those_of_the_stream(html_of, alice, progress):
    """UX 11."""
    from ingestion.serializers import job_data

    job = rows.job(alice, "running", progress=progress, message="Reading box 7")
    rows.items(job, {"done": 15, "failed": 1, "pending": 8})
    data, html = job_data(job), html_of(job)
    fields = dict(re.findall(r'data-field="([\w.]+)"[^>]*>([^<]*)<', html))
    assert fields["percent"] == f"{int(data['progress'] * 100)}%"
    assert fields["items.processed"] == "16"
    assert fields["items.total"] == f"{data['items']['total']}"
    assert fields["items.done"] == f"{data['items']['done']}"
    assert fields["items.failed"] == f"{data['items']['failed']}"
    assert fields["message"] == data["message"]
    assert f'data-version="{data["version"]}"' in html


def test_a_running_step_without_an_end_draws_a_valid_track(html_of, alice):
    """UX 13."""
    job = rows.job(alice, "running", steps=rows.steps(look="completed", fill="running"), eta_seconds=None)
    html = html_of(job)
    tracks = re.findall(r'<svg class="track".*?</svg>', html)
    assert len(tracks) == 3
    numbers = [float(n) for track in tracks for n in re.findall(r'(?:x|width)="([^"%]+)%"', track)]
    assert len(numbers) >= 6
    assert all(0 <= n <= 100 for n in numbers)
    assert "nan" not in html.lower().replace("finance", "") or "NaN" not in html
    assert ", in progress" in html


def test_a_step_that_waits_for_a_person_turns_no_wheel(html_of, alice):
    asked = {"kind": "match", "text": "Which column is Name?"}
    steps = rows.steps(look="completed", fill="running")
    html = html_of(rows.job(alice, "waiting", steps=steps, waiting_for=asked))
    [current] = re.findall(r'<li data-status="(\w+)" aria-current="step">', html)
    assert current == "waiting_for_review"
    assert ", waits for a person" in html and ", in progress" not in html


@pytest.mark.parametrize("started", [timedelta(0), timedelta(seconds=-5), timedelta(days=400)])
def test_a_track_is_valid_whatever_the_clocks_say(html_of, alice, started):
    now = timezone.now()
    steps = rows.steps(fill="running")
    steps["fill"]["started_at"] = (now + timedelta(hours=3)).isoformat()
    steps["look"] |= {"state": "completed", "started_at": "never", "finished_at": None}
    job = rows.job(alice, "running", steps=steps, started_at=now - started)
    for track in re.findall(r'<svg class="track".*?</svg>', html_of(job)):
        assert all(0 <= float(n) <= 100 for n in re.findall(r'(?:x|width)="([^"%]+)%"', track))


@pytest.mark.parametrize(
    ("progress", "state", "shown"),
    [
        (0.996, "running", 99),
        (1.0, "running", 99),
        (0.0, "running", 0),
        (1.0, "completed", 100),
        (0.67, "running", 67),
    ],
)
def test_percent_is_rounded_down_and_100_means_done(alice, progress, state, shown):
    """UX 14."""
    assert figures.percent(rows.job(alice, state, progress=progress)) == shown


def test_a_job_with_failures_never_shows_100_percent(alice):
    job = rows.job(alice, "partial", progress=1.0)
    rows.items(job, {"done": 999, "failed": 1})
    assert figures.percent(job) == 99


def test_without_a_total_there_is_no_value_and_no_percentage(html_of, alice):
    """UX 15."""
    html = html_of(rows.job(alice, "running", message="Looking around"))
    bar = re.search(r'<div class="bar[^>]*>', html)[0]
    assert "aria-valuenow" not in bar and "aria-valuetext" in bar
    assert re.search(r'<span class="big" data-field="percent" data-when="progress" hidden>', html)


def test_error_groups_add_up_and_only_what_may_pass_can_be_retried(html_of, alice):
    """UX 21."""
    job = rows.job(alice, "partial")
    rows.items(job, {"done": 30, "failed": 9})
    bad = list(job.items.filter(state="failed").order_by("ordinal"))
    for n, item in enumerate(bad):
        code, tries = ("paywall", 1) if n < 5 else ("timed_out", 3)
        job.items.filter(pk=item.pk).update(error_code=code, tries=tries)
    html = html_of(job)
    causes = re.findall(r'<tr data-cause="(\w+)">.*?<td class="num">(\d+)</td>(.*?)</tr>', html, re.S)
    assert sum(int(count) for _, count, _ in causes) == job.items_failed == 9
    buttons = {code: "<button" in rest for code, _, rest in causes}
    assert buttons == {"paywall": False, "timed_out": True}


def test_few_failures_are_told_one_by_one(html_of, alice):
    job = rows.job(alice, "partial")
    rows.items(job, {"done": 3, "failed": 2})
    html = html_of(job)
    assert "Why boxes failed" not in html
    assert html.count("Retry this one") == 2


@pytest.mark.parametrize(("count", "chips", "table_rows"), [(60, 60, 0), (61, 0, 25), (400, 0, 25)])
def test_never_more_than_60_chips_or_25_rows(html_of, alice, count, chips, table_rows):
    """UX 24."""
    job = rows.job(alice, "running")
    rows.items(job, {"done": count})
    html = html_of(job, "?items=all")
    assert html.count('class="chip"') == chips
    assert html.count('<tr id="item-') == table_rows


def test_items_of_two_steps_are_told_apart(html_of, alice):
    both = rows.steps(look="completed", fill="running")
    for step in both.values():
        step["total"] = 3
    job = rows.job(alice, "running", steps=both)
    rows.items(job, {"done": 3}, step="look")
    rows.items(job, {"done": 1, "pending": 2})
    html = html_of(job)
    assert re.findall(r"<h3[^>]*>([^<]*)</h3>", html)[:2] == ["Look around", "Fill the shelf"]
    assert [part.count('class="chip"') for part in html.split('class="chips"')[1:]] == [3, 3]
    rows.items(job, {"failed": 60}, step="tidy")
    assert '<span class="sub">Tidy up</span>' in html_of(job, "?items=failed")


def test_nothing_is_shown_as_running_in_a_job_that_ended(html_of, alice):
    job = rows.job(alice, "cancelled")
    rows.items(job, {"done": 1, "running": 1})
    assert 'class="chip" data-status="running"' not in html_of(job)


@pytest.mark.parametrize(
    ("state", "progress", "items", "widths"),
    [
        ("running", 0.5, {"done": 20}, (50.0, 0.0)),  # all items of the first of two steps
        ("running", 0.5, {"done": 15, "failed": 5, "pending": 20}, (37.5, 12.5)),
        ("completed", 1.0, {"done": 20}, (100.0, 0.0)),
        ("failed", 0.25, {}, (0.0, 25.0)),
    ],
)
def test_the_bar_is_as_long_as_the_percentage_says(alice, state, progress, items, widths):
    job = rows.job(alice, state, progress=progress)
    rows.items(job, items)
    assert figures.bar(job) == widths


def test_the_table_pages_through_all_items_once(html_of, alice):
    job = rows.job(alice, "partial")
    rows.items(job, {"done": 40, "failed": 30})
    seen, query = [], "?items=all"
    while query:
        html = html_of(job, query)
        seen += re.findall(r'<tr id="item-(\d+)"', html)
        following = re.search(r'href="(\?[^"]*)#items" rel="next"', html)
        query = following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == len(set(seen)) == 70


def test_the_items_page_takes_nonsense(html_of, alice):
    job = rows.job(alice, "partial")
    rows.items(job, {"done": 61, "failed": 1})
    for query in (
        "?items=nope",
        "?after=x-y",
        "?after=99999999999999999999-1",
        "?item=%00a",
        "?code=%00",
        "?after=1",
    ):
        html_of(job, query)


def test_a_refetched_page_is_the_element_of_the_first_paint(client: Client, html_of, alice):
    job = rows.job(alice, "failed", steps=rows.steps(look="completed", fill="failed"))
    whole = html_of(job)
    response = client.get(job.get_absolute_url(), headers={"HX-Request": "true", "HX-Target": "job"})
    part = re.sub(r'value="[\w]{64}"', "", response.content.decode()).strip()
    assert part.startswith('<div id="job"')
    assert part in re.sub(r'value="[\w]{64}"', "", whole)


def test_a_fragment_that_still_holds_is_not_sent_again(client: Client, html_of, alice):
    job = rows.job(alice, "running")
    html_of(job)
    headers = {"HX-Request": "true", "HX-Target": "job"}
    first = client.get(job.get_absolute_url(), headers=headers)
    again = client.get(job.get_absolute_url(), headers={**headers, "If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    Job.objects.filter(pk=job.pk).update(version=job.version + 1)
    assert (
        client.get(job.get_absolute_url(), headers={**headers, "If-None-Match": first["ETag"]}).status_code
        == 200
    )


def test_the_row_of_the_list_is_a_fragment_too(client: Client, html_of, alice):
    job = rows.job(alice, "running")
    html_of(job)
    headers = {"HX-Request": "true", "HX-Target": f"row-{job.pk}"}
    assert (
        client.get(job.get_absolute_url(), headers=headers)
        .content.decode()
        .startswith(f'<tr id="row-{job.pk}"')
    )


def test_events_are_the_last_200_newest_last_each_with_an_anchor(html_of, alice):
    job = rows.job(alice, "running")
    for n in range(203):
        rows.event(job, f"line {n}")
    html = html_of(job)
    lines = re.findall(r"<span>line (\d+)</span>", html)
    assert lines == [str(n) for n in range(3, 203)]
    assert f'id="e{job.version}"' in html


def test_a_lost_worker_is_said(html_of, alice):
    html = html_of(rows.job(alice, "running", lease_until=timezone.now() - timedelta(seconds=20)))
    assert "Worker lost" in html and "no sign of life" in html


def test_a_retry_and_its_parent_link_to_each_other(html_of, alice):
    parent = rows.job(alice, "failed")
    child = rows.job(alice, "running", retry_of=parent)
    assert f'href="{child.get_absolute_url()}"' in html_of(parent)
    assert f'href="{parent.get_absolute_url()}"' in html_of(child)


def test_waiting_shows_what_is_asked_and_two_answers(html_of, alice):
    html = html_of(rows.job(alice, "waiting"))
    assert "61 of 5,000 rows need a decision" in html
    assert 'value="approve"' in html and 'value="reject"' in html and 'name="reason"' in html


def test_running_pages_refresh_without_script_and_ended_ones_do_not(html_of, alice):
    assert '<noscript><meta http-equiv="refresh"' in html_of(rows.job(alice, "running"))
    assert 'http-equiv="refresh"' not in html_of(rows.job(alice, "completed"))


def test_params_are_shown_to_the_owner_only(client: Client, html_of, alice, bob):
    from notifications import inbox

    job = rows.job(alice, "running", params={"name": "hidden thing"})
    assert "hidden thing" in html_of(job)
    inbox.follow(bob, job.stream)
    client.force_login(bob)
    assert "hidden thing" not in client.get(job.get_absolute_url()).content.decode()


def test_params_are_shown_in_words(client: Client, alice):
    from tests.imports.conftest import store

    file = store(alice, "tax_ident,name\n1,A\n", "units.csv")
    job = rows.job(
        alice, "completed", source="imports", params={"file": file, "review": "auto", "columns": []}
    )
    client.force_login(alice)
    html = client.get(job.get_absolute_url()).content.decode()
    assert "<dt>File</dt><dd>units.csv</dd>" in html
    assert "<dt>Review</dt><dd>auto</dd>" in html
    assert "Columns" not in html


def test_it_costs_the_same_with_many_items(client: Client, alice, django_assert_max_num_queries):
    job = rows.job(alice, "partial", steps=rows.steps(look="completed", fill="completed"), unique_key="a")
    rows.items(job, {"done": 300, "failed": 50})
    client.force_login(alice)
    with django_assert_max_num_queries(17):
        client.get(job.get_absolute_url())


def test_hostile_texts_are_shown_as_text(html_of, alice):
    evil = "<img src=x onerror=alert(1)>"
    job = rows.job(alice, "partial", title=evil, subject=evil, steps=rows.steps(fill="completed"))
    Job.objects.filter(pk=job.pk).update(message=evil)
    rows.items(job, {"done": 1, "failed": 1}, label=evil, url="javascript:alert(1)")
    rows.event(job, evil)
    html = html_of(job)
    assert "<img src=x" not in html
    assert "javascript:" not in html


def test_a_strangers_job_is_as_absent(client: Client, alice, bob):
    job = rows.job(alice, "running")
    client.force_login(bob)
    hidden = client.get(job.get_absolute_url())
    absent = client.get(f"/jobs/{uuid4()}/")
    assert hidden.status_code == absent.status_code == 404
    same = re.compile(
        rb"Job [0-9a-f]{8}|value=\"\w+\"|content=\"\w{64}\"|nonce=\"[^\"]*\"|server-time\" content=\"[^\"]*\""
    )
    assert same.sub(b"", hidden.content) == same.sub(b"", absent.content)
    assert b"does not exist" in hidden.content


def test_staff_who_may_view_all_see_it(client: Client, alice, staff):
    client.force_login(staff)
    assert client.get(rows.job(alice, "running").get_absolute_url()).status_code == 200


def test_it_asks_to_sign_in_first(client: Client, alice):
    job = rows.job(alice, "running")
    assert client.get(job.get_absolute_url())["Location"] == f"/signin/?next={job.get_absolute_url()}"


def test_it_rejects_post(client: Client, alice):
    client.force_login(alice)
    assert client.post(rows.job(alice).get_absolute_url()).status_code == 405
