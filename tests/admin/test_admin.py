"""The admin: who gets in, what the lists ask, what the actions do, and that our CSP suffices."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ingestion import bulk
from ingestion.admin import jobs as jobs_admin
from ingestion.models import ApiToken, Job, Pause, Process, Schedule, State, Upload
from tests.pages import rows
from tests.sessions import holding

JOBS = "/admin/ingestion/job/"
SCHEDULES = "/admin/ingestion/schedule/"
PAUSES = "/admin/ingestion/pause/"


@pytest.fixture
def desk(staff: User) -> Client:
    """A browser of somebody who may see and do everything with jobs."""
    return _client(staff)


@pytest.fixture
def reader(db: Any) -> Client:
    """A browser of staff who may look only."""
    user = User.objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_all_jobs"))
    return _client(user)


def _client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _texts(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


# ---- who --------------------------------------------------------------------------------------------------


@pytest.mark.seed("SEC67")
@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/", JOBS, SCHEDULES])
def test_who_is_not_signed_in_is_sent_to_our_sign_in(client: Client, path: str) -> None:
    answer = client.get(path, follow=True)
    assert answer.redirect_chain[-1][0].startswith(reverse("signin"))
    assert answer.redirect_chain[-1][0].endswith(f"?next={path}")


@pytest.mark.seed("SEC67")
@pytest.mark.parametrize("path", ["/admin/", JOBS])
def test_who_is_not_staff_is_refused(alice: User, path: str) -> None:
    assert _client(alice).get(path, follow=True).status_code == 403


@pytest.mark.seed("SEC67")
def test_staff_without_permissions_see_nothing(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    job = rows.job(alice)
    for path in (JOBS, f"{JOBS}{job.pk}/change/", SCHEDULES, PAUSES, "/admin/ingestion/process/"):
        assert _client(alice).get(path).status_code == 403


def test_a_reader_sees_but_cannot_act(reader: Client, alice: User) -> None:
    job = rows.job(alice)
    assert "Shelves" in reader.get(JOBS).content.decode()
    assert reader.get(f"{JOBS}{job.pk}/change/").status_code == 200
    assert b'name="action"' not in reader.get(JOBS).content
    reader.post(JOBS, {"action": "cancel_jobs", "_selected_action": str(job.pk), "confirmed": "yes"})
    assert Job.objects.get(pk=job.pk).state == State.PENDING
    assert reader.get(f"{SCHEDULES}add/").status_code == 403
    assert reader.get(f"{PAUSES}add/").status_code == 403


def test_tokens_and_uploads_stay_private(desk: Client, alice: User) -> None:
    ApiToken.objects.create(user=alice, name="script", hash="f" * 64, scopes=["read"])
    assert desk.get("/admin/ingestion/apitoken/").status_code == 403
    assert desk.get("/admin/ingestion/upload/").status_code == 403


def test_a_token_is_shown_without_its_hash(admin_client: Client, alice: User) -> None:
    token = ApiToken.objects.create(user=alice, name="script", hash="f" * 64, scopes=["read"])
    shown = admin_client.get(f"/admin/ingestion/apitoken/{token.pk}/change/").content.decode()
    assert "script" in shown
    assert "f" * 64 not in shown


# ---- the list ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state__exact=failed", ["failed"]),
        ("state__exact=pending", ["light", "pending"]),
        ("source=door", ["pending"]),
        ("queue=light", ["light"]),
        ("owner=bob", ["failed"]),
        ("q=penguin", ["failed"]),
        ("q=nothing", []),
    ],
)
def test_the_list_is_filtered_and_searched(
    desk: Client, alice: User, bob: User, query: str, found: list[str]
) -> None:
    rows.job(alice, "pending", title="pending", source="door")
    rows.job(bob, "failed", title="failed", subject="a penguin")
    rows.job(alice, "pending", title="light", queue="light")
    shown = desk.get(f"{JOBS}?{query}").context["cl"].result_list
    assert [job.title for job in shown] == found


def test_a_job_is_found_by_its_id(desk: Client, alice: User) -> None:
    job = rows.job(alice)
    rows.job(alice)
    assert list(desk.get(JOBS, {"q": str(job.pk)}).context["cl"].result_list) == [job]


def test_the_list_counts_no_further_than_it_pages(
    desk: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.admin_lists.MAX_COUNTED", 3)
    for _ in range(5):
        rows.job(alice)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        answer = desk.get(JOBS)
    assert answer.context["cl"].result_count == 3
    counts = [q["sql"] for q in asked if "count(" in q["sql"].lower() and "ingestion_job" in q["sql"]]
    assert counts
    assert all("LIMIT" in sql for sql in counts)


def test_the_list_costs_the_same_for_more_rows(desk: Client, alice: User) -> None:
    rows.job(alice)
    desk.get(JOBS)
    with CaptureQueriesContext(connection) as few:
        desk.get(JOBS)
    for _ in range(10):
        rows.job(alice)
    with CaptureQueriesContext(connection) as many:
        desk.get(JOBS)
    assert len(many) == len(few)


# ---- one job ----------------------------------------------------------------------------------------------


def test_a_job_shows_attempts_history_and_items(desk: Client, alice: User) -> None:
    job = rows.job(alice, "failed")
    job.attempts.create(number=1, worker="default-host-7", outcome="failed", traceback="Traceback: the shelf")
    rows.event(job, "The shelf broke")
    rows.items(job, {"done": 60, "failed": 2})
    answer = desk.get(f"{JOBS}{job.pk}/change/")
    shown = answer.content.decode()
    for text in (
        "default-host-7",
        "Traceback: the shelf",
        "The shelf broke",
        "The box is broken.",
        "12 more on the",
    ):
        assert text in shown
    assert len(answer.context["items"]) == jobs_admin.MAX_ITEMS
    assert [item.state for item in answer.context["items"][:3]] == ["failed", "failed", "done"]


@pytest.mark.seed("SEC68")
@pytest.mark.parametrize("state", ["running", "completed"])
def test_a_job_cannot_be_changed_by_hand(admin_client: Client, alice: User, state: str) -> None:  # SEC68
    job = rows.job(alice, state)
    page = admin_client.get(f"{JOBS}{job.pk}/change/")
    assert not page.context["adminform"].form.fields
    assert admin_client.post(f"{JOBS}{job.pk}/change/", {"state": "pending"}).status_code == 403
    assert admin_client.post(f"{JOBS}{job.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{JOBS}add/").status_code == 403
    assert Job.objects.get(pk=job.pk).state == state


@pytest.mark.parametrize("pk", ["nonsense", "00000000-0000-0000-0000-000000000000"])
def test_a_job_that_is_not_there_leads_back(desk: Client, pk: str) -> None:
    answer = desk.get(f"{JOBS}{pk}/change/", follow=True)
    assert answer.status_code == 200
    assert answer.redirect_chain


# ---- actions ----------------------------------------------------------------------------------------------


def test_an_action_is_previewed_then_done(desk: Client, alice: User) -> None:
    jobs = [rows.job(alice) for _ in range(3)]
    chosen = {"action": "cancel_jobs", "_selected_action": [str(job.pk) for job in jobs[:2]]}
    preview = desk.post(JOBS, chosen)
    assert "Cancel 2 jobs?" in preview.content.decode()
    assert Job.objects.filter(state=State.PENDING).count() == 3
    done = desk.post(JOBS, {**chosen, "confirmed": "yes"}, follow=True)
    assert _texts(done) == ["2 of 2 cancelled or asked to stop."]
    assert [Job.objects.get(pk=job.pk).state for job in jobs] == ["cancelled", "cancelled", "pending"]
    assert jobs[0].events.get().message == "Cancelled by staff"


def test_an_action_on_the_filter_is_bounded_and_counted(
    desk: Client, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_admin, "MAX_ACTED", 2)
    for _ in range(3):
        rows.job(alice)
    other = rows.job(bob)
    across = {"action": "cancel_jobs", "select_across": "1", "_selected_action": [str(other.pk)]}
    preview = desk.post(f"{JOBS}?owner=alice", across)
    shown = preview.content.decode()
    assert "More than 2 jobs match" in shown
    assert "2 of 2 can be cancelled" in shown
    ids = re.findall(r'name="_selected_action" value="([^"]+)"', shown)
    assert len(ids) == 2
    confirmed = {"action": "cancel_jobs", "_selected_action": ids, "confirmed": "yes"}
    desk.post(f"{JOBS}?owner=alice", confirmed)
    assert Job.objects.filter(state=State.CANCELLED).count() == 2
    assert Job.objects.get(pk=other.pk).state == State.PENDING


@pytest.mark.seed("SEC68")
@pytest.mark.parametrize(
    ("action", "state", "told"),
    [
        ("cancel_jobs", "completed", "This job has already finished."),
        ("retry_jobs", "running", "This job has not finished yet."),
        ("retry_jobs", "completed", "There is nothing to retry."),
    ],
)
def test_an_illegal_action_says_what_the_verb_says(
    desk: Client, alice: User, action: str, state: str, told: str
) -> None:
    job = rows.job(alice, state)
    chosen = {"action": action, "_selected_action": str(job.pk), "confirmed": "yes"}
    assert _texts(desk.post(JOBS, chosen, follow=True)) == [told]
    assert Job.objects.get(pk=job.pk).state == state


@pytest.mark.django_db(transaction=True)
def test_a_job_that_something_holds_holds_up_no_other(desk: Client, alice: User) -> None:
    jobs = [rows.job(alice, "pending") for _ in range(2)]
    chosen = {"action": "cancel_jobs", "_selected_action": [str(job.pk) for job in jobs], "confirmed": "yes"}
    with holding(jobs[0]):
        told = _texts(desk.post(JOBS, chosen, follow=True))
    assert told == ["1 of 2 cancelled or asked to stop.", bulk.HELD]


def test_retry_makes_a_new_job(desk: Client, alice: User) -> None:
    job = rows.job(alice, "failed", params={})
    desk.post(JOBS, {"action": "retry_jobs", "_selected_action": str(job.pk), "confirmed": "yes"})
    child = Job.objects.get(retry_of=job)
    assert child.owner == alice
    assert str(child.pk) in desk.get(f"{JOBS}{job.pk}/change/").content.decode()


# ---- schedules, pauses ------------------------------------------------------------------------------------


def _schedule(owner: User, **values: Any) -> Schedule:
    return Schedule.objects.create(
        **{"name": "Daily ping", "source": "ping", "cron": "0 6 * * *", "owner": owner, **values}
    )


def test_a_schedule_is_added_with_its_next_time(desk: Client, alice: User) -> None:
    form = {
        "name": "Daily",
        "source": "shelves",
        "params": '{"n": 2}',
        "cron": "30 6 * * *",
        "zone": "Europe/Oslo",
    }
    answer = desk.post(f"{SCHEDULES}add/", {**form, "owner": alice.pk}, follow=True)
    assert answer.status_code == 200
    made = Schedule.objects.get()
    assert made.next_at is not None
    assert made.params == {"n": 2}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("cron", "every day", "is not a cron expression"),
        ("zone", "Mars/Olympus", "There is no time zone called"),
        ("params", '{"n": "many"}', "n: "),
        ("source", "imports", "This source takes a file"),
        ("source", "pi\u202eng", "Choose one of these."),
    ],
)
def test_a_schedule_that_could_not_start_is_refused(
    desk: Client, alice: User, field: str, value: str, told: str
) -> None:
    form = {"name": "Daily", "source": "shelves", "params": "{}", "cron": "0 6 * * *", "zone": "UTC"}
    answer = desk.post(f"{SCHEDULES}add/", {**form, "owner": alice.pk, field: value})
    assert told in " ".join(answer.context["adminform"].form.errors[field])
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(("typed", "shown"), [('{"n": ', '{"n": '), ('{"n": "\\u202e"}', '{"n": "\ufffd"}')])
def test_params_that_are_refused_show_as_they_were_typed(
    desk: Client, alice: User, typed: str, shown: str
) -> None:
    form = {"name": "Daily", "source": "shelves", "params": typed, "cron": "0 6 * * *", "zone": "UTC"}
    answer = desk.post(f"{SCHEDULES}add/", {**form, "owner": alice.pk})
    assert answer.context["adminform"].form["params"].value() == shown


def test_a_schedule_is_edited_paused_resumed_and_run(desk: Client, alice: User) -> None:
    schedule = _schedule(alice)
    form = {"name": "Hourly", "source": "ping", "params": "{}", "cron": "0 * * * *", "zone": "UTC"}
    desk.post(f"{SCHEDULES}{schedule.pk}/change/", {**form, "owner": alice.pk})
    schedule.refresh_from_db()
    assert (schedule.name, schedule.next_at is not None) == ("Hourly", True)
    chosen = {"_selected_action": str(schedule.pk)}
    desk.post(SCHEDULES, {**chosen, "action": "pause"})
    schedule.refresh_from_db()
    assert (schedule.paused, schedule.next_at) == (True, None)
    desk.post(SCHEDULES, {**chosen, "action": "resume"})
    schedule.refresh_from_db()
    assert not schedule.paused
    desk.post(SCHEDULES, {**chosen, "action": "run_now"})
    schedule.refresh_from_db()
    assert schedule.last_job is not None
    assert schedule.last_job.source == "ping"


def test_a_pause_is_set_and_ended(desk: Client, staff: User) -> None:
    desk.post(f"{PAUSES}add/", {"scope": "queue:default", "reason": "Moving house"})
    pause = Pause.objects.get()
    assert pause.by == staff
    refused = desk.post(f"{PAUSES}add/", {"scope": "queue:nosuch", "reason": "x"})
    assert "No queue nosuch" in " ".join(refused.context["adminform"].form.errors["scope"])
    desk.post(f"{PAUSES}{pause.pk}/delete/", {"post": "yes"})
    assert not Pause.objects.exists()


# ---- CSP --------------------------------------------------------------------------------------------------


def test_no_page_needs_inline_style_or_script(admin_client: Client, alice: User) -> None:
    job = rows.job(alice, "partial")
    rows.event(job, "Said")
    schedule = _schedule(alice)
    process = Process.objects.create(name="keeper-1", role="keeper", host="here", pid=1)
    token = ApiToken.objects.create(user=alice, name="script", hash="f" * 64, scopes=["read"])
    upload = Upload.objects.create(
        owner=alice, name="a.csv", path="x", size=1, sha256="0" * 64, type="text/csv"
    )
    pause = Pause.objects.create(scope="all", reason="x")
    pages = ["/admin/", f"{SCHEDULES}add/", f"{PAUSES}add/"]
    for row in (job, schedule, process, token, upload, pause):
        base = f"/admin/ingestion/{row._meta.model_name}/"
        pages += [base, f"{base}{row.pk}/change/"]
    for path in pages:
        answer = admin_client.get(path)
        assert answer.status_code == 200, path
        _assert_csp_clean(path, answer.content.decode())
    chosen = {"action": "cancel_jobs", "_selected_action": str(job.pk)}
    _assert_csp_clean("preview", admin_client.post(JOBS, chosen).content.decode())


def _assert_csp_clean(path: str, html: str) -> None:
    assert "<style" not in html, path
    assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", html), path
    for tag in re.findall(r"<script[^>]*>", html):
        assert "src=" in tag or 'type="application/json"' in tag, f"{path}: {tag}"
