"""Asking Limitless: what is sent, what each refusal means, and that the key is told to nobody."""

import json
import logging
import time
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User

from ingestion import worklist
from ingestion.models import Pause, Schedule
from ingestion.outside import OutsideHost
from ingestion.outside_retries import TRIES, Unavailable
from ingestion.source import SourceError
from ingestion.sources.lifelogs import accounts
from ingestion.sources.lifelogs.limitless import Limitless
from ingestion.sources.lifelogs.models import Account
from ingestion.sources.lifelogs.sample import standin
from ingestion.sources.lifelogs.services import KeyRefused
from ingestion.sources.lifelogs.walking import walk
from ingestion.testing import run_inline
from notifications.models import Notification
from tests.asking import Job
from tests.lifelogs.service import KEY, Answer, Server

pytestmark = pytest.mark.django_db
OSLO = ZoneInfo("Europe/Oslo")
DAY = date(2026, 11, 18)


def client(job: Any = None, key: str = KEY) -> Limitless:
    return Limitless(job or Job(), key, "f" * 16)  # type: ignore[arg-type]


def page_of(*rows: Any, following: Any = None) -> Answer:
    body = {"data": {"lifelogs": list(rows)}, "meta": {"lifelogs": {"nextCursor": following, "count": 1}}}
    return Answer(200, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        (b'{"error": "Too many", "retryAfter": "7"}', {}, 8),
        (b'{"error": "Too many", "retryAfter": "7.5"}', {}, 8),
        (b'{"error": "Too many", "retryAfter": "99999"}', {}, 300),
        (b"not json", {"Retry-After": "3"}, 4),
        (b"{}", {}, 30),
        (b'{"retryAfter": "soon"}', {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30),
    ],
)
def test_a_429_pauses_all_who_use_the_key_for_as_long_as_it_says(
    service: Server, body: bytes, headers: dict[str, str], seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.mood = lambda asked: Answer(429, body, headers)
    paused: list[float] = []
    monkeypatch.setattr(OutsideHost, "pause", lambda self, n, reason: paused.append(n))
    with client() as asking, pytest.raises(Unavailable, match="asked us to wait"):
        asking.page(DAY, OSLO)
    assert paused == [seconds] * TRIES


def test_after_the_pause_it_goes_on(service: Server) -> None:
    service.put("a", "2026-11-18T08:00+01:00")
    service.mood = lambda asked: Answer(429, b'{"retryAfter": "1"}') if len(service.asked) == 1 else None
    job = Job()
    job.after_naps = lambda: job.message and Pause.objects.all().delete()
    with client(job) as asking:
        assert [one.source_id for one in asking.page(DAY, OSLO).items] == ["a"]
    assert any("Limitless asked us to wait 2 s" in text for text in job.messages)


def test_all_accounts_of_a_key_share_its_rate(service: Server, settings: Any) -> None:
    settings.LIMITLESS_PER_MINUTE = 180
    service.keys.add("x")
    free = Job()
    with client() as one, client() as two, Limitless(free, "x", "e" * 16) as other:  # type: ignore[arg-type]
        began = time.monotonic()
        for asking in (one, two, one, two):
            asking.page(DAY, OSLO)
        assert time.monotonic() - began >= 3 * 60 / 180  # the first at once
        other.page(DAY, OSLO)  # another key does not wait for it
        assert free.naps == [] and len(service.asked) == 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": {"lifelogs": 3}, "meta": {"lifelogs": {}}}',
        b'{"data": {"lifelogs": [3]}, "meta": {"lifelogs": {}}}',
        b'{"data": {"lifelogs": [{"id": ""}]}, "meta": {"lifelogs": {}}}',
        b'{"data": {"lifelogs": [{"id": "a", "startTime": "soon"}]}, "meta": {"lifelogs": {}}}',
        b'{"data": {"lifelogs": []}, "meta": {"lifelogs": {"nextCursor": 3}}}',
        b'{"a":' * 100_000,
        b'{"data": {"lifelogs": []}, "meta": {"lifelogs": {"nextCursor": null, "count": NaN}}}',
        b'{"data": {"lifelogs": []}, "meta": {"lifelogs": {"nextCursor": null, "count": 1e999}}}',
    ],
)
def test_what_cannot_be_read_is_an_error_in_words(service: Server, body: bytes) -> None:
    service.mood = lambda asked: Answer(200, body)
    with client() as asking, pytest.raises(SourceError, match="cannot be read"):
        asking.page(DAY, OSLO)


def test_odd_items_are_kept_as_well_as_they_can_be(service: Server) -> None:
    row = {
        "id": "a",
        "title": None,
        "markdown": "nul \u0000, half \ud800",
        "contents": [{"content": "\u0000", "children": None}],
        "startTime": "2026-11-18T08:00:00",
        "endTime": "2026-11-18T07:00:00",
        "updatedAt": 3,
    }
    service.mood = lambda asked: page_of(row)
    with client() as asking:
        [found] = asking.page(DAY, OSLO).items
    assert found.started_at == datetime(2026, 11, 18, 8, tzinfo=UTC) == found.ended_at  # naive is UTC
    assert (found.title, found.updated_at) == ("", None)
    assert "\0" not in found.markdown and found.markdown.encode() and "\0" not in json.dumps(found.contents)


