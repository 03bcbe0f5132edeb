"""Save the database and all files into one archive."""

import fcntl
import os
import re
from argparse import ArgumentParser
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from config import archives, dumps, places
from config.plain import PlainCommand


class Command(PlainCommand):
    """`backup [FILE]`, while everything runs."""

    help = "Save the database and all stored files into one file, while everything runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take where to."""
        parser.add_argument("file", nargs="?", default=".", help="a new file, or a folder; default here")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write beside the name first: what has the name is whole."""
        target = Path(options["file"]).absolute()
        try:
            if target.is_dir():
                target /= f"headway-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar"
            there = target.exists()
        except OSError as error:  # a name that is too long
            raise CommandError(f"{str(target)[:200]} cannot be written: {error.strerror}.") from error
        if there:
            raise CommandError(f"{target} is there already.")
        part, dump = (target.with_name(f".{target.name}.{os.getpid()}{end}") for end in ("", ".dump"))
        _sweep(target)
        try:
            with _locked(part) as archive:  # until it has its name
                count = _save(archive, dump)
                _name(part, target)
        except FileExistsError as error:
            raise CommandError(f"{target} is there already.") from error
        except OSError as error:
            raise CommandError(f"{target} cannot be written: {error.strerror}.") from error
        except (dumps.DumpError, places.ServiceError) as error:
            raise CommandError(str(error)) from error
        finally:
            dump.unlink(missing_ok=True)  # first: a sweep finds it by the other
            part.unlink(missing_ok=True)
        size = target.stat().st_size / 1e6
        files = "1 file" if count == 1 else f"{count:,} files"
        self.stdout.write(f"Saved the database and {files} in {target} ({size:,.1f} MB).")


def _sweep(target: Path) -> None:
    """Delete what killed backups left here under this name or names of our own: nobody locks it."""
    names = re.compile(rf"\.(headway-\d{{8}}T\d{{6}}Z\.tar|{re.escape(target.name)})\.\d+")
    try:
        found = [one for one in target.parent.iterdir() if names.fullmatch(one.name)]
    except OSError:  # writing there will say it
        return
    for part in found:
        with suppress(OSError), part.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.with_name(f"{part.name}.dump").unlink(missing_ok=True)
            part.unlink()


def _name(part: Path, target: Path) -> None:
    """Give an archive that is whole its name. Raises FileExistsError."""
    try:
        os.link(part, target)  # unlike a rename, this replaces nothing that came meanwhile
    except FileExistsError:
        raise
    except OSError:  # a stick, a share: many file systems know no links
        if target.exists():
            raise FileExistsError(target) from None
        part.rename(target)


def _locked(part: Path) -> BinaryIO:
    """Make a file that no other backup sweeps away while it is open."""
    while True:
        target = os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        with suppress(OSError):  # a share may know no locks; what is left there stays
            fcntl.flock(target, fcntl.LOCK_EX)
        if part.exists():
            return target
        target.close()  # a sweep came between the two


def _save(target: BinaryIO, dump: Path) -> int:
    """Write an archive. Return how many files are in it."""
    archive = archives.Writer(target)
    archive.add_files()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT pg_export_snapshot()")  # all that follows sees one moment
        snapshot = cursor.fetchone()[0]
        server = dumps.server_major()
        tools = dumps.tools(server)
        migrations = MigrationRecorder(connection).applied_migrations()
        dumps.dump(tools, dump, snapshot)
    dumped = archive.add_dump(dump)
    archive.add_files()
    archive.close(
        archives.Manifest(
            format=archives.FORMAT,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            server=server,
            tools=tools.major,
            migrations=sorted([app, name] for app, name in migrations),
            key=archives.fingerprint(settings.SECRET_KEY),
            dump=dumped,
            files=archive.files,
        )
    )
    target.flush()
    os.fsync(target.fileno())
    return sum(1 for member in archive.files if member.path)
