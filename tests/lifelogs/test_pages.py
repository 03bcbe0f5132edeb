"""The pages of days: one day, its cell, calendars, search, accounts."""

import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion.models import Job, Schedule
from ingestion.sources.lifelogs import accounts, day_page, finding, limitless
from ingestion.sources.lifelogs.models import Account, DataItem
from ingestion.testing import resume_inline, run_inline
from tests.lifelogs.service import KEY, Answer, Item, Server

pytestmark = pytest.mark.django_db
XSS = "<img src=x onerror=alert(1)>"
NIGHT = datetime(2026, 11, 19, 12, tzinfo=UTC)
EVENING = datetime(2026, 11, 18, 18, tzinfo=UTC)


@pytest.fixture
def web(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, datetime]:
    """What time everybody reads."""
    now = {"now": EVENING}
    monkeypatch.setattr(limitless, "read_clock", lambda: now["now"])
    monkeypatch.setattr(day_page, "clock_of", lambda account: now["now"])
    return now


def sync(account: Account, day: str = "2026-11-18") -> Job:
    return run_inline("lifelogs", account.owner, account=account.pk, mode="day", date=day)


def url(account: Account, day: str = "2026-11-18", more: str = "") -> str:
    return f"/days/{account.pk}/{day}/{more}"


def read(web: Client, path: str, **headers: str) -> str:
    answer = web.get(path, headers=headers)
    assert answer.status_code == 200, answer
    return re.sub(r"\s+", " ", answer.content.decode())


def test_days_are_their_owners_alone(client: Client, account: Account, bob: User, service: Server) -> None:
    paths = [url(account), url(account, more="cell/"), f"/days/{account.pk}/", "/days/", "/days/search/?q=a"]
    assert {client.get(path).status_code for path in paths} == {302}
    client.force_login(bob)
    assert [client.get(path).status_code for path in paths] == [404, 404, 404, 302, 200]
    assert client.post(f"/days/{account.pk}/sync/", {"mode": "sync"}).status_code == 404
    assert client.post(f"/days/accounts/{account.pk}/pause/").status_code == 404
    assert not Job.objects.exists()


def test_an_hour_that_comes_twice_is_told_apart(
    web: Client, account: Account, service: Server, clock: dict[str, Any]
) -> None:
    service.put("a", "2026-10-25T02:10+02:00", title="First ten past")
    service.put("b", "2026-10-25T02:50+02:00", title="First ten to")
    service.put("c", "2026-10-25T02:05+01:00", title="Second five past")
    service.put("d", "2026-10-25T03:05+01:00")
    sync(account, "2026-10-25")
    text = read(web, url(account, "2026-10-25"))
    order = ["02:00 CEST", "First ten past", "First ten to", "02:00 CET", "Second five past"]
    places = [text.index(one) for one in order]
    assert places == sorted(places) and "03:00 CET" not in text


@pytest.mark.seed("S0.25", "S0.28")
def test_a_day_says_what_it_is_and_what_came_since_it_was_opened(
    web: Client, account: Account, service: Server, clock: dict[str, Any]
) -> None:
    text = read(web, url(account))
    assert "Not synced yet" in text and f'data-live="day:{account.pk}:2026-11-18"' in text
    service.put("a", "2026-11-18T08:00+01:00", title=XSS, text="about otters")
    sync(account)
    text = read(web, url(account))
    assert "This day is partial." in text and "It can be complete from 03:00 on Thursday 19 November" in text
    assert (
        "&lt;img src=x" in text
        and XSS not in text
        and "about otters" in text
        and "while you were" not in text
    )
    service.put("b", "2026-11-18T20:00+01:00")
    clock["now"] = NIGHT
    sync(account)
    fragment = url(account, more="?since=1&was=partial&f=all")
    assert "<html" not in read(web, fragment, HX_Target="day")
    text = read(web, fragment)
    assert "This day is now complete." in text and "1 item arrived while you were here." in text
    assert text.count("</svg>New</span>") == 1 and "Show the 1 new" in text
    text = read(web, url(account, more="?since=1&was=partial&f=new"))
    assert "otters" not in text
    assert "Complete since" in read(web, url(account))


