"""Bad values for every argument of every command of ours: one line, no exception, nothing written.

The arguments are those that the commands' own parsers know: a new one is tried without a word here.
"""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import get_commands, load_command_class

from ingestion.models import ApiToken, Job, Pause, Schedule
from notifications.models import Broadcast, Notification
from tests.commands.conftest import run
from tests.surfaces import values
from tests.surfaces.standing import STEP, contents
from tests.surfaces.test_bodies import things as things

pytestmark = pytest.mark.django_db

OURS = ("account", "config", "ingestion", "notifications", "realtime")
# They start processes, run tools, or leave the database: see tests/config, tests/faults and tests/commands.
NOT_HERE = {
    "up",
    "serve",
    "test",
    "check",
    "bench",
    "worker",
    "keeper",
    "backup",
    "restore",
    "check_realtime",
}
# Of Django's own that every command has.
EVERYWHERE = {
    "help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color",
    "skip_checks", "yes", "watch", "as_json",
}  # fmt: skip
GOOD = {
    "name": "alice", "user": "alice", "text": "Look", "scope": "source:ping", "source": "ping",
    "kind": "ping",
    "message": "Look", "title": "Look", "about": "source:ping", "username": "alice",
}  # fmt: skip
BAD = [
    "a\x1b[31mb", "a\u202eb", "a\nb", "a\x85b", "", "   ", "-", "9" * 30, "x" * 20_000, "\u0663", "1e3",
    "../../etc", "' OR 1=1 --", "no=such=value", "0", "-1", "nan", "2026-13-45", "http://u:p@example.com/",
]  # fmt: skip


def ours() -> list[str]:
    """Return the names of our commands that are tried here."""
    return sorted(
        name for name, app in get_commands().items() if str(app).startswith(OURS) and name not in NOT_HERE
    )


def parsers(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every parser of a command that has no verbs under it, with the verbs before."""
    verbs = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not verbs:
        yield words, parser
    for action in verbs:
        for verb, inner in action.choices.items():
            yield from parsers(inner, (*words, verb))


def arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments that take a value."""
    return [one for one in parser._actions if one.dest not in EVERYWHERE and one.nargs != 0]


def command_lines(name: str) -> Iterator[list[str]]:
    """Yield command lines of which one value is bad, and the others are as good as can be known."""
    command = load_command_class(get_commands()[name], name)
    for words, parser in parsers(command.create_parser("manage.py", name)):
        every = arguments(parser)
        for tried in every:
            for value in BAD:
                line = [name, *words]
                for one in every:
                    if one is tried:
                        given = [f"{one.option_strings[-1]}={value}"] if one.option_strings else [value]
                        line += given
                    elif not one.option_strings and one.nargs not in ("?", "*"):
                        line.append(GOOD.get(one.dest, "1"))
                    elif one.required and one.option_strings:
                        line.append(f"{one.option_strings[-1]}={GOOD.get(one.dest, '1')}")
                yield line


def test_every_command_refuses_bad_values(
    things: dict[str, Any], alice: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("a key that is typed\n"))
    User.objects.filter(pk=alice.pk).update(is_superuser=True)
    wrong = []
    stood = contents()
    for name in ours():
        for line in list(command_lines(name))[len(name) % STEP :: STEP]:
            try:
                said = run(*line)
            except Exception as error:
                wrong.append(f"{line!r:.120}: {type(error).__name__}: {error!s:.80}")
                continue
            stands = contents()
            if said.code and stands != stood:
                wrong.append(f"{line!r:.120}: refused, and wrote")
            stood = stands
        if any(values.raw_control(stored) for stored in kept()):
            wrong.append(f"{name} keeps what steers")
            break
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)


KEPT = {
    ApiToken: ["name"],
    Pause: ["reason"],
    Schedule: ["name"],
    Job: ["title", "subject", "message"],
    Notification: ["title", "text"],
    Broadcast: ["title", "text"],
    User: ["username", "email"],
}


def kept() -> Iterator[str]:
    """Yield the texts that people read of what is written."""
    for model, names in KEPT.items():
        for row in model.objects.values_list(*names):
            yield from row
