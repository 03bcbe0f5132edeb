"""F16: versions are counted in the row that they number, because a sequence's numbers appear out of order."""

import random
import threading

import pytest
from django.db import connection, transaction

from ingestion.models import JobEvent
from tests.realtime.rows import make_job, move

pytestmark = pytest.mark.django_db(transaction=True)
WRITERS = 8
MOVES = 25  # of each


class Undone(Exception):
    """A transaction that ends without an effect."""


def write(job, started):
    luck = random.Random(threading.get_ident())
    started.wait()
    for _ in range(MOVES):
        try:
            with transaction.atomic():
                move(job, event="log")
                if luck.random() < 0.1:
                    raise Undone
        except Undone:
            continue
    connection.close()


def test_a_reader_that_follows_versions_misses_none(alice):
    """Eight writers on one row, a tenth of their transactions undone, and one who reads on from a cursor."""
    job = make_job(alice, version=0)
    started = threading.Barrier(WRITERS + 1)
    writers = [threading.Thread(target=write, args=(job, started)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    started.wait()
    seen, cursor = [], 0
    while True:
        over = not any(writer.is_alive() for writer in writers)
        rows = list(
            JobEvent.objects.filter(job=job, version__gt=cursor)
            .order_by("version")
            .values_list("version", flat=True)
        )
        seen += rows
        cursor = seen[-1] if seen else 0
        if over:
            break
    job.refresh_from_db()
    assert len(seen) > WRITERS
    assert seen == list(range(1, job.version + 1))
