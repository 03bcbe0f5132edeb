"""Signing in and out."""

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth.signals import user_login_failed
from django.db import connection
from django.test import Client

from config import addresses, links, rates

BAD_NEXT = [
    "//evil.test", "/\\evil.test", "/\t/evil.test", "https:evil.test", "http:///evil.test",
    "http://testserver@evil.test/", "https://evil.test/", "javascript:alert(1)", "///evil.test",
    "\\\\evil.test", "http://testserver:9999/", "ftp://testserver/", "/\n/evil.test",
]  # fmt: skip


@pytest.fixture(autouse=True)
def count_from_zero():
    rates.forget()


def wrong_password(client: Client, name: str, address: str = "10.0.0.1"):
    return client.post("/signin/", {"username": name, "password": "wrong"}, REMOTE_ADDR=address)


def test_the_right_password_leads_where_the_person_wanted(client, alice):
    answer = client.post(
        "/signin/", {"username": "alice", "password": "alice's secret", "next": "/jobs/?state=failed"}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/jobs/?state=failed")


def test_a_wrong_name_comes_back_without_what_steers(client, alice):
    answer = wrong_password(client, "\u202ealice")
    assert 'value="\ufffdalice"' in answer.text
    assert "\u202e" not in answer.text


@pytest.mark.seed("SEC39")
def test_sign_in_gives_a_new_session(client, alice):
    client.get("/signin/")
    client.session["kept"] = 1
    before = client.session.session_key
    client.post("/signin/", {"username": "alice", "password": "alice's secret"})
    assert client.session.session_key != before


@pytest.mark.parametrize("target", BAD_NEXT)
def test_a_next_of_another_site_leads_home(client, alice, target):
    answer = client.post("/signin/", {"username": "alice", "password": "alice's secret", "next": target})
    assert answer["Location"] == "/"


@pytest.mark.seed("SEC61")
def test_unknown_user_and_wrong_password_read_alike(client, alice):
    known, unknown = wrong_password(client, "alice"), wrong_password(client, "nobody")
    strip = re.compile(r'value="[^"]*"|content="[^"]*"|nobody|alice|X-Request-Id.*')
    assert strip.sub("", known.content.decode()) == strip.sub("", unknown.content.decode())
    assert known.status_code == unknown.status_code == 200


@pytest.mark.seed("SEC61")
@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_the_eleventh_try_has_to_wait(client, alice, name):
    for _ in range(10):
        assert wrong_password(client, name).status_code == 200

    limited = client.post(
        "/signin/", {"username": name, "password": "alice's secret"}, REMOTE_ADDR="10.0.0.9"
    )

    assert limited.status_code == 429
    assert 1 <= int(limited["Retry-After"]) <= 300
    assert "Too many tries" in limited.content.decode()
    assert "_auth_user_id" not in client.session


@pytest.mark.seed("SEC61")
def test_an_address_has_fifty_tries(client, db):
    for number in range(50):
        assert wrong_password(client, f"user{number}").status_code == 200
    assert wrong_password(client, "another").status_code == 429
    assert wrong_password(client, "another", address="10.0.0.2").status_code == 200


@pytest.mark.seed("SEC61")
@pytest.mark.django_db(transaction=True)
def test_of_many_tries_at_once_no_more_are_made(alice, monkeypatch):
    monkeypatch.setattr(rates, "_skip_until", float("inf"))  # a slow Redis would begin another count
    everybody = Barrier(14)  # a try that was made waits for those that were begun with it

    def failed(**rest):
        everybody.wait(timeout=60)

    def guess(_: int) -> int:
        try:
            status = wrong_password(Client(), "alice").status_code
            if status == 429:
                everybody.wait(timeout=60)
            return status
        finally:
            connection.close()

    user_login_failed.connect(failed)
    try:
        with ThreadPoolExecutor(14) as threads:
            assert sorted(threads.map(guess, range(14))) == [200] * 10 + [429] * 4
    finally:
        user_login_failed.disconnect(failed)


@pytest.mark.seed("SEC43", "SEC61")
def test_a_household_has_no_more_tries_though_it_has_addresses_without_end(client, db):
    for number in range(50):
        assert wrong_password(client, f"user{number}", f"2001:db8:0:1::{number:x}").status_code == 200
    assert wrong_password(client, "another", "2001:db8:0:1:ffff::1").status_code == 429
    assert wrong_password(client, "another", "2001:db8:0:2::1").status_code == 200


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("unix:", "unix:"),
    ],
)
def test_an_address_is_counted_as_its_household(address, counted):
    assert addresses.counted(address) == counted


