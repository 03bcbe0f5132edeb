"""The settings: page, API and command say and do the same."""

import json
import re

import pytest
from django.test import Client

from ingestion import tokens
from notifications import inbox, preferences, settings_views, types, webhooks
from notifications.models import Channel, Follow, Mute, Notification, Preference, Webhook
from tests.api.clients import ApiClient, assert_problem, client_of
from tests.commands.conftest import run
from tests.pages import rows

pytestmark = pytest.mark.django_db

PAGE = "/inbox/settings/"


@pytest.fixture
def page(client: Client, alice):
    client.force_login(alice)
    return client


def ticked(html):
    return set(re.findall(r'name="on" value="([^"]+)"[^>]* checked', html))


def patch(client: ApiClient, body):
    return client.patch("/api/notifications/preferences", json.dumps(body), "application/json")


@pytest.mark.parametrize(("model", "verb"), [(Follow, "unfollowed"), (Mute, "unmuted")])
def test_a_long_list_says_how_many_it_does_not_show(page, alice, monkeypatch, model, verb):
    monkeypatch.setattr(settings_views, "MAX_LISTED", 2)
    model.objects.bulk_create(model(user=alice, about=f"company:{n}") for n in range(2))
    assert "older, which" not in page.get(PAGE).text
    model.objects.create(user=alice, about="company:2")
    html = page.get(PAGE).text
    assert f"And 1 older, which come into view as these are {verb}." in html
    assert "company:2" in html and "company:0" not in html


# ---- preferences ------------------------------------------------------------------------------------------


def test_a_choice_counts_before_the_type_and_the_type_for_who_never_chose(
    alice, bob, django_assert_num_queries
):
    preferences.choose(alice.pk, "job_failed", "email", False)
    preferences.choose(alice.pk, "job_failed", "browser", True)
    with django_assert_num_queries(1):
        found = preferences.of_users([alice.pk, bob.pk], "job_failed")
    assert found == {alice.pk: {"inbox", "webhook", "browser"}, bob.pk: {"inbox", "webhook", "email"}}


def test_every_declared_type_has_a_row_with_every_channel(page):
    html = page.get(PAGE).content.decode()
    assert len(re.findall(r'name="on"', html)) == len(types.declared()) * len(Channel.values)
    assert {"job_failed:email", "job_failed:inbox", "system:webhook"} <= ticked(html)
    assert "system:email" not in ticked(html)


def test_saving_keeps_what_was_changed_and_nothing_else(page, alice):
    wanted = ticked(page.get(PAGE).content.decode()) - {"job_failed:email"} | {"system:browser"}

    answer = page.post("/inbox/settings/channels/", {"on": sorted(wanted)}, follow=True)

    assert ticked(answer.content.decode()) == wanted
    assert "Your choices are saved" in answer.content.decode()
    assert set(Preference.objects.values_list("user", "type", "channel", "when")) == {
        (alice.pk, "job_failed", "email", "off"),
        (alice.pk, "system", "browser", "instant"),
    }


def test_the_api_says_and_sets_the_same(alice, bob):
    client = client_of(alice)
    said = {
        row["type"]: row["channels"]
        for row in client.read("/notifications/preferences").json()["preferences"]
    }
    assert said["job_failed"] == {"inbox": True, "email": True, "webhook": True, "browser": False}

    answer = patch(client, {"type": "job_failed", "channel": "email", "on": False})

    assert answer.status_code == 200
    said = {row["type"]: row["channels"] for row in answer.json()["preferences"]}
    assert said["job_failed"]["email"] is False
    assert preferences.of_users([bob.pk], "job_failed")[bob.pk] >= {"email"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "nosuch", "channel": "email", "on": True}, "type"),
        ({"type": "system", "channel": "fax", "on": True}, "channel"),
        ({"type": "system", "channel": "email"}, "on"),
        ({"type": "system", "channel": "email", "on": "perhaps"}, "on"),
    ],
)
def test_the_api_refuses_what_does_not_exist(alice, body, field):
    assert_problem(patch(client_of(alice), body), 400, "validation_failed", field=field)
    assert not Preference.objects.exists()


def test_quiet_hours_do_not_exist_yet(alice):  # API84
    body = {"type": "system", "channel": "email", "on": True, "quiet_hours": "25:00-26:00"}
    assert_problem(patch(client_of(alice), body), 400, "unknown_field", field="quiet_hours")
    assert not Preference.objects.exists()


def test_a_token_that_reads_cannot_choose(alice):
    _, token = tokens.create(alice, "reader", scopes=["read"])
    client = ApiClient(headers={"Authorization": f"Bearer {token}"})
    assert client.read("/notifications/preferences").status_code == 200
    assert patch(client, {"type": "system", "channel": "email", "on": True}).status_code == 403


