"""How we ask the SEC, and what each of its refusals means (DATA C1, SECURITY SEC28, SEC30)."""

import gzip
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection
from tenacity import wait_fixed

from ingestion import outside, outside_bodies, outside_retries
from ingestion.clock import read_clock
from ingestion.models import Pause
from ingestion.outside_retries import LONGEST_WAIT, TRIES, Paused, Unavailable
from ingestion.source import SourceError
from ingestion.sources.companies import client
from ingestion.sources.companies.client import Missing, Sec
from tests.asking import Job
from tests.companies.standin import BLOCKED, NO_FILE, UNDECLARED, Page, Standin

pytestmark = pytest.mark.django_db
A = "0000000007-20-000001"


def ask(job: Job, path: str = "/x.json", most: int = 1000, **known: str) -> Any:
    with Sec(job) as asking:  # type: ignore[arg-type]
        return asking.ask(asking.www + path, most, **known)


def waits(job: Job) -> list[float]:
    """Return how long it slept between tries; for its turn it does too, where the host answers at once."""
    return [nap for nap in job.naps if nap != outside.TURN_LOOK_SECONDS]


def answers(*pages: Page) -> Callable[[str], Page]:
    """Give these one after the other, and the last for ever."""
    left = list(pages)
    return lambda path: left.pop(0) if len(left) > 1 else left[0]


def test_we_say_who_we_are_and_take_packed_answers(sec: Standin, job: Job) -> None:
    sec.put("/x.json", b"[1]")
    assert ask(job).content == b"[1]"
    [asked] = sec.asked
    assert asked.headers["user-agent"] == "Headway Example Org admin@example.org"
    assert asked.headers["accept-encoding"] == "gzip, deflate"


def test_without_a_contact_nobody_is_asked(sec: Standin, job: Job, settings: Any) -> None:
    settings.SEC_CONTACT = ""
    with pytest.raises(SourceError, match="Set HEADWAY_SEC_CONTACT") as caught:
        ask(job)
    assert (caught.value.code, caught.value.retryable, sec.asked) == ("sec_no_contact", False, [])


def test_proxies_of_the_environment_are_not_asked(
    sec: Standin, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    sec.put("/x.json", b"{}")
    assert ask(job).content == b"{}"


def test_what_has_not_changed_is_not_sent_again(sec: Standin, job: Job) -> None:
    sec.put("/x.json", b"[1]", headers={"ETag": '"7"', "Last-Modified": "Mon, 08 Jun 2026 01:14:09 GMT"})
    first = ask(job)
    assert (first.etag, first.modified) == ('"7"', "Mon, 08 Jun 2026 01:14:09 GMT")
    assert ask(job, etag=first.etag, modified=first.modified) is None
    assert sec.asked[1].headers["if-modified-since"] == first.modified


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (Page(b"<Error><Code>NoSuchKey</Code></Error>", 404), "sec_missing"),
        (Page(NO_FILE, 403), "sec_missing"),  # how the archive says that there is no such file
        (Page(UNDECLARED, 403), "sec_identity"),
        (Page(b"<html>no</html>", 403), "sec_status"),
        (Page(b"", 301, headers={"Location": "http://169.254.169.254/"}), "sec_status"),
        (Page(b"", 302, headers={"Location": "/elsewhere"}), "sec_status"),
        (Page(b"", 304), "sec_status"),  # nobody said that we have a copy
        (Page(b"", 400), "sec_status"),
    ],
)
def test_a_refusal_that_is_final_is_not_asked_again(sec: Standin, job: Job, page: Page, code: str) -> None:
    sec.mood = answers(page)
    with pytest.raises(SourceError) as caught:
        ask(job)
    assert (caught.value.code, caught.value.retryable, len(sec.asked)) == (code, False, 1)
    assert not Pause.objects.exists() and waits(job) == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_what_may_pass_is_asked_again_after_a_wait(sec: Standin, job: Job, status: int) -> None:
    sec.mood = answers(Page(b"busy", status), Page(b"busy", status), Page(b"[1]"))
    assert ask(job).content == b"[1]"
    assert len(sec.asked) == 3 and len(waits(job)) == 2


def test_it_gives_up_after_some_tries_and_says_that_later_may_help(sec: Standin, job: Job) -> None:
    sec.mood = answers(Page(b"busy", 503, headers={"Retry-After": "3"}))
    with pytest.raises(Unavailable, match="The SEC answered 503") as caught:
        ask(job)
    assert len(sec.asked) == TRIES and caught.value.retryable
    assert waits(job) == [3.0] * (TRIES - 1)