def test_pages_that_go_round_in_a_circle_end(service: Server) -> None:
    service.mood = lambda asked: page_of(following="again")
    with client() as asking, pytest.raises(SourceError, match="circle"):
        walk(asking, DAY, OSLO)


def test_a_refused_key_pauses_the_account_and_tells_its_owner_once(
    service: Server, account: Account, alice: User
) -> None:
    service.keys.clear()
    job = run_inline(
        "lifelogs", alice, account=account.pk, mode="range", start="2026-11-10", end="2026-11-18"
    )
    assert job.state == "failed" and job.error is not None and job.error["code"] == "key_refused"
    assert len(service.asked) <= 2  # those that were under way together
    account.refresh_from_db()
    assert account.status == "paused" and "does not take your key" in account.reason
    assert not accounts.pause(account)
    accounts.refused(account, KeyRefused("key_refused", "again"))
    assert Notification.objects.filter(type="lifelog_key_refused", recipient=alice).count() == 1


def test_a_refusal_of_the_old_key_does_not_pause_who_gave_a_new_one(
    service: Server, account: Account, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that began with the old key hears of it after the owner gave the new one."""
    service.keys = {"another-key"}

    def passed(name: str) -> None:
        if name == "item.before_failure":  # refused, and nothing was done about it yet
            accounts.give_key(Account.objects.get(pk=account.pk), "another-key")

    monkeypatch.setattr(worklist, "hit", passed)
    job = run_inline("lifelogs", alice, account=account.pk, mode="day", date="2026-11-18")
    assert job.error is not None and job.error["code"] == "key_refused"
    account.refresh_from_db()
    assert (account.status, account.reason) == ("active", "") and accounts.key_of(account) == "another-key"
    assert not Schedule.objects.get().paused
    assert not Notification.objects.filter(type="lifelog_key_refused").exists()


@pytest.mark.parametrize("level", [logging.DEBUG])
def test_the_key_is_sealed_and_never_shown_or_logged(
    service: Server, account: Account, alice: User, caplog: pytest.LogCaptureFixture, client: Any, level: int
) -> None:
    """Fault 10: the beginning of the key and all headers stood in the logs."""
    assert KEY not in account.sealed_key and accounts.key_of(account) == KEY
    client.force_login(alice)
    with caplog.at_level(level):
        job = run_inline("lifelogs", alice, account=account.pk, mode="day", date="2026-11-18")
        pages = [client.get(url) for url in ("/days/accounts/", "/api/days/accounts", f"/api/jobs/{job.pk}")]
    assert service.asked and service.asked[0].key == KEY
    told = caplog.text + "".join(page.content.decode() for page in pages)
    told += json.dumps(list(job.events.values_list("data", flat=True))) + json.dumps(job.params)
    assert KEY[:6] not in told
    assert Account.objects.get().fingerprint not in json.dumps(client.get("/api/days/accounts").json())


def test_a_key_that_cannot_be_opened_asks_for_it_anew(
    service: Server, account: Account, alice: User, settings: Any
) -> None:
    """Every sync of it would fail, four a day without end."""
    settings.SECRET_KEY = "another key " * 5
    text = "The key of this account can no longer be read. Give it again."
    for _ in range(2):  # of two jobs that both hold it
        job = run_inline("lifelogs", alice, account=account.pk, mode="day", date="2026-11-18")
        assert job.error == {"code": "key_unreadable", "text": text}
        assert not service.asked
        account.refresh_from_db()
        assert (account.status, account.reason) == ("paused", text) and Schedule.objects.get().paused
        Account.objects.update(status="active")
        told = Notification.objects.get(type="lifelog_key_refused", recipient=alice)
        assert (told.text, told.url) == (text, "/days/accounts/")
        Notification.objects.all().delete()
    accounts.give_key(account, KEY)
    service.put("a", "2026-11-18T08:00+01:00")
    assert run_inline("lifelogs", alice, account=account.pk, mode="day", date="2026-11-18").items_done == 1
    assert not Schedule.objects.get().paused


def test_the_sample_plays_an_evening_and_a_night_in_a_minute() -> None:
    born = datetime(2026, 11, 18, 15, tzinfo=UTC)
    start = standin.first_evening(born)
    assert start == datetime(2026, 11, 17, 19, tzinfo=UTC)
    assert standin.first_evening(datetime(2026, 11, 18, 1, tzinfo=UTC)) == datetime(
        2026, 11, 16, 19, tzinfo=UTC
    )
    minute = standin.played(born, datetime(2026, 11, 18, 15, 1, tzinfo=UTC))
    assert minute == datetime(2026, 11, 18, 5, tzinfo=UTC)  # 3 h after the day's end are over
    later = datetime(2026, 11, 18, 18, tzinfo=UTC)
    assert standin.played(born, later) == later
