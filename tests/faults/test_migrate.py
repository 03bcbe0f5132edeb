"""A migration comes while an old worker runs."""

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from ingestion import lifecycle, queues
from ingestion.models import Process, State
from tests.engine import ended, fresh
from tests.waiting import until


@pytest.fixture
def migrated(transactional_db):
    """Return a function that applies a migration which this code does not have."""
    applied = MigrationRecorder.Migration.objects.filter(app="ingestion", name="9999_of_newer_code")

    def migrate():
        MigrationRecorder(connection).record_applied("ingestion", "9999_of_newer_code")

    yield migrate
    applied.delete()


def test_an_old_worker_stops_claiming_and_says_so(engine, owner, migrated):
    """CMD67."""
    worker = engine.worker()
    migrated()
    until(lambda: "newer than this process" in engine.log.read_text(), 30, "the worker's notice")
    until(lambda: not Process.objects.filter(role="worker").exists(), 10, "the end of its row")

    job = lifecycle.create("ping", {}, owner=owner).job
    waiting = queues._queue("default", queues._client())
    until(lambda: waiting.count == 0, 30, "the token to be taken")
    queues.wake("default")  # a second: when it is taken, the worker is through with the first
    until(lambda: waiting.count == 0, 30, "the second token to be taken")
    assert worker.poll() is None
    assert fresh(job).state == State.PENDING

    refused = engine.start("worker")
    assert refused.wait(40) == 1
    assert "The database is newer than this code." in engine.log.read_text()


def test_the_control_without_the_migration_runs_the_job(engine, owner):
    engine.worker()
    job = lifecycle.create("ping", {}, owner=owner).job
    assert ended(job).state == State.COMPLETED
