"""The process that keeps promises: every second it does what is due and repairs what was lost."""

import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models import F

from config import patience
from ingestion import claims, lifecycle, positions, queues, retention, stability
from ingestion.clock import ClockTimestamp
from ingestion.duties import DUTIES
from ingestion.failpoints import hit
from ingestion.models import Job, JobAttempt, State
from ingestion.processes import BEAT_SECONDS, Beat, end_sessions
from ingestion.source import QUEUES
from notifications import keeping
from notifications.delivery import Courier

log = structlog.get_logger(__name__)

PRUNE_SECONDS = 3600  # between two looks for what was kept long enough
TICK_SECONDS = 1.0
OUTAGE_WINDOW = 15.0  # seconds without trouble of our own before a lost lease counts as a crash
OUTAGE_GAP = 5.0
STOP_AFTER = timedelta(seconds=4)  # a cancel that is not obeyed: end the work-horse
REVOKE_AFTER = timedelta(seconds=8)  # ... take the lease
STALL_MINUTES = 5
PER_TICK = 200


class Keeper:
    """Runs the duties. `once` runs each a single time."""

    def __init__(self, name: str = "") -> None:
        self.beat = Beat(name or f"keeper-{socket.gethostname()}-{os.getpid()}", "keeper")
        self.began = time.monotonic()
        self.good_ticks: deque[float] = deque(maxlen=100)
        self.courier = Courier()
        self._halt = threading.Event()
        self._last_beat = self._last_prune = float("-inf")
        self.duties: list[Callable[[], Any]] = [
            self.rescue,
            self.escalate_cancels,
            *DUTIES,
            self.note_stalls,
            self.tell_positions,
            self.wake,
            stability.look,
            self.courier.start,
            keeping.end_snoozes,
            keeping.Comparison().go_on,
            self.prune,
        ]

    def once(self) -> None:
        """Do every duty once; one that fails never keeps the others from being done."""
        for duty in self.duties:
            try:
                duty()
            except (OperationalError, InterfaceError) as error:
                if not patience.is_held(error):
                    raise
                log.warning("duty_held_up", duty=duty.__name__)
            except Exception:
                log.exception("duty_failed", duty=duty.__name__)

    def run(self) -> None:
        """Tick until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._halt.set())
        while not self._halt.is_set():
            try:
                now = time.monotonic()
                if now - self._last_beat >= BEAT_SECONDS:
                    self.beat.once()
                    self._last_beat = now
                self.once()
                self.good_ticks.append(time.monotonic())
            except (DatabaseError, InterfaceError) as error:
                log.warning("keeper_without_database", error=type(error).__name__)
                connection.close()
            self._halt.wait(TICK_SECONDS)
        self.courier.stop()
        self.beat.stop()

    def outage(self) -> bool:
        """Say whether we ourselves were away lately: then a lost lease proves nothing about its worker."""
        now = time.monotonic()
        if now - self.began < OUTAGE_WINDOW:
            return True
        seen = [at for at in self.good_ticks if now - at < OUTAGE_WINDOW]
        times = [now - OUTAGE_WINDOW, *seen, now]
        return any(later - earlier > OUTAGE_GAP for earlier, later in pairwise(times))

    def rescue(self) -> None:
        """Take the lease of workers that are gone, and end what is left of their sessions."""
        for job in Job.objects.filter(state=State.RUNNING, lease_until__lt=ClockTimestamp())[:PER_TICK]:
            hit("keeper.before_rescue")
            if self._take(job, partial(lifecycle.rescue, crashed=not self.outage())):
                hit("keeper.after_rescue")
                log.warning("rescued", job=str(job.pk))

    def escalate_cancels(self) -> None:
        """End the work-horse of a cancel that is not obeyed, then take its lease."""
        asked = Job.objects.filter(state=State.RUNNING, cancel_requested_at__lt=ClockTimestamp() - STOP_AFTER)
        revoked = asked.filter(cancel_requested_at__lt=ClockTimestamp() - REVOKE_AFTER)
        for job in revoked[:PER_TICK]:
            self._take(job, lifecycle.stop)
        current = JobAttempt.objects.filter(job__in=asked, number=F("job__attempt")).exclude(rq_id="")
        for worker, token in current.values_list("worker", "job__lease_token")[:PER_TICK]:
            if token is not None and not queues.stop(worker, token):
                break  # Redis is away, and each of many would wait for it; the lease does without

    def _take(self, job: Job, verb: Callable[[UUID, UUID], bool]) -> bool:
        """Run a verb that takes a lease away, past locks that the old attempt may still hold."""
        if job.lease_token is None:
            return False
        try:
            with patience.a_moment():
                taken = verb(job.pk, job.lease_token)
        except (OperationalError, InterfaceError) as error:
            if not patience.is_held(error):
                raise
            end_sessions(job.lease_token)
            return False  # the next tick finds the row free
        except Exception:  # of its source's own code: the others are taken all the same
            log.exception("lease_not_taken", job=str(job.pk))
            return False
        if taken:
            end_sessions(job.lease_token)
        return taken

    def note_stalls(self) -> None:
        """Tell once that a running job makes no progress."""
        still = ClockTimestamp() - timedelta(minutes=STALL_MINUTES)
        jobs = Job.objects.filter(lifecycle.UNTOLD_STALL, state=State.RUNNING, progress_at__lt=still)
        rows = [((one.pk, one.lease_token), one.owner_id) for one in jobs[:PER_TICK] if one.lease_token]
        patience.each(rows, lambda lease: lifecycle.note_stall(*lease, STALL_MINUTES))

    def tell_positions(self) -> None:
        """Write each waiting job's place where it changed."""
        for queue in QUEUES:
            positions.tell(queue)

    def wake(self) -> None:
        """Push tokens for what could run: covers lost pops, a flushed Redis, retries, freed slots."""
        for queue in QUEUES:
            ready = claims.claimable(queue, max(1, queues.live_workers(queue)))
            if ready:
                queues.wake(queue, ready)

    def prune(self) -> None:
        """Delete what has been kept long enough, once an hour, batch by batch."""
        if time.monotonic() - self._last_prune < PRUNE_SECONDS:
            return
        # One batch a tick: a long prune would look like an outage of ours.
        if not retention.prune(batches=1).more:
            self._last_prune = time.monotonic()