def test_it_waits_no_longer_than_we_would_for_what_the_sec_asks(sec: Standin, job: Job) -> None:
    sec.mood = answers(Page(b"busy", 503, headers={"Retry-After": "3600"}))
    with pytest.raises(Unavailable):
        ask(job)
    assert waits(job) == [LONGEST_WAIT] * (TRIES - 1)


def test_an_answer_that_does_not_come_is_asked_for_again(
    sec: Standin, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIME_OUT", httpx.Timeout(5, read=0.2))
    go = threading.Event()
    sec.before = lambda path: None if len(sec.asked) > 1 else _held(go)
    sec.put("/x.json", b"[1]")
    assert ask(job).content == b"[1]"
    go.set()
    monkeypatch.setattr(client, "WHOLE_TIME", -1.0)
    with pytest.raises(Unavailable) as caught:
        ask(job)
    assert caught.value.code == "sec_timeout" and len(sec.asked) == 2 + TRIES


def _held(go: threading.Event) -> None:
    go.wait(20)


def test_a_server_that_is_away_is_unavailable(sec: Standin, job: Job, settings: Any) -> None:
    settings.SEC_WWW_URL = "http://127.0.0.1:9"
    with pytest.raises(Unavailable) as caught:
        ask(job)
    assert caught.value.code == "sec_unreachable"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [429, 403])
def test_a_block_is_kept_by_everybody_until_its_end(
    sec: Standin, settings: Any, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    settings.SEC_BLOCK_SECONDS = 2
    monkeypatch.setattr(outside, "PAUSE_LOOK_SECONDS", 0.1)
    sec.put("/x.json", b"[1]")
    sec.mood = answers(Page(BLOCKED, status, "text/html"), Page(b"[1]"))
    first, second = Job(), Job()
    done: list[bytes] = []

    def go(job: Job) -> None:
        done.append(ask(job).content)
        connection.close()

    one = threading.Thread(target=go, args=(first,))
    one.start()
    while not Pause.objects.exists():
        assert one.is_alive()
    other = threading.Thread(target=go, args=(second,))
    other.start()
    one.join()
    other.join()
    times = [asked.at for asked in sec.asked]
    assert done == [b"[1]", b"[1]"] and len(times) == 3
    assert times[1] - times[0] >= 1.9
    for job in (first, second):
        assert [line[:40] for line in job.lines] == ["sec.gov asked us to stop for 2 seconds; "]


def test_a_block_that_does_not_end_is_given_up(
    sec: Standin, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside.OutsideHost, "_wait_out_pause", lambda self, job: None)
    # A pause is waited out, and nothing on top.
    monkeypatch.setattr(outside_retries, "_backoff", wait_fixed(7))
    sec.mood = answers(Page(BLOCKED, 429))
    with pytest.raises(Paused):
        ask(job)
    assert Pause.objects.get().scope == "host:sec.gov"
    assert len(sec.asked) == TRIES and waits(job) == [0] * (TRIES - 1)


def cut(body: bytes, status: int) -> Page:
    """Return a page that breaks off."""
    more = {"Content-Length": str(len(body) + 99), "Connection": "close"}
    return Page(body, status, "text/html", headers=more, packed=False)


@pytest.mark.parametrize("body", [BLOCKED, b""])
def test_a_block_whose_page_breaks_off_is_one(
    sec: Standin, job: Job, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(outside.OutsideHost, "_wait_out_pause", lambda self, job: None)
    sec.put("/x.json", b"[1]")
    sec.mood = answers(cut(body, 429), Page(b"[1]"))
    assert ask(job).content == b"[1]"
    assert Pause.objects.get().scope == "host:sec.gov"
    assert len(sec.asked) == 2 and waits(job) == [0]


def test_a_refusal_that_breaks_off_before_it_says_why_is_asked_again(sec: Standin, job: Job) -> None:
    sec.mood = answers(cut(b"", 403), Page(b"[1]"))
    assert ask(job).content == b"[1]"
    sec.mood = answers(cut(b"", 404))
    with pytest.raises(Missing):
        ask(job)
    assert len(sec.asked) == 3 and not Pause.objects.exists()


@pytest.mark.parametrize("seconds", [None, 86400, 5, -5])
def test_a_block_ends_no_pause_of_an_operator_early(alice: User, seconds: int | None) -> None:
    until = None if seconds is None else read_clock() + timedelta(seconds=seconds)
    Pause.objects.create(scope="host:sec.gov", until=until, reason="Maintenance", by=alice)
    outside.OutsideHost("sec.gov", 8).pause(600, "sec.gov asked us to stop")
    pause = Pause.objects.get()
    if seconds in (None, 86400):
        assert (pause.until, pause.reason, pause.by) == (until, "Maintenance", alice)
    else:
        assert pause.until is not None and until is not None and pause.until > until + timedelta(minutes=9)
        assert (pause.reason, pause.by) == ("sec.gov asked us to stop", None)


def test_bytes_are_counted_unpacked_and_nothing_more_is_read(sec: Standin, job: Job) -> None:
    bomb = gzip.compress(b"0" * 50_000_000, 9)
    sec.put("/x.json", bomb, headers={"Content-Encoding": "gzip"}, packed=False)
    began = time.process_time()
    with pytest.raises(SourceError) as caught:
        ask(job, most=client.MEGABYTE)
    assert (caught.value.code, caught.value.message) == ("sec_too_large", "The answer is larger than 1 MB.")
    assert time.process_time() - began < 0.3
    sec.put("/x.json", b"0" * 1001, packed=False)
    with pytest.raises(SourceError, match="larger"):
        ask(job, most=1000)
    sec.put("/x.json", b"0" * 1000, packed=False)
    assert len(ask(job, most=1000).content) == 1000


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(b"[1]" * 999, mtime=0)[:-20], {"Content-Encoding": "gzip"}),
        (b"[1", {"Content-Length": "3"}),
    ],
)
def test_half_an_answer_is_asked_again(sec: Standin, job: Job, body: bytes, headers: dict[str, str]) -> None:
    sec.put("/x.json", b"[1]")
    bad = Page(body, headers={**headers, "Connection": "close"}, packed=False)
    sec.mood = lambda path: bad if len(sec.asked) == 1 else None
    assert ask(job).content == b"[1]"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"no gzip", "gzip"), (b"x", "br"), (gzip.compress(b"x", mtime=0), "gzip, gzip")],
    ids=["not packed", "another way", "twice"],
)
def test_what_is_packed_as_we_did_not_ask_is_refused(
    sec: Standin, job: Job, body: bytes, encoding: str
) -> None:
    sec.put("/x.json", body, headers={"Content-Encoding": encoding}, packed=False)
    with pytest.raises(SourceError) as caught:
        ask(job)
    assert caught.value.code == "sec_bad_answer"


