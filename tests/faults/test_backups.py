"""The restore drill: real processes, a real backup, and everybody looking on."""

import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from ingestion import lifecycle
from ingestion.models import Job
from notifications import inbox
from realtime import epoch
from tests.commands.conftest import process
from tests.crowd import Crowd, all_right, everywhere
from tests.engine import Engine, effects_once, ended, fresh, keys, running
from tests.faults.conftest import ROUNDS, rounds, within
from tests.realtime.rows import make_job, move
from tests.site import Site
from tests.waiting import until

ITEM_SECONDS = 0.2


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Where the files of this drill are."""
    folder = tmp_path / "files"
    folder.mkdir()
    return {"HEADWAY_UPLOAD_DIR": str(folder)}


def test_after_a_restore_nobody_keeps_what_the_database_does_not_have(
    site: Site, crowd: Crowd, owner: User, files: dict[str, str], tmp_path: Path
) -> None:
    jobs = [make_job(owner) for _ in range(3)]
    for job in jobs:
        move(job, event="log")
    inbox.notify([owner], "system", "Kept")
    theirs = f"user:{owner.pk}"
    viewers = everywhere(crowd, owner, theirs, *[job.stream for job in jobs])
    saved = process("backup", tmp_path / "saved.tar", **files)
    assert saved.code == 0, saved.err
    for _ in range(10):
        for job in jobs:
            move(job, event="log", message="Lost with the restore")
    inbox.notify([owner], "system", "Lost with the restore")
    all_right(viewers, 10)
    assert {viewer.held(theirs).data["inbox"]["unread"] for viewer in viewers} == {2}
    old = epoch.current()

    connection.close()
    done = process("restore", tmp_path / "saved.tar", "--yes", **files)

    assert done.code == 0, done.err
    assert epoch.current() != old
    all_right(viewers, within(10))  # P24
    for viewer in viewers:
        for job in jobs:
            assert viewer.held(job.stream).version == Job.objects.get(pk=job.pk).version == 2
        assert [one["title"] for one in viewer.held(theirs).data["inbox"]["newest"]] == ["Kept"]
        assert {viewer.held(name).epoch for name in viewer.streams} == {epoch.current()}
    for job in jobs:  # and on it goes
        move(job, event="log")
    inbox.notify([owner], "system", "Of now")
    all_right(viewers, within(2))


def test_a_job_that_ran_through_a_restore_is_done_again_from_the_backup_on(
    engine: Engine, owner: User, files: dict[str, str], tmp_path: Path
) -> None:
    engine.keeper(**files)
    engine.worker(**files)
    began = time.monotonic()
    assert process("backup", tmp_path / "first.tar", **files).code == 0
    # Long enough to be at work when the restore comes, however slow the machine is.
    n = round(5 * (time.monotonic() - began) / ITEM_SECONDS)
    params = {"name": "drill", "n": n, "wait": ITEM_SECONDS}
    job = running(lifecycle.create("shelves", params, owner=owner).job)
    saved = process("backup", tmp_path / "saved.tar", **files)
    assert saved.code == 0, saved.err
    done_then = fresh(job).items_done
    until(lambda: fresh(job).items_done > done_then, 40, "more work")

    connection.close()
    done = process("restore", tmp_path / "saved.tar", "--yes", **files)

    assert done.code == 0, done.err
    assert ended(job, 60 + 4 * n * ITEM_SECONDS).state == "completed"
    assert fresh(job).attempt > 1  # who held the lease of the backup could write nothing
    effects_once(fresh(job), keys(n))


def test_a_restore_that_is_killed_anywhere_was_whole_or_was_not(
    engine: Engine, owner: User, files: dict[str, str], tmp_path: Path
) -> None:
    saved = process("backup", tmp_path / "saved.tar", **files)
    assert saved.code == 0, saved.err
    for n in rounds(ROUNDS):
        User.objects.create_user(f"later-{n}")
        before = epoch.current()
        connection.close()
        child = engine.start("restore", str(tmp_path / "saved.tar"), "--yes", **files)
        until(lambda child=child: loading() or child.poll() is not None, 60, "the restore to be at work")
        engine.kill(child)
        until(lambda: not loading(), 60, "the end of its transaction")
        connection.close()
        came = epoch.current() != before
        assert User.objects.filter(username=f"later-{n}").exists() is not came
        assert User.objects.filter(pk=owner.pk).exists()


def test_a_backup_that_is_killed_leaves_nothing_for_long(engine: Engine, owner: User, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE ingestion_job")  # its dump waits for this
        child = engine.start("backup", str(folder))
        until(lambda: len(list(folder.glob(".headway-*"))) == 2, 60, "the backup to be at work")
        other = engine.start("backup", str(folder))
        until(lambda: len(list(folder.glob(".headway-*"))) == 4, 60, "another one, which leaves it alone")
        engine.kill(child)
        cursor.execute("ROLLBACK")
    assert other.wait(60) == 0
    assert len(list(folder.glob(".*"))) == 2
    saved = process("backup", folder / "next.tar")
    assert saved.code == 0, saved.err
    assert not list(folder.glob(".*"))
    assert len(list(folder.iterdir())) == 2


def loading() -> Any:
    """Say whether a psql is connected to our database. Its transaction holds every table."""
    with connection._nodb_cursor() as cursor:  # in another database: a restore ends who is in its own
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'psql'",
            [connection.settings_dict["NAME"]],
        )
        return cursor.fetchone()[0]
