"""Mails: that they arrive, what they hold, and the ways out of them."""

import re
from html.parser import HTMLParser

import pytest
from django.test import Client

from notifications import delivery, inbox, preferences, types
from notifications.models import Delivery, Notification, Preference
from tests.notifications.polyglots import POLYGLOTS

pytestmark = pytest.mark.django_db(transaction=True)

IMPORTANT = {"job_waiting", "job_failed"}  # of jobs: what asks for somebody


def sent(mail_server):
    delivery.deliver_due()
    assert mail_server.mails, Delivery.objects.values()
    return mail_server.mails[-1]


def parts(mail):
    plain, html = (part.get_content() for part in mail.iter_parts())
    return plain, html


@pytest.mark.seed("S2.109")
def test_a_mail_arrives_with_links_that_work(reached, mail_server):
    inbox.notify(
        [reached], "system", "12 documents are ready", text="Search <them> now.", url="/jobs/?state=failed"
    )
    mail = sent(mail_server)

    assert (mail["To"], mail["From"]) == ("alice@example.org", "headway@localhost")
    assert mail["Subject"] == "12 documents are ready" and mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == f"<{Delivery.objects.get().key}@headway.test>"
    plain, html = parts(mail)
    assert "Search <them> now." in plain and "Search &lt;them&gt; now." in html

    reader = Client()
    reader.force_login(reached)
    for text in (plain, html):
        found = re.findall(r'https://headway\.test(/[^\s"]*)', text)
        assert len(found) == 3 and "/jobs/?state=failed" in found
        for path in found:
            assert reader.get(path.replace("&amp;", "&")).status_code == 200, path


@pytest.mark.seed("S2.109")
def test_important_events_are_mailed_to_who_chose_nothing(alice, mail_server):
    type(alice).objects.filter(pk=alice.pk).update(email="alice@example.org")

    for kind in types.declared():
        inbox.notify([alice], kind, kind)
    delivery.deliver_due()

    assert not Preference.objects.exists()
    assert {mail["Subject"] for mail in mail_server.mails} == {
        *IMPORTANT,
        "auto_ingest_error",
        "lifelog_key_refused",
    }


@pytest.mark.seed("S2.109")
def test_one_click_ends_mails_of_that_type_without_a_session(reached, mail_server):
    """RFC 8058: a POST to the header's address, with nothing but its one field."""
    inbox.notify([reached], "system", "First")
    mail = sent(mail_server)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = re.fullmatch(r"<https://headway\.test(/[^>]+)>", mail["List-Unsubscribe"].strip())[1]

    provider = Client(enforce_csrf_checks=True)
    assert provider.head(address).status_code == provider.get(address).status_code == 200
    assert preferences.of_users([reached.pk], "system")[reached.pk] >= {"email"}  # a GET changes nothing

    answer = provider.post(address, {"List-Unsubscribe": "One-Click"})

    assert answer.status_code == 200 and "no more mails about" in answer.content.decode()
    inbox.notify([reached], "system", "Second")
    inbox.notify([reached], "job_failed", "Third")
    assert sent(mail_server)["Subject"] == "Third" and len(mail_server.mails) == 2


def test_the_page_of_the_link_can_end_all_mails(reached):
    address = f"/inbox/unsubscribe/{preferences.unsubscribe_token(reached.pk, 'system')}/"
    page = Client().get(address).content.decode()
    assert "Stop all mails" in page and reached.username not in page and reached.email not in page

    Client().post(address, {"what": "all"})

    assert not [one for one in preferences.of_user(reached.pk) if "email" in one.channels]
    assert Preference.objects.filter(when="off").count() == len(types.declared())


def test_who_is_gone_can_leave_too(reached):
    address = f"/inbox/unsubscribe/{preferences.unsubscribe_token(reached.pk, 'system')}/"
    reached.delete()

    assert Client().post(address, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert not Preference.objects.exists()


@pytest.mark.parametrize("token", ["x", "WzEsInN5c3RlbSJd:1vMz:forged"])
def test_a_forged_address_ends_nothing(reached, token):
    before = list(Preference.objects.values())
    assert Client().post(f"/inbox/unsubscribe/{token}/").status_code == 404
    assert list(Preference.objects.values()) == before


@pytest.mark.seed("S2.105")
@pytest.mark.parametrize("text", POLYGLOTS)
def test_whatever_a_title_holds_is_shown_literally(text, reached, mail_server):
    """SEC34: subject, plain and HTML part."""
    inbox.notify([reached], "system", text, text=text)
    mail = sent(mail_server)
    plain, html = parts(mail)

    shown = text.replace("\u202e", "").strip()
    assert mail["Subject"].strip() == shown and mail["Bcc"] is None
    assert text in plain
    body = re.sub(r"<(h1|p|a|small|/)[^>]*>", "", html.split("<body>")[1].split("<hr>")[0])
    assert "<" not in body
    reader = _Text()
    reader.feed(html)
    assert reader.texts.count(text) == 3  # title, heading, text


def test_a_subject_is_one_line_and_the_header_ends_there(reached, mail_server):
    inbox.notify([reached], "system", "One\r\nBcc: evil@evil.test\n\tThree\x0bfour")
    mail = sent(mail_server)
    assert mail["Subject"] == "One Bcc: evil@evil.test Three four" and mail["Bcc"] is None


@pytest.mark.seed("S2.105", "SEC31")
def test_a_link_that_was_forced_in_is_text(reached, mail_server):
    """SEC31."""
    inbox.notify([reached], "system", "Look")
    Notification.objects.update(url="javascript:alert(1)")
    plain, html = parts(sent(mail_server))
    assert "javascript" not in plain + html and "Open in Headway" not in html


@pytest.mark.seed("SEC33")
def test_a_link_to_another_site_goes_past_the_page_that_names_it(reached, mail_server, settings):
    """SEC33."""
    settings.LINK_HOSTS = ["other.test"]
    inbox.notify([reached], "system", "Look", url="https://other.test/a?b=c")
    plain, _ = parts(sent(mail_server))
    assert "https://headway.test/inbox/leave/?to=https%3A%2F%2Fother.test%2Fa%3Fb%3Dc" in plain


@pytest.mark.parametrize(("answer", "state"), [("550 No such user", "failed"), ("451 Later", "due")])
def test_a_refusal_for_good_ends_it_and_any_other_does_not(reached, mail_server, answer, state):
    """RFC 5321 4.2.1."""
    inbox.notify([reached], "system", "First")
    inbox.notify([reached], "system", "Second")
    mail_server.answer = lambda mail: answer if mail["Subject"] == "First" else "250 OK"

    delivery.deliver_due()

    rows = dict(Delivery.objects.values_list("notification__title", "state"))
    assert rows == {"First": state, "Second": "sent"}
    assert answer[4:] in Delivery.objects.get(notification__title="First").error


def test_mails_about_one_thing_are_one_thread(reached, mail_server):
    for version in (1, 2):
        inbox.notify([reached], "system", f"At {version}", group_key="k", version=version)
        delivery.deliver_due()
    first, second = mail_server.mails
    assert first["References"] == second["References"] and first["Message-ID"] != second["Message-ID"]


def test_without_a_mail_server_nothing_waits(reached, settings):
    settings.EMAIL_READY = False
    inbox.notify([reached], "system", "First")
    assert not Delivery.objects.exists()


class _Text(HTMLParser):
    """The texts of a document, as a browser would show them."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())
