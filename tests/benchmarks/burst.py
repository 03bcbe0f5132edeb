"""A worker that empties its queue and says what that cost: `burst ours|rq default|light`."""

import json
import os
import resource
import sys
import time

import django


def cpu() -> float:
    """Return the CPU seconds of this process and its ended children."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def noop() -> float:
    """Say when it ran."""
    return time.time()


def main(whose: str, queue: str) -> None:
    """Work until the queue is empty."""
    django.setup()
    import redis
    from django.conf import settings
    from rq import Queue, SimpleWorker, Worker
    from rq.serializers import JSONSerializer

    from ingestion import queues
    from ingestion.processes import settle
    from ingestion.worker import hooks

    client = redis.Redis.from_url(settings.REDIS_URL)
    name = queue if whose == "ours" else f"bare-{queue}"
    kinds = {
        ("ours", "default"): queues.HeadwayWorker,
        ("ours", "light"): queues.LightWorker,
        ("rq", "default"): Worker,
        ("rq", "light"): SimpleWorker,
    }
    worker = kinds[whose, queue](
        [Queue(name, connection=client, serializer=JSONSerializer)],
        name=f"{whose}-{os.getpid()}",
        connection=client,
        serializer=JSONSerializer,
    )
    worker.log_job_description = False
    worker.log_result_lifespan = False
    queues._working = worker if whose == "ours" else None
    worker.hooks = hooks(queue)
    settle()
    began, spent = time.monotonic(), cpu()
    worker.work(burst=True, logging_level="WARNING")
    sys.stdout.write(json.dumps({"wall": time.monotonic() - began, "cpu": cpu() - spent}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
