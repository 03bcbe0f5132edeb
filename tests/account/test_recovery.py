"""A way in by mail: the same answer for every address, and links that work once."""

import re
import smtplib
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from account import recovery
from config import rates
from config.models import AuditLog
from realtime.models import Session

pytestmark = pytest.mark.django_db(transaction=True)  # mails are sent by a thread of their own

OLD, NEW = "a password of today", "quite another password"


@pytest.fixture(autouse=True)
def untried() -> None:
    rates.forget()


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", "ann@example.org", OLD)


@pytest.fixture
def asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Ask for a mail, and wait until what that began is done."""
    begun = []
    later = recovery.send_later
    monkeypatch.setattr(recovery, "send_later", lambda *args: begun.append(later(*args)))

    def ask(email: str, way: str = "link", **more: Any) -> Any:
        answer = client.post("/signin/mail/", {"email": email, "way": way}, **more)
        while begun:
            if (sending := begun.pop()) is not None:
                sending.result(timeout=60)
        return answer

    return ask


def link_of(sent: mail.EmailMessage) -> str:
    return re.search(r"^http://127\.0\.0\.1:8000(/signin/\S+)$", sent.body, re.MULTILINE)[1]


def test_a_link_by_mail_signs_in_once(asked: Any, ann: User) -> None:
    # The address is told as it was typed; the link is the site's, whatever Host was asked.
    answer = asked("ANN@example.org", headers={"host": "localhost"})
    assert answer.status_code == 200 and "ANN@example.org" in answer.text
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == (["ann@example.org"], "Sign in to Headway")
    web = Client()
    assert web.post(link_of(sent)).status_code == 302
    assert web.get("/account/").status_code == 200
    assert Client().post(link_of(sent)).status_code == 404


def test_a_new_password_by_mail_ends_every_session(asked: Any, ann: User) -> None:
    there = Client()
    there.post("/signin/", {"username": "ann", "password": OLD})
    asked("ann@example.org", "password")
    path = link_of(mail.outbox[0])
    web = Client()
    page = web.get(path, follow=True)
    assert "For <strong>ann</strong>" in page.text
    form = page.request["PATH_INFO"]
    weak = web.post(form, {"new_password1": "short", "new_password2": "short"})
    assert "at least" in weak.text
    assert "match" in web.post(form, {"new_password1": NEW, "new_password2": NEW + "x"}).text
    done = web.post(form, {"new_password1": NEW, "new_password2": NEW}, follow=True)
    assert "Your new password is set." in done.text and not Session.objects.filter(user=ann).exists()
    ann.refresh_from_db()
    assert ann.check_password(NEW)
    assert there.get("/account/").status_code == 302
    written = AuditLog.objects.get()
    assert (written.action, written.actor, written.details) == (
        "account.password",
        ann.pk,
        {"through": "mail"},
    )
    again = Client().get(path, follow=True)
    assert "This link was used already, or is over." in again.text


def test_the_answer_says_nothing_of_who_has_an_account(asked: Any, ann: User) -> None:
    User.objects.create_user("gone", "gone@example.org", OLD, is_active=False)
    texts = set()
    for address in ("ann@example.org", "nobody@example.org", "gone@example.org"):
        texts.add(re.sub(r"csrf\" content=\"[^\"]*|csrfmiddlewaretoken.*|c=\"[^\"]*|content=\"20[^\"]*", "",
                         asked(address).text.replace(address, "X")))  # fmt: skip
    assert len(texts) == 1
    assert [sent.to for sent in mail.outbox] == [["ann@example.org"]]
    # The request itself asks the database for nothing: its time says nothing either.
    with CaptureQueriesContext(connection) as queries:
        asked("ann@example.org")
    assert not queries.captured_queries


def test_nobodys_mailbox_is_filled_and_no_address_asks_for_ever(asked: Any, ann: User) -> None:
    for _ in range(5):
        assert asked("ann@example.org").status_code == 200
    assert len(mail.outbox) == 3
    codes = [asked(f"n{n}@example.org").status_code for n in range(6)]
    assert codes == [200] * 5 + [429]
    assert asked("other@example.org", REMOTE_ADDR="192.0.2.9").status_code == 200
    refused = asked("other@example.org")
    assert refused.status_code == 429 and int(refused["Retry-After"]) > 0


@pytest.mark.parametrize(
    "address", ["", "ann", "a@b\nBcc: x@y.org", "<script>@x", "x" * 300 + "@a.org", "\u202eann"]
)
def test_what_is_no_address_is_refused(asked: Any, address: str) -> None:
    answer = asked(address)
    assert answer.status_code == 422 and "That is not an e-mail address." in answer.text
    assert "\u202e" not in answer.text
    assert not mail.outbox


def test_a_mail_server_that_is_away_is_told_to_nobody(asked: Any, ann: User, monkeypatch: Any) -> None:
    def away(*args: Any) -> None:
        raise smtplib.SMTPServerDisconnected

    monkeypatch.setattr(mail.EmailMessage, "send", away)
    assert asked("ann@example.org").status_code == 200
    monkeypatch.undo()


def test_without_a_mail_server_the_page_says_so(client: Client, settings: Any, ann: User) -> None:
    settings.EMAIL_READY = False
    assert "No mail server is set up here." in client.get("/signin/mail/").text
    assert "No mail server" in client.post("/signin/mail/", {"email": "ann@example.org"}).text
    assert not mail.outbox


def test_too_many_that_wait_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_places", recovery.BoundedSemaphore(1))
    assert recovery._places.acquire(blocking=False)
    assert recovery.send_later("ann@example.org", "link") is None


def test_who_ends_waits_for_mails_that_were_asked_for(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    may = Event()
    sent: list[bool] = []
    monkeypatch.setattr(mail.EmailMessage, "send", lambda one: sent.append(may.wait(60)))
    recovery.send_later("ann@example.org", "link")
    recovery.finish(0.0)  # no longer than it is told
    assert not sent
    may.set()
    recovery.finish(60.0)
    assert sent == [True]


@pytest.mark.parametrize("path", ["MQ/abc-def", "_/x", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5/abc-def"])
def test_a_forged_link_is_refused(client: Client, ann: User, path: str) -> None:
    answer = client.get(f"/signin/password/{path}/")
    assert answer.status_code == 200 and "This link was used already, or is over." in answer.text
    assert client.post(f"/signin/password/{path}/", {"new_password1": NEW}).status_code == 200
    ann.refresh_from_db()
    assert ann.check_password(OLD)
