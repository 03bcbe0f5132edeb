"""Export and deletion of an account: all that is one's own, and nothing of anybody else."""

import io
import json
from contextlib import ExitStack
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import Client

from config import rates
from config.models import AuditLog
from ingestion import admission, belongings, schedules, tokens, uploads
from ingestion.models import Job, Schedule, Upload
from ingestion.sources.articles import belongings as of_articles
from ingestion.sources.articles.models import Role as TopicRole
from ingestion.sources.articles.models import Topic, TopicMember
from ingestion.sources.documents import belongings as of_documents
from ingestion.sources.documents import workspaces
from ingestion.sources.documents.models import DefaultRetrieval, Membership, Role, Workspace
from notifications import broadcasts, inbox
from notifications.models import BroadcastReceipt, Notification
from realtime.models import Session
from tests.notifications.test_locks import alongside
from tests.pages import rows
from tests.sessions import waiting_for_locks
from tests.waiting import until

PASSWORD = "a password of today"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def untried() -> None:
    rates.forget()


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", "ann@example.org", PASSWORD)


@pytest.fixture
def web(ann: User) -> Client:
    client = Client()
    client.post("/signin/", {"username": "ann", "password": PASSWORD})
    return client


def file_of(answer: Any) -> Any:
    async def whole() -> bytes:
        return b"".join([part async for part in answer])

    return json.loads(async_to_sync(whole)())


def leave(web: Client, **form: str) -> Any:
    return web.post("/account/delete/", {"username": "ann", "current": PASSWORD} | form)


# ---- export ------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)  # the file is read in threads of their own
def test_the_export_has_what_is_ones_own_and_no_secret(
    web: Client, ann: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(belongings, "BATCH", 2)
    mine = [rows.job(ann, "failed", subject=f"mine {n}") for n in range(5)]
    rows.job(bob, "failed", subject="not mine")
    _, token = tokens.create(ann, "Nightly")
    tokens.create(bob, "Bobs")
    workspaces.make(ann, "Shelf", "of ann")
    workspaces.make(bob, "Shelf of bob", "")
    inbox.follow(ann, mine[0].stream)
    DefaultRetrieval.objects.create(user=ann, chunk_size=700)
    told = broadcasts.broadcast("Upgrade tonight")
    BroadcastReceipt.objects.create(broadcast=told, user=ann)
    with transaction.atomic():
        file = uploads.store(ann, "notes.txt", io.BytesIO(b"The words of a file."))
    answer = web.post("/account/export/")
    assert answer["Content-Disposition"] == 'attachment; filename="headway-ann.json"'
    found = file_of(answer)
    assert found["account"]["email"] == "ann@example.org"
    assert [job["subject"] for job in found["jobs"]] == [f"mine {n}" for n in range(5)]
    assert [one["name"] for one in found["tokens"]] == ["Nightly"]
    assert [one["workspace__name"] for one in found["workspaces"]] == ["Shelf"]
    assert [one["about"] for one in found["follows"]] == [mine[0].stream]
    assert [one["chunk_size"] for one in found["workspace_settings"]] == [700]
    assert [one["broadcast__title"] for one in found["broadcasts"]] == ["Upgrade tonight"]
    (given,) = found["files"]
    assert given["id"] == str(file.pk)
    assert web.get(given["file"]).getvalue() == b"The words of a file."
    # Each app that keeps something of a person gives it.
    assert {"schedules", "files", "lifelogs", "documents", "topics", "imports"} <= found.keys()
    text = json.dumps(found)
    assert token not in text and "not mine" not in text and "Bobs" not in text
    hidden = [ann.password, *Session.objects.values_list("session_key", flat=True)]
    assert not [one for one in hidden if one in text]
    assert AuditLog.objects.get().action == "account.export"


def test_the_export_is_asked_for_by_its_owner_alone(web: Client, client: Client) -> None:
    assert client.post("/account/export/")["Location"].startswith("/signin/")
    assert web.get("/account/export/").status_code == 405  # a link that is followed writes nothing


# ---- deletion ----------------------------------------------------------------------------------------------


@pytest.mark.seed("SEC80")
def test_who_leaves_is_gone_and_the_audit_log_keeps_a_number(
    web: Client, ann: User, bob: User, django_capture_on_commit_callbacks: Any
) -> None:
    waits, runs, ended = (rows.job(ann, state, subject=state) for state in ("pending", "running", "failed"))
    bobs = rows.job(bob, "pending")
    inbox.notify([ann], "system", "Hello")
    schedules.put(Schedule(name="Nightly", source="ping", cron="0 6 * * *", zone="UTC", owner=ann))
    path = default_storage.save("uploads/of-ann", ContentFile(b"x"))
    Upload.objects.create(owner=ann, name="a", path=path, size=1, sha256="0" * 64, type="text/csv")
    with django_capture_on_commit_callbacks(execute=True):
        answer = leave(web)
    assert answer.status_code == 200 and "Your account is deleted" in answer.text
    assert not User.objects.filter(username="ann").exists()
    states = {job.subject: (job.state, job.cancel_requested_at) for job in Job.objects.filter(owner=None)}
    assert states["pending"][0] == "cancelled" and states["failed"] == ("failed", None)
    assert states["running"][0] == "running" and states["running"][1] is not None
    assert {waits.pk, runs.pk, ended.pk} == set(Job.objects.filter(owner=None).values_list("pk", flat=True))
    bobs.refresh_from_db()
    assert bobs.state == "pending"
    assert not any(model.objects.exists() for model in (Notification, Schedule, Session, Upload))
    assert not default_storage.exists(path)
    assert web.get("/account/").status_code == 302
    left = AuditLog.objects.filter(action="account.delete").get()
    assert (left.actor, left.target) == (ann.pk, f"user:{ann.pk}")
    assert "ann" not in str(list(AuditLog.objects.values("action", "target", "details", "via", "address")))


@pytest.mark.seed("SEC80")
@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"username": "bob"}, "Type ann to delete this account."),
        ({"username": ""}, "This field is required."),
        ({"current": "guess"}, "That is not your password."),
        ({"current": ""}, "That is not your password."),
    ],
)
def test_nobody_leaves_by_a_slip(web: Client, ann: User, form: dict[str, str], words: str) -> None:
    job = rows.job(ann, "pending")
    answer = leave(web, **form)
    assert answer.status_code == 422 and words in answer.text
    job.refresh_from_db()
    assert (job.state, User.objects.filter(pk=ann.pk).exists()) == ("pending", True)


