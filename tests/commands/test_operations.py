"""`sources`, `pause`, `resume`, `prune`, `keeper`, `worker`."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

import manage
from ingestion.models import Job, Pause
from ingestion.source import registry
from realtime import epoch
from tests.commands.conftest import process, run
from tests.pages import rows

NOWHERE = "postgres://headway@127.0.0.1:1/headway"


def test_sources_need_no_instance() -> None:
    said = process("sources", "--json", DATABASE_URL=NOWHERE, REDIS_URL="redis://127.0.0.1:1/0")
    assert (said.code, said.err) == (0, "")
    assert [one["kind"] for one in json.loads(said.out)] == list(registry())


def test_sources_say_what_they_take() -> None:
    said = run("sources").out
    assert "imports  Import a register" in said
    assert "file=PATH (optional)  A register as .csv" in said
    assert "review=auto|always|never (optional)" in said


@pytest.mark.django_db
@pytest.mark.parametrize("scope", ["all", "queue:default", "source:ping", "host:example.org"])
def test_a_scope_is_paused_and_resumed(scope: str) -> None:
    assert run("pause", scope, "--for", "10m", "--reason", "Moving house").code == 0
    pause = Pause.objects.get()
    assert pause.until is not None
    assert timedelta(minutes=9) < pause.until - timezone.now() < timedelta(minutes=11)
    [shown] = json.loads(run("pause", "--json").out)
    assert (shown["scope"], shown["reason"]) == (scope, "Moving house")
    assert run("resume", scope).out.strip() == f"Resumed {scope}."
    assert run("resume", scope).out.strip() == f"{scope} was not paused."
    assert run("pause").err.strip() == "Nothing is paused."


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["pause", "everything"], "everything cannot be paused."),
        (["pause", "queue:nosuch"], "No queue nosuch. Known: default, analytics, light."),
        (["pause", "source:nosuch"], "No source nosuch. Known: "),
        (["pause", "host:"], "host: cannot be paused."),
        (["pause", "all", "--for", "soon"], "for example 30d"),
        (["resume", "queue:nosuch"], "No queue nosuch."),
    ],
)
def test_a_scope_that_stops_nothing_is_refused(argv: list[str], told: str) -> None:
    assert told in run(*argv).err
    assert not Pause.objects.exists()


def _ended(owner: User, days: int) -> Job:
    return rows.job(owner, "completed", finished_at=timezone.now() - timedelta(days=days))


@pytest.mark.parametrize("row", ["CMD58"])
def test_prune_says_what_would_go(alice: User, row: str) -> None:
    _ended(alice, 3)
    said = run("prune", "--older-than", "1d")
    assert said.code == 1
    assert (
        said.err
        == "This would delete 1 job that ended more than 1 day ago, with items and events. Say --yes."
    )
    assert Job.objects.count() == 1


def test_prune_never_touches_open_jobs(alice: User) -> None:  # CMD59
    _ended(alice, 3)
    _ended(alice, 0)
    running = rows.job(alice, "running")
    Job.objects.filter(pk=running.pk).update(created_at=timezone.now() - timedelta(days=900))
    assert run("prune", "--older-than", "1d", "--yes").out.strip() == "Deleted 1 job."
    assert run("prune").out.strip() == "Nothing to delete."
    assert json.loads(run("prune", "--json").out)["jobs"] == 0
    assert Job.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("age", ["0", "-3d", "5", "5x", "0d", "99999d"])
def test_prune_wants_a_length_of_time(age: str) -> None:  # CMD57
    assert "for example 30d" in run("prune", f"--older-than={age}").err


@pytest.mark.parametrize(
    ("row", "argv", "code", "told"),
    [
        ("CMD42", ["worker", "--queue"], 2, "expected one argument"),
        ("CMD42", ["worker", "--queue", ""], 2, "usage: worker"),
        ("CMD43", ["worker", "--queue", "default,light"], 1, "One queue per worker. Start two workers."),
        ("CMD44", ["worker", "--queue", "nosuch"], 1, "No queue nosuch. Known: default, analytics, light."),
        ("CMD57", ["prune", "--older-than", "5"], 2, "for example 30d"),
        ("CMD40", ["keeper", "--lease", "0"], 2, "unrecognized arguments"),
        ("CMD41", ["keeper", "--lease", "2", "--heartbeat", "5"], 2, "unrecognized arguments"),
        ("CMD64", ["sample", "--jobs", "1000000"], 2, "unrecognized arguments"),
        ("CMD66", ["bench", "--url", "http://example.com"], 2, "unrecognized arguments"),
    ],
)
def test_a_wrong_call_is_said(row: str, argv: list[str], code: int, told: str) -> None:
    said = process(*argv, DATABASE_URL=NOWHERE)
    assert (said.code, told in said.err) == (code, True), said.err


@pytest.mark.django_db
@pytest.mark.parametrize("argv", [["keeper", "--once"], ["worker"]])
@pytest.mark.parametrize("which", [0, 1], ids=["the last", "one in the middle"])
def test_nothing_starts_on_a_database_that_is_behind(which: int, argv: list[str]) -> None:  # CMD39
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM django_migrations WHERE app = 'ingestion' AND name = (SELECT name FROM"
            " django_migrations WHERE app = 'ingestion' ORDER BY name DESC LIMIT 1 OFFSET %s)",
            [which],
        )
    said = run(*argv)
    assert (said.code, said.err) == (1, "1 migration is not applied. Run migrate.")


def test_the_sample_is_not_for_production(settings: Any, root: User) -> None:  # CMD65
    settings.PRODUCTION = True
    said = run("sample")
    assert (said.code, said.err) == (1, "Not in production.")
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_a_new_epoch_wants_consent() -> None:
    """CMD60."""
    old = epoch.current()
    said = run("epoch_bump")
    assert said.code == 1 and "fetch all it shows afresh" in said.err and said.err.endswith("Say --yes.")
    assert epoch.current() == old
    assert run("epoch_bump", "--yes").out == f"epoch {epoch.current()}\n"
    assert epoch.current() != old


@pytest.mark.django_db(transaction=True)
def test_the_keeper_does_every_duty_once(alice: User) -> None:
    assert process("keeper", "--once").code == 0


@pytest.mark.django_db(transaction=True)
def test_two_keepers_at_once_do_no_harm(alice: User) -> None:
    """CMD38, CMD49: none stands by, see docs/decisions.md."""
    with ThreadPoolExecutor(2) as both:
        said = list(both.map(lambda _: process("keeper", "--once"), range(2)))
    assert [one.code for one in said] == [0, 0]


@pytest.mark.django_db
def test_a_name_with_a_zero_byte_makes_no_user() -> None:
    """CMD68. No command line can hold one; a caller can."""
    said = run("user", "create", "a\0b")
    assert said.code == 1 and said.err.startswith("Enter a valid username.")
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("argv", "number"),
    [
        (["createsuperuser", "--noinput", "--email", "a@b.example", "--username", "a\0b"], 6),
        (["createsuperuser", "--noinput", "--email", "a@b.example", "--username", "a\udcffb"], 6),
        (["user", "create", "ann", "--password", "h\udcffush"], 5),
        (["user", "link", "a\0b"], 3),
        (["token", "create", "a\udcffb"], 3),
    ],
    ids=ascii,
)
def test_an_argument_that_cannot_be_stored_is_one_line(
    argv: list[str], number: int, monkeypatch: Any, capsys: Any
) -> None:
    """CMD68. Bytes that are not UTF-8 arrive as halves of surrogate pairs; a password is not repeated."""
    monkeypatch.setattr("sys.argv", ["manage.py", *argv])
    assert manage.main() == 1
    said = f'"argument {number}" contains a character that is not allowed (position 2).\n'
    assert capsys.readouterr() == ("", said)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_a_worker_says_that_redis_refused_it(monkeypatch: Any) -> None:  # CMD46
    monkeypatch.setattr("ingestion.queues.trouble", lambda: "login")
    said = run("worker")
    assert (said.code, said.err) == (1, "Redis refused the login.")


@pytest.mark.django_db
def test_a_worker_waits_for_redis_and_says_so_rarely(monkeypatch: Any) -> None:  # CMD45
    answers = ["away", "away", "away", "login"]
    monkeypatch.setattr("ingestion.queues.trouble", lambda: answers.pop(0))
    monkeypatch.setattr("ingestion.management.commands.worker.LOOK_EVERY", 0.01)
    said = run("worker")
    assert said.err.count("Redis is not reachable; trying again.") == 1


@pytest.mark.django_db
def test_workers_do_not_run_as_root_in_production(settings: Any, monkeypatch: Any) -> None:  # CMD47
    settings.PRODUCTION = True
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert run("worker").err.startswith("Do not run workers as root.")
