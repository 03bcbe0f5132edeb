"""The API and the command of days."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ingestion.models import Job
from ingestion.sources.lifelogs import day_page, limitless, source, storing
from ingestion.sources.lifelogs.models import Account
from ingestion.sources.lifelogs.sample import standin
from ingestion.testing import resume_inline, run_inline
from tests.lifelogs.service import KEY, Server

pytestmark = pytest.mark.django_db
NIGHT = datetime(2026, 11, 19, 12, tzinfo=UTC)


@pytest.fixture
def web(client: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(limitless, "read_clock", lambda: NIGHT)
    monkeypatch.setattr(day_page, "clock_of", lambda account: NIGHT)
    client.force_login(alice)
    return client


def send(web: Client, path: str, method: str = "post", **body: Any) -> Any:
    return getattr(web, method)(f"/api{path}", json.dumps(body), content_type="application/json")


@pytest.mark.seed("S0.3", "S0.28")
def test_a_day_is_asked_for_synced_and_read(web: Client, account: Account, service: Server) -> None:
    day = web.get("/api/days/2026-11-18").json()
    assert (day["status"], day["version"], day["items"], day["data_items"]) == ("partial", 0, 0, [])
    service.put("a", "2026-11-18T08:00+01:00", text="about otters")
    answer = send(web, "/days/2026-11-18/sync")
    assert answer.status_code == 201
    again = send(web, "/days/2026-11-18/sync")
    assert (again.status_code, again.json()["job"]) == (200, answer.json()["job"])
    ready = f"/api/ready?object=day:{account.pk}:2026-11-18&timeout=0"
    assert web.get(ready).json()["ready"] is False
    resume_inline(Job.objects.get())
    day = web.get("/api/days/2026-11-18").json()
    assert (day["status"], day["version"], day["items"]) == ("complete", 1, 1)
    [item] = day["data_items"]
    assert (item["id"], item["date"], item["ingestion_status"]) == ("limitless:a", "2026-11-18", "complete")
    assert web.get(ready).json()["ready"] is True
    listed = web.get("/api/days/").json()["days"]
    assert [(one["date"], one["status"], one["source"]) for one in listed] == [
        ("2026-11-18", "complete", "limitless")
    ]
    [found] = web.get("/api/days/search?q=otters").json()["items"]
    assert found["id"] == "limitless:a"
    assert web.get("/api/days/?from=2020-01-01").json()["code"] == "bad_parameter"


def test_search_tells_the_newest_first_page_by_page_in_one_query(
    web: Client, account: Account, service: Server, django_assert_max_num_queries: Any
) -> None:
    for day, hours in (("2026-11-18", (8, 9, 9)), ("2026-11-02", (7, 8))):  # the older day is brought later
        for n, hour in enumerate(hours):
            service.put(f"{day}-{n}", f"{day}T{hour:02}:00+01:00", text="about otters")
        run_inline("lifelogs", account.owner, account=account.pk, mode="day", date=day)
    pages, path = [], "/api/days/search?q=otters&limit=2"
    told = web.get(path).json()
    pages.append(told["items"])
    while told["next"]:
        told = web.get(f"{path}&cursor={told['next']}").json()
        pages.append(told["items"])
    assert [len(page) for page in pages] == [2, 2, 1]
    found = [(one["started_at"], one["id"]) for page in pages for one in page]
    assert [at for at, _ in found] == sorted((at for at, _ in found), reverse=True)
    assert len({key for _, key in found}) == 5 and found[-1][1] == "limitless:2026-11-02-0"
    with CaptureQueriesContext(connection) as of_one:
        web.get("/api/days/search?q=otters&limit=1")
    with django_assert_max_num_queries(len(of_one)):
        assert len(web.get("/api/days/search?q=otters&limit=50").json()["items"]) == 5


def test_several_days_are_synced_in_one_job(web: Client, account: Account, service: Server) -> None:
    answer = send(web, "/days/sync", mode="range", start="2026-11-01", end="2026-11-03")
    assert answer.status_code == 201
    assert resume_inline(Job.objects.get()).items_total == 3
    wrong = send(web, "/days/sync", mode="range", start="2026-11-01")
    assert wrong.status_code == 400 and "first and a last day" in wrong.content.decode()
    assert send(web, "/days/sync", mode="month", month="2026-11").status_code == 201


def test_accounts_are_managed_and_tell_no_key(web: Client, service: Server, bob: User) -> None:
    answer = send(web, "/days/accounts", key=KEY, zone="Europe/Oslo", label="Mine")
    assert answer.status_code == 201
    told = answer.json()
    first = Job.objects.get()  # what is there arrives now
    assert (first.params["mode"], first.params["account"]) == ("sync", told["id"])
    assert first.object == told["stream"]
    assert set(told) == {
        *("id", "service", "label", "zone", "status", "reason", "sample", "synced_from", "version", "stream")
    }
    assert KEY not in answer.content.decode()
    path = f"/days/accounts/{told['id']}"
    assert send(web, "/days/accounts", key=KEY, zone="Nowhere").json()["errors"][0]["field"] == "zone"
    assert send(web, path, "patch", paused=True, label="Yours").json()["status"] == "paused"
    refused = send(web, "/days/2026-11-18/sync")
    assert refused.status_code == 400 and refused.json()["code"] == "account_paused"
    assert send(web, path, "patch", paused=False).json()["status"] == "active"
    wrong = send(web, path, "patch", label="Theirs", key="two words")
    assert (
        wrong.status_code == 400 and web.get("/api/days/accounts").json()["accounts"][0]["label"] == "Yours"
    )
    web.force_login(bob)
    for method, body in (("patch", {"paused": True}), ("delete", {})):
        assert send(web, path, method, **body).status_code == 404
    assert web.get(f"/api/days/2026-11-18?account={told['id']}").status_code == 404
    assert web.get(f"/api/ready?object={told['stream']}&timeout=0").status_code == 404
    assert web.get("/api/days/accounts").json() == {"accounts": []}


def test_the_command_connects_lists_and_syncs(
    alice: User, service: Server, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str) -> str:
        call_command("lifelogs", *words, "--user", "alice")
        return str(capsys.readouterr().out)

    monkeypatch.setattr(limitless, "read_clock", lambda: NIGHT)
    monkeypatch.setattr(day_page, "clock_of", lambda account: NIGHT)
    monkeypatch.setattr("sys.stdin", io.StringIO(KEY + "\n"))
    said = run("add", "--zone", "Europe/Oslo")
    assert "synced now and every 6 hours" in said and KEY not in said
    account = Account.objects.get()
    assert Job.objects.get(object=account.stream).params["mode"] == "sync"
    assert "Europe/Oslo" in run("accounts") and KEY not in run("accounts", "--json")
    assert run("days") == ""
    assert "/jobs/" in run("sync", "--date", "2026-11-18")
    service.put("a", "2026-11-18T08:00+01:00")
    resume_inline(Job.objects.get(params__mode="day"))
    assert json.loads(run("days", "--json")) == [
        {"date": "2026-11-18", "status": "complete", "items": 1, "version": 1}
    ]
    assert re.search(r"^2026-11-18 +complete +1$", run("days"), re.MULTILINE)


def test_the_sample_goes_from_partial_to_complete(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    evening = datetime(2026, 11, 17, 19, tzinfo=UTC)
    seen: list[tuple[str, int]] = []
    save = storing.save

    def noted(job: Any, account: Account, day: Any, walk: Any) -> Any:
        stored = save(job, account, day, walk)
        row = account.days.get(date=day)
        seen.append((row.ingestion_status, row.items_count))
        return stored

    # The week's Monday, then the evening, which goes on for an hour with each look at it.
    monkeypatch.setattr(source, "WATCH_WEEKS", 1)
    monkeypatch.setattr(source, "WATCH_SECONDS", 0)
    monkeypatch.setattr(storing, "save", noted)
    monkeypatch.setattr(standin, "played", lambda born, now: evening + timedelta(hours=max(0, len(seen) - 2)))
    job = run_inline("lifelogs", alice, mode="watch")
    assert (job.state, job.message) == ("completed", "Tue 17 Nov 2026 is complete")
    assert [status for status, _ in seen] == ["complete"] + ["partial"] * 9 + ["complete"]
    items = [count for _, count in seen[1:]]
    assert items == sorted(items) and items[0] < items[-1]
