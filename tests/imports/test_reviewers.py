"""Who may review imports is told that one waits for them, and their row follows what becomes of it."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ingestion import failpoints, lifecycle, tokens
from ingestion.failpoints import FailpointHit
from ingestion.models import Job
from ingestion.source import get
from ingestion.sources.imports.models import Import
from ingestion.testing import resume_inline
from notifications import inbox, preferences
from notifications.models import Inbox, Notification
from tests.imports.conftest import Run, state_of, store

pytestmark = pytest.mark.django_db(transaction=True)

BAD = "tax_ident,name,employees\n1,a,1\n2,b,two\n3,c,3\n"


@pytest.fixture
def reviewer(bob: User) -> User:
    """Bob, who may review imports and is nothing else."""
    bob.user_permissions.add(may_review())
    return bob


def may_review() -> Permission:
    return Permission.objects.get(codename="review", content_type__app_label="imports")


def rows(user: User) -> list[tuple[Any, ...]]:
    """Return what a user's rows say: type, title, link, whether it is unread."""
    told = Notification.objects.filter(recipient=user).order_by("pk")
    return [(one.type, one.title, one.url, one.read_at is None) for one in told]


def agrees(user: User, job: Job) -> bool:
    """Say whether a user has exactly one row of the job, and it speaks of the job as it stands."""
    told = Notification.objects.filter(recipient=user, group_key=job.stream).values_list("version", flat=True)
    return list(told) == [Job.objects.get(pk=job.pk).version]


def test_a_reviewer_is_led_to_what_waits_for_them(run: Run, client: Client, reviewer: User) -> None:
    imported = run(BAD)

    url = imported.get_absolute_url()
    assert rows(reviewer) == [("job_waiting", "Import register.csv is ready to review", url, True)]
    (row,) = Notification.objects.filter(recipient=reviewer)
    assert row.text == "Started by alice. 3 rows checked, 1 has an error. Load the other 2?"
    assert agrees(reviewer, imported.job) and Inbox.objects.get(user=reviewer).unread == 1
    client.force_login(reviewer)
    page = client.get("/inbox/").content.decode()
    assert f'<a class="btn sm" href="{url}" aria-label="Review: Import register.csv is ready' in page
    assert "Approve 2 rows" in client.get(url).content.decode()


def test_the_home_page_says_that_it_needs_its_reviewer(
    run: Run, client: Client, alice: User, reviewer: User
) -> None:
    client.force_login(reviewer)
    assert "Nothing waits for you." in client.get("/").content.decode()

    imported = run(BAD)

    page = client.get("/").content.decode()
    assert (
        f'<a class="btn sm" id="review-{imported.job_id}" href="{imported.get_absolute_url()}">Review' in page
    )
    assert "Nothing waits for you." not in page and imported.job.get_absolute_url() not in page
    client.force_login(User.objects.create_user("stranger"))
    assert "Nothing waits for you." in client.get("/").content.decode()
    client.force_login(alice)
    assert client.get("/").content.decode().count(f'id="review-{imported.job_id}"') == 1
    lifecycle.answer(imported.job, "approve", {}, alice)
    client.force_login(reviewer)
    assert "Nothing waits for you." in client.get("/").content.decode()


def test_their_row_follows_the_import_in_place_and_in_silence(
    run: Run, client: Client, alice: User, reviewer: User
) -> None:
    imported = run(BAD)
    job = imported.job
    (told,) = Notification.objects.filter(recipient=reviewer)
    late = User.objects.create_user("late")
    late.user_permissions.add(may_review())

    lifecycle.answer(job, "approve", {}, alice)
    url = imported.get_absolute_url()
    assert rows(reviewer) == [("job_started", "Import register.csv is queued again", url, False)]
    job = resume_inline(job)

    assert rows(reviewer) == [("job_partial", "Import register.csv finished with errors", url, False)]
    now = Notification.objects.get(pk=told.pk)
    assert agrees(reviewer, job) and now.updated_at == told.updated_at
    assert now.data == {"status": "completed_with_errors"}
    assert Inbox.objects.get(user=reviewer).unread == 0
    assert rows(late) == []  # who was not asked need not know
    client.force_login(reviewer)
    page = client.get("/inbox/").content.decode()
    assert "Review: " not in page and job.get_absolute_url() not in page
    assert job.get_absolute_url() not in client.get(url).content.decode()  # the job is not theirs to see


