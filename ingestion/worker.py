"""What RQ calls: claim the best due job, drive one attempt, decide one outcome."""

import os
import signal
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, DataError, InterfaceError, connection

from config import patience
from config.statements import execute
from ingestion import in_hand, lifecycle, queues, schema
from ingestion.failpoints import hit
from ingestion.history import Figures
from ingestion.interrupts import Cancelled, Fenced, Released, Waiting
from ingestion.items import described
from ingestion.models import Job, State
from ingestion.processes import Beat, settle
from ingestion.reporter import Reporter
from ingestion.run import Run
from ingestion.source import Outcome, Source, SourceError, find

log = structlog.get_logger(__name__)

OUTCOME_TRIES = 20  # for the write of an outcome while the database is away; the lease decides in the end
OUTCOME_WAIT = 0.3


def claim(queue: str, token: UUID, worker: str, rq_id: str) -> Job | None:
    """Claim the best due job of a queue for this worker; None as well when that could not be tried."""
    try:
        if schema.outgrown():
            return None
        return lifecycle.claim(queue, worker=worker, token=token, rq_id=rq_id)
    except Exception as error:  # the keeper wakes somebody again
        log.warning("claim_failed", queue=queue, error=type(error).__name__)
        connection.close()
        return None


def drive_here(job: Job, token: UUID) -> None:
    """Run an attempt in this process, whose session carries the attempt's token while it lasts."""
    try:
        execute("SELECT set_config('application_name', %s, false)", [f"hw:{token}"])
        drive(job, token)
    except (DatabaseError, InterfaceError) as error:  # the outcome as well: the lease decides
        log.warning("attempt_lost_its_database", token=str(token), error=type(error).__name__)
        connection.close()


def drive(job: Job, token: UUID) -> None:
    """Run one attempt of a claimed job to its outcome."""
    source = find(job.source)
    if source is None:
        error = {"code": "unknown_source", "text": f"The source {job.source!r} is not installed here."}
        lifecycle.fail(job.pk, token, error)
        return
    run = Run(job, source, token)
    reporter = Reporter(run, time_limit=source.time_limit)
    in_hand.take(run)
    reporter.start()
    try:
        outcome = attempt(run, source, job.params)
    finally:
        figures = reporter.stop()
        in_hand.take(None)
    hit("run.before_outcome")
    try:
        _until_written(lambda: outcome(figures))
    except (DataError, TypeError, ValueError) as error:  # it cannot be kept: the source's failure, no crash
        _until_written(lambda: _failure(run, error)(Figures()))
    hit("run.after_outcome")


def attempt(run: Run, source: Source, params: dict[str, Any]) -> Callable[[Figures], bool]:
    """Run the author's code and return the verb that writes what happened."""
    job_id, token = run.id, run.token
    try:
        run.checkpoint()
        result = source.run(run, source.stored_params(params)) or Outcome()
        return lambda figures: lifecycle.finish(job_id, token, result, figures)
    except Waiting as waiting:
        kind, text = waiting.kind, waiting.text
        return lambda figures: lifecycle.wait(job_id, token, kind, text, figures)
    except Cancelled:
        return lambda figures: lifecycle.stop(job_id, token, figures)
    except Released:
        return lambda figures: lifecycle.release(job_id, token, figures)
    except Fenced:
        log.info("fenced", job=str(job_id))
        return lambda figures: False
    except Exception as error:
        return _failure(run, error)


def _failure(run: Run, error: Exception) -> Callable[[Figures], bool]:
    code, text = described(error)
    told = {"code": code, "text": text}
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, SourceError) and not error.retryable:
        return lambda figures: lifecycle.fail(run.id, run.token, told, figures, trace)
    retry_after = error.retry_after if isinstance(error, SourceError) else None
    log.warning("attempt_failed", job=str(run.id), error=type(error).__name__)
    return lambda figures: lifecycle.try_again(run.id, run.token, told, figures, trace, retry_after)


def _until_written(write: Callable[[], bool]) -> None:
    # Hours of work must not be lost to a blink of the database; after the lease the write is void anyway.
    for left in reversed(range(OUTCOME_TRIES)):
        try:
            write()
            return
        except (DatabaseError, InterfaceError) as error:
            connection.close()
            if not left or isinstance(error, DataError):
                raise
            threading.Event().wait(OUTCOME_WAIT)


def horse_ended(token: UUID, status: int | None, released: bool) -> None:
    """Write the outcome that a dead work-horse could not. Called by its parent, which knows the token.

    status: as of waitpid. released: the parent was told to stop and ended it.
    """
    if status == 0:
        return
    code = os.waitstatus_to_exitcode(status) if status is not None else 1
    if code == queues.FENCED_EXIT:
        return  # no crash by itself; the lease running out is the keeper's to judge
    try:
        with patience.a_moment():  # others wait for this worker
            job = Job.objects.filter(lease_token=token, state=State.RUNNING).first()
            if job is None:
                return
            if released:
                lifecycle.release(job.pk, token)
            elif code == queues.TIME_LIMIT_EXIT:
                text = "The job took longer than this source allows."
                lifecycle.fail(job.pk, token, {"code": "time_limit", "text": text})
            else:
                lifecycle.rescue(job.pk, token, crashed=True, expired=False)
    except (DatabaseError, InterfaceError) as error:
        log.warning("horse_end_not_written", token=str(token), error=type(error).__name__)  # the keeper will
        connection.close()


def hooks(queue: str) -> queues.Hooks:
    """Return what a worker of this queue does around an attempt."""
    return queues.Hooks(claim, drive_here if queue == "light" else drive, in_hand.give_back, horse_ended)


def serve(queue: str) -> bool:
    """Work on one queue until SIGTERM. Return False when the loop ended by itself."""
    name = f"{queue}-{socket.gethostname()}-{os.getpid()}-{os.urandom(2).hex()}"[:100]
    beat = Beat(name, "worker", queue)
    beat.once()
    settle()
    beat.start()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        return queues.work(queue, name, hooks(queue))
    finally:
        beat.stop()
