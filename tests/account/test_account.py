"""The account page: profile, password, sessions, tokens, each one's own alone."""

import re
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.exceptions import SessionInterrupted
from django.test import Client
from structlog.testing import capture_logs

from account import sign_ins
from config import rates
from ingestion import tokens
from ingestion.models import ApiToken
from realtime.models import Session
from realtime.sessions import SessionStore

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
OLD, NEW = "a password of today", "quite another password"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def untried():
    rates.forget()


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", "ann@example.org", OLD)


def browser(user: User, agent: str = FIREFOX) -> Client:
    client = Client(headers={"user-agent": agent})
    client.post("/signin/", {"username": user.username, "password": OLD})
    assert client.session[SESSION_KEY] == str(user.pk)
    return client


def signed_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def test_nobody_sees_it_without_signing_in(client):
    answer = client.get("/account/")
    assert (answer.status_code, answer["Location"]) == (302, "/signin/?next=/account/")


def test_a_name_is_kept_and_an_address_only_with_the_password(ann):
    client = browser(ann)
    profile = {"first_name": "  Ann   of  Nowhere ", "email": "ann@example.org"}
    assert client.post("/account/profile/", profile).status_code == 302
    ann.refresh_from_db()
    assert ann.get_full_name() == "Ann of Nowhere"
    wrong = client.post("/account/profile/", profile | {"email": "eve@example.org", "current": "guess"})
    assert wrong.status_code == 422
    assert "That is not your password." in wrong.text and 'value="eve@example.org"' in wrong.text
    ann.refresh_from_db()
    assert ann.email == "ann@example.org"
    client.post("/account/profile/", profile | {"email": "new@example.org", "current": OLD})
    ann.refresh_from_db()
    assert ann.email == "new@example.org"


@pytest.mark.parametrize(
    ("page", "typed"),
    [
        ("profile", {"email": "eve@example.org", "current": "guess"}),
        ("password", {"old": "guess", "new": NEW}),
        ("tokens", {"name": "for ever", "scopes": ["read"], "days": "", "current": "guess"}),
        ("delete", {"username": "ann", "current": "guess"}),
    ],
)
def test_a_wrong_password_is_written_down_without_what_was_typed(ann, page, typed):
    client = browser(ann)
    with capture_logs() as lines:
        assert client.post(f"/account/{page}/", typed).status_code == 422
    [line] = [one for one in lines if one["event"] == "password_wrong"]
    assert (line["user"], line["address"]) == (ann.pk, "127.0.0.1") and "guess" not in str(lines)
    with capture_logs() as lines:  # who forgot it guesses nothing
        client.post(f"/account/{page}/", typed | dict.fromkeys(("current", "old"), ""))
    assert not [one for one in lines if one["event"] == "password_wrong"]


def test_a_new_password_keeps_this_session_and_ends_every_other(ann):
    here, there = browser(ann), browser(ann)
    stranger = User.objects.create_user("bob", password=OLD)
    bobs = browser(stranger)
    assert here.post("/account/password/", {"old": "guess", "new": NEW}).status_code == 422
    assert signed_in(there)
    assert here.post("/account/password/", {"old": OLD, "new": NEW}).status_code == 302
    assert signed_in(here) and signed_in(bobs) and not signed_in(there)
    ann.refresh_from_db()
    assert ann.check_password(NEW)
    # The session's key is a new one, and its row still knows its user.
    assert [one.here for one in sign_ins.of(ann, here.session.session_key)] == [True]


@pytest.mark.parametrize(
    ("new", "words"),
    [("short", "at least"), ("ann@example.org", "too similar"), ("password123", "too common")],
)
def test_a_weak_password_is_refused_in_words(ann, new, words):
    answer = browser(ann).post("/account/password/", {"old": OLD, "new": new})
    assert answer.status_code == 422 and words in answer.text
    ann.refresh_from_db()
    assert ann.check_password(OLD)


def test_an_open_page_is_no_way_to_guess_the_password(ann):
    client = browser(ann)
    tries = [client.post("/account/password/", {"old": "guess", "new": NEW}) for _ in range(11)]
    assert [answer.status_code for answer in tries] == [422] * 10 + [429]
    # The right one is not tried either, from either form.
    refused = client.post("/account/password/", {"old": OLD, "new": NEW})
    assert refused.status_code == 429 and int(refused["Retry-After"]) > 0
    assert "Too many tries" in refused.text
    right = {"first_name": "", "email": "new@example.org", "current": OLD}
    assert client.post("/account/profile/", right).status_code == 429
    ann.refresh_from_db()
    assert (ann.check_password(OLD), ann.email) == (True, "ann@example.org")


