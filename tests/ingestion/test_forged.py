"""What Redis holds is not trusted: only our token runs, and what it says does not matter."""

import logging
import subprocess
import zlib
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from rq import Queue
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from ingestion import queues

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker() -> queues.HeadwayWorker:
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    return queues.HeadwayWorker(
        [Queue("default", connection=client, serializer=JSONSerializer)],
        name=uuid4().hex,
        connection=client,
        serializer=JSONSerializer,
    )


def token(worker: queues.HeadwayWorker, function: object, *args: object, **kwargs: object) -> RqJob:
    return worker.queues[0].enqueue_call(function, args=args, kwargs=kwargs)


@pytest.mark.seed("SEC55")
def test_a_forged_token_is_refused_before_anything_is_imported(worker: queues.HeadwayWorker) -> None:
    for job in (
        token(worker, subprocess.getoutput, "true"),
        token(worker, queues.TOKEN, "analytics"),
        token(worker, queues.TOKEN, "default", extra=1),
        token(worker, "ingestion.lifecycle.delete", "default"),
    ):
        assert not worker.is_ours(job)
    assert worker.is_ours(token(worker, queues.TOKEN, "default"))


@pytest.mark.seed("SEC55")
@pytest.mark.parametrize("forged", ["a function", "pickle"])
def test_a_forged_token_has_no_effect_is_taken_away_and_written_down(
    forged: str, worker: queues.HeadwayWorker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = tmp_path / "ran"
    job = token(worker, subprocess.getoutput, f"touch {mark}")
    if forged == "pickle":
        touch = b"cposix\nsystem\n(S'touch %b'\ntR." % str(mark).encode()
        worker.connection.hset(job.key, "data", zlib.compress(touch))
        job = RqJob.fetch(job.id, connection=worker.connection, serializer=JSONSerializer)
    with caplog.at_level(logging.WARNING):
        worker.execute_job(job, worker.queues[0])  # without hooks: a claim would be an AttributeError
    assert not mark.exists()
    assert not worker.connection.exists(job.key)
    assert "forged_job" in caplog.text and str(mark) not in caplog.text


def test_a_token_that_cannot_be_read_is_refused(worker: queues.HeadwayWorker) -> None:
    job = token(worker, queues.TOKEN, "default")
    worker.connection.hset(job.key, "data", b"\x80\x04pickle")
    assert not worker.is_ours(RqJob.fetch(job.id, connection=worker.connection, serializer=JSONSerializer))


@pytest.mark.seed("SEC54")
def test_what_redis_holds_is_json() -> None:
    assert all(
        queue["SERIALIZER"] == "rq.serializers.JSONSerializer" for queue in settings.RQ_QUEUES.values()
    )


def test_wake_pushes_no_more_tokens_than_there_are_workers(worker: queues.HeadwayWorker) -> None:
    for _ in range(5):
        assert queues.wake("default", 3)
    assert worker.queues[0].count == 1