def test_names_from_outside_cannot_lead_elsewhere(sec: Standin, job: Job) -> None:
    with Sec(job) as asking:  # type: ignore[arg-type]
        for name in ("../../x", "..", "a/../../b", "/etc", "a//b", "a\\b", "a\nb", "."):
            with pytest.raises(Missing):
                asking.document_url(7, A, name)
        for name in ("../CIK0000000007.json", "http://evil.test/CIK0000000007-submissions-001.json", ""):
            with pytest.raises(Missing):
                asking.older_submissions(name)
        folder = f"{sec.url}/Archives/edgar/data/7/000000000720000001"
        assert asking.document_url(7, A, "xslF345X05/a b?#.xml") == f"{folder}/xslF345X05/a%20b%3F%23.xml"
        assert asking.document_url(7, A, "") == f"{folder}/{A}.txt"
    assert sec.asked == []


def test_all_threads_of_all_jobs_share_one_rate(sec: Standin, settings: Any) -> None:
    settings.SEC_PER_SECOND = 8
    sec.put("/x.json", b"{}")

    def go() -> None:
        for _ in range(6):
            ask(Job())
        connection.close()

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = sorted(asked.at for asked in sec.asked)
    assert len(times) == 24
    assert all(later - earlier > 1 for earlier, later in zip(times, times[10:], strict=False))


def test_clients_share_one_tls_context(sec: Standin, job: Job) -> None:
    assert outside_bodies.tls() is outside_bodies.tls()
    with Sec(job) as one, Sec(job) as two:  # type: ignore[arg-type]
        contexts = {id(each._http._transport._pool._ssl_context) for each in (one, two)}  # type: ignore[attr-defined]
    assert contexts == {id(outside_bodies.tls())}
