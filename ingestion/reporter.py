"""The thread beside a run: heartbeat, lease, cancel flag, coalesced figures, one hint per write.

It has its own database connection, so progress shows while the author is inside a transaction.
"""

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction

from config import texts
from ingestion.failpoints import hit
from ingestion.history import Figures, Note, record
from ingestion.interrupts import Cancelled, Fenced
from ingestion.queues import FENCED_EXIT, TIME_LIMIT_EXIT
from ingestion.run import Run
from ingestion.settings import LEASE_SECONDS, SELF_FENCE_SECONDS
from realtime.publish import publish

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.25  # how often it looks, and at most writes
BEAT_SECONDS = 1.0  # how often it writes in any case
RATE_WINDOW = 60.0
RATE_AFTER = (10.0, 3)  # seconds and units before a rate is shown
NOTES_PER_WRITE = 200
FENCE_GRACE = 1.0  # how long a run that lost its lease may take to notice


class Reporter(threading.Thread):
    """Writes a run's figures. `stop` it before the outcome: its last figures go into that transaction."""

    def __init__(
        self, run: Run, *, time_limit: float | None = None, end_process: Callable[[int], Any] = os._exit
    ) -> None:
        super().__init__(name="reporter", daemon=True)
        self.job_run = run
        self.time_limit = time_limit
        self.end_process = end_process
        self.began = time.monotonic()
        self.written_at = self.began
        self._halt = threading.Event()
        self._wrote: dict[str, Any] = {}
        self._samples: deque[tuple[float, int]] = deque([(self.began, run.units()[0])])
        self._eta: float | None = None

    def run(self) -> None:
        """Beat until stopped; end the process when writing fails for too long."""
        try:
            while not self._halt.wait(LOOK_SECONDS):
                self._beat()
        finally:
            connection.close()

    def stop(self) -> Figures:
        """End the thread and return what it had not written yet."""
        self._halt.set()
        if self.is_alive():
            self.join()
        return self.figures(most=len(self.job_run.notes))

    def figures(self, most: int = NOTES_PER_WRITE) -> Figures:
        """Return the run's figures as column values, and at most so many notes that are not written yet."""
        run = self.job_run
        rate, eta = self._speed()
        columns = {
            "message": texts.marked(run.message)[:300],
            "steps": run.steps_json(),
            "progress": run.progress(),
            "rate": rate,
            "eta_seconds": eta,
        }
        notes = [run.notes.popleft() for _ in range(min(len(run.notes), most))]
        return Figures(columns, notes)

    def _beat(self) -> None:
        now = time.monotonic()
        try:
            self._write_if_due(now)
        except (DatabaseError, InterfaceError) as error:
            log.warning("heartbeat_failed", job=str(self.job_run.id), error=type(error).__name__)
            connection.close()
        except Exception:  # a step may have come while they were listed; who dies of it cannot fence
            log.exception("heartbeat_broke", job=str(self.job_run.id))
        silent = time.monotonic() - self.written_at
        if self.job_run.interrupt is Fenced and silent > FENCE_GRACE:
            self.end_process(FENCED_EXIT)
        elif silent > SELF_FENCE_SECONDS:
            log.error("self_fenced", job=str(self.job_run.id), seconds=round(silent, 1))
            self.end_process(FENCED_EXIT)
        elif self.time_limit is not None and now - self.began > self.time_limit:
            self.end_process(TIME_LIMIT_EXIT)

    def _write_if_due(self, now: float) -> None:
        if self.job_run.interrupt is Fenced:
            return
        figures = self.figures()
        try:
            changed = {
                name: value for name, value in figures.columns.items() if self._wrote.get(name) != value
            }
            # A rate or an estimate alone is not worth a write: it goes along with the next.
            moved = bool(changed.keys() - {"rate", "eta_seconds"}) or bool(figures.notes)
            if moved or now - self.written_at >= BEAT_SECONDS:
                self._write(changed if moved else {}, figures.notes)
                self._wrote.update(changed if moved else {})
                self.written_at = time.monotonic()
        except BaseException:
            self.job_run.notes.extendleft(reversed(figures.notes))
            raise

    def _write(self, columns: dict[str, Any], notes: list[Note]) -> None:
        hit("reporter.before_write")
        run = self.job_run
        added = max(1, len(notes)) if columns or notes else 0
        sets = "".join(f"{name} = %s, " for name in columns)
        if added:
            sets += "progress_at = clock_timestamp(), "
        values = [json.dumps(value) if name == "steps" else value for name, value in columns.items()]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '4s'")
            cursor.execute(
                f"UPDATE ingestion_job SET version = version + %s, {sets}"  # nosec B608  # our own words
                " lease_until = clock_timestamp() + make_interval(secs => %s)"
                " WHERE id = %s AND lease_token = %s AND state = 'running'"
                " RETURNING version, cancel_requested_at",
                [added, *values, LEASE_SECONDS, run.id, run.token],
            )
            row = cursor.fetchone()
            if row is None:
                run.interrupt = Fenced
                return
            version, cancel_requested_at = row
            record(run.id, notes, version - len(notes) + 1)
        hit("reporter.after_write")
        if cancel_requested_at is not None and run.interrupt is None:
            run.interrupt = Cancelled
        if added:
            publish(f"job:{run.id}", version, urgent=bool(notes))

    def _speed(self) -> tuple[float | None, float | None]:
        """Return (units a minute over the last minute, smoothed seconds left)."""
        now = time.monotonic()
        done, left = self.job_run.units()
        if now - self._samples[-1][0] >= 1.0:
            self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_WINDOW:
            self._samples.popleft()
        since, before = self._samples[0]
        if now - self.began < RATE_AFTER[0] or done - before < RATE_AFTER[1]:
            return None, None
        rate = (done - before) / (now - since) * 60
        if left is None:
            return round(rate, 2), None
        fresh = left / rate * 60
        self._eta = fresh if self._eta is None else 0.7 * self._eta + 0.3 * fresh
        return round(rate, 2), round(self._eta, 1)
