"""`stability [--wait]`."""

import json
import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ingestion.management.commands import stability
from ingestion.models import Job
from tests.realtime.rows import make_job

pytestmark = pytest.mark.django_db


def run(capsys: Any, *arguments: str) -> tuple[int, str]:
    code = 0
    try:
        call_command("stability", *arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, capsys.readouterr().out.strip()


@pytest.mark.seed("S4.1", "S4.37", "S4.38")
def test_it_says_it_in_words_and_by_its_exit_code(alice: Any, capsys: Any) -> None:
    assert run(capsys) == (0, "System Stable")
    make_job(alice, object="company:1")
    assert run(capsys) == (stability.PROCESSING, "Processing Data")
    assert run(capsys, "--object", "company:1") == (stability.PROCESSING, "Processing data")
    assert run(capsys, "--object", "company:2") == (0, "Stable")
    assert run(capsys, "--source", "ping") == (0, "Stable")
    assert json.loads(run(capsys, "--json", "--source", "ping")[1]) == {"stable": True, "source": "ping"}


@pytest.mark.parametrize("arguments", [["--object", "x"], ["--source", "nosuch"], ["--timeout", "1x"]])
def test_it_refuses_what_it_does_not_know(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("stability", *arguments)


def test_it_waits_no_longer_than_told(alice: Any, capsys: Any) -> None:
    make_job(alice)
    assert run(capsys, "--wait", "--timeout", "1s")[0] == stability.PROCESSING


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_the_end_of_the_last_job(alice: Any, capsys: Any, monkeypatch: Any) -> None:
    make_job(alice)
    looks = threading.Event()

    def end() -> None:
        assert looks.wait(10)
        Job.objects.all().delete()
        connection.close()

    other = threading.Thread(target=end)
    other.start()
    monkeypatch.setattr(stability.time, "sleep", lambda seconds: looks.set() or other.join(10))
    assert run(capsys, "--wait") == (0, "System Stable")
