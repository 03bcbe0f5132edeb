"""The inbox over REST: as seed S2 names it, a caller's own, fixed paths before ids."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.api import api
from ingestion import lifecycle
from notifications import inbox
from notifications.models import Broadcast, Follow, Inbox, Mute, Notification
from tests.api.clients import ApiClient, assert_problem, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(alice: User, bob: User) -> dict[str, int]:
    """Three rows of alice's, one of bob's."""
    inbox.notify([alice], "system", "one", text="the first", url="/jobs/")
    inbox.notify([alice], "task_complete", "two", data={"open": True})
    inbox.notify([alice], "task_complete", "three")
    inbox.notify([bob], "system", "bob's")
    return dict(Notification.objects.values_list("title", "pk"))


@pytest.fixture
def teller(alice: User) -> ApiClient:
    """Alice, with the permission to tell everybody."""
    alice.user_permissions.add(Permission.objects.get(codename="send_broadcast"))
    return client_of(User.objects.get(pk=alice.pk))


def count(client: ApiClient) -> int:
    return int(client.read("/notifications/unread-count").json()["unread_count"])


def listed(client: ApiClient, query: str = "") -> list[str]:
    return [row["title"] for row in client.read(f"/notifications{query}").json()["notifications"]]


@pytest.mark.seed("S2.3", "S2.25", "S2.38", "S2.104")
def test_the_list_is_ones_own_newest_first(as_alice: ApiClient, anon: ApiClient, rows: Any) -> None:
    assert listed(as_alice) == ["three", "two", "one"]
    assert_problem(anon.read("/notifications"), 401, "auth_required")
    row = as_alice.read("/notifications").json()["notifications"][2]
    assert (row["message"], row["link"], row["type"], row["unread"]) == (
        "the first",
        "/jobs/",
        "system",
        True,
    )


@pytest.mark.seed("S2.104")
def test_nothing_of_it_is_for_who_is_not_signed_in(anon: ApiClient, rows: Any) -> None:
    before = list(Notification.objects.values())
    paths = api.get_openapi_schema()["paths"]
    found = [
        (method, path.replace("{entry_id}", str(rows["one"])))
        for path, methods in paths.items()
        if path.startswith("/api/notifications")
        for method in methods
        if method in ("get", "post", "put", "patch", "delete")
    ]
    assert len(found) >= 12
    for method, path in found:
        answer = anon.generic(method.upper(), path, "{}", "application/json")
        assert_problem(answer, 401, "auth_required")
    assert list(Notification.objects.values()) == before


def test_the_list_has_pages_and_filters(as_alice: ApiClient, as_bob: ApiClient, rows: Any) -> None:
    """API82."""
    first = as_alice.read("/notifications?limit=2").json()
    assert [row["title"] for row in first["notifications"]] == ["three", "two"]
    assert listed(as_alice, f"?limit=2&cursor={first['next']}") == ["one"]
    assert_problem(as_bob.read(f"/notifications?cursor={first['next']}"), 400, "bad_cursor")
    as_alice.send(f"/notifications/{rows['two']}/mark-read", {})
    assert listed(as_alice, "?unread_only=true") == ["three", "one"]
    assert listed(as_alice, "?group=Jobs") == ["three", "two"]
    assert listed(as_alice, "?q=FIRST") == ["one"]
    assert_problem(as_alice.read("/notifications?unread=maybe"), 400, "unknown_filter")
    assert_problem(as_alice.read("/notifications?unread_only=maybe"), 400, "bad_parameter")  # API82
    assert_problem(as_alice.read("/notifications?limit=201"), 400, "bad_parameter")


@pytest.mark.seed("S2.26", "S2.39", "SEC14")
def test_the_count_is_ones_own(as_alice: ApiClient, as_bob: ApiClient, rows: Any) -> None:
    assert (count(as_alice), count(as_bob)) == (3, 1)


@pytest.mark.seed("S2.40", "S2.41")
def test_reading_one_and_all(as_alice: ApiClient, as_bob: ApiClient, rows: Any) -> None:
    answer = as_alice.send(f"/notifications/{rows['one']}/mark-read", {})
    assert answer.status_code == 200 and answer.json()["unread"] is False
    assert as_alice.send(f"/notifications/{rows['one']}/mark-read", {}).status_code == 200
    assert as_alice.send(f"/notifications/{rows['one']}/unread", {}).json()["unread"] is True
    assert as_alice.send("/notifications/mark-all-read", {}).json() == {"count": 3, "unread_count": 0}
    assert (count(as_alice), count(as_bob)) == (0, 1)


def test_all_means_what_was_there(as_alice: ApiClient, rows: Any) -> None:
    """API80."""
    before = as_alice.read("/notifications").json()["notifications"][1]["updated_at"]
    assert as_alice.send("/notifications/mark-all-read", {"before": before}).json()["count"] == 2
    wrong = as_alice.send("/notifications/mark-all-read", {"before": "yesterday"})
    assert_problem(wrong, 400, "validation_failed")


@pytest.mark.seed("S2.42", "S2.43", "S2.45")
def test_deleting_one_and_all_that_are_read(as_alice: ApiClient, rows: Any) -> None:
    as_alice.send(f"/notifications/{rows['one']}/mark-read", {})
    assert as_alice.delete("/api/notifications/read").json() == {"count": 1, "unread_count": 2}
    assert as_alice.delete(f"/api/notifications/{rows['two']}").status_code == 204
    assert_problem(as_alice.delete(f"/api/notifications/{rows['two']}"), 404, "not_found")
    assert listed(as_alice) == ["three"]
    assert_problem(as_alice.delete("/api/notifications"), 405, "method_not_allowed")  # API81


@pytest.mark.seed("SEC10", "SEC78", "S2.103")
@pytest.mark.parametrize("verb", ["", "/mark-read", "/unread", "/archive", "/restore", "/snooze", "DELETE"])
def test_somebody_elses_is_as_missing(as_bob: ApiClient, rows: Any, verb: str) -> None:
    """API78, API79."""
    before = Notification.objects.values().get(title="one")
    body = {"until": "2099-01-01T09:00Z"} if verb == "/snooze" else {}
    queries = []
    for entry_id in (rows["one"], 999_999_999, -1):
        with CaptureQueriesContext(connection) as counted:
            if verb == "DELETE":
                answer = as_bob.delete(f"/api/notifications/{entry_id}")
            elif verb:
                answer = as_bob.send(f"/notifications/{entry_id}{verb}", body)
            else:
                answer = as_bob.read(f"/notifications/{entry_id}")
        assert_problem(answer, 404, "not_found")
        queries.append(len(counted))
    assert queries[0] == queries[1]
    assert Notification.objects.values().get(title="one") == before
    for odd in ("abc", "0", "07", "1.0", "9" * 30, "%20"):
        assert_problem(as_bob.send(f"/notifications/{odd}/mark-read", {}), 404, "not_found")


def test_archive_restore_and_snooze(as_alice: ApiClient, rows: Any) -> None:
    one, two = (f"/notifications/{rows[name]}" for name in ("one", "two"))
    assert as_alice.send(f"{one}/archive", {}).json()["archived_at"]
    assert listed(as_alice, "?view=archived") == ["one"]
    assert as_alice.send(f"{one}/restore", {}).json()["archived_at"] is None
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert as_alice.send(f"{one}/snooze", {"until": tomorrow}).json()["snoozed_until"]
    assert as_alice.send(f"{one}/snooze", {"until": tomorrow}).status_code == 200
    assert as_alice.send(f"{two}/snooze", {"until": None}).json()["snoozed_at"]
    assert (listed(as_alice, "?view=snoozed"), count(as_alice)) == (["two", "one"], 1)
    before = Inbox.objects.get(user__username="alice").version
    assert as_alice.send(f"{two}/restore", {}).json()["snoozed_at"] is None
    assert Inbox.objects.get(user__username="alice").version == before + 1


def test_what_cannot_be_snoozed(as_alice: ApiClient, rows: Any) -> None:
    three = f"/notifications/{rows['three']}/snooze"
    assert_problem(as_alice.send(three, {"until": None}), 409, "cannot_snooze")
    assert_problem(as_alice.send(three, {"until": "2020-01-01T00:00Z"}), 400, "validation_failed")
    assert_problem(as_alice.send(three, {"until": "2099-01-01T00:00"}), 400, "validation_failed")
    assert_problem(as_alice.send(three, {}), 400, "validation_failed")


@pytest.mark.seed("S2.44", "S2.24", "S2.45", "SEC76")
def test_anybody_tells_themselves_and_nobody_else(as_alice: ApiClient, bob: User) -> None:
    said = {"title": "Note", "message": "to myself", "link": "/jobs/"}
    assert as_alice.send("/notifications/create", said).status_code == 201
    assert as_alice.send("/notifications/create", {**said, "username": "alice"}).status_code == 201
    assert listed(as_alice) == ["Note", "Note"]
    for name in ("bob", "nobody", None):
        refused = as_alice.send("/notifications/create", {**said, "username": name})
        assert_problem(refused, 403, "permission_denied")
    assert not Notification.objects.filter(recipient=bob).exists() and not Broadcast.objects.exists()


@pytest.mark.seed("SEC76", "S2.102", "S2.114")
def test_who_may_tells_others_and_everybody(teller: ApiClient, as_bob: ApiClient, alice: User) -> None:
    assert teller.send("/notifications/create", {"title": "Hi", "username": "bob"}).status_code == 201
    made = teller.send("/notifications/create", {"title": "All", "username": None})
    assert made.status_code == 201 and made.json()["broadcast"] is True
    assert (listed(as_bob), count(as_bob)) == (["All", "Hi"], 2)
    unknown = teller.send("/notifications/create", {"title": "Hi", "username": "nobody"})
    assert_problem(unknown, 400, "validation_failed")
    shared = as_bob.read("/notifications").json()["notifications"][0]["id"]
    assert as_bob.send(f"/notifications/{shared}/mark-read", {}).json()["unread"] is False
    assert (count(as_bob), count(teller)) == (1, 1)


def test_a_token_tells_others_with_the_scope_for_it_alone(
    teller: ApiClient, alice: User, bob: User, program: Any
) -> None:
    to_bob = {"title": "Hi", "username": "bob"}
    user = User.objects.get(pk=alice.pk)
    refused = program("read", "write", user=user).send("/notifications/create", to_bob)
    assert_problem(refused, 403, "permission_denied")
    assert (
        program("read", "write", "operate", user=user).send("/notifications/create", to_bob).status_code
        == 201
    )
    assert_problem(program("read").send("/notifications/mark-all-read", {}), 403, "permission_denied")


@pytest.mark.seed("S2.105")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("link", "javascript:alert(1)"),
        ("link", "https://evil.test/"),
        ("link", "//evil.test"),
        ("type", "nope"),
        ("title", ""),
        ("title", "x" * 201),
        ("message", "x" * 2001),
    ],
)
def test_what_cannot_be_told_is_refused_by_field(as_alice: ApiClient, field: str, value: str) -> None:
    answer = as_alice.send("/notifications/create", {"title": "Note", field: value})
    assert_problem(answer, 400, "validation_failed")
    assert answer.json()["errors"][0]["field"] == field
    assert not Notification.objects.exists()


def test_following_is_for_what_one_may_see(as_alice: ApiClient, as_bob: ApiClient, alice: User) -> None:
    about = lifecycle.create("shelves", {"name": "hers"}, owner=alice).job.stream
    assert_problem(as_bob.send("/notifications/follows", {"about": about}), 404, "not_found")
    assert_problem(as_bob.send("/notifications/follows", {"about": "job:x"}), 404, "not_found")
    assert as_alice.send("/notifications/follows", {"about": about}).status_code == 204
    assert [row["about"] for row in as_alice.read("/notifications/follows").json()["follows"]] == [about]
    assert as_alice.delete(f"/api/notifications/follows?about={about}").status_code == 204
    assert not Follow.objects.exists()


def test_muting_and_unmuting(as_alice: ApiClient, alice: User) -> None:
    assert as_alice.send("/notifications/mutes", {"about": "source:imports"}).status_code == 204
    assert as_alice.send("/notifications/mutes", {"about": "source:imports"}).status_code == 204
    assert [row["about"] for row in as_alice.read("/notifications/mutes").json()["mutes"]] == [
        "source:imports"
    ]
    assert_problem(as_alice.send("/notifications/mutes", {"about": "x y"}), 400, "validation_failed")
    assert as_alice.delete("/api/notifications/mutes?about=source:imports").status_code == 204
    assert not Mute.objects.exists()


def test_nobody_follows_or_mutes_without_end(
    as_alice: ApiClient, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifications.inbox.MOST_ABOUTS", 1)
    for _ in range(2):  # what is muted needs no room
        assert as_alice.send("/notifications/mutes", {"about": "company:1"}).status_code == 204
    assert_problem(as_alice.send("/notifications/mutes", {"about": "company:2"}), 429, "quota_exceeded")
