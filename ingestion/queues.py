"""The only file that knows RQ: wake-up tokens, our worker classes, the stop command.

An RQ job is a token and nothing more: one allow-listed name and its queue's. It is never performed: whoever
pops it asks the database what to do. Redis may lose, double or forge tokens without effect on what runs.
"""

import contextlib
import ctypes
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn
from uuid import UUID, uuid4

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from django_rq.queues import get_queue
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.command import send_command
from rq.exceptions import StopRequested
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from rq.timeouts import HorseMonitorTimeoutException
from rq.worker import SimpleWorker, Worker
from rq.worker.base import BaseWorker

from config.statements import execute
from ingestion.failpoints import hit

log = structlog.get_logger(__name__)

TOKEN = "ingestion.look_for_work"
REDIS_SECONDS = 0.3  # what a wake-up may cost its caller
SKIP_SECONDS = 2.0  # after a failure Redis is left alone; the keeper carries what was skipped
LIVE_WITHIN = 15.0  # seconds since a worker's last beat
RELEASE_GRACE = 5.0  # seconds a work-horse has to give its job back on SIGTERM
FENCED_EXIT = 70  # the work-horse ended itself because it could not write
TIME_LIMIT_EXIT = 71  # ... because its source's time limit was over
_PR_SET_PDEATHSIG = 1
_LIVE = """
    SELECT count(*) FROM ingestion_process
    WHERE role = 'worker' AND queue = %s AND beat_at > statement_timestamp() - make_interval(secs => %s)
"""

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
            driver_info=None,  # redis-py reads its own version from disk for each connection
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
            rq_queue.enqueue_call(TOKEN, args=(queue,), job_id=uuid4().hex)
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
    return int(execute(_LIVE, [queue, LIVE_WITHIN])[0][0])


def stop(worker: str, token: UUID) -> bool:
    """Tell a worker to end the work-horse of this attempt. Return False when that was not possible."""
    try:
        send_command(_client(), worker, "stop-job", job_id=str(token))
    except redis.RedisError as error:
        log.info("stop_not_sent", worker=worker, error=type(error).__name__)
        return False
    return True


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent does; end it now if the parent is gone already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


class Hooks(NamedTuple):
    """What a worker's process does around an attempt; `worker.py` knows how."""

    claim: Callable[[str, UUID, str, str], Any]  # (queue, lease token, worker, RQ id): a job, or None
    drive: Callable[[Any, UUID], None]  # run one attempt of it to its outcome
    release: Callable[[], None]  # in the work-horse: give the job back at the next checkpoint
    horse_ended: Callable[[UUID, int | None, bool], None]  # in its parent: (token, wait status, told to stop)


class _Tolerant(BaseWorker):
    """What both our workers share: one queue, allow-list, and no death because Redis is away."""

    exponential_backoff_factor = 1.5
    max_connection_wait_time = 3.0
    hooks: Hooks
    token: UUID | None = None  # the lease token of the attempt in hand

    def execute_job(self, job: RqJob, queue: Queue) -> None:
        """Take one woken turn: run what the queue's table holds until there is nothing to claim."""
        hit("token.popped")
        ours = self.is_ours(job)
        self._consume(job, queue)
        while ours and not self._stop_requested:
            self.token = uuid4()
            claimed = self.hooks.claim(queue.name, self.token, self.name, job.id)
            if claimed is None:
                break
            self.run_attempt(claimed, self.token)
            self.heartbeat()
        self.token = None

    def run_attempt(self, claimed: Any, token: UUID) -> None:
        """Drive a claimed job to its outcome."""
        raise NotImplementedError

    def _consume(self, job: RqJob, queue: Queue) -> None:
        with contextlib.suppress(redis.RedisError), self.connection.pipeline(transaction=False) as pipeline:
            pipeline.lrem(queue.intermediate_queue_key, 1, job.id)
            pipeline.delete(job.key)
            pipeline.execute()

    def get_current_job_id(self) -> str | None:
        """Return what the stop command must name: the attempt in hand."""
        return str(self.token) if self.token else None

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

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(redis.RedisError):
            super().heartbeat(*args, **kwargs)

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

    def run_attempt(self, claimed: Any, token: UUID) -> None:
        self._horse_status = None
        if not self._stop_requested:
            self._fork(claimed, token)
        while self.horse_pid:
            try:
                with self.death_penalty_class(self.job_monitoring_interval, HorseMonitorTimeoutException):
                    self.wait_for_horse()
            except HorseMonitorTimeoutException:
                self.heartbeat()
        self.hooks.horse_ended(token, self._horse_status, self._stop_requested)

    def _fork(self, claimed: Any, token: UUID) -> None:
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            self._be_the_horse(claimed, token, parent)
        self._horse_pid = child
        if self._stop_requested:  # asked for while there was no horse to tell
            self._end_horse()

    def _be_the_horse(self, claimed: Any, token: UUID, parent: int) -> NoReturn:
        status = 1
        try:
            os.setpgrp()
            die_with_parent(parent)
            random.seed()
            self.setup_work_horse_signals()
            _leave_sessions_to_parent()
            os.environ["PGAPPNAME"] = f"hw:{token}"  # every session of every thread carries it
            self.hooks.drive(claimed, token)
            status = 0
        except (DatabaseError, InterfaceError) as error:
            log.error("outcome_not_written", token=str(token), error=type(error).__name__)
            status = FENCED_EXIT  # whether that was a crash is for the keeper to judge
        except BaseException:
            log.exception("attempt_broke", token=str(token))
        finally:
            sys.stdout.flush()
            os._exit(status)

    def wait_for_horse(self) -> Any:
        pid, status, usage = super().wait_for_horse()
        if pid:
            self._horse_status = status
        self._horse_pid = 0
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
        if self.token is None:
            raise StopRequested
        if self.horse_pid:
            self._end_horse()

    def _end_horse(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.horse_pid, signal.SIGTERM)
        timer = threading.Timer(RELEASE_GRACE, self.kill_horse)
        timer.daemon = True
        timer.start()


class LightWorker(_Tolerant, SimpleWorker):
    """Runs short sources in its own process; lease and fence protect them as well."""

    def run_attempt(self, claimed: Any, token: UUID) -> None:
        os.environ["PGAPPNAME"] = f"hw:{token}"  # for the sessions of further threads
        try:
            self.hooks.drive(claimed, token)
        finally:
            del os.environ["PGAPPNAME"]

    def request_stop(self, signum: int, frame: Any) -> None:
        self._stop_requested = True
        if self.token is None:
            raise StopRequested
        self.hooks.release()


def _leave_sessions_to_parent() -> None:
    # Closing them here would say goodbye on the parent's own socket.
    for one in connections.all(initialized_only=True):
        _of_parent.append(one.connection)
        one.connection = None


def looks_itself(queue: str) -> bool:
    """Say whether this process belongs to a worker of this queue: it claims its next job without a token."""
    return _working is not None and _working.queues[0].name == queue


_of_parent: list[Any] = []
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
