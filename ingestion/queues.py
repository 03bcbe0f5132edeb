"""The only file that knows RQ: wake-up tokens, our worker classes, the stop command.

An RQ job is a token and nothing more: one allow-listed callable with the name of its queue. Redis may lose,
double or forge tokens without effect on what runs; the database decides.
"""

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import redis
import structlog
from django.conf import settings
from django.db import connections
from django_rq.queues import get_queue
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError, StopRequested
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker, Worker
from rq.worker.base import BaseWorker

from ingestion.failpoints import hit
from ingestion.models import Process

log = structlog.get_logger(__name__)

TOKEN = "ingestion.worker.run_next"
JOB_TIMEOUT = 24 * 3600  # RQ's own limit; a source's `time_limit` is the one that matters
REDIS_SECONDS = 0.3  # what a wake-up may cost its caller
SKIP_SECONDS = 2.0  # after a failure Redis is left alone; the keeper carries what was skipped
LIVE_WITHIN = 15.0  # seconds since a worker's last beat
RELEASE_GRACE = 5.0  # seconds a work-horse has to give its job back on SIGTERM
FENCED_EXIT = 70  # the work-horse ended itself because it could not write
TIME_LIMIT_EXIT = 71  # ... because its source's time limit was over
_PR_SET_PDEATHSIG = 1

_quick: redis.Redis | None = None
_skip_until = 0.0


def _client() -> redis.Redis:
    global _quick
    if _quick is None:
        _quick = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
            retry=Retry(NoBackoff(), 0),  # redis-py's default tries three times more
        )
    return _quick


def _queue(name: str, client: redis.Redis) -> Queue:
    # "auto": we wait for the commit ourselves, where it can be seen.
    return get_queue(name, connection=client, commit_mode="auto")


def wake(queue: str, times: int = 1) -> bool:
    """Push tokens while the queue holds fewer than it has live workers. Return False when Redis is away."""
    global _skip_until
    if time.monotonic() < _skip_until:
        return False
    workers = max(1, live_workers(queue))
    try:
        rq_queue = _queue(queue, _client())
        for _ in range(min(times, workers - rq_queue.count)):
            rq_queue.enqueue_call(
                TOKEN, args=(queue,), timeout=JOB_TIMEOUT, result_ttl=0, failure_ttl=60, job_id=uuid4().hex
            )
    except redis.RedisError as error:
        _skip_until = time.monotonic() + SKIP_SECONDS
        log.warning("wake_failed", queue=queue, error=type(error).__name__)
        return False
    return True


def trouble() -> str:
    """Say why wake-ups do not get through now: `away`, `login`, or an empty text."""
    try:
        _client().ping()
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
        return "login"
    except redis.RedisError:
        return "away"
    return ""


def live_workers(queue: str) -> int:
    """Count the workers of a queue that have beaten lately."""
    return Process.objects.alive(LIVE_WITHIN).filter(role="worker", queue=queue).count()


def stop(rq_id: str) -> bool:
    """Tell RQ to end the work-horse of this token. Return False when that was not possible."""
    try:
        send_stop_job_command(_client(), rq_id, serializer=JSONSerializer)
    except (redis.RedisError, NoSuchJobError, InvalidJobOperation) as error:
        log.info("stop_not_sent", rq_id=rq_id, error=type(error).__name__)
        return False
    return True


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent does; end it now if the parent is gone already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class Hooks(NamedTuple):
    """What a worker's process does around an attempt; `worker.py` knows how."""

    release: Callable[[], None]  # in the work-horse: give the job back at the next checkpoint
    horse_ended: Callable[[UUID, int | None, bool], None]  # in its parent: (token, wait status, told to stop)


