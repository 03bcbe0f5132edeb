"""Dead letters: what is one, who sees which, and that they are retried or dismissed."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.models import AuditLog
from ingestion import dead_letters
from ingestion.models import Dismissal, Job
from tests.pages import rows
from tests.sessions import holding

pytestmark = pytest.mark.django_db

URL = "/dead-letters/"


def web(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def failed(owner: User, subject: str, **values: Any) -> Job:
    return rows.job(owner, "failed", subject=subject, params={"name": subject}, **values)


def shown(user: User, query: str = "") -> list[str]:
    answer = web(user).get(f"{URL}?{query}")
    assert answer.status_code == 200
    return [row["job"].subject for row in answer.context["rows"]]


def test_what_failed_or_set_items_aside_is_one_until_it_is_retried(alice: User) -> None:
    one = failed(alice, "one")
    for state in ("completed", "partial", "cancelled", "running", "pending", "waiting"):
        rows.job(alice, state, subject=state)
    poisoned = rows.job(alice, "partial", subject="poisoned")
    rows.items(poisoned, {"done": 3, "quarantined": 5})
    assert shown(alice) == ["poisoned", "one"]
    again = rows.job(alice, "running", retry_of=one, subject="again")
    assert shown(alice) == ["poisoned"]
    rows.end(again, "cancelled", 0)
    assert shown(alice) == ["poisoned", "one"]
    failed(alice, "the newest of its chain", retry_of=one)
    assert shown(alice) == ["the newest of its chain", "poisoned"]
    rows.job(alice, "completed", retry_of=poisoned)
    assert shown(alice) == ["the newest of its chain"]


def test_it_says_the_cause_what_was_set_aside_and_what_went_wrong_last(alice: User) -> None:
    job = failed(alice, "one", error={"code": "crashed", "text": "It ended its worker."})
    rows.items(job, {"done": 1, "quarantined": 4})
    for n in range(5):
        rows.event(job, f"Line {n}", "warning" if n else "info")
    rows.event(job, "Good news", "success")
    text = web(alice).get(URL).content.decode()
    assert "It ended its worker." in text and "Crashed" in text
    assert "4 set aside: k0001, k0002, k0003 and 1 more" in text
    assert [f"Line {n}" in text for n in range(5)] == [False, False, True, True, True]
    assert "Good news" not in text


def test_everybody_sees_their_own_and_operators_all(alice: User, bob: User, staff: User) -> None:
    failed(alice, "of alice")
    failed(bob, "of bob")
    assert shown(alice) == ["of alice"]
    assert shown(staff) == ["of bob", "of alice"]
    assert shown(staff, "source=ping") == [] and shown(staff, "source=shelves&before=x") != []
    assert Client().get(URL)["Location"].startswith("/signin/")


def test_pages_hold_every_one_once(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PAGE", 2)
    jobs = [failed(alice, f"n{n}") for n in range(5)]
    Job.objects.update(finished_at=jobs[0].finished_at)  # at one moment: the id decides
    found, query = [], ""
    for _ in range(3):
        context = web(alice).get(f"{URL}?{query}").context
        found += [row["job"].subject for row in context["rows"]]
        query = context["following"]
    assert (found, query) == (["n4", "n3", "n2", "n1", "n0"], "")


def test_the_next_page_stands_also_when_the_last_row_of_this_one_is_gone(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "PAGE", 2)
    jobs = [failed(alice, f"n{n}") for n in range(4)]
    following = web(alice).get(URL).context["following"]
    jobs[2].delete()
    assert shown(alice, following) == ["n1", "n0"]
    for wrong in ("x", "~", f"2026-01-01~{jobs[0].pk}x", f"~{jobs[0].pk}", f"9999-99-99~{jobs[0].pk}"):
        assert shown(alice, urlencode({"before": wrong})) == ["n3", "n1"]
    for odd in ("0001-01-01T00:00:00+14:00", "2026-01-01"):
        assert shown(alice, urlencode({"before": f"{odd}~{jobs[0].pk}"})) in ([], ["n3", "n1"])


def test_rows_cost_no_query_each(alice: User, staff: User) -> None:
    client = web(staff)
    failed(alice, "one")
    client.get(URL)
    with CaptureQueriesContext(connection) as few:
        client.get(URL)
    for n in range(9):
        rows.items(failed(alice, f"n{n}"), {"quarantined": 2})
    with CaptureQueriesContext(connection) as more:
        client.get(URL)
    assert len(more) == len(few) <= 8


def test_those_ticked_are_dismissed_with_a_reason_and_put_back(alice: User) -> None:
    one, two = failed(alice, "one"), failed(alice, "two")
    client = web(alice)
    said = {"verb": "dismiss", "job": str(one.pk), "reason": "The file is gone.", "source": "shelves"}
    answer = client.post(f"{URL}act/", said)
    assert answer["Location"] == f"{URL}?source=shelves"
    assert shown(alice) == ["two"]
    dismissed = client.get(f"{URL}?show=dismissed").content.decode()
    assert "The file is gone." in dismissed and "1 of 1 dismissed." in dismissed
    row = AuditLog.objects.get()
    assert (row.actor, row.action, row.target) == (alice.pk, "job.dismiss", one.stream)
    assert row.details == {"reason": "The file is gone."}
    again = client.post(f"{URL}act/", said, follow=True).content.decode()
    assert "It needs nobody any more." in again
    client.post(f"{URL}act/", {"verb": "put_back", "job": [str(one.pk), str(two.pk)]})
    assert shown(alice) == ["two", "one"] and not Dismissal.objects.exists()
    acts = AuditLog.objects.order_by("pk").values_list("action", flat=True)
    assert list(acts) == ["job.dismiss", "job.undismiss"]


def test_those_ticked_are_retried_by_the_verb(alice: User) -> None:
    one, two = failed(alice, "one"), failed(alice, "two")
    answer = web(alice).post(
        f"{URL}act/", {"verb": "retry", "job": [str(one.pk), str(two.pk), "x"]}, follow=True
    )
    assert "2 of 2 retried." in answer.content.decode()
    assert set(Job.objects.exclude(retry_of=None).values_list("retry_of", flat=True)) == {one.pk, two.pk}
    assert shown(alice) == []


@pytest.mark.django_db(transaction=True)
def test_what_is_held_or_not_theirs_is_told_and_holds_up_no_other(alice: User, staff: User) -> None:
    jobs = [failed(alice, f"n{n}") for n in range(3)]
    with holding(jobs[0]):
        answer = web(staff).post(
            f"{URL}act/", {"verb": "retry", "job": [job.pk for job in jobs]}, follow=True
        )
    assert "2 of 3 retried." in answer.text and "Something else is at work on it." in answer.text
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_all_jobs"))
    ticked = [rows.job(reader, "failed", params={"name": "own"}).pk, jobs[0].pk]
    answer = web(reader).post(f"{URL}act/", {"verb": "retry", "job": ticked}, follow=True)
    assert "1 of 2 retried." in answer.text and "It is not yours to change." in answer.text


@pytest.mark.parametrize("verb", ["retry", "dismiss", "put_back"])
def test_who_may_only_look_changes_nothing(verb: str, alice: User, bob: User) -> None:
    one = failed(alice, "one")
    watcher = User.objects.create_user("watcher", is_staff=True)
    watcher.user_permissions.add(Permission.objects.get(codename="view_all_jobs"))
    assert shown(watcher) == ["one"]
    assert 'name="job"' not in web(watcher).get(URL).content.decode()
    assert web(watcher).post(f"{URL}act/", {"verb": verb, "job": str(one.pk)}).status_code == 403
    assert web(bob).post(f"{URL}act/", {"verb": verb, "job": str(one.pk)}).status_code == 302
    assert (Job.objects.count(), Dismissal.objects.count()) == (1, 0)
    assert web(alice).post(f"{URL}act/", {"verb": "burn", "job": str(one.pk)}).status_code == 400
    assert web(alice).get(f"{URL}act/").status_code == 405


def test_the_list_is_304_until_something_changes(alice: User) -> None:
    job, client = failed(alice, "one"), web(alice)
    asked = {"hx_request": "true", "hx_target": "dead"}
    tag = client.get(URL, headers=asked)["ETag"]
    assert client.get(URL, headers={**asked, "if_none_match": tag}).status_code == 304
    dead_letters.dismiss(job, alice)
    changed = client.get(URL, headers={**asked, "if_none_match": tag})
    assert changed.status_code == 200 and "<html" not in changed.content.decode()


def test_a_dismissal_goes_with_its_job(alice: User) -> None:
    job = failed(alice, "one")
    dead_letters.dismiss(job, alice)
    client = web(alice)
    assert client.delete(f"/api/jobs/{job.pk}").status_code == 204
    assert not Dismissal.objects.exists()