def test_the_password_of_leaving_cannot_be_guessed_for_long(web: Client, ann: User) -> None:
    assert [leave(web, current="guess").status_code for _ in range(11)] == [422] * 10 + [429]
    assert leave(web).status_code == 429 and User.objects.filter(pk=ann.pk).exists()


def test_the_only_superuser_stays(web: Client, ann: User) -> None:
    User.objects.filter(pk=ann.pk).update(is_superuser=True)
    answer = leave(web)
    assert answer.status_code == 422 and "You are the only superuser." in answer.text
    User.objects.create_superuser("root")
    assert leave(web).status_code == 200


def test_who_signs_in_by_link_leaves_by_name_alone() -> None:
    ann = User.objects.create_user("ann")
    client = Client()
    client.force_login(ann)
    assert client.post("/account/delete/", {"username": "ann"}).status_code == 200
    assert not User.objects.exists()


def test_what_others_share_gets_an_owner_and_what_nobody_shares_goes(
    web: Client, ann: User, alice: User, bob: User
) -> None:
    own, shared, kept = (workspaces.make(ann, name, "") for name in ("own", "shared", "kept"))
    Membership.objects.create(workspace=shared, user=alice, role=Role.VIEWER)
    Membership.objects.create(workspace=shared, user=bob, role=Role.EDITOR)
    Membership.objects.create(workspace=kept, user=alice, role=Role.OWNER)
    mine, ours = (Topic.objects.create(name=name, created_by=ann) for name in ("mine", "ours"))
    for topic in (mine, ours):
        TopicMember.objects.create(topic=topic, user=ann, role=TopicRole.OWNER)
    TopicMember.objects.create(topic=ours, user=alice, role=TopicRole.VIEWER)
    assert leave(web).status_code == 200
    removal = Job.objects.get(source="workspace_removal")
    assert (removal.params, removal.owner) == ({"workspace": own.pk}, None)
    assert list(Workspace.objects.filter(removing_at=None).order_by("pk")) == [shared, kept]
    assert set(shared.memberships.values_list("user", "role")) == {(alice.pk, "viewer"), (bob.pk, "owner")}
    assert list(kept.memberships.values_list("user", "role")) == [(alice.pk, "owner")]
    assert list(Topic.objects.all()) == [ours]
    assert list(ours.memberships.values_list("user", "role")) == [(alice.pk, "owner")]


