"""The audit log: each act of a person is a row, in the transaction of the act, and stays."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config import audit
from config.models import AuditLog
from ingestion import lifecycle, retention, schedules, tokens
from ingestion.models import Job, Pause, Schedule
from tests.pages import rows
from tests.pages.test_csv import table

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client


def written() -> list[tuple[str, str]]:
    return list(AuditLog.objects.order_by("pk").values_list("action", "target"))


# ---- what is written ---------------------------------------------------------------------------------------


@pytest.mark.seed("SEC69")
def test_a_cancel_says_who_what_where_and_by_which_request(desk: Client, staff: User, alice: User) -> None:
    job = rows.job(alice, "pending")
    answer = desk.post(f"/jobs/{job.pk}/cancel/", REMOTE_ADDR="192.0.2.7")
    row = AuditLog.objects.get()
    assert (row.actor, row.action, row.target) == (staff.pk, "job.cancel", job.stream)
    assert (row.via, row.address, row.request_id) == ("page", "192.0.2.7", answer["X-Request-Id"])


@pytest.mark.seed("SEC69")
def test_the_api_is_named_with_the_user_of_its_token(alice: User, client: Client) -> None:
    job = rows.job(alice, "failed")
    _, token = tokens.create(alice, "script")
    headers = {"authorization": f"Bearer {token}"}
    assert (
        client.post(f"/api/jobs/{job.pk}/retry", headers=headers, content_type="application/json").status_code
        == 201
    )
    retried = Job.objects.get(retry_of=job)
    row = AuditLog.objects.get(action="job.retry")
    assert (row.actor, row.target, row.via) == (alice.pk, job.stream, "api")
    assert row.details == {"job": str(retried.pk)}
    lifecycle.cancel(retried, alice)  # outside of a request it is a rule that acts
    assert not AuditLog.objects.filter(action="job.cancel").exists()
    assert client.delete(f"/api/jobs/{retried.pk}", headers=headers).status_code == 204
    assert AuditLog.objects.get(action="job.delete").details["owner"] == alice.pk


def test_an_answer_is_written_with_what_it_was(alice: User, client: Client) -> None:
    job = rows.job(alice, "waiting")
    client.force_login(alice)
    client.post(f"/api/jobs/{job.pk}/answer", {"answer": "reject"}, content_type="application/json")
    assert AuditLog.objects.get().details == {"answer": "reject"}


@pytest.mark.seed("SEC69")
def test_what_fails_is_not_written(desk: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    job = rows.job(alice, "pending")
    desk.raise_request_exception = False

    def broken(*args: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(lifecycle, "_end", broken)
    desk.post(f"/jobs/{job.pk}/cancel/")
    assert not written()
    ended = rows.job(alice, "failed")
    desk.post(f"/jobs/{ended.pk}/cancel/")  # refused
    assert not written()


def test_a_second_cancel_is_no_second_act(desk: Client, alice: User) -> None:
    job = rows.job(alice, "running")
    for _ in range(2):
        desk.post(f"/jobs/{job.pk}/cancel/")
    assert written() == [("job.cancel", job.stream)]


def test_a_command_is_named_and_a_worker_is_not(alice: User) -> None:
    call_command("pause", "all", reason="Upgrade")
    call_command("resume", "all")
    call_command("user", "create", "carl", "--staff")
    call_command("user", "link", "carl")
    carl = User.objects.get(username="carl")
    assert written() == [
        ("pause.begin", "pause:all"),
        ("broadcast.send", written()[1][1]),
        ("pause.end", "pause:all"),
        ("broadcast.send", written()[3][1]),
        ("user.create", f"user:{carl.pk}"),
        ("user.link", f"user:{carl.pk}"),
    ]
    assert set(AuditLog.objects.values_list("actor", "via", "address")) == {
        (None, "pause", ""),
        (None, "resume", ""),
        (None, "user", ""),
    }
    due = rows.job(alice, "running", cancel_requested_at="2026-01-01T00:00Z")
    before = len(written())
    call_command("keeper", "--once")
    lifecycle.rescue(due.pk, due.lease_token, crashed=False, expired=False)
    assert len(written()) == before


def test_schedules_and_tokens_are_written(desk: Client, staff: User) -> None:
    put = schedules.put(Schedule(name="Nightly", source="ping", cron="0 6 * * *", zone="UTC", owner=staff))
    chosen = {"_selected_action": [put.pk]}
    for action in ("pause", "resume", "run_now"):
        desk.post("/admin/ingestion/schedule/", {"action": action, **chosen})
    assert [action for action, _ in written()] == ["schedule.pause", "schedule.resume", "schedule.run"]
    made, _ = tokens.create(staff, "outside of a request")
    desk.post("/account/tokens/revoke/", {"id": made.pk})
    assert written()[-1] == ("token.revoke", f"user:{staff.pk}")


@pytest.mark.seed("SEC69")
def test_the_account_is_written_without_what_is_personal(client: Client) -> None:
    ann = User.objects.create_user("ann", "ann@example.org", "a password of today")
    client.force_login(ann)
    profile = {"first_name": "Ann", "email": "new@example.org", "current": "a password of today"}
    client.post("/account/profile/", profile)
    client.post("/account/password/", {"old": "a password of today", "new": "quite another password"})
    assert written() == [("account.email", f"user:{ann.pk}"), ("account.password", f"user:{ann.pk}")]
    assert "example.org" not in str(list(AuditLog.objects.values()))


@pytest.mark.seed("SEC69")
def test_each_write_in_the_admin_has_before_and_after(admin_client: Client, admin_user: User) -> None:
    pause = Pause.objects.create(scope="all", reason="Upgrade")
    desk = admin_client
    desk.post(f"/admin/ingestion/pause/{pause.pk}/change/", {"scope": "all", "reason": "Longer"})
    row = AuditLog.objects.get(action="admin.change")
    assert (row.target, row.via) == (f"pause:{pause.pk}", "admin")
    assert row.details == {"changed": {"reason": ["Upgrade", "Longer"]}}
    desk.post("/admin/auth/user/add/", {"username": "carl", "usable_password": "false"})
    carl = User.objects.get(username="carl")
    form = {"username": "carla", "email": "c@example.org", "is_staff": "on", "is_active": "on"}
    when = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert desk.post(f"/admin/auth/user/{carl.pk}/change/", form | when).status_code == 302
    changed = (
        AuditLog.objects.filter(target=f"user:{carl.pk}", action="admin.change").get().details["changed"]
    )
    assert changed["is_staff"] == [False, True]
    assert changed["username"] is None and changed["email"] is None  # personal: that it changed, no more
    secret = {"password1": "quite another one", "password2": "quite another one", "usable_password": "true"}
    assert desk.post(f"/admin/auth/user/{carl.pk}/password/", secret).status_code == 302
    assert "quite another one" not in str(list(AuditLog.objects.values()))
    chosen = {"action": "delete_selected", "_selected_action": [carl.pk], "post": "yes"}
    desk.post("/admin/auth/user/", chosen)
    assert written()[-1] == ("admin.delete", f"user:{carl.pk}")
    assert set(AuditLog.objects.values_list("actor", flat=True)) == {admin_user.pk}


def test_a_deletion_that_fails_is_not_written(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, alice: User
) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("account.admin.PersonAdmin.delete_queryset", broken)
    admin_client.raise_request_exception = False
    chosen = {"action": "delete_selected", "_selected_action": [alice.pk], "post": "yes"}
    admin_client.post("/admin/auth/user/", chosen)
    assert User.objects.filter(pk=alice.pk).exists() and not written()


def test_every_action_that_is_written_is_declared() -> None:
    with pytest.raises(ValueError, match="unknown action"):
        audit.write("job.explode", "job:1")


# ---- it stays ----------------------------------------------------------------------------------------------


def entry(action: str = "job.cancel", target: str = "job:1", **values: Any) -> AuditLog:
    return AuditLog.objects.create(action=action, target=target, via="page", **values)


@pytest.mark.seed("SEC69")
def test_nobody_changes_or_deletes_a_row(alice: User) -> None:
    row = entry(actor=alice.pk)
    for change in (
        lambda: AuditLog.objects.filter(pk=row.pk).update(actor=1),
        lambda: AuditLog.objects.filter(pk=row.pk).delete(),
        lambda: connection.cursor().execute("DELETE FROM headway_auditlog"),
        lambda: connection.cursor().execute("TRUNCATE headway_auditlog"),
    ):
        with pytest.raises(IntegrityError, match="only added to"), transaction.atomic():
            change()
    alice.delete()  # the number stays, there is no name
    assert AuditLog.objects.get().actor is not None


def test_retention_alone_deletes_what_is_old(settings: Any) -> None:
    settings.RETENTION_AUDIT_DAYS = 10
    entry(target="job:old", at="2020-01-01T00:00Z")
    entry(target="job:new")
    assert retention.prune()["audit"] == 1
    assert [target for _, target in written()] == ["job:new"]


@pytest.mark.django_db(transaction=True)
def test_the_permission_to_prune_ends_with_its_transaction() -> None:
    entry()
    with transaction.atomic():
        audit.prune_within()
    with pytest.raises(IntegrityError, match="only added to"):
        AuditLog.objects.all().delete()


# ---- who reads it ------------------------------------------------------------------------------------------

PAGE, ADMIN = "/operate/audit/", "/admin/headway/auditlog/"


@pytest.mark.seed("SEC69", "SEC67")
def test_it_is_read_by_staff_who_see_everybodys_jobs(client: Client, alice: User, desk: Client) -> None:
    assert client.get(PAGE)["Location"] == f"/signin/?next={PAGE}"
    client.force_login(alice)
    assert [client.get(path).status_code for path in (PAGE, ADMIN)] == [403, 302]
    assert PAGE not in client.get("/").text
    plain = User.objects.create_user("plain", is_staff=True)
    client.force_login(plain)
    assert [client.get(path).status_code for path in (PAGE, ADMIN)] == [403, 403]
    plain.user_permissions.add(Permission.objects.get(codename="view_all_jobs"))
    assert [client.get(path).status_code for path in (PAGE, ADMIN)] == [200, 200]
    assert PAGE in client.get("/").text


@pytest.mark.seed("SEC69")
def test_nobody_writes_it_in_the_admin(admin_client: Client) -> None:
    row = entry()
    assert admin_client.get(f"{ADMIN}{row.pk}/change/").status_code == 200
    assert admin_client.post(f"{ADMIN}{row.pk}/change/", {"actor": 1}).status_code == 403
    assert admin_client.get(f"{ADMIN}add/").status_code == 403
    assert admin_client.post(f"{ADMIN}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_page_tells_it_in_words(desk: Client, alice: User, staff: User) -> None:
    job = rows.job(alice, "failed")
    entry(target=job.stream, actor=alice.pk, address="192.0.2.7")
    entry("admin.change", "pause:1", actor=staff.pk, details={"changed": {"until": ["", "<b>soon</b>"]}})
    entry("pause.end", "pause:all", actor=10**12)
    entry("user.link", "user:5")
    text = desk.get(PAGE).text
    assert re.findall(r'<th scope="row">([^<]*)', text) == [
        "Made a sign-in link",
        "Resumed",
        "Changed in the admin",
        "Cancelled a job",
    ]
    assert "Until: nothing → &lt;b&gt;soon&lt;/b&gt;" in text and "<b>soon" not in text
    assert "user 1000000000000, deleted" in text and "command line" in text and "192.0.2.7" in text
    assert f'href="{job.get_absolute_url()}"' in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("action=pause.end", ["pause:all"]),
        ("action=nonsense", ["user:5", "pause:all", "job:1"]),
        ("by=alice", ["job:1"]),
        ("by=424242", ["pause:all"]),
        ("by=nobody", []),
        ("target=user:5", ["user:5"]),
        ("target=user:5&by=alice", []),
        ("before=%00", ["user:5", "pause:all", "job:1"]),
        ("before=" + "9" * 30, ["user:5", "pause:all", "job:1"]),
    ],
)
def test_the_page_is_filtered(desk: Client, alice: User, query: str, found: list[str]) -> None:
    entry(target="job:1", actor=alice.pk)
    entry("pause.end", "pause:all", actor=424242)
    entry("user.link", "user:5")
    shown = desk.get(f"{PAGE}?{query}").context["rows"]
    assert [one["row"].target for one in shown] == found


def test_the_page_is_bounded_and_goes_on(desk: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.audit_page.PAGE", 2)
    for n in range(5):
        entry(target=f"user:{n}", actor=alice.pk)
    seen, path = [], f"{PAGE}?by=alice"
    while path:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            text = desk.get(path).text
        assert sum("headway_auditlog" in one["sql"] for one in asked) == 1
        seen += re.findall(r"<td>(user:\d)</td>", text)
        following = re.search(r'href="(\?[^"]*)" rel="next"', text)
        path = PAGE + following[1].replace("&amp;", "&") if following else ""
    assert seen == ["user:4", "user:3", "user:2", "user:1", "user:0"]


@pytest.mark.django_db(transaction=True)  # files are read in threads of their own
def test_what_the_filters_find_is_given_as_a_file(
    desk: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.audit_page.BATCH", 2)
    for n in range(3):
        entry(target=f"user:{n}", actor=alice.pk, address="192.0.2.7")
    entry("admin.change", "pause:1", details={"changed": {"reason": ["", "=1+1"]}})
    path = f"{PAGE}audit.csv"
    assert f'href="{path}?by=alice"' in desk.get(f"{PAGE}?by=alice").text
    assert [row["On what"] for row in table(desk.get(f"{path}?by=alice"))] == ["user:2", "user:1", "user:0"]
    first = table(desk.get(path))[0]
    assert (first["User"], first["What"], first["Details"]) == (
        "",
        "Changed in the admin",
        "reason: nothing → =1+1",
    )
    client = Client()
    client.force_login(alice)
    assert client.get(path).status_code == 403 and Client().get(path).status_code == 302
