"""`schedule list|add|edit|pause|resume|run|delete`."""

import json

import pytest
from django.contrib.auth.models import User

from ingestion.models import Job, Schedule
from tests.commands.conftest import run


def _add(*more: str) -> Schedule:
    assert run("schedule", "add", "shelves", "n=2", "--cron", "0 6 * * *", *more).code == 0
    return Schedule.objects.get()


@pytest.mark.seed("S2.110")
def test_a_schedule_is_added_and_listed(root: User) -> None:
    schedule = _add("--zone", "Europe/Oslo", "--name", "Morning")
    assert (schedule.owner, schedule.params) == (root, {"n": "2"})
    [shown] = json.loads(run("schedule", "list", "--json").out)
    assert (shown["name"], shown["cron"], shown["zone"], shown["owner"]) == (
        "Morning",
        "0 6 * * *",
        "Europe/Oslo",
        "root",
    )
    assert shown["next_at"]
    assert "Morning" in run("schedule", "list").out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["shelves", "--cron", "often"], "cron: 'often' is not a cron expression"),
        (["shelves", "--cron", "0 6 * * *", "--zone", "Mars"], "zone: There is no time zone called 'Mars'."),
        (["shelves", "n=many", "--cron", "0 6 * * *"], "params: n: "),
        (["nosuch", "--cron", "0 6 * * *"], "No source nosuch."),
        (["imports", "file=a.csv", "--cron", "0 6 * * *"], "source: This source takes a file"),
        (["shelves"], "required: --cron"),
    ],
)
def test_a_schedule_that_could_not_start_is_refused(root: User, argv: list[str], told: str) -> None:
    said = run("schedule", "add", *argv)
    assert (said.code, told in said.err) == (1, True), said.err
    assert not Schedule.objects.exists()


def test_a_schedule_is_edited_in_part(root: User) -> None:
    schedule = _add("--name", "Morning")
    run("schedule", "edit", schedule.pk, "n=5", "--cron", "30 7 * * *")
    before = schedule.next_at
    schedule.refresh_from_db()
    assert (schedule.name, schedule.cron, schedule.params) == ("Morning", "30 7 * * *", {"n": "5"})
    assert schedule.next_at != before


def test_a_schedule_is_paused_resumed_run_and_deleted(root: User) -> None:
    schedule = _add()
    assert run("schedule", "pause", schedule.pk).out.strip().endswith("is paused.")
    schedule.refresh_from_db()
    assert (schedule.paused, schedule.next_at) == (True, None)
    assert "runs next at" in run("schedule", "resume", schedule.pk).out
    started = json.loads(run("schedule", "run", schedule.pk, "--json").out)
    assert Job.objects.get(pk=started["id"]).params["n"] == 2
    assert run("schedule", "delete", schedule.pk).err == "Say --yes to delete Shelves."
    assert run("schedule", "delete", schedule.pk, "--yes").code == 0
    assert not Schedule.objects.exists()


@pytest.mark.parametrize("verb", ["edit", "pause", "resume", "run", "delete"])
def test_a_schedule_that_is_not_there_is_said(root: User, verb: str) -> None:
    assert run("schedule", verb, 4711).err == "No schedule 4711."
