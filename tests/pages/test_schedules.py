"""The pages of schedules: what is listed to whom, and run now, pause, resume and edit."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.models import AuditLog
from ingestion import schedules
from ingestion.models import Job, Schedule
from tests.pages import rows

pytestmark = pytest.mark.django_db

URL = "/schedules/"


def schedule(owner: User, **values: Any) -> Schedule:
    given = {"name": "Nightly", "source": "ping", "cron": "0 6 * * *", "zone": "Europe/Oslo", "owner": owner}
    return schedules.put(Schedule(**{**given, **values}))


def web(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(client: Client, path: str = URL, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def watcher(db: Any) -> User:
    """Staff who see everything and may change nothing."""
    user = User.objects.create_user("watcher", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_all_jobs"))
    return user


def test_everybody_sees_their_own_and_operators_all(alice: User, bob: User, staff: User) -> None:
    schedule(alice, name="of alice")
    schedule(bob, name="of bob")
    mine, all_of = text(web(alice)), text(web(staff))
    assert "of alice" in mine and "of bob" not in mine
    assert "of alice" in all_of and "of bob" in all_of
    assert web(bob).get(f"{URL}{Schedule.objects.get(owner=alice).pk}/").status_code == 404
    assert Client().get(URL)["Location"].startswith("/signin/")


def test_a_row_says_when_it_runs_how_it_ended_and_why_not(alice: User) -> None:
    one = schedule(alice)
    job = rows.job(alice, "failed")
    Schedule.objects.filter(pk=one.pk).update(last_job=job, last_at=Now(), last_error="You have 100 jobs.")
    found = text(web(alice))
    assert job.get_absolute_url() in found and "Failed" in found
    assert "You have 100 jobs." in found and "0 6 * * *" in found and "Europe/Oslo" in found
    schedule(alice, paused=True)
    assert "Paused</span>" in text(web(alice))


def test_a_job_that_one_does_not_see_is_no_link(alice: User, bob: User) -> None:
    theirs = rows.job(bob, "running")
    Schedule.objects.filter(pk=schedule(alice).pk).update(last_job=theirs, last_at=Now())
    found = text(web(alice))
    assert "Running" in found and theirs.get_absolute_url() not in found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"day", "week", "gone"}),
        ("show=paused", {"week"}),
        ("show=active", {"day", "gone"}),
        ("show=refused", {"gone"}),
        ("show=nonsense&q=DA", {"day"}),
        ("by=nobody", set()),
        ("source=shelves", {"week"}),
        ("before=0", set()),
        ("before=99999999999999999999", {"day", "week", "gone"}),
        ("before=%C2%B2", {"day", "week", "gone"}),  # a digit to isdigit, not to int
    ],
)
def test_filters_are_in_the_url(alice: User, query: str, found: set[str]) -> None:
    schedule(alice, name="day")
    schedule(alice, name="week", paused=True, source="shelves", params={"name": "a"})
    gone = schedule(alice, name="gone")
    Schedule.objects.filter(pk=gone.pk).update(last_error="No.")
    shown = text(web(alice), f"{URL}?{query}")
    assert {name for name in ("day", "week", "gone") if f">{name}</a>" in shown} == found


def test_rows_cost_no_query_each_and_pages_hold_every_one_once(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.schedules_page.PAGE", 4)
    made = [schedule(alice, name=f"n{n}") for n in range(2)]
    Schedule.objects.update(last_job=rows.job(alice, "completed"))
    client = web(alice)
    text(client)  # what a process asks once
    with CaptureQueriesContext(connection) as few:
        text(client)
    made += [schedule(alice, name=f"n{n}") for n in range(2, 4)]
    for one in made:
        Schedule.objects.filter(pk=one.pk).update(last_job=rows.job(alice, "completed"), last_at=Now())
    with CaptureQueriesContext(connection) as more:
        text(client)
    assert len(more) == len(few)
    schedule(alice, name="n4")
    first = text(client)
    second = text(client, f"{URL}?before={made[1].pk}")
    assert [f">n{n}</a>" in first for n in range(5)] == [False, True, True, True, True]
    assert [f">n{n}</a>" in second for n in range(5)] == [True, False, False, False, False]


def test_the_list_is_304_until_something_changes(alice: User) -> None:
    one, client = schedule(alice), web(alice)
    asked = {"hx_request": "true", "hx_target": "schedules"}
    tag = client.get(URL, headers=asked)["ETag"]
    assert client.get(URL, headers={**asked, "if_none_match": tag}).status_code == 304
    Schedule.objects.filter(pk=one.pk).update(last_job=rows.job(alice, "running"), last_at=Now())
    changed = client.get(URL, headers={**asked, "if_none_match": tag})
    assert changed.status_code == 200 and "<html" not in changed.content.decode()
    Job.objects.update(cancel_requested_at=Now())
    again = client.get(URL, headers={**asked, "if_none_match": changed["ETag"]})
    assert again.status_code == 200


# ---- acting -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["alice", "staff"])
def test_its_owner_and_operators_run_pause_and_resume_it(who: str, alice: User, staff: User) -> None:
    one = schedule(alice)
    user = alice if who == "alice" else staff
    client = web(user)
    answer = client.post(f"{URL}{one.pk}/run/", {"show": "active", "q": "n"})
    assert answer["Location"] == f"{URL}?show=active&q=n"
    assert Job.objects.get().owner == alice
    client.post(f"{URL}{one.pk}/pause/")
    one.refresh_from_db()
    assert (one.paused, one.next_at) == (True, None)
    client.post(f"{URL}{one.pk}/resume/")
    one.refresh_from_db()
    assert one.paused is False and one.next_at is not None
    acts = AuditLog.objects.filter(actor=user.pk).order_by("pk").values_list("action", flat=True)
    assert list(acts) == ["schedule.run", "schedule.pause", "schedule.resume"]


def test_a_refusal_is_said_and_kept(alice: User) -> None:
    one = schedule(alice)
    Schedule.objects.filter(pk=one.pk).update(source="gone", zone="Mars/Base", paused=True)
    client = web(alice)
    assert "There is no source called" in client.post(f"{URL}{one.pk}/run/", follow=True).content.decode()
    assert "no time zone called" in client.post(f"{URL}{one.pk}/resume/", follow=True).content.decode()
    one.refresh_from_db()
    assert "no source" in one.last_error and one.paused
    assert "no time zone called" in text(client, f"{URL}{one.pk}/")


@pytest.mark.parametrize("verb", ["run/", "pause/", "resume/", ""])
def test_who_may_only_look_changes_nothing(verb: str, alice: User, bob: User, watcher: User) -> None:
    one = schedule(alice)
    said = {"name": "Taken", "cron": "* * * * *", "zone": "UTC"}
    client = web(watcher)
    assert "Run now" not in text(client) and one.name in text(client)
    assert "Save" not in text(client, f"{URL}{one.pk}/")
    assert client.post(f"{URL}{one.pk}/{verb}", said).status_code == 403
    assert web(bob).post(f"{URL}{one.pk}/{verb}", said).status_code == 404
    assert web(alice).get(f"{URL}{one.pk}/{verb}").status_code == (405 if verb else 200)
    assert (Schedule.objects.get().name, Job.objects.count()) == ("Nightly", 0)


def test_editing_moves_the_next_run_and_leaves_what_the_keeper_wrote(alice: User) -> None:
    one = schedule(alice)
    Schedule.objects.filter(pk=one.pk).update(last_at=Now() - timedelta(hours=1))
    answer = web(alice).post(f"{URL}{one.pk}/", {"name": "At noon", "cron": "0 12 * * *", "zone": "UTC"})
    assert answer["Location"] == URL
    found = Schedule.objects.get()
    assert (found.name, found.cron, found.zone) == ("At noon", "0 12 * * *", "UTC")
    assert found.next_at is not None and (found.next_at.hour, found.next_at.minute) == (12, 0)
    assert found.last_at is not None
    assert AuditLog.objects.get().action == "schedule.change"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cron": "every day"}, "is not a cron expression"),
        ({"cron": "0 0 30 2 *"}, "never comes."),
        ({"zone": "Mars/Base"}, "There is no time zone called"),
        ({"name": " "}, "This field is required"),
        ({"cron": "0 6 * * *\0"}, "Contains a character that is not allowed"),
    ],
)
def test_what_would_never_run_is_refused_with_the_reason(
    values: dict[str, str], said: str, alice: User
) -> None:
    one = schedule(alice)
    typed = {"name": "Nightly", "cron": "0 6 * * *", "zone": "UTC", **values}
    answer = web(alice).post(f"{URL}{one.pk}/", typed)
    assert answer.status_code == 422 and said in answer.content.decode()
    assert Schedule.objects.get().zone == "Europe/Oslo" and not AuditLog.objects.exists()


def test_the_next_five_runs_can_be_looked_at_before_they_are_kept(alice: User) -> None:
    one = schedule(alice)
    client = web(alice)
    assert text(client, f"{URL}{one.pk}/").count(", 06:00</li>") == 5
    typed = {"name": "Nightly", "cron": "30 7 * * *", "zone": "UTC", "look": "1"}
    assert client.post(f"{URL}{one.pk}/", typed).content.decode().count(", 07:30</li>") == 5
    assert Schedule.objects.get().cron == "0 6 * * *"


def test_next_times_of_a_zone_that_changes_its_clocks() -> None:
    found = schedules.next_times("30 2 * * *", "Europe/Oslo", datetime(2026, 3, 27, 12, tzinfo=UTC))
    assert [f"{at:%d %H:%M}" for at in found] == ["28 01:30", "29 01:00", "30 00:30", "31 00:30", "01 00:30"]