class _Tolerant(BaseWorker):
    """What both our workers share: one queue, allow-list, and no death because Redis is away."""

    exponential_backoff_factor = 1.5
    max_connection_wait_time = 3.0
    hooks: Hooks
    token: UUID | None = None  # the lease token of the attempt in hand

    def is_ours(self, job: RqJob) -> bool:
        """Refuse everything but a token for our own queue, before anything else is imported."""
        try:
            forged = job.func_name != TOKEN or list(job.args) != [self.queues[0].name] or bool(job.kwargs)
        except Exception as error:  # whatever a forged payload makes the deserialiser raise
            log.warning("forged_job", rq_id=job.id, error=type(error).__name__)
            return False
        if forged:
            log.warning("forged_job", rq_id=job.id)
        return not forged

    def drop(self, job: RqJob) -> None:
        """Put a refused RQ job aside."""
        with contextlib.suppress(redis.RedisError):
            job.delete()

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(redis.RedisError):
            super().heartbeat(*args, **kwargs)

    def maintain_heartbeats(self, *args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(redis.RedisError):
            super().maintain_heartbeats(*args, **kwargs)

    def set_state(self, state: str, *args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(redis.RedisError):
            super().set_state(state, *args, **kwargs)

    def check_for_suspension(self, burst: bool) -> None:
        """Skip RQ's own suspension: a `Pause` row does that."""

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Say no: nothing of RQ's registries matters to us."""
        return False


class HeadwayWorker(_Tolerant, Worker):
    """Forks a work-horse per attempt, dies with it, gives the job back on SIGTERM, reports its crash."""

    _horse_status: int | None = None

    def execute_job(self, job: RqJob, queue: Queue) -> None:
        hit("token.popped")
        if not self.is_ours(job):
            return self.drop(job)
        self.token = uuid4()
        with contextlib.suppress(redis.RedisError):
            super().execute_job(job, queue)
        while self.horse_pid:  # Redis failed while the horse ran: it goes on, and we wait for it
            _, self._horse_status, _ = self.wait_for_horse()
            self._horse_pid = 0
        self.hooks.horse_ended(self.token, self._horse_status, self._stop_requested)
        self.token = None

    def fork_work_horse(self, job: RqJob, queue: Queue) -> None:
        connections.close_all()
        parent = os.getpid()
        os.environ["PGAPPNAME"] = f"hw:{self.token}"
        child = os.fork()
        if child == 0:
            os.setpgrp()
            die_with_parent(parent)
            self.main_work_horse(job, queue)
            os._exit(0)
        os.environ.pop("PGAPPNAME", None)
        self._horse_pid = child

    def wait_for_horse(self) -> Any:
        pid, status, usage = super().wait_for_horse()
        self._horse_status = status
        return pid, status, usage

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        if self.horse_pid:  # 0 would be our own process group
            super().kill_horse(sig)

    def setup_work_horse_signals(self) -> None:
        """SIGTERM asks the running attempt to give its job back; SIGINT from the terminal is the parent's."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self.hooks.release())

    def request_stop(self, signum: int, frame: Any) -> None:
        """End after giving the job back; RQ's own warm shutdown would wait for it for ever."""
        if self._stop_requested:
            return
        self._stop_requested = True
        if not self.horse_pid:
            raise StopRequested
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.horse_pid, signal.SIGTERM)
        timer = threading.Timer(RELEASE_GRACE, self.kill_horse)
        timer.daemon = True
        timer.start()


class LightWorker(_Tolerant, SimpleWorker):
    """Runs short sources in its own process; lease and fence protect them as well."""

    def execute_job(self, job: RqJob, queue: Queue) -> None:
        if not self.is_ours(job):
            return self.drop(job)
        self.token = uuid4()
        connections.close_all()  # the sessions of a job carry its token, so that they can be ended
        os.environ["PGAPPNAME"] = f"hw:{self.token}"
        try:
            with contextlib.suppress(redis.RedisError):
                super().execute_job(job, queue)
        finally:
            del os.environ["PGAPPNAME"]
            connections.close_all()
            self.token = None

    def request_stop(self, signum: int, frame: Any) -> None:
        self._stop_requested = True
        if self.token is None:
            raise StopRequested
        self.hooks.release()


def current() -> tuple[UUID, str, str]:
    """Return (lease token, worker name, RQ id) of this process's attempt. Raises RuntimeError elsewhere."""
    if _working is None or _working.token is None:
        raise RuntimeError("not in a worker")
    return _working.token, _working.name, os.environ.get("RQ_JOB_ID", "")


_working: HeadwayWorker | LightWorker | None = None


def work(queue: str, name: str, hooks: Hooks) -> bool:
    """Serve one queue until SIGTERM; more than one per process would lose tokens (RELIABILITY F6).

    Return False when the loop ended by itself; whoever supervises starts the process again.
    """
    global _working
    client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5)
    kind = LightWorker if queue == "light" else HeadwayWorker
    _working = kind(
        [_queue(queue, client)],
        name=name,
        connection=client,
        serializer=JSONSerializer,
        worker_ttl=30,
        job_monitoring_interval=5,
    )
    _working.hooks = hooks
    _working.log_job_description = False
    try:
        _working.work(logging_level="WARNING")
    except redis.RedisError as error:
        log.warning("redis_away", queue=queue, error=type(error).__name__)
    return bool(_working._stop_requested)