def test_the_command_says_and_sets_the_same(alice):
    said = run("preferences", "alice", "job_failed", "email", "off", "--json")
    found = {row["type"]: row["channels"] for row in json.loads(said.out)}
    assert found["job_failed"]["email"] is False and found["job_failed"]["webhook"] is True
    assert re.search(r"job_failed.* on +off +on +off", run("preferences", "alice").out)
    for words in (
        ["nosuch", "email", "on"],
        ["system", "fax", "on"],
        ["system", "email", "maybe"],
        ["system"],
    ):
        refused = run("preferences", "alice", *words)
        assert refused.code == 2 and refused.err
    assert run("preferences", "nobody").code == 1


# ---- follows and mutes ------------------------------------------------------------------------------------


def test_lists_name_what_the_user_may_see_and_let_go_of_it(page, alice, bob):
    mine, theirs = rows.job(alice), rows.job(bob)
    inbox.follow(alice, mine.stream)
    inbox.mute(alice, theirs.stream)
    inbox.mute(alice, "source:shelves")
    inbox.mute(alice, "company:12")

    html = page.get(PAGE).content.decode()

    assert f'<a href="{mine.get_absolute_url()}">' in html
    assert theirs.get_absolute_url() not in html and theirs.stream in html
    assert "All jobs of" in html and "company:12" in html

    page.post("/inbox/settings/unmute/", {"about": "company:12"})
    page.post("/inbox/settings/unfollow/", {"about": mine.stream})
    assert not Mute.objects.filter(about="company:12").exists() and Mute.objects.count() == 2
    assert not Follow.objects.filter(user=alice).exists()


@pytest.mark.parametrize("verb", ["unmute", "unfollow"])
def test_a_name_that_the_database_cannot_hold_is_not_there(page, verb):
    assert page.post(f"/inbox/settings/{verb}/", {"about": "company:\0"}).status_code == 302


@pytest.mark.parametrize(("name", "verb"), [("follows", inbox.follow), ("mutes", inbox.mute)])
def test_lists_have_pages_and_entries_can_be_deleted(alice, bob, name, verb):
    for number in range(5):
        verb(alice, f"company:{number}")
    verb(bob, "company:9")
    client = client_of(alice)

    first = client.read(f"/notifications/{name}?limit=3").json()
    second = client.read(f"/notifications/{name}?limit=3&cursor={first['next']}").json()

    found = [one["about"] for one in first[name] + second[name]]
    assert found == [f"company:{number}" for number in (4, 3, 2, 1, 0)] and second["next"] is None
    assert client.delete(f"/api/notifications/{name}?about=company:3").status_code == 204
    for about in ("company:3", "company:9"):
        assert_problem(client.delete(f"/api/notifications/{name}?about={about}"), 404, "not_found")
    assert len(client.read(f"/notifications/{name}").json()[name]) == 4
    assert len(client_of(bob).read(f"/notifications/{name}").json()[name]) == 1


# ---- webhook ----------------------------------------------------------------------------------------------


def test_the_secret_shows_once(page, alice):
    html = page.post("/inbox/settings/webhook/", {"url": "https://example.org/h"}).content.decode()
    (secret,) = re.findall(r"<code data-secret>(whsec_[A-Za-z0-9+/=]+)</code>", html)
    again = page.get(PAGE).content.decode()
    assert secret not in again and "https://example.org/h" in again
    assert webhooks.sealing.unseal(Webhook.objects.get(user=alice).secret, webhooks.SEALED) == secret


def test_a_bad_address_is_shown_again_with_the_reason(page):
    answer = page.post("/inbox/settings/webhook/", {"url": "http://<b>"})
    html = answer.content.decode()
    assert answer.status_code == 422 and "must begin with https://" in html and "http://&lt;b&gt;" in html
    assert not Webhook.objects.exists()


def test_a_webhook_is_tested_and_removed(page, alice):
    assert "Set a webhook first" in page.post("/inbox/settings/webhook/test/", follow=True).content.decode()
    webhooks.put(alice.pk, "https://example.org/h")
    html = page.post("/inbox/settings/webhook/test/", follow=True).content.decode()
    assert "A test is on its way" in html and "This is a test of your webhook" in html
    assert Notification.objects.filter(recipient=alice, type="webhook_test").count() == 1

    page.post("/inbox/settings/webhook/remove/")
    assert not Webhook.objects.exists()


def test_who_is_not_signed_in_sees_nothing(client: Client, alice):
    for path in (PAGE, "/inbox/settings/channels/", "/inbox/settings/webhook/"):
        for answer in (client.get(path), client.post(path, {"url": "https://example.org/"})):
            assert answer.status_code in (302, 405) and alice.username not in answer.content.decode()
    assert not Webhook.objects.exists()
