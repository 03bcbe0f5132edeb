"""Bad arguments of the commands that start processes: refused before anything starts, in one line.

What they would start is replaced by something that says so.
"""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class

from tests.commands.conftest import run
from tests.surfaces.test_commands import BAD, NOT_HERE, arguments, parsers

pytestmark = pytest.mark.django_db

PLACE = "config.management.commands"
# What each would do next when it had taken its arguments.
STARTS = {
    "serve": f"{PLACE}.serve.serve",
    "up": f"{PLACE}.up.places.prepare",
    "worker": "ingestion.management.commands.worker.check_migrations",
    "bench": "tests.services.Services.start",
    "backup": f"{PLACE}.backup._save",
    "restore": f"{PLACE}.restore.Command._restore",
    "check_realtime": "realtime.management.commands.check_realtime.check",
}
# These take no values: one has no arguments that do, the others' are pytest's and Django's.
WITHOUT = {"keeper", "test", "check"}
PORTS = ["65536", "99999", "0x50", "80 80", "1_000", "+80", "80.0", "1e3", "\u0663", ""]
# Beside what no argument takes: what is good elsewhere. One that is a name anywhere is no bad one here.
MORE = {
    ("serve", "port"): PORTS,
    ("up", "port"): PORTS,
    ("up", "workers"): ["0", "65", "1_0", "\u0661", "two"],
    ("check_realtime", "upload_mb"): ["0", "-5", "25MB", "1_0", "\u0661", "10001"],
    ("check_realtime", "url"): ["example.org", "ftp://example.org/", "https://", "https://u:p@example.org/"],
    ("worker", "queue"): ["nosuch", "default,light", "Default", "default "],
    ("bench", "names"): ["nosuch", "Documents"],
    ("restore", "file"): ["/", "/dev/null", "/proc/self/mem", "no-such-file"],
    ("backup", "file"): ["/proc/x/y", "no/such/folder/x.tar", "x" * 300],
}
# Values of BAD that say something after all.
TAKEN = {
    ("serve", "port"): {"0"},
    ("up", "port"): {"0"},
    ("serve", "host"): {value for value in BAD if value.isascii() and value.replace("-", "").isalnum()}
    | {"-"},  # looked up
    ("backup", "file"): {*BAD} - {"x" * 20_000},
}
# Judged by what is asked, not before: tests/deployment.
ELSEWHERE = {("up", "data"), *(("check_realtime", name) for name in ("user", "token", "stream"))}


class StartedError(Exception):
    """What a command that took a bad value ends with."""


def started(*args: Any, **kwargs: Any) -> Any:
    raise StartedError


def test_every_starting_command_is_tried() -> None:
    assert STARTS.keys() | WITHOUT == NOT_HERE
    for name in ("keeper", "check"):
        command = load_command_class(get_commands()[name], name)
        ((_words, parser),) = parsers(command.create_parser("manage.py", name))
        assert name == "check" or not arguments(parser)


def test_a_starting_command_refuses_a_bad_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in STARTS.values():
        monkeypatch.setattr(path, started)
    wrong = []
    for name in STARTS:
        command = load_command_class(get_commands()[name], name)
        ((_words, parser),) = parsers(command.create_parser("manage.py", name))
        every = arguments(parser)
        for tried in every:
            key = name, tried.dest
            if key in ELSEWHERE:
                continue
            bad = [value for value in BAD if value not in TAKEN.get(key, ())]
            for value in [*bad, *MORE.get(key, [])]:
                line = [name, f"{tried.option_strings[-1]}={value}" if tried.option_strings else value]
                if name == "restore":
                    line.append("--yes")
                if name == "check_realtime" and tried.option_strings:
                    line.append("https://headway.example")
                try:
                    said = run(*line)
                except Exception as error:
                    wrong.append(f"{line!r:.120}: {type(error).__name__} {error!s:.80}")
                    continue
                if not said.code:
                    wrong.append(f"{line!r:.120}: takes it")
        left = list(tmp_path.iterdir())
        assert not left, f"{name} leaves {left}"
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)
