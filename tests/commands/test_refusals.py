"""What our commands say when they refuse: their own sentence, alone, on stderr."""

import pytest
from django.core.management import get_commands, load_command_class

from config.plain import PlainCommand

OURS = ("config", "ingestion", "notifications", "realtime")
OWN_READERS = {"check", "test"}  # they hand their arguments on, and read only two of them


@pytest.mark.parametrize(
    ("argv", "told", "code"),
    [
        (["user", "link", "nobody"], "No user nobody.", 1),
        (["token", "create", "nobody"], "No user nobody.", 1),
        (["token", "create", "alice", "--expires", "soon"], "--expires: soon is not a length of time", 2),
        (["token", "revoke", "999999"], "No token 999999.", 1),
        (["sample", "--user", "nobody"], "No user nobody.", 1),
        (["bench", "nosuch"], "No benchmark nosuch.", 1),
        (["job", "cancel", "0198aaaa-0000-7000-8000-000000000000"], "No job 0198aaaa-", 1),
    ],
)
def test_a_refusal_is_a_plain_line(argv, told, code, transactional_db, alice, capsys):
    command = load_command_class(get_commands()[argv[0]], argv[0])
    with pytest.raises(SystemExit) as ended:
        command.run_from_argv(["manage.py", *argv])
    said = capsys.readouterr()
    assert ended.value.code == code
    assert said.err.startswith(told) and said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("workers", ["0", "65", "1_0", "+1", "\u0661"])
def test_up_takes_1_to_64_workers(workers, capsys):
    command = load_command_class("config", "up")
    with pytest.raises(SystemExit) as ended:
        command.run_from_argv(["manage.py", "up", "--workers", workers])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("argument --workers: must be a whole number, 1-64.\n")


@pytest.mark.parametrize(
    "name", [name for name, app in get_commands().items() if app.startswith(OURS) and name not in OWN_READERS]
)
def test_every_command_of_ours_refuses_so(name):
    assert isinstance(load_command_class(get_commands()[name], name), PlainCommand)


def test_a_line_of_a_command_cannot_steer_a_terminal(transactional_db, capsys):
    command = load_command_class(get_commands()["user"], "user")
    with pytest.raises(SystemExit):
        command.run_from_argv(["manage.py", "user", "link", "a\x1b[31mb"])
    assert capsys.readouterr().err == "No user a [31mb.\n"
