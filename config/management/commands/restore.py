"""Bring back what `backup` saved: all of it, or nothing."""

import fcntl
import os
import re
import shutil
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection

from config import archives, audit, dumps, places
from config.archives import Reader
from config.plain import PlainCommand
from ingestion import schema
from ingestion.models import Job
from realtime.models import Epoch, new_epoch

SHOWN_MIGRATIONS = 3
WORKPLACE = "headway-restore-"  # how a folder begins in which a dump is unpacked
_RANDOM = re.compile(rf"{WORKPLACE}[a-z0-9_]{{8}}")  # as mkdtemp names it

# Others are let go, so that nobody holds what is replaced; who comes meanwhile waits or is refused. When two
# wait for each other, the restore is the last to notice: the other one gives way.
_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
"""
_BEFORE = """
SET LOCAL client_min_messages = warning;
SET LOCAL lock_timeout = '30s';
SELECT set_config('deadlock_timeout', '60s', true) FROM pg_roles WHERE rolname = current_user AND rolsuper;
{remember}
{end_others};
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
# What was withdrawn since the backup must not come back: sessions, tokens, passwords, addresses to which
# ways in are sent, users, and links that were used, which the last sign-in tells.
_REMEMBER = """
CREATE TEMP TABLE now_users AS
    SELECT id, date_joined, password, email, is_active, last_login FROM public.auth_user;
CREATE TEMP TABLE now_sessions AS SELECT session_key FROM public.realtime_session;
CREATE TEMP TABLE now_tokens AS SELECT hash FROM public.ingestion_apitoken;
"""
_REMEMBER_NOBODY = """
CREATE TEMP TABLE now_users (
    id int, date_joined timestamptz, password text, email text, is_active bool, last_login timestamptz
);
CREATE TEMP TABLE now_sessions (session_key text);
CREATE TEMP TABLE now_tokens (hash text);
"""
# date_joined has microseconds: the first user of a new instance is not the one of the backup. Names change.
# Who is here no more was deleted; in another instance, which knows nobody of the backup, nobody was.
# Whoever worked when the backup was made holds a lease that must not count any more.
_AFTER = """
SET search_path TO public, pg_temp;
UPDATE auth_user AS u SET password = now.password, email = now.email,
       is_active = now.is_active AND u.is_active, last_login = greatest(now.last_login, u.last_login)
  FROM now_users AS now WHERE (u.id, u.date_joined) = (now.id, now.date_joined);
UPDATE auth_user SET is_active = false
 WHERE (id, date_joined) NOT IN (SELECT id, date_joined FROM now_users)
   AND EXISTS (SELECT FROM auth_user AS u JOIN now_users AS now USING (id, date_joined));
DELETE FROM ingestion_apitoken AS t USING auth_user AS u, now_users AS now
 WHERE t.user_id = u.id AND (u.id, u.date_joined) = (now.id, now.date_joined)
   AND t.hash NOT IN (SELECT hash FROM now_tokens);
DELETE FROM realtime_session WHERE session_key NOT IN (SELECT session_key FROM now_sessions);
UPDATE ingestion_job SET lease_token = gen_random_uuid(), lease_until = now() WHERE state = 'running';
INSERT INTO realtime_epoch (id, value) VALUES (1, '{epoch}')
    ON CONFLICT (id) DO UPDATE SET value = excluded.value;
"""


