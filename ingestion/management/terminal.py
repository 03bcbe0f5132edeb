"""What our commands share: how they print, ask, refuse and end, on any terminal or none."""

import json
import os
import re
import shutil
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import InterfaceError, OperationalError, ProgrammingError, connection
from django.utils import timezone

from config import sessions
from config.plain import PlainCommand, printable
from config.problems import Problem
from config.reach import unreachable
from ingestion import schema, serializers
from ingestion.admission import Refused
from ingestion.models import Job, State

PARTIAL = 4  # exit code: ended, with failed items or with something left out
NEEDS_A_PERSON = 3  # exit code: waits for an answer
INTERRUPTED = 130
CLOSED_PIPE = 141

MAX_ROWS = 10_000  # of one list
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PERIOD = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class TerminalCommand(PlainCommand):
    """A command for people and scripts that speaks of jobs: one line for refusals and lost services too."""

    def execute(self, *args: Any, **options: Any) -> None:
        """Run the command; say in one line why it could not."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure") and "utf" not in (stream.encoding or "").lower():
                stream.reconfigure(errors="backslashreplace")
        try:
            super().execute(*args, **options)
        except Refused as refused:
            raise CommandError(in_words(refused.message, refused.errors)) from refused
        except Problem as problem:
            raise CommandError(in_words(problem.detail, problem.errors)) from problem
        except ProgrammingError as error:
            check_migrations()
            raise error
        except (OperationalError, InterfaceError) as error:
            text = unreachable(error)
            if text is None and connection.connection is not None and connection.connection.closed:
                text = "The connection to the database was lost."
            if text is None:
                raise
            raise CommandError(text) from error
        with self._writing():
            self.stdout.flush()

    def say(self, text: str = "") -> None:
        """Print lines on stdout: what was asked for."""
        with self._writing():
            self.stdout.write("\n".join(printable(line) for line in text.split("\n")))

    def note(self, text: str) -> None:
        """Print a line on stderr: what a script that reads stdout need not see."""
        with self._writing():
            self.stderr.write(printable(text), str)

    def say_json(self, data: Any) -> None:
        """Print JSON in one line, in characters that every terminal has."""
        with self._writing():
            self.stdout.write(json.dumps(data, cls=DjangoJSONEncoder, allow_nan=False))

    def say_job(self, job: Job, user: Any, *, created: bool = False) -> None:
        """Print a job as the API does."""
        fresh = serializers.for_json(Job.objects.filter(pk=job.pk)).get()
        items = serializers.items_of([fresh]).get(fresh.pk)
        as_whom = user if user is not None else Everybody()
        self.say_json(serializers.api_job(fresh, as_whom, items=items, created=created, now=timezone.now()))

    def say_table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows in columns; on a terminal the last column gives way."""
        cells = [[printable(cell) for cell in row] for row in [list(heads), *rows]]
        widths = [max(len(row[n]) for row in cells) for n in range(len(heads))]
        if self.interactive_out:
            room = shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(heads) - 1)
            widths[-1] = max(8, min(widths[-1], room))
        lines = []
        for row in cells:
            row[-1] = row[-1] if len(row[-1]) <= widths[-1] else row[-1][: widths[-1] - 1] + "…"
            lines.append(
                "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            )
        self.say("\n".join(lines))

    def sure(self, question: str, instead: str) -> None:
        """Ask on a terminal; without one refuse with `instead`. Raises CommandError."""
        if not (sys.stdin is not None and sys.stdin.isatty() and self.interactive_out):
            raise CommandError(instead)
        if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was done.")

    @property
    def interactive_out(self) -> bool:
        """Say whether a person reads stdout."""
        return bool(self.stdout.isatty())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # `jobs | head`: the reader has seen enough
            _abandon(self.stdout)
            raise SystemExit(CLOSED_PIPE) from None
        except OSError as error:
            _abandon(self.stdout)
            raise CommandError(f"Cannot write: {error.strerror}.") from error


class Everybody:
    """Who asks when a command asks for no user: the operator of this machine, who may see and do all."""

    pk = None
    is_active = is_staff = is_authenticated = True

    def has_perm(self, name: str) -> bool:
        """Say yes: whoever runs commands has the database anyway."""
        return True


def add_json(parser: CommandParser) -> None:
    """Give a command the option that all have which print."""
    parser.add_argument(
        "--json", action="store_true", dest="as_json", help="print JSON, one line, at the end"
    )


def usage(text: str) -> NoReturn:
    """End with exit code 2: the command was called wrongly."""
    raise CommandError(text, returncode=2)


def find_user(name: str | None) -> User:
    """Return the user a command acts for, by default the first superuser. Raises CommandError."""
    people = User.objects.filter(is_active=True).order_by("pk")
    user = people.filter(username=name).first() if name else people.filter(is_superuser=True).first()
    if user is None:
        raise CommandError(f"No user {name}." if name else "No superuser. Name a user with --user.")
    return user


def find_job(job_id: UUID) -> Job:
    """Return a job by its whole id. Raises CommandError."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise CommandError(f"No job {job_id}.")
    return job


def address() -> str:
    """Return where the pages of this instance are."""
    running = settings.DATA_DIR / "address"
    if settings.EMBEDDED_POSTGRES and running.exists():
        return str(running.read_text().strip())
    return str(settings.SITE_URL)


def check_migrations() -> None:
    """Refuse to go on with a database that is behind the code, or ahead of it. Raises CommandError."""
    if missing := schema.missing():
        what = "1 migration is" if missing == 1 else f"{missing} migrations are"
        raise CommandError(f"{what} not applied. Run migrate.")
    if schema.unknown():
        raise CommandError("The database is newer than this code. Install the version that migrated it.")


def check_sessions() -> None:
    """Refuse a database whose connections are no sessions. Raises CommandError."""
    if sessions.shared():
        raise CommandError(sessions.REFUSED)


def code_of(job: Job) -> int:
    """Return the exit code that stands for how a job is."""
    return {State.COMPLETED: 0, State.PARTIAL: PARTIAL, State.WAITING: NEEDS_A_PERSON}.get(
        State(job.state), 1
    )


# ---- words ------------------------------------------------------------------------------------------------


def in_words(message: str, errors: Sequence[Mapping[str, Any]]) -> str:
    """Return a refusal with the fields it is about, in one line."""
    fields = [f"{error['field'].removeprefix('params.')}: {error['message']}" for error in errors]
    return printable(" ".join(fields) or message)


def moment(value: datetime | None) -> str:
    """Return a time for a table."""
    return "" if value is None else timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")


# ---- what options may say ---------------------------------------------------------------------------------


def job_id(text: str) -> UUID:
    """Read a whole job id; half of one could be another job's."""
    if not _UUID.fullmatch(text):
        raise ArgumentTypeError(f"{text} is not a job id.")
    return UUID(text)


def one_of(allowed: Sequence[str], noun: str) -> Callable[[str], list[str]]:
    """Return a reader of names separated by commas."""

    def read(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        if not set(names) <= set(allowed):
            raise ArgumentTypeError(f"not a {noun}: {text}. Allowed: {', '.join(allowed)}.")
        return names

    return read


def limit(text: str) -> int:
    """Read how many rows to print."""
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not 1 <= int(text) <= MAX_ROWS:
        raise ArgumentTypeError(f"must be between 1 and {MAX_ROWS}.")
    return int(text)


def period(text: str) -> timedelta:
    """Read a length of time."""
    match = _PERIOD.fullmatch(text)
    if match is None or (found := timedelta(**{_UNITS[match[2]]: int(match[1])})) > timedelta(days=36_500):
        raise ArgumentTypeError(f"{text} is not a length of time; for example 30d, 12h, 45m or 90s.")
    return found


def since(text: str) -> datetime:
    """Read a time that has passed: a date, a time, or how long ago."""
    if _PERIOD.fullmatch(text):
        return timezone.now() - period(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text} is not a time; for example 2026-11-18, 2026-11-18T09:30+01:00, or 2h for two hours ago."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def interval(text: str) -> float:
    """Read the seconds between two looks."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.2 <= seconds <= 60:
        raise ArgumentTypeError("must be at least 0.2 (seconds), and at most 60.")
    return seconds


def _abandon(stdout: Any) -> None:
    # What is still in the buffer would be written at the end of the process, and fail again.
    out = getattr(stdout, "_out", None)
    if out is not None and out is sys.stdout:
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, out.fileno())
            os.close(null)
        except (OSError, ValueError):
            return