def test_a_long_transcript_says_what_is_left_and_leads_there(
    web: Client, account: Account, service: Server, clock: dict[str, Any], bob: User
) -> None:
    node = {"type": "blockquote", "speakerName": "Ada", "children": []}
    service.put("a", "2026-11-18T08:00+01:00")
    service.put("b", "2026-11-18T09:00+01:00", text="only in words")
    told = Item.told

    def long(item: Item, *given: Any) -> dict[str, Any]:
        row = told(item, *given)
        said = [{**node, "content": f"Line {n:04}"} for n in range(1, 2006)]
        return {**row, "contents": row["contents"] and (said if item.id == "a" else [])}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Item, "told", long)
        sync(account)
    text = read(web, url(account))
    one = DataItem.objects.get(key="limitless:a")
    assert "Line 0100" in text and "Line 0101" not in text and "only in words" in text
    path = f"/days/{account.pk}/items/{one.pk}/"
    assert f'href="{path}">1,905 more lines</a>' in text
    shown = []
    while path:
        text = read(web, path)
        shown += re.findall(r"Line \d{4}", text)
        following = re.search(r'rel="next" href="(\?from=\d+)"', text)
        path = f"/days/{account.pk}/items/{one.pk}/{following[1]}" if following else ""
    assert shown == [f"Line {n:04}" for n in range(1, 2006)]
    assert "lines 2,001 to 2,005" in text and "from=1000" in text
    assert "Line 0001" in read(web, f"/days/{account.pk}/items/{one.pk}/?from=99999999999")
    DataItem.objects.filter(pk=one.pk).update(deleted_at=NIGHT)
    assert web.get(f"/days/{account.pk}/items/{one.pk}/").status_code == 404
    other = DataItem.objects.get(key="limitless:b")
    assert "only in words" in read(web, f"/days/{account.pk}/items/{other.pk}/")
    web.force_login(bob)
    assert web.get(f"/days/{account.pk}/items/{other.pk}/").status_code == 404


def test_a_fragment_that_did_not_change_is_not_sent_again(
    web: Client, account: Account, service: Server, clock: dict[str, Any]
) -> None:
    sync(account)
    first = web.get(url(account), headers={"HX-Target": "day"})
    again = web.get(url(account), headers={"HX-Target": "day", "If-None-Match": first["ETag"]})
    assert again.status_code == 304


def test_an_empty_complete_day_and_a_change_after_completion_are_said(
    web: Client, account: Account, service: Server, clock: dict[str, Any]
) -> None:
    clock["now"] = NIGHT
    sync(account)
    assert "Nothing was recorded on this day" in read(web, url(account))
    service.put("a", "2026-11-18T08:00+01:00")
    sync(account)
    assert "Updated after completion" in read(web, url(account))
    assert "Updated after completion." in read(web, url(account, more="?since=1&was=complete"))


def test_a_failed_day_says_so_on_its_page_and_in_its_calendar(
    web: Client,
    account: Account,
    service: Server,
    clock: dict[str, Any],
    django_capture_on_commit_callbacks: Any,
) -> None:
    service.mood = lambda asked: Answer(500)
    with django_capture_on_commit_callbacks(execute=True):
        sync(account)
    text = read(web, url(account))
    assert "The last sync of this day failed." in text and 'aria-label="18 November, failed"' in text


def test_calendars_name_each_day_and_count_them(
    web: Client, account: Account, service: Server, clock: dict[str, Any]
) -> None:
    clock["now"] = NIGHT
    sync(account)
    sync(account, "2026-11-19")
    text = read(web, url(account))
    assert 'aria-label="18 November, complete" aria-current="date"' in text
    assert 'aria-label="19 November, partial"' in text and 'aria-label="17 November, not synced yet"' in text
    assert "Sync 52 incomplete days" in text and 'id="cell-2026-11-20"' not in text  # it has not begun
    cell = read(web, url(account, more="cell/?on=2026-11-17")).strip()
    assert cell.startswith('<a id="cell-2026-11-18"') and "aria-current" not in cell
    text = read(web, f"/days/{account.pk}/")
    assert text.count("data-cell=") == (date(2026, 11, 19) - date(2025, 12, 31)).days
    assert "Complete 1" in text and "Partial 1" in text and "?year=2025" in text
    for year, shown in (("2025", 2025), ("020261", 2026), ("1999", 2026), ("2027", 2026), ("²025", 2026)):
        assert f"?year={shown - 1}" in read(web, f"/days/{account.pk}/?year={year}")


def test_asking_for_days_starts_one_job(
    web: Client, account: Account, service: Server, clock: dict[str, Any]
) -> None:
    for _ in range(2):
        answer = web.post(f"/days/{account.pk}/sync/", {"date": "2026-11-18"})
        assert answer["Location"] == url(account)
    job = Job.objects.get()
    assert (job.title, job.subject, job.object) == (
        "Sync a day",
        "2026-11-18",
        f"day:{account.pk}:2026-11-18",
    )
    assert "Sync a day." in read(web, url(account))
    resume_inline(job)
    assert web.post(f"/days/{account.pk}/sync/", {"mode": "incomplete"}).status_code == 302
    assert web.post(f"/days/{account.pk}/sync/", {"mode": "month", "month": "2026-13"}).status_code == 302
    assert Job.objects.count() == 2