class Command(PlainCommand):
    """`restore FILE --yes`."""

    help = "Replace the database and bring back the files from a backup: all of it, or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file and the consent."""
        parser.add_argument("file", help="what `backup` wrote")
        parser.add_argument("--yes", action="store_true", help="replace what is here")
        parser.add_argument(
            "--other-key",
            action="store_true",
            help="although the backup is of another secret key: what is sealed under it stays sealed",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check all of the backup, then bring it back."""
        try:
            archive = Reader(Path(options["file"]))
        except archives.ArchiveError as error:
            raise CommandError(str(error)) from error
        try:
            tools = _fitting(archive.manifest, other_key=options["other_key"])
            if not options["yes"]:
                raise CommandError(
                    f"This would replace everything in this instance ({_people()}) by the backup of "
                    f"{_when(archive.manifest)}. Say --yes."
                )
            self._restore(archive, tools, other_key=options["other_key"])
        except OSError as error:
            raise CommandError(f"Nothing was restored: {error.strerror or error}.") from error
        except (dumps.DumpError, places.ServiceError) as error:
            raise CommandError(f"Nothing was restored: {error}") from error
        finally:
            archive.close()

    def _restore(self, archive: Reader, tools: dumps.Tools, *, other_key: bool) -> None:
        new, other = _bring_files(archive)
        value = new_epoch()
        try:
            with _workplace() as folder:
                dumped = folder / "dump"
                with dumped.open("wb") as file, archive.open(archives.DUMP) as source:
                    while piece := source.read(archives.PIECE):
                        file.write(piece)
                remember = _REMEMBER if _has_people() else _REMEMBER_NOBODY
                before = _BEFORE.format(remember=remember, end_others=_END_OTHERS)
                connection.close()
                dumps.load(tools, dumped, before, _AFTER.format(epoch=value))
        except BaseException:
            if not _may_have_come(value):
                for path in new:
                    default_storage.delete(path)
            raise
        for name, member in other:
            try:
                default_storage.delete(member.path)
                _store(archive, name, member)
            except OSError as error:
                raise CommandError(
                    f"The database was restored, the file {member.path} was not: {error.strerror or error}. "
                    "Restore again."
                ) from error
        with connection.cursor() as cursor:
            cursor.execute(_END_OTHERS)  # what they prepared belongs to tables that are no more
        if schema.missing():
            call_command("migrate", verbosity=0, interactive=False)
        # In what came back: what the log said since the backup is gone with everything else, this is why.
        audit.write("backup.restore", "backup", made_at=archive.manifest.made_at, other_key=other_key)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        self.stdout.write(
            f"Restored the backup of {_when(archive.manifest)}. Every open page is told afresh."
        )
        self._tell_left_over(archive)

    def _tell_left_over(self, archive: Reader) -> None:
        ours = {member.path for member, _ in archive.files()}
        if count := sum(1 for name in archives.stored() if name not in ours):
            self.stderr.write(
                f"{count:,} stored file{'' if count == 1 else 's'} came after the backup: nothing speaks of "
                "them any more, and they were left where they are.",
                str,
            )


@contextmanager
def _workplace() -> Iterator[Path]:
    """Give a folder of one's own; what killed restores left, which holds everything, goes first."""
    for left in Path(tempfile.gettempdir()).glob(f"{WORKPLACE}*"):
        with suppress(OSError), _opened(left) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.fstat(handle).st_uid == os.geteuid() and _RANDOM.fullmatch(left.name)
            if ours and {one.name for one in left.iterdir()} <= {"dump", "contents"}:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=WORKPLACE) as folder, _opened(Path(folder)) as handle:
        with suppress(OSError):  # a share may know no locks; what is left there stays
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield Path(folder)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield handle
    finally:
        os.close(handle)


def _fitting(manifest: archives.Manifest, *, other_key: bool) -> dumps.Tools:
    """Return the programs for a backup that this code and server can take. Raises CommandError."""
    if strange := schema.strange((app, name) for app, name in manifest.migrations):
        names = ", ".join(".".join(one) for one in strange[:SHOWN_MIGRATIONS])
        raise CommandError(f"The backup is of a newer Headway, or of one with other apps: it knows {names}.")
    server = dumps.server_major()
    if server < manifest.server:
        raise CommandError(
            f"The backup is of PostgreSQL {manifest.server}, and this is PostgreSQL {server}: "
            "only the same or a newer one can take it."
        )
    known = map(archives.fingerprint, [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])
    if manifest.key not in known and not other_key:
        raise CommandError(
            "The backup was made under another secret key. What is sealed under it (keys of lifelogs, "
            "secrets of webhooks) could not be opened: set that key as HEADWAY_SECRET_KEY or "
            "HEADWAY_SECRET_KEY_FALLBACK, or say --other-key."
        )
    return dumps.tools(max(server, manifest.tools))


def _bring_files(archive: Reader) -> tuple[list[str], list[tuple[str, archives.Member]]]:
    """Store the files that are not here. Return their names, and those that are here otherwise.

    Until the database speaks of them nobody reads the new ones; the others stay as they are until then.
    """
    new: list[str] = []
    other = []
    try:
        for member, name in archive.files():
            if not default_storage.exists(member.path):
                new.append(member.path)
                _store(archive, name, member)
                continue
            with default_storage.open(member.path, "rb") as here:
                if archives.digest(here) != member.sha256:
                    other.append((name, member))
    except BaseException:
        for path in new:
            default_storage.delete(path)
        raise
    return new, other


def _store(archive: Reader, name: str, member: archives.Member) -> None:
    with archive.open(name) as source:
        kept = default_storage.save(member.path, File(source, name=member.path))
    if kept != member.path:
        default_storage.delete(kept)
        raise OSError(f"{member.path} cannot be stored under its name")


def _may_have_come(value: str) -> bool:
    """Say whether the restored database is in place, or may be: the word of its COMMIT can be lost."""
    try:
        return Epoch.objects.filter(value=value).exists()
    except DatabaseError:
        return connection.connection is None or connection.connection.closed


def _has_people() -> bool:
    return User._meta.db_table in connection.introspection.table_names()


def _people() -> str:
    if not _has_people():
        return "it is empty"
    users, jobs = User.objects.count(), Job.objects.count()
    return f"{users:,} user{'' if users == 1 else 's'}, {jobs:,} job{'' if jobs == 1 else 's'}"


def _when(manifest: archives.Manifest) -> str:
    return f"{datetime.fromisoformat(manifest.made_at):%d %B %Y, %H:%M} UTC"
