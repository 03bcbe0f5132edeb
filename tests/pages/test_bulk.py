"""All jobs that match: what is counted, that the count is what is confirmed, and that batches are bounded."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config.models import AuditLog
from ingestion import bulk
from ingestion.lists import Filters
from ingestion.models import Job
from tests.pages import rows
from tests.sessions import holding

pytestmark = pytest.mark.django_db

URL = "/jobs/all/"


@pytest.fixture
def desk(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client


def counts(client: Client, query: str = "") -> dict[str, int]:
    answer = client.get(f"{URL}?{query}")
    assert answer.status_code == 200
    return {one["name"]: one["found"].count for one in answer.context["verbs"]}


def confirm(client: Client, verb: str, **said: Any) -> Any:
    """Post what the page's own form for a verb says, changed by `said`."""
    filters = {name: value for name, value in said.items() if name not in ("shown", "newest")}
    shown = client.get(URL, filters).context["verbs"]
    (found,) = [one["found"] for one in shown if one["name"] == verb]
    return client.post(URL, {"verb": verb, "shown": found.count, "newest": found.newest, **said})


def states() -> list[str]:
    return list(Job.objects.filter(retry_of=None).order_by("pk").values_list("state", flat=True))


def test_each_verb_counts_exactly_what_it_would_change(alice: User, desk: Client) -> None:
    for state in ("pending", "waiting", "running", "completed", "cancelled", "failed", "failed"):
        rows.job(alice, state)
    rows.job(alice, "running", cancel_requested_at="2026-01-01T00:00Z")
    partial = rows.job(alice, "partial")
    assert counts(desk) == {"cancel": 3, "retry": 3, "delete": 5}
    rows.items(partial, {"failed": 1})
    rows.job(alice, "running", retry_of=Job.objects.filter(state="failed").first())
    assert counts(desk) == {"cancel": 4, "retry": 3, "delete": 5}
    assert counts(desk, "state=failed") == {"cancel": 0, "retry": 1, "delete": 2}
    assert counts(desk, "q=nothing") == {"cancel": 0, "retry": 0, "delete": 0}


@pytest.mark.django_db(transaction=True)
def test_a_job_whose_row_is_held_holds_up_no_other(alice: User, staff: User) -> None:
    jobs = [rows.job(alice, "pending") for _ in range(3)]
    found = bulk.find(staff, Filters(), "cancel")
    with holding(jobs[1]):
        done = bulk.act(staff, Filters(), "cancel", found.newest)
    assert (done.count, dict(done.refusals)) == (2, {bulk.HELD: 1})
    assert states() == ["cancelled", "pending", "cancelled"]


def test_all_that_match_are_cancelled_and_written_down(alice: User, bob: User, desk: Client) -> None:
    for owner in (alice, bob, alice):
        rows.job(owner, "pending")
    answer = confirm(desk, "cancel", by="alice")
    assert answer["Location"] == "/jobs/?by=alice"
    assert states() == ["cancelled", "pending", "cancelled"]
    acts = list(AuditLog.objects.order_by("pk").values_list("action", flat=True))
    assert acts == ["job.cancel", "job.cancel", "job.bulk"]
    row = AuditLog.objects.get(action="job.bulk")
    assert row.details == {"verb": "cancel", "count": 2, "filter": "by=alice"}


def test_retried_and_deleted_by_the_same_verbs(alice: User, desk: Client) -> None:
    for n in range(3):
        rows.job(alice, "failed", params={"name": f"n{n}"})
    confirm(desk, "retry", state="failed")
    assert Job.objects.exclude(retry_of=None).count() == 3
    assert counts(desk, "state=failed")["retry"] == 0
    confirm(desk, "delete", state="failed")
    assert states() == ["pending"] * 3


def test_a_count_that_moved_far_is_refused_and_shown_anew(alice: User, desk: Client) -> None:
    for _ in range(8):
        rows.job(alice, "pending")
    answer = confirm(desk, "cancel", shown=2)
    assert answer.status_code == 409 and "by now it would be 8" in answer.content.decode()
    assert set(states()) == {"pending"}
    confirm(desk, "cancel", shown=3)  # five more or less are what happens meanwhile
    assert set(states()) == {"cancelled"}
    assert not bulk.moved(1000, 901) and bulk.moved(1000, 899) and bulk.moved(1000, 1101)


def test_what_was_made_after_the_page_was_opened_is_not_meant(alice: User, desk: Client) -> None:
    old = rows.job(alice, "pending")
    rows.job(alice, "pending")
    desk.post(URL, {"verb": "cancel", "shown": 1, "newest": str(old.pk)})
    assert states() == ["cancelled", "pending"]


def test_too_many_are_refused(alice: User, desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST", 2)
    for _ in range(3):
        rows.job(alice, "pending")
    assert "More than 2 jobs match" in desk.get(URL).content.decode()
    answer = confirm(desk, "cancel")
    assert answer.status_code == 409 and set(states()) == {"pending"}


def test_what_is_not_reached_in_time_is_left_to_be_confirmed_again(
    alice: User, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    moments = iter([0.0, 1.0, 2.0, 3.0, 4.0])  # begun, and before each of the first four jobs
    monkeypatch.setattr(bulk, "monotonic", lambda: next(moments, 1e9))
    for _ in range(5):
        rows.job(alice, "pending")
    answer = confirm(desk, "cancel")
    assert answer["Location"] == URL
    assert states() == ["pending"] + ["cancelled"] * 4
    assert "1 are left" in desk.get(URL).content.decode()


def test_refusals_are_told_with_their_number(alice: User, desk: Client) -> None:
    for _ in range(2):
        rows.job(alice, "failed", source="gone")
    told = [str(one) for one in _messages(confirm(desk, "retry"))]
    assert told[0] == "0 retried." and told[1].startswith("2 jobs: ")


def test_who_does_not_operate_acts_on_their_own(alice: User, bob: User) -> None:
    rows.job(bob, "pending"), rows.job(alice, "pending")
    client = Client()
    client.force_login(alice)
    assert counts(client)["cancel"] == 1
    confirm(client, "cancel")
    assert states() == ["pending", "cancelled"]


def test_who_may_only_look_is_told_truly_how_many_match(
    alice: User, staff: User, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST_OF_USER", 2)
    staff.user_permissions.remove(staff.user_permissions.get(codename="operate"))
    for _ in range(3):
        rows.job(alice, "pending")
    assert "More than 2 jobs match" in desk.get(URL).content.decode()


@pytest.mark.parametrize(
    "said",
    [{"verb": "burn"}, {"shown": "x"}, {"shown": "99999999"}, {"newest": ""}, {"newest": "x"}],
)
def test_what_the_form_never_says_is_refused(said: dict[str, str], alice: User, desk: Client) -> None:
    job = rows.job(alice, "pending")
    given = {"verb": "cancel", "shown": "1", "newest": str(job.pk), **said}
    assert desk.post(URL, given).status_code == 400
    assert states() == ["pending"]


def _messages(answer: Any) -> Any:
    from django.contrib.messages import get_messages

    return get_messages(answer.wsgi_request)
