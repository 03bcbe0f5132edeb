"""A database that was restored from a backup is noticed by everybody: nobody keeps what is no more."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from ingestion.models import Job
from realtime import epoch
from tests.crowd import Crowd, all_right, everywhere
from tests.faults.conftest import within
from tests.realtime.rows import make_job, move
from tests.site import Site
from tests.waiting import until

EVERY_SERVER = True
TABLES = ("realtime_epoch", "ingestion_job", "ingestion_jobevent")


def dump(folder: Path) -> None:
    """Take a backup of what the live wire shows."""
    for table in TABLES:
        copy = f"COPY {table} TO STDOUT (FORMAT binary)"
        with connection.cursor() as cursor, cursor.cursor.copy(copy) as rows:
            (folder / table).write_bytes(b"".join(rows))


def restore(folder: Path) -> None:
    """Put the backup back, as pg_restore does: in one transaction, without triggers."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; SET LOCAL session_replication_role = replica")
        for table in reversed(TABLES):
            cursor.execute(f"DELETE FROM {table}")
        for table in TABLES:
            with cursor.cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as rows:
                rows.write((folder / table).read_bytes())
        cursor.execute("COMMIT")


def restored(
    site: Site, crowd: Crowd, owner: User, folder: Path, *, bump: bool, seconds: float, noticed: bool = True
) -> None:
    """Go back to a backup that is ten versions old while everybody looks on."""
    jobs = [make_job(owner) for _ in range(3)]
    for job in jobs:
        move(job, event="log")
    dump(folder)
    viewers = everywhere(crowd, owner, *[job.stream for job in jobs])
    for _ in range(10):
        for job in jobs:
            move(job, event="log", message="Lost with the restore")
    all_right(viewers, 10)
    old = epoch.current()
    for viewer in viewers:
        for job in jobs:  # the test before may have left its epoch with the hub
            until(lambda v=viewer, j=job: v.held(j.stream).epoch == old, 10, "one epoch")
    with site.without(*([] if noticed else ["epoch"])):
        restore(folder)
        if bump:
            call_command("epoch_bump", yes=True)
        all_right(viewers, seconds)
    for viewer in viewers:
        for job in jobs:
            assert viewer.held(job.stream).version == Job.objects.get(pk=job.pk).version == 2
            assert viewer.held(job.stream).epoch != old
    for job in jobs:  # and on it goes
        move(job, event="log")
    all_right(viewers, within(2))


@pytest.mark.parametrize("bump", [True, False], ids=["by the book", "found by the position check"])
def test_everybody_goes_back_with_the_database(
    site: Site, crowd: Crowd, owner: User, tmp_path: Path, bump: bool
) -> None:
    restored(site, crowd, owner, tmp_path, bump=bump, seconds=within(10))  # P24, X31


def test_without_the_epoch_everybody_keeps_what_is_no_more(
    site: Site, crowd: Crowd, owner: User, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="is not shown as it is"):
        restored(site, crowd, owner, tmp_path, bump=False, seconds=5, noticed=False)