def test_search_finds_words_in_ones_own_items(
    web: Client, account: Account, service: Server, clock: dict[str, Any], bob: User
) -> None:
    service.put("a", "2026-11-18T08:00+01:00", text="we spoke about otters and boats")
    service.put("b", "2026-11-18T09:00+01:00", text="nothing of that")
    sync(account)
    assert "1 item" in read(web, "/days/search/?q=otters boats")
    assert "Nothing found" in read(web, "/days/search/?q=otters%20-boats")
    assert read(web, "/days/search/?q=%00") and read(web, "/days/search/?q='%26!:*")
    assert not finding.items(bob, "otters")
    DataItem.objects.update(deleted_at=NIGHT)
    assert "Nothing found" in read(web, "/days/search/?q=otters")


def test_an_account_is_connected_paused_and_forgotten(
    web: Client, alice: User, service: Server, clock: dict[str, Any]
) -> None:
    assert web.get("/days/")["Location"] == "/days/accounts/"
    form = {"service": "limitless", "key": KEY, "zone": "Europe/Oslo", "label": "Mine"}
    for field, value, said in (
        ("zone", "Mars/North", "no such time zone"),
        ("key", "two words", "one word"),
        ("service", "other", "no such service"),
    ):
        answer = web.post("/days/accounts/add/", {**form, field: value})
        assert answer.status_code == 422 and said in answer.content.decode()
        assert KEY not in answer.content.decode()
    assert web.post("/days/accounts/add/", form).status_code == 302
    account = Account.objects.get()
    schedule = Schedule.objects.get()
    assert (schedule.params, schedule.zone) == ({"account": account.pk, "mode": "sync"}, "Europe/Oslo")
    assert Job.objects.get().title == "Sync lifelogs"
    assert "this key already" in web.post("/days/accounts/add/", form).content.decode()
    web.post(f"/days/accounts/{account.pk}/pause/")
    schedule.refresh_from_db()
    assert schedule.paused and "You paused it." in read(web, url(account))
    web.post(f"/days/{account.pk}/sync/", {"date": "2026-11-18"})
    assert Job.objects.count() == 1
    web.post(f"/days/accounts/{account.pk}/key/", {"key": "another-key"})
    account.refresh_from_db()
    assert (account.status, accounts.key_of(account)) == ("active", "another-key")
    web.post(f"/days/accounts/{account.pk}/revoke/")
    account.refresh_from_db()
    assert (account.status, account.sealed_key) == ("revoked", "")
    answer = web.post(f"/days/accounts/{account.pk}/delete/", {"label": "Mein"})
    assert answer.status_code == 422 and 'value="Mein"' not in answer.text  # nor in another form
    web.post(f"/days/accounts/{account.pk}/delete/", {"label": "Mine"})
    assert not Account.objects.exists() and not Schedule.objects.exists()


def test_a_key_that_was_forgotten_leaves_the_first_place_to_the_next(
    web: Client, account: Account, alice: User, service: Server, clock: dict[str, Any]
) -> None:
    accounts.revoke(account)
    assert web.get("/days/")["Location"].startswith(f"/days/{account.pk}/")  # its days are here
    anew = accounts.add(alice, "limitless", "another-key", "Europe/Oslo")
    sample = accounts.sample_of(alice)
    assert web.get("/days/")["Location"].startswith(f"/days/{anew.pk}/")
    assert accounts.of(alice) == [anew, account, sample]
    assert web.post("/api/days/2026-11-18/sync").json()["created"]


def test_the_sample_has_no_key_and_is_not_there_in_production(
    web: Client, alice: User, service: Server, settings: Any
) -> None:
    sample = accounts.sample_of(alice)
    for verb in ("key", "revoke"):
        answer = web.post(f"/days/accounts/{sample.pk}/{verb}/", {"key": KEY})
        assert answer.status_code == 422 and "The sample has no key." in answer.content.decode()
    assert Account.objects.get().status == "active" and not Account.objects.get().fingerprint
    accounts.delete(sample)
    settings.PRODUCTION = True
    assert web.post("/days/accounts/sample/").status_code == 404
    assert not Account.objects.exists() and not Job.objects.exists()


def test_the_sample_can_be_seen_without_an_account(web: Client, alice: User) -> None:
    assert web.post("/days/accounts/sample/").status_code == 302
    account = Account.objects.get()
    assert account.is_sample and web.get("/days/")["Location"].startswith(f"/days/{account.pk}/")
    assert Job.objects.get().params["mode"] == "watch"