def test_a_person_sees_where_they_are_signed_in_and_no_cookie(ann):
    here = browser(ann)
    there = browser(ann, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1")
    browser(User.objects.create_user("bob", password=OLD), "Bobs/1.0 Chrome/1")
    text = here.get("/account/").text
    listed = text[text.index("Where you are signed in") : text.index("Tokens of programs")]
    assert re.findall(r"<span>(.*? on [^<]*?|A browser)(?: <strong>· this one</strong>)?<span", listed) == [
        "Firefox on Linux",
        "Safari on iPhone",
    ]
    assert listed.count("this one") == 1 and "from 127.0.0.1" in listed
    assert all(one.session.session_key not in text for one in (here, there))


def test_one_browser_or_all_others_are_signed_out(ann):
    here, second, third = (browser(ann) for _ in range(3))
    bob = User.objects.create_user("bob", password=OLD)
    bobs = browser(bob)
    key = next(one.key for one in sign_ins.of(ann, second.session.session_key) if one.here)
    bobs.post("/account/sessions/end/", {"key": key})  # another's key ends nothing
    assert signed_in(second)
    here.post("/account/sessions/end/", {"key": key})
    assert [signed_in(one) for one in (here, second, third, bobs)] == [True, False, True, True]
    here.post("/account/sessions/end-others/")
    assert [signed_in(one) for one in (here, third, bobs)] == [True, False, True]
    assert Session.objects.filter(user=ann).count() == 1


@pytest.mark.seed("SEC59")
def test_a_token_is_shown_once_works_and_is_revoked(ann):
    client = browser(ann)
    answer = client.post("/account/tokens/", {"name": "Nightly", "scopes": ["read"], "days": "30"})
    token = re.search(r"<code data-token>(.*?)</code>", answer.text)[1]
    row = ApiToken.objects.get()
    assert (row.user, row.scopes) == (ann, ["read"])
    assert timedelta(days=29, hours=23) < row.expires_at - row.created_at < timedelta(days=30, hours=1)
    assert tokens.find(token) == row
    page = client.get("/account/").text
    assert "Nightly" in page and token not in page and row.hash not in page
    browser(User.objects.create_user("bob", password=OLD)).post("/account/tokens/revoke/", {"id": row.pk})
    assert tokens.find(token) == row
    client.post("/account/tokens/revoke/", {"id": row.pk})
    assert tokens.find(token) is None


@pytest.mark.parametrize("scopes", [[], ["read", "everything"]])
def test_a_token_without_known_scopes_is_refused(ann, scopes):
    answer = browser(ann).post("/account/tokens/", {"name": "x", "scopes": scopes, "days": "30"})
    assert (answer.status_code, ApiToken.objects.count()) == (422, 0)
    assert "Choose at least one." in answer.text


@pytest.mark.parametrize("current", ["", "wrong"])
def test_a_token_without_an_end_needs_the_password(ann, current):
    client = browser(ann)
    asked = {"name": "for ever", "scopes": ["read"], "days": "", "current": current}
    answer = client.post("/account/tokens/", asked)
    assert (answer.status_code, ApiToken.objects.count()) == (422, 0)
    assert "That is not your password." in answer.text
    answer = client.post("/account/tokens/", asked | {"current": OLD})
    assert answer.status_code == 200 and ApiToken.objects.get().expires_at is None
    assert OLD not in answer.text


def test_the_password_of_a_token_cannot_be_guessed_for_long(ann):
    client = browser(ann)
    asked = {"name": "for ever", "scopes": ["read"], "days": "", "current": "wrong"}
    codes = {client.post("/account/tokens/", asked).status_code for _ in range(10)}
    assert codes == {422}
    assert client.post("/account/tokens/", asked | {"current": OLD}).status_code == 429
    assert not ApiToken.objects.exists()


def test_sessions_of_an_earlier_password_are_not_listed(ann):
    browser(ann)
    ann.set_password(NEW)
    ann.save(update_fields=["password"])
    assert Session.objects.filter(user=ann).count() == 1 and not sign_ins.of(ann, None)


@pytest.mark.django_db(transaction=True)
def test_a_sign_in_whose_account_is_deleted_meanwhile_ends_with_a_sentence(ann):
    """Django's own store takes the broken link to the user for a key that is taken, and tries for ever."""
    user = str(ann.pk)
    ann.delete()
    for sign_in in (SessionStore.save, async_to_sync(SessionStore.asave), SessionStore.cycle_key):
        store = SessionStore()
        store[SESSION_KEY] = user
        with pytest.raises(SessionInterrupted):
            sign_in(store)
    assert not Session.objects.exists()


@pytest.mark.parametrize("pk", ["", "0", "-1", "one", "9" * 40, "²"])
def test_a_wrong_id_revokes_nothing(ann, pk):
    tokens.create(ann, "mine")
    assert browser(ann).post("/account/tokens/revoke/", {"id": pk}).status_code == 302
    assert ApiToken.objects.count() == 1


def test_tokens_have_a_limit(ann, monkeypatch):
    monkeypatch.setattr("account.views.MAX_TOKENS", 1)
    client = browser(ann)
    client.post("/account/tokens/", {"name": "one", "scopes": ["read"], "days": "30"})
    answer = client.post("/account/tokens/", {"name": "two", "scopes": ["read"], "days": "30"})
    assert answer.status_code == 422 and "which is the limit" in answer.text
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/130 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Version/18 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/130 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5", "A browser"),
        ("", "A browser"),
    ],
)
def test_a_browser_is_named_in_words(agent, words):
    assert sign_ins.browser_of(agent) == words


@pytest.mark.parametrize(
    "path", ["/register/", "/signup/", "/account/new/", "/accounts/register/", "/api/users", "/api/account"]
)
def test_nobody_makes_an_account_by_themselves(client, path):
    form = {"username": "eve", "password": NEW, "password1": NEW, "password2": NEW}
    assert client.post(path, form).status_code in (302, 401, 404)
    assert client.get(path).status_code in (302, 401, 404)
    assert not User.objects.exists()


def test_users_are_made_by_staff_who_may(client, ann, staff):
    form = {"username": "eve", "usable_password": "false"}
    for who, status in ((ann, 302), (staff, 403)):
        client.force_login(who)
        assert client.post("/admin/auth/user/add/", form).status_code == status
    assert not User.objects.filter(username="eve").exists()
    staff.user_permissions.add(*Permission.objects.filter(codename__in=["add_user", "change_user"]))
    assert client.post("/admin/auth/user/add/", form).status_code == 302
    assert User.objects.filter(username="eve").exists()