def test_who_refuses_an_import_tells_its_owner_and_not_the_reviewers(
    run: Run, alice: User, reviewer: User
) -> None:
    imported = run(BAD)

    lifecycle.answer(imported.job, "reject", {"reason": "wrong year"}, reviewer)

    assert rows(alice)[0][1::2] == ("Import register.csv was rejected", True)
    assert rows(reviewer)[0][1::2] == ("Import register.csv was rejected", False)
    assert agrees(reviewer, imported.job)


def test_all_who_hold_the_permission_are_told_and_nobody_else(run: Run, alice: User, staff: User) -> None:
    of_group, twice, root, gone = (
        User.objects.create_user(name) for name in ("of_group", "twice", "root", "gone")
    )
    reviewers = Group.objects.create(name="reviewers")
    reviewers.permissions.add(may_review())
    for user in (of_group, twice):
        user.groups.add(reviewers)
    for user in (twice, gone):
        user.user_permissions.add(may_review())
    User.objects.filter(pk=root.pk).update(is_superuser=True)
    User.objects.filter(pk=gone.pk).update(is_active=False)

    run(BAD)

    assert set(get("imports").reviewers()) == {
        user for user in User.objects.all() if user.has_perm("imports.review")
    }
    told = Notification.objects.filter(type="job_waiting").values_list("recipient__username", flat=True)
    assert sorted(told) == ["alice", "of_group", "root", "twice"]


@pytest.mark.parametrize("how", ["mutes imports", "mutes the job", "wants none of the kind"])
def test_a_reviewer_can_hear_nothing_of_it(run: Run, alice: User, reviewer: User, how: str) -> None:
    job = lifecycle.create("imports", {"file": store(alice, BAD)}, owner=alice).job
    if how == "wants none of the kind":
        preferences.choose(reviewer.pk, "job_waiting", "inbox", False)
    else:
        inbox.mute(reviewer, "source:imports" if how == "mutes imports" else job.stream)

    assert resume_inline(job).state == "waiting"

    assert rows(reviewer) == []


def test_an_owner_and_a_follower_who_may_review_have_one_row_and_their_own(
    alice: User, reviewer: User
) -> None:
    alice.user_permissions.add(may_review())
    job = lifecycle.create("imports", {"file": store(alice, BAD)}, owner=alice).job
    inbox.follow(reviewer, job.stream)

    job = resume_inline(job)

    title = "Import register.csv is ready to review"
    assert rows(alice) == [("job_waiting", title, job.get_absolute_url(), True)]
    assert rows(reviewer) == [("job_waiting", title, Import.objects.get().get_absolute_url(), True)]
    lifecycle.cancel(job, alice)
    assert agrees(alice, job) and agrees(reviewer, job)
    assert [rows(user)[0][3] for user in (alice, reviewer)] == [False, True]


def test_the_row_of_who_may_not_review_any_more_goes_on_too(run: Run, alice: User, reviewer: User) -> None:
    imported = run(BAD)
    reviewer.user_permissions.clear()

    lifecycle.answer(imported.job, "reject", {"reason": "wrong year"}, alice)

    assert rows(reviewer)[0][1::2] == ("Import register.csv was rejected", False)
    assert Notification.objects.get(recipient=reviewer).data == {"status": "rejected"}


def test_columns_and_files_are_the_uploaders_to_give(run: Run, alice: User, reviewer: User) -> None:
    lifecycle.create("imports", {"later": True}, owner=alice)
    matching = run("A,B\n1,a\n", match="always")

    assert matching.job.waiting_for["kind"] == "match"
    assert rows(reviewer) == [] and len(rows(alice)) == 2


def test_an_owner_who_may_not_decide_is_told_who_does(
    run: Run, client: Client, alice: User, reviewer: User, settings: Any
) -> None:
    settings.REVIEW_BY_OTHERS = True

    imported = run(BAD)

    job = imported.job
    waits = ("job_waiting", "Import register.csv waits for a reviewer", job.get_absolute_url(), True)
    assert rows(alice) == [waits]
    assert rows(reviewer)[0][1] == "Import register.csv is ready to review"
    client.force_login(alice)
    assert "Review: " not in client.get("/inbox/").content.decode()
    home = client.get("/").content.decode()
    assert "Nothing waits for you." in home and f'id="review-{job.pk}"' not in home
    assert job.get_absolute_url() in home  # it has not ended: it stands among the active ones
    page = client.get(job.get_absolute_url()).content.decode()
    assert "Somebody else has to decide." in page and "alice decides" not in page
    assert f'href="{imported.get_absolute_url()}"' in page


