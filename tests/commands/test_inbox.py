"""notify, broadcast, inbox: their words, and what they refuse."""

import json

import pytest

from notifications import inbox as inboxes
from notifications.models import Broadcast, Notification, Preference
from tests.commands.conftest import run

pytestmark = pytest.mark.django_db


def test_notify_tells_one_user(alice, bob):
    assert run("notify", "alice", "The scanner is back", "--link", "/jobs/").out == "Told alice.\n"

    row = Notification.objects.get()
    assert (row.recipient, row.title, row.text, row.url) == (alice, "The scanner is back", "", "/jobs/")
    said = run("notify", "alice", "Two\nlines", "--json")
    assert json.loads(said.out)["created"] == 1
    assert Notification.objects.get(title="Two").text == "Two\nlines"
    assert run("notify", "alice", "Three\tor\r\nfour").code == 0
    assert Notification.objects.get(title="Three or").text == "Three\tor\r\nfour"


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["user"], 2, "notify USER TEXT"),  # CMD51
        (["nobody", "x"], 1, "No user nobody."),  # CMD52
        (["alice", "a" * 20_000], 1, "At most 2,000 characters."),  # CMD55
        (["alice", "a\x1b[31m"], 1, '"text" contains a character that is not allowed (position 2).'),  # CMD56
        (["alice", "a\0"], 1, '"text" contains a character that is not allowed (position 2).'),
        (["alice", "x", "--title", "b\x1b"], 1, '"title" contains a character'),
        (["alice", "x", "--type", "nope"], 1, "No type nope."),
        (["alice", "x", "--link", "javascript:x"], 1, "The link must be a path"),
        (["alice", "  "], 1, "The title"),
        (["alice", "\u200b"], 1, "The title"),
        (["alice", "x", "--title", " \u200b"], 1, "The title"),
    ],
)
def test_what_notify_refuses(alice, argv, code, words):
    said = run("notify", *argv)

    assert (said.code, said.out) == (code, "")
    assert words in said.err
    assert not Notification.objects.exists()


def test_who_wants_not_to_be_told_is_not(alice):
    Preference.objects.create(user=alice, type="system", channel="inbox", when="off")

    assert run("notify", "alice", "x").err == "alice does not want to be told of system."


@pytest.mark.parametrize("argv", [["notify", "--all", "x"], ["broadcast", "x"]])
def test_everybody_is_told_only_after_a_yes(alice, bob, argv):
    """CMD54."""
    assert run(*argv).err == "Say --yes to notify 2 users."
    assert not Broadcast.objects.exists()

    assert run(*argv, "--yes").out.startswith("Told everybody.")
    assert Broadcast.objects.get().title == "x" and not Notification.objects.exists()


def test_a_broadcast_is_withdrawn_once(alice):
    run("broadcast", "x", "--yes")
    made = Broadcast.objects.get()

    assert run("broadcast", "--withdraw", made.pk).out == f"Withdrew broadcast {made.pk}.\n"
    assert run("broadcast", "--withdraw", made.pk).err == f"No broadcast {made.pk} in inboxes."
    assert run("broadcast").code == 2


@pytest.mark.seed("S2.94")
def test_inbox_lists_what_a_user_was_told(alice, bob):
    inboxes.notify([alice], "system", "Hello \x1b[31m", text="first")
    inboxes.notify([bob], "system", "bob's")

    said = run("inbox", "alice")
    assert "Hello" in said.out and "\x1b" not in said.out and "bob" not in said.out
    assert said.err == "1 unread.\n"
    data = json.loads(run("inbox", "alice", "--json").out)
    assert (data["unread_count"], [row["message"] for row in data["notifications"]]) == (1, ["first"])
    assert run("inbox", "alice", "--view", "archived").out == ""
    assert run("inbox", "nobody").err == "No user nobody."
