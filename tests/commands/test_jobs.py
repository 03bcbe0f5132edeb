"""`jobs`: the list, its filters, and printing where printing is hard."""

import json
import os
import pty
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from ingestion.models import Job
from tests.commands.conftest import process, run
from tests.pages import rows


def test_jobs_are_listed_newest_first(alice: User, bob: User) -> None:
    first = rows.job(alice, "completed", subject="first")
    second = rows.job(bob, "failed", subject="second")
    lines = run("jobs").out.strip().split("\n")
    assert lines[0].split() == ["ID", "STATE", "DONE", "MADE", "BY", "WHAT"]
    assert lines[1].startswith(str(second.pk))
    assert "Failed" in lines[1]
    assert lines[2].startswith(str(first.pk))
    assert "Complete" in lines[2]
    assert "alice" in lines[2]


def test_json_is_a_list_as_the_api_says_it(alice: User) -> None:
    job = rows.job(alice, "running")
    [data] = json.loads(run("jobs", "--json").out)
    assert (data["id"], data["state"], data["owner"]) == (str(job.pk), "running", "alice")


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["--state", "failed"], {"b"}),
        (["--state", "failed,completed"], {"a", "b"}),
        (["--user", "alice"], {"a", "c"}),
        (["--source", "door"], {"c"}),
        (["--limit", "1"], {"c"}),
        (["--since", "1h"], {"a", "b", "c"}),
        (["--since", "2999-01-01"], set()),
    ],
)
def test_jobs_are_filtered(alice: User, bob: User, argv: list[str], found: set[str]) -> None:
    rows.job(alice, "completed", subject="a")
    rows.job(bob, "failed", subject="b")
    rows.job(alice, subject="c", source="door")
    assert {job["subject"] for job in json.loads(run("jobs", *argv, "--json").out)} == found


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("row", "argv", "told"),
    [
        (
            "CMD13",
            ["--state", "foo"],
            "Allowed: pending, running, waiting, completed, partial, failed, cancelled.",
        ),
        ("CMD14", ["--limit", "-1"], "between 1 and 10000"),
        ("CMD14", ["--limit", "0"], "between 1 and 10000"),
        ("CMD14", ["--limit", "abc"], "between 1 and 10000"),
        ("CMD14", ["--limit", "1e9"], "between 1 and 10000"),
        ("CMD14", ["--limit", "1000000000"], "between 1 and 10000"),
        ("CMD15", ["--since", "yesterday"], "for example 2026-11-18"),
        ("CMD10", ["--user", "nobody"], "No user nobody."),
        ("CMD2", ["frobnicate"], "unrecognized arguments: frobnicate"),
    ],
)
def test_what_cannot_be_listed_is_said(row: str, argv: list[str], told: str) -> None:
    assert told in run("jobs", *argv).err


@pytest.mark.django_db
def test_no_jobs_is_said_beside_the_list() -> None:
    said = run("jobs")
    assert (said.out, said.err.strip()) == ("", "No jobs.")
    assert json.loads(run("jobs", "--json").out) == []


def test_a_title_cannot_steer_the_terminal(alice: User) -> None:
    rows.job(alice, title="red \x1b[31m\x07 and\nbroken\u202e")
    said = run("jobs").out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert len(said.strip().split("\n")) == 2


# ---- as processes -----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_full_disk_is_one_line() -> None:  # CMD17
    Job.objects.all().delete()
    with Path("/dev/full").open("wb") as full:
        said = process("jobs", "--json", stdout=full)
    assert (said.code, said.err.strip()) == (1, "Cannot write: No space left on device.")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("row", "env"),
    [
        (
            "CMD71",
            {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        ),
        ("CMD72", {"COLUMNS": "20"}),
    ],
)
def test_any_terminal_will_do(alice: User, row: str, env: dict[str, Any]) -> None:
    job = rows.job(alice, subject="søppel “quoted” " * 5)
    said = process("jobs", **env)
    assert (said.code, said.err) == (0, "")
    assert str(job.pk) in said.out
    if row == "CMD71":
        assert "s\\xf8ppel" in said.out


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("row", "argv"),
    [("CMD13", ["--state", "foo"]), ("CMD14", ["--limit", "0"]), ("CMD15", ["--since", "yesterday"])],
)
def test_a_wrong_call_ends_with_2(row: str, argv: list[str]) -> None:
    assert process("jobs", *argv).code == 2


def test_broken_settings_are_one_line() -> None:  # CMD70
    said = process("jobs", HEADWAY_MAX_QUEUED="many")
    assert said.code == 1
    assert "HEADWAY_MAX_QUEUED" in said.err
    assert "Traceback" not in said.err


@pytest.mark.django_db(transaction=True)
def test_a_narrow_terminal_shows_whole_ids(alice: User) -> None:  # CMD72
    job = rows.job(alice, subject="a long subject " * 5)
    screen, terminal = pty.openpty()
    try:
        said = process("jobs", stdout=terminal, COLUMNS="20")
        shown = os.read(screen, 10_000).decode()
    finally:
        os.close(screen)
        os.close(terminal)
    assert (said.code, said.err) == (0, "")
    assert str(job.pk) in shown
    assert "shelves…" in shown


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_goes_away_is_no_error(alice: User) -> None:
    rows.job(alice)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        said = process("jobs", stdout=writing)
    finally:
        os.close(writing)
    assert (said.code, said.err) == (141, "")