def test_many_reviewers_cost_no_more_queries_than_one(run: Run, alice: User, reviewer: User) -> None:
    def waits(name: str) -> int:
        job = lifecycle.create("imports", {"file": store(alice, BAD + f"{name},a,1\n")}, owner=alice).job
        with CaptureQueriesContext(
            connection,
        ) as queries:
            resume_inline(job)
        return len(queries)

    waits("10")  # the first makes inboxes
    alone = waits("11")
    for n in range(20):
        user = User.objects.create_user(f"reviewer{n}")
        user.user_permissions.add(may_review())
        inbox.touch([user.pk])

    assert waits("12") == alone
    assert Notification.objects.filter(type="job_waiting").count() == 3 * 2 + 20


def test_a_move_that_breaks_after_it_told_has_told_nobody(alice: User, reviewer: User) -> None:
    job = lifecycle.create("imports", {"file": store(alice, BAD)}, owner=alice).job
    failpoints.activate("job.told.before_commit=raise*1@2")  # the first is that of the start
    try:
        with pytest.raises(FailpointHit):
            resume_inline(job)
    finally:
        failpoints.activate("")

    assert rows(reviewer) == [] and rows(alice)[0][0] == "job_started"


def test_a_reviewer_decides_and_approves_by_api(run: Run, reviewer: User) -> None:
    imported = run(BAD)
    url = f"/api/imports/{imported.pk}"
    cause = imported.problems[0]["key"]
    decision = {"cause": cause, "choice": "leave_out", "revision": 0}
    own = Bearer(reviewer, "read", "write")
    for path, said in (("decisions", decision), ("answer", {"answer": "approve"}), ("file?name=x.csv", {})):
        assert own.post(f"{url}/{path}", said) == (403, "permission_denied"), path
    able = Bearer(reviewer, "read", "write", "operate")
    assert able.post(f"{url}/decisions", decision)[0] == 200
    stale = {"answer": "approve", "data": {"revision": 0}}
    assert able.post(f"{url}/answer", stale) == (409, "changed_meanwhile")
    assert able.post(f"{url}/answer", {"answer": "yes"}) == (400, "validation_failed")
    assert able.post(f"{url}/answer", {"answer": "approve", "data": {"revision": 1}})[0] == 200
    assert resume_inline(Job.objects.get(pk=imported.job_id)).state == "partial"


def test_a_reviewer_answers_no_question_for_a_file(alice: User, reviewer: User) -> None:
    """Whose import it is says which file that is; a reviewer could put in one of their own."""
    assert Bearer(alice, "read", "write").post("/api/imports", {}) == (201, "")
    imported = Import.objects.get()
    waiting = state_of(imported)
    able = Bearer(reviewer, "read", "write", "operate")
    for said in ({"answer": "upload", "data": {"file": "x"}}, {"answer": "reject", "data": {"reason": "No"}}):
        assert able.post(f"/api/imports/{imported.pk}/answer", said) == (403, "permission_denied")
    assert state_of(imported) == waiting == "waiting"


def test_an_owners_token_needs_no_scope_for_others(run: Run, alice: User) -> None:
    imported = run(BAD)
    own = Bearer(alice, "read", "write")
    rejected = {"answer": "reject", "data": {"reason": "Wrong year"}}
    assert own.post(f"/api/imports/{imported.pk}/answer", rejected)[0] == 200
    assert state_of(imported) == "cancelled"


class Bearer:
    """A program with a token of a user."""

    def __init__(self, user: User, *scopes: str) -> None:
        self._header = f"Bearer {tokens.create(user, 'program', scopes=scopes)[1]}"

    def post(self, url: str, said: object) -> tuple[int, str]:
        """Return the status and the code of the problem, empty where there is none."""
        got = Client().post(
            url, said, content_type="application/json", headers={"Authorization": self._header}
        )
        return got.status_code, got.json().get("code", "")
