"""`backup` and `restore`: all of it comes back, or nothing."""

import fcntl
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client

from config import archives, dumps, embedded, links
from config.management.commands.restore import _workplace
from config.models import AuditLog
from ingestion import tokens, uploads
from ingestion.models import ApiToken, Job, Upload
from realtime import epoch
from realtime.models import Session
from tests.commands.conftest import run
from tests.realtime.client import session
from tests.realtime.rows import make_job, move

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> Path:
    """Keep files apart from those of other tests."""
    settings.MEDIA_ROOT = tmp_path / "files"
    return tmp_path / "files"


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="of the day of the backup")


@pytest.fixture
def saved(ann: User, tmp_path: Path) -> Path:
    """A backup of somebody with a file and a job that runs."""
    uploads.store(ann, "kept.csv", io.BytesIO(b"name,count\nkept,1\n"))
    move(make_job(ann), event="log", message="Saved")
    return backup(tmp_path)


@pytest.fixture
def copied(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of one backup, for tests that only refuse it."""
    kept = tmp_path_factory.getbasetemp() / "saved.tar"
    if not kept.exists():
        shutil.copy(request.getfixturevalue("saved"), kept)
    return Path(shutil.copy(kept, tmp_path / "copy.tar"))


def backup(folder: Path) -> Path:
    target = folder / "saved.tar"
    said = run("backup", target)
    assert said.code == 0, said.err
    return target


def restore(archive: Path, *options: str) -> str:
    """Restore; return what was wrong, if anything."""
    return run("restore", archive, "--yes", *options).err


def contents(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def write(archive: Path, parts: dict[str, bytes]) -> None:
    with tarfile.open(archive, "w") as tar:
        for name, content in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def relisted(archive: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the manifest of an archive."""
    parts = contents(archive)
    manifest = json.loads(parts["manifest.json"])
    change(manifest)
    write(archive, parts | {"manifest.json": json.dumps(manifest).encode()})


def test_rows_files_and_rules_come_back(saved: Path, ann: User) -> None:
    upload, job = Upload.objects.get(), Job.objects.get()
    old, before = epoch.current(), rules()
    uploads.delete(upload)
    later = uploads.store(ann, "later.csv", io.BytesIO(b"name,count\nlater,2\n"))
    User.objects.create_user("bob")
    Job.objects.all().delete()

    said = run("restore", saved, "--yes")

    assert said.code == 0, said.err
    assert "1 stored file came after the backup" in said.err
    assert list(User.objects.values_list("username", flat=True)) == ["ann"]
    assert uploads.open_upload(Upload.objects.get()).read() == b"name,count\nkept,1\n"
    assert default_storage.exists(later.path)
    assert Job.objects.get().version == job.version
    assert epoch.current() != old
    assert AuditLog.objects.filter(action="backup.restore", via="restore", actor=None).count() == 1
    assert rules() == before  # constraints, indexes, triggers, functions


def rules() -> list[str]:
    """Return everything in the database that is not rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname::text FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
            " UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
            " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " UNION ALL SELECT extname FROM pg_extension"
            " UNION ALL SELECT relname || coalesce(reloptions::text, '') FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace"
        )
        return sorted(row[0] for row in cursor)


def test_a_backup_of_a_restored_instance_can_be_restored(saved: Path, tmp_path: Path) -> None:
    assert restore(saved) == ""
    again = tmp_path / "again.tar"
    assert run("backup", again).code == 0
    assert restore(again) == ""
    assert User.objects.count() == 1


def test_a_file_that_became_another_is_as_it_was(saved: Path) -> None:
    path = Upload.objects.get().path
    default_storage.delete(path)
    default_storage.save(path, ContentFile(b"something else"))

    assert restore(saved) == ""
    with default_storage.open(path) as file:
        assert file.read() == b"name,count\nkept,1\n"


def test_what_was_withdrawn_since_stays_withdrawn(ann: User, tmp_path: Path) -> None:
    kept, ended = session(ann)[0], session(ann)[0]
    row, _ = tokens.create(ann, "stolen")
    tokens.create(ann, "good")
    gone, left = User.objects.create_user("gone"), User.objects.create_user("left")
    archive = backup(tmp_path)
    Session.objects.filter(session_key=key_of(ended)).delete()
    tokens.revoke([row])
    ann.username, ann.email = "anna", "of-today@example.org"
    ann.set_password("of today")
    ann.save(update_fields=["username", "email", "password"])
    left.delete()
    User.objects.filter(pk=gone.pk).update(is_active=False)

    assert restore(archive) == ""

    assert list(Session.objects.values_list("session_key", flat=True)) == [key_of(kept)]
    assert list(ApiToken.objects.values_list("name", flat=True)) == ["good"]
    ann.refresh_from_db()
    assert ann.check_password("of today") and ann.email == "of-today@example.org"
    assert not User.objects.filter(username__in=["gone", "left"], is_active=True).exists()
    assert User.objects.count() == 3


def test_a_link_that_was_used_since_signs_nobody_in_again(ann: User, tmp_path: Path) -> None:
    link = links.make(ann, "")
    archive = backup(tmp_path)
    assert Client().post(link).status_code == 302

    assert restore(archive) == ""

    assert Client().post(link).status_code == 404


def key_of(cookie: str) -> str:
    return cookie.partition("sessionid=")[2].partition(";")[0]


def test_in_another_instance_tokens_come_back_and_nobody_is_signed_in(ann: User, tmp_path: Path) -> None:
    session(ann)
    tokens.create(ann, "good")
    archive = backup(tmp_path)
    User.objects.all().delete()
    User.objects.create_user("ann", id=ann.pk)  # as `up` makes the first user of a new instance

    assert restore(archive) == ""

    assert ApiToken.objects.get().name == "good"
    assert User.objects.get().check_password("of the day of the backup")
    assert not Session.objects.exists()


def test_who_worked_when_the_backup_was_made_holds_no_lease_any_more(saved: Path) -> None:
    token = Job.objects.get().lease_token
    assert restore(saved) == ""
    job = Job.objects.get()
    assert job.lease_token not in (None, token)
    assert job.lease_until is not None and job.lease_until < epoch_of_database()


def epoch_of_database() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def test_a_dump_that_breaks_off_changes_nothing(saved: Path, ann: User) -> None:
    parts = contents(saved)
    broken = parts["database.dump"][: len(parts["database.dump"]) // 2]
    parts["database.dump"] = broken
    manifest = json.loads(parts["manifest.json"])
    member = archives.Member("database.dump", len(broken), archives.digest(io.BytesIO(broken)))
    parts["manifest.json"] = json.dumps(manifest | {"dump": asdict(member)}).encode()
    write(saved, parts)
    kept = Upload.objects.get()
    default_storage.delete(kept.path)
    User.objects.create_user("bob")
    old = epoch.current()

    assert restore(saved).startswith("Nothing was restored: ")

    assert User.objects.count() == 2 and epoch.current() == old
    assert not default_storage.exists(kept.path)  # it was brought, and taken away again


def test_an_error_in_the_last_statement_changes_nothing(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(contents(saved)["database.dump"])
    User.objects.create_user("bob")
    fitting = dumps.tools(dumps.server_major())
    connection.close()
    with pytest.raises(dumps.DumpError, match="division by zero"):
        dumps.load(
            fitting, tmp_path / "dump", "DROP SCHEMA public CASCADE; CREATE SCHEMA public;", "SELECT 1/0;"
        )
    assert User.objects.count() == 2


def test_half_a_dump_is_never_committed() -> None:
    old = epoch.current()
    psql = dumps.tools(dumps.server_major()).command(
        "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"
    )
    breaks_off = ["sh", "-c", "echo 'DELETE FROM realtime_epoch;'; exit 1"]
    assert dumps._pipe(breaks_off, psql, "", "") is not None
    assert epoch.current() == old


def test_without_a_word_nothing_is_replaced(saved: Path) -> None:
    said = run("restore", saved)
    assert said.code == 1
    assert "everything in this instance (1 user, 1 job) by the backup of" in said.err
    assert "Say --yes." in said.err


def cut_off(archive: Path) -> None:
    parts = contents(archive)
    del parts["manifest.json"]
    write(archive, parts)


def shortened(archive: Path) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])


def a_byte_turned(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[515] ^= 1  # the first file begins at 512
    archive.write_bytes(content)


def a_stranger(archive: Path) -> None:
    write(archive, contents(archive) | {"../../etc/cron.d/x": b"* * * * * root true"})


def a_link(archive: Path) -> None:
    with tarfile.open(archive, "a") as tar:
        info = tarfile.TarInfo("files/1")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)


def a_file_more(archive: Path) -> None:
    write(archive, contents(archive) | {"files/7": b"x"})


def somewhere(path: str) -> Callable[[Path], None]:
    return lambda archive: relisted(archive, lambda m: m["files"][0].update(path=path))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (Path.unlink, "cannot be read as a backup: No such file"),
        (lambda archive: archive.write_bytes(b"PK\x03\x04" * 200), "cannot be read as a backup: "),
        (cut_off, "is not whole: its end is missing."),
        (shortened, "is damaged: "),
        (a_byte_turned, "is damaged: files/0 is not as it was written."),
        (a_stranger, "is no backup of Headway: it holds '../../etc/cron.d/x'."),
        (a_link, "is no backup of Headway: files/1 is not a plain file."),
        (a_file_more, "is damaged: it does not hold what it lists."),
        (somewhere("../secret_key"), "it names a file outside the storage, or one twice."),
        (somewhere("/etc/passwd"), "it names a file outside the storage, or one twice."),
        (somewhere("a//b"), "it names a file outside the storage, or one twice."),
        (somewhere("a\\..\\b"), "it names a file outside the storage, or one twice."),
        (lambda a: relisted(a, lambda m: m.update(format=2)), "has format 2; this Headway reads format 1."),
        (lambda a: relisted(a, lambda m: m.pop("dump")), "is damaged: its list cannot be read."),
        (lambda a: relisted(a, lambda m: m.update(made_at="soon")), "is damaged: its list cannot be read."),
        (
            lambda a: relisted(a, lambda m: m["migrations"].append(["ingestion", "9999_later"])),
            "The backup is of a newer Headway, or of one with other apps: it knows ingestion.9999_later.",
        ),
        (lambda a: relisted(a, lambda m: m.update(server=99)), "The backup is of PostgreSQL 99, and this is"),
        (lambda a: relisted(a, lambda m: m.update(tools=99)), "of PostgreSQL 99 or newer are needed."),
        (lambda a: relisted(a, lambda m: m.update(key="0" * 16)), "made under another secret key."),
    ],
)  # fmt: skip
def test_what_is_no_backup_of_ours_is_refused(copied: Path, damage: Any, told: str) -> None:
    damage(copied)
    old, bob = epoch.current(), User.objects.create_user("bob")
    assert told in restore(copied)
    assert epoch.current() == old and User.objects.filter(pk=bob.pk).exists()


def test_another_key_can_be_accepted(saved: Path) -> None:
    relisted(saved, lambda manifest: manifest.update(key="0" * 16))
    assert restore(saved, "--other-key") == ""


def test_a_backup_replaces_no_file_and_is_for_its_owner_alone(saved: Path, tmp_path: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    assert run("backup", saved).err == f"{saved} is there already."
    assert "cannot be written: No such file" in run("backup", tmp_path / "nowhere" / "x.tar").err
    folder = tmp_path / "many"
    folder.mkdir()
    assert run("backup", folder).code == 0
    [made] = folder.iterdir()  # nothing half-written beside it
    assert made.name.startswith("headway-")


def test_a_file_that_comes_or_grows_meanwhile_is_whole() -> None:
    name = default_storage.save("documents/growing", ContentFile(b"half"))
    writer = archives.Writer(target := io.BytesIO())
    writer.add_files()
    Path(default_storage.path(name)).write_bytes(b"half and the rest")
    default_storage.save("documents/new", ContentFile(b"new"))
    writer.add_files()
    shown = {one.path: one.size for one in writer.files}
    assert shown == {"": 4, "documents/growing": 17, "documents/new": 3}
    writer._tar.close()
    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as tar:
        assert tar.extractfile("files/1").read() == b"half and the rest"  # type: ignore[union-attr]


def test_a_file_that_shrinks_while_it_is_read_is_added_again() -> None:
    reading = archives._Hashing(io.BytesIO(b"shor"), 9)
    assert (reading.read(6), reading.read(), reading.whole) == (b"shor\0\0", b"\0\0\0", False)


def test_the_oldest_programs_that_are_new_enough_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {Path("/18"): 18, Path("/16"): 16, Path("/15"): 15}
    monkeypatch.setattr(dumps, "_folders", lambda: iter(versions))
    monkeypatch.setattr(dumps, "_major", versions.__getitem__)
    assert [dumps.tools(major).major for major in (14, 16, 17)] == [15, 16, 18]
    with pytest.raises(dumps.DumpError, match="of PostgreSQL 19 or newer are needed"):
        dumps.tools(19)


def test_the_wheel_brings_the_programs() -> None:
    folder = embedded.wheel_binaries()
    assert folder is not None and all((folder / name).exists() for name in dumps.PROGRAMS)


def test_a_password_is_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {
        "PASSWORD": "hidden",
        "HOST": "db.example",
        "USER": "joe",
        "PORT": "1",
        "NAME": "x",
        "OPTIONS": {},
    }
    monkeypatch.setattr(dumps, "connection", SimpleNamespace(settings_dict=named))
    found = dumps._address()
    assert (found["PGPASSWORD"], found["PGHOST"], found["PGUSER"]) == ("hidden", "db.example", "joe")
    assert (found["PGPORT"], found["PGDATABASE"]) == ("1", "x")


def test_what_killed_backups_left_is_swept_and_nothing_else(ann: User, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    old, running = ".headway-20260101T000000Z.tar.7", ".headway-20260101T000000Z.tar.8"
    left = [old, f"{old}.dump", ".mine.tar.9", ".mine.tar.9.dump"]
    kept = [running, f"{running}.dump", ".yours.tar.9", ".mine.tar.bz2", "headway-20260101T000000Z.tar"]
    for name in left + kept:
        (folder / name).write_bytes(b"part")
    with (folder / running).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run("backup", folder / "mine.tar").code == 0
    assert sorted(one.name for one in folder.iterdir()) == sorted([*kept, "mine.tar"])


def test_what_killed_restores_left_is_swept_and_nothing_else(
    ann: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, place = backup(tmp_path), tmp_path / "place"
    left, running = (place / f"headway-restore-{name}" for name in ("_killed1", "running1"))
    kept = [running, place / "other", place / "headway-restore-drill", place / "headway-restore-mydrills"]
    for folder in (left, *kept):
        folder.mkdir(parents=True)
        (folder / "dump").write_bytes(b"everything")
    (kept[-1] / "mine.tar").write_bytes(b"a backup")
    (place / "headway-restore-linked01").symlink_to(kept[1])
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    held = os.open(running, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert restore(archive) == ""
    os.close(held)
    assert not left.exists() and all((folder / "dump").exists() for folder in kept)
    assert len(list(place.iterdir())) == len(kept) + 1  # nor its own


def test_no_restore_sweeps_away_what_another_one_works_with() -> None:
    with _workplace() as one:
        (one / "dump").write_bytes(b"everything")
        with _workplace() as two:
            assert one != two and (one / "dump").exists()
    assert not one.exists() and not two.exists()
