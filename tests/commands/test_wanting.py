"""What users want to hear, from a terminal: `preferences`, `follow`, `mute`."""

import json

import pytest

from notifications import inbox, preferences
from notifications.models import Follow, Mute
from tests.commands.conftest import run
from tests.pages import rows

pytestmark = pytest.mark.django_db


def test_following_a_job_listing_it_and_ending_it(alice, bob, staff):
    job = rows.job(alice, "running")
    assert run("follow", "staff").err == "Nothing.\n"
    assert run("follow", "staff", job.stream).out.splitlines()[1].startswith(f"{job.stream}  Shelves")
    assert Follow.objects.get().user == staff
    listed = json.loads(run("follow", "staff", "--json").out)
    assert [one["about"] for one in listed["follows"]] == [job.stream]
    assert run("follow", "staff", job.stream, "--off").code == 0
    assert not Follow.objects.exists()


def test_nobody_follows_what_they_may_not_see(alice, bob):
    job = rows.job(alice, "running")
    for about in (job.stream, "company:1", "anything"):
        said = run("follow", "bob", about)
        assert (said.code, said.err) == (2, f"bob may see no {about}.")
    assert not Follow.objects.exists()


def test_what_is_muted_is_heard_no_more_until_it_is_ended(alice):
    assert "source:shelves" in run("mute", "alice", "source:shelves").out
    assert inbox.notify([alice], "system", "News", about="source:shelves") == []
    assert json.loads(run("mute", "alice", "--json").out)["mutes"][0]["about"] == "source:shelves"
    run("mute", "alice", "source:shelves", "--off")
    assert len(inbox.notify([alice], "system", "News", about="source:shelves")) == 1


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["mute", "alice", "no name"], "Name it as kind:name, for example company:12."),
        (["mute", "alice", "company:1", "--off"], "company:1 is not in the list."),
        (["mute", "alice", "--off"], "Name what to take away."),
        (["preferences", "alice", "job_failed"], "Name a type, a channel, and on or off."),
        (["preferences", "alice", "job_failed", "email", "maybe"], "Name a type, a channel, and on or off."),
    ],
)
def test_a_wrong_call_is_said_and_changes_nothing(argv, told, alice):
    said = run(*argv)
    assert (said.code, said.err) == (2, told)
    assert not Mute.objects.exists()


def test_nobody_mutes_without_end(alice, monkeypatch):
    monkeypatch.setattr(inbox, "MOST_ABOUTS", 1)
    assert run("mute", "alice", "company:1").code == 0
    said = run("mute", "alice", "company:2")
    assert said.code == 1 and "is the limit" in said.err


def test_preferences_are_shown_and_chosen(alice):
    assert "email" in preferences.of_users([alice.pk], "job_failed")[alice.pk]
    assert run("preferences", "alice", "job_failed", "email", "off").code == 0
    assert "email" not in preferences.of_users([alice.pk], "job_failed")[alice.pk]
    shown = {one["type"]: one["channels"] for one in json.loads(run("preferences", "alice", "--json").out)}
    assert shown["job_failed"]["email"] is False and shown["job_failed"]["inbox"] is True
    (line,) = [line for line in run("preferences", "alice").out.splitlines() if line.startswith("job_failed")]
    assert line.split()[-4:] == ["on", "off", "on", "off"]
