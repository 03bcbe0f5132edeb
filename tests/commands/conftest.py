"""Running our commands: in this process for their words, as real processes for exit codes.

Ours is imported inside: settings are not named yet here.
"""

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Said:
    """What a command printed, and its exit code."""

    out: str
    err: str
    code: int


def run(*argv: Any) -> Said:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        call_command(*map(str, argv), stdout=out, stderr=err)
    except CommandError as error:
        err.write(str(error))
        code = error.returncode
    except SystemExit as error:
        code = int(error.code or 0)
    return Said(out.getvalue(), err.getvalue(), code)


def process(*argv: Any, stdin: bytes = b"", stdout: Any = subprocess.PIPE, **env: Any) -> Said:
    """Run a command as a person would, with a database of its own connection."""
    from tests.engine import environment

    command = [sys.executable, "manage.py", *map(str, argv)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(**env),
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    return Said((done.stdout or b"").decode(), done.stderr.decode(), done.returncode)


@pytest.fixture
def root(db: Any) -> "User":
    """The first superuser, for whom commands act."""
    from django.contrib.auth.models import User

    return User.objects.create_superuser("root")


@pytest.fixture
def root_committed(transactional_db: Any) -> "User":
    """The same, seen by other processes."""
    from django.contrib.auth.models import User

    return User.objects.create_superuser("root")


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Give a command in this process something on stdin."""

    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give