def test_right_passwords_are_not_counted(client, alice):
    for _ in range(12):
        answer = client.post("/signin/", {"username": "alice", "password": "alice's secret"})
        assert answer.status_code == 302
        client.post("/signout/")


def test_a_link_needs_the_button(client, alice):
    link = links.make(alice, "")
    page = client.get(link)
    assert page.status_code == 200 and "alice" in page.content.decode()
    assert "_auth_user_id" not in client.session
    assert client.post(link).status_code == 302
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_a_link_works_once(alice):
    link = links.make(alice, "")
    assert Client().post(link).status_code == 302
    assert Client().post(link).status_code == 404
    assert Client().get(link).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_at_once_one_signs_in(alice):
    link = links.make(alice, "")

    def click(_: int) -> int:
        try:
            return Client().post(link).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(click, range(4))) == [302, 404, 404, 404]


def test_a_link_ends_with_its_time(client, alice, settings):
    link = links.make(alice, "")
    settings.SIGN_IN_LINK_SECONDS = -1
    assert client.post(link).status_code == 404


def test_a_new_password_voids_links(client, alice):
    link = links.make(alice, "")
    alice.set_password("another")
    alice.save(update_fields=["password"])
    assert client.post(link).status_code == 404


@pytest.mark.parametrize("token", ["x", "a:b:c", "%00", "é", "W10:1abc:x"])
def test_a_forged_link_is_refused_in_words(client, db, token):
    answer = client.get(f"/signin/link/{token}/")
    assert answer.status_code == 404


def test_the_link_needs_the_csrf_token(alice):
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(links.make(alice, ""))
    assert answer.status_code == 403 and "form has expired" in answer.content.decode()


def test_signing_out_ends_the_session(client, alice):
    client.force_login(alice)
    assert client.post("/signout/").status_code == 200
    assert "_auth_user_id" not in client.session


def test_signing_out_is_no_link(client, alice):
    client.force_login(alice)
    assert client.get("/signout/").status_code == 405
    assert "_auth_user_id" in client.session


FORM = "/account/password/"  # takes forms alone


def test_a_form_of_who_was_signed_out_leads_back_to_its_page(client, alice):
    page = "http://testserver/jobs/?state=failed&q=two+words"
    answer = client.post(FORM, headers={"referer": page})
    assert answer.status_code == 302
    asked = client.get(answer["Location"])
    assert "You were signed out, so nothing was done." in asked.text
    back = client.post(
        "/signin/", {"username": "alice", "password": "alice's secret", "next": asked.context["next"]}
    )
    assert back["Location"] == "/jobs/?state=failed&q=two+words"


def test_what_htmx_sends_signed_out_leaves_the_page_for_the_sign_in(client, db):
    answer = client.post(FORM, headers={"referer": "http://testserver/jobs/", "hx-request": "true"})
    assert (answer.status_code, answer["HX-Redirect"]) == (200, "/signin/?next=/jobs/&unsent=1")
    assert "Location" not in answer


@pytest.mark.parametrize("referer", [None, "", "https://evil.test/jobs/", "http://[", "//evil.test/"])
def test_a_form_that_no_page_of_ours_sent_leads_to_no_other_site(client, db, referer):
    headers = {} if referer is None else {"referer": referer}
    assert client.post(FORM, headers=headers)["Location"] == f"/signin/?next={FORM}"