def test_who_is_refused_for_a_full_queue_still_has_what_they_share_and_run(
    web: Client, ann: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = Topic.objects.create(name="ours", created_by=ann)
    TopicMember.objects.create(topic=topic, user=ann, role=TopicRole.OWNER)
    TopicMember.objects.create(topic=topic, user=bob, role=TopicRole.EDITOR)
    shared = workspaces.make(ann, "shared", "")
    Membership.objects.create(workspace=shared, user=bob, role=Role.EDITOR)
    own = workspaces.make(ann, "own", "")
    job = rows.job(ann, "pending")
    schedules.put(Schedule(name="Nightly", source="ping", cron="0 6 * * *", zone="UTC", owner=ann))
    with monkeypatch.context() as full:
        full.setattr(admission, "MAX_QUEUED", 0)
        answer = leave(web)
    assert answer.status_code == 429 and "Nothing was created" in answer.text
    job.refresh_from_db()
    assert (job.state, Schedule.objects.count()) == ("pending", 1)
    assert set(shared.memberships.values_list("user", "role")) == {(ann.pk, "owner"), (bob.pk, "editor")}
    assert set(topic.memberships.values_list("user", "role")) == {(ann.pk, "owner"), (bob.pk, "editor")}
    assert list(own.memberships.values_list("user", flat=True)) == [ann.pk]
    assert leave(web).status_code == 200
    assert list(Workspace.objects.filter(removing_at=None)) == [shared]
    assert list(shared.memberships.values_list("user", "role")) == [(bob.pk, "owner")]


@pytest.mark.parametrize("many", [False, True], ids=["one", "ticked"])
def test_who_is_deleted_in_the_admin_leaves_as_if_they_did_it_themselves(
    admin_client: Client, admin_user: User, ann: User, bob: User, many: bool
) -> None:
    job = rows.job(ann, "pending")
    workspaces.make(ann, "own", "")
    shared = workspaces.make(ann, "shared", "")
    Membership.objects.create(workspace=shared, user=bob, role=Role.EDITOR)
    if many:
        form = {"action": "delete_selected", "_selected_action": [ann.pk], "post": "yes"}
        answer = admin_client.post("/admin/auth/user/", form)
    else:
        answer = admin_client.post(f"/admin/auth/user/{ann.pk}/delete/", {"post": "yes"})
    assert answer.status_code == 302 and not User.objects.filter(pk=ann.pk).exists()
    job.refresh_from_db()
    assert job.state == "cancelled"
    assert list(Workspace.objects.filter(removing_at=None)) == [shared]
    assert list(shared.memberships.values_list("user", "role")) == [(bob.pk, "owner")]
    cancelled = AuditLog.objects.filter(action="job.cancel").values_list("actor", "target")
    assert (admin_user.pk, job.stream) in cancelled and not cancelled.filter(actor=ann.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once_leave_an_owner(ann: User, alice: User, bob: User) -> None:
    shelf = workspaces.make(ann, "shared", "")
    topic = Topic.objects.create(name="ours", created_by=ann)
    for user, role in ((ann, Role.OWNER), (alice, Role.OWNER), (bob, Role.VIEWER)):
        Membership.objects.update_or_create(workspace=shelf, user=user, defaults={"role": role})
        TopicMember.objects.create(topic=topic, user=user, role=role)
    for leave_room, rows_of in ((of_documents._leave, shelf), (of_articles._leave, topic)):
        with ExitStack() as after, transaction.atomic():
            leave_room(ann)
            after.enter_context(alongside(lambda leave=leave_room: leave(alice)))
            until(lambda: waiting_for_locks() == 1)
        owners = rows_of.memberships.filter(role=Role.OWNER)
        assert list(owners.values_list("user", flat=True)) == [bob.pk]


@pytest.mark.django_db(transaction=True)
def test_a_file_that_cannot_be_deleted_keeps_no_other(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [uploads.store(ann, f"{n}.txt", io.BytesIO(b"words %d" % n)) for n in range(3)]
    delete = default_storage.delete

    def sticking(path: str) -> None:
        if path == kept[0].path:
            raise PermissionError(13, "Permission denied")
        delete(path)

    monkeypatch.setattr(default_storage, "delete", sticking)
    ann.delete()
    assert [default_storage.exists(one.path) for one in kept] == [True, False, False]
