"""The worker of a benchmark."""

from typing import Any


def idle_worker() -> Any:
    """Return a worker of the default queue that waits for a job; `work(burst=True)` does what is there."""
    import redis
    from django.conf import settings
    from rq import Queue
    from rq.serializers import JSONSerializer

    from ingestion import queues
    from ingestion.processes import settle
    from ingestion.worker import hooks

    client = redis.Redis.from_url(settings.REDIS_URL)
    queue = Queue(name="default", connection=client, serializer=JSONSerializer)
    worker = queues.HeadwayWorker([queue], name="bench", connection=client, serializer=JSONSerializer)
    worker.hooks = hooks("default")
    worker.log_job_description = False
    settle()
    return worker
