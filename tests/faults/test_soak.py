"""X43: jobs and pages while one thing after the other breaks; then everything must be as if nothing had.

HEADWAY_SOAK_SECONDS: how long things break; without it half an hour with `./run test --faults`, else two
strikes at a few jobs. HEADWAY_SOAK_SEED repeats the strikes of another run.
"""

import http.client
import os
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from django.contrib.auth.models import User

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import FINAL, Job, State
from notifications.models import Notification
from tests.crowd import Crowd, all_right, has_all
from tests.demo.models import Effect
from tests.engine import Engine, attempts_overlap, described, effects_once, ended, keys
from tests.faults.conftest import FULL, pass_time, rounds
from tests.faults.nemesis import Nemesis
from tests.faults.programs import Program
from tests.notifications.counting import wrong_counts
from tests.site import Site, resident
from tests.waiting import until

SECONDS = float(os.environ.get("HEADWAY_SOAK_SECONDS", "1800" if FULL else "0"))
SEED = int(os.environ.get("HEADWAY_SOAK_SEED") or random.randrange(10**6))
LONG = SECONDS > 0
EVERY = 20.0 if LONG else 2.0  # seconds between two strikes
FEW = ["kill_horse", "cut_clients"]
OPEN = 200 if LONG else 8  # jobs at a time
ITEMS = 50 if LONG else 10
WAIT = 0.05 if LONG else 0.02  # seconds an item takes: other faults run beside half an hour of it
PAGES = {"websocket": 4, "sse": 1, "poll": 1} if LONG else {"websocket": 2, "sse": 1, "poll": 1}
OWNERS = (
    10 if LONG else 1
)  # one may have 100 jobs in a queue, and 20 sockets, those of killed processes included
CANCELLED = 0.05  # the share of jobs that somebody cancels
MORE_MEMORY = 1.10  # what a process may have at the end, beside what it had when it was warm
WARM_SECONDS = 900.0  # in less than that memory still grows into its size
DRAINED = 900.0  # seconds for all jobs to end afterwards; a guard against hanging


class Starter:
    """Starts jobs over HTTP, and asks again with the same key until it is answered."""

    def __init__(self, address: str, owners: Sequence[User]) -> None:
        self.programs = [Program(address, owner) for owner in owners]
        self.accepted: list[str] = []
        self.statuses: set[int] = set()
        self.ended = 0  # told by who looks
        self.failure: BaseException | None = None
        self._over = threading.Event()

    @contextmanager
    def working(self) -> Iterator[None]:
        thread = threading.Thread(target=self._work, name="starter")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(120)
        assert not thread.is_alive() and self.failure is None, self.failure

    def _work(self) -> None:
        try:
            number = 0
            while not self._over.is_set():
                if len(self.accepted) - self.ended < OPEN:
                    number += 1
                    self.accepted.append(self._start(self.programs[number % len(self.programs)], number))
                self._over.wait(0.02)
        except BaseException as error:
            self.failure = error

    def _start(self, program: Program, number: int) -> str:
        end = time.monotonic() + 90
        while time.monotonic() < end:  # to the end, also when all is over: it may have been accepted
            try:
                status, told = program.start(
                    "shelves", f"key-{number}", name=f"job-{number}", n=ITEMS, wait=WAIT
                )
            except (OSError, http.client.HTTPException):
                status, told = 0, None
            self.statuses.add(status)
            if status in (200, 201):
                return str(told["id"])
            time.sleep(0.2)
        raise AssertionError(f"job {number} was never answered: {sorted(self.statuses)}")


def keep_company(starter: Starter, chance: random.Random, seconds: float, asked: set[str]) -> None:
    """For a while, tell how many have ended, and cancel some jobs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        starter.ended = Job.objects.filter(state__in=FINAL).count()
        for name in starter.accepted[len(asked) :]:
            asked.add(name)
            if LONG and chance.random() < CANCELLED:
                job = Job.objects.get(pk=name)
                with suppress(Refused):  # it has ended meanwhile
                    lifecycle.cancel(job, job.owner)
        pass_time(0.5)


def wrong_with(job: Job) -> list[str]:
    """Return what is wrong with a job that has ended: C1, C3, C4 and C5."""
    found = []
    if job.events.filter(kind__in=FINAL).count() != 1 or job.state not in (State.COMPLETED, State.CANCELLED):
        found.append("it did not end once, and well")
    try:
        effects_once(job, keys(ITEMS) if job.state == State.COMPLETED else done_keys(job))
    except AssertionError as error:
        found.append(str(error))
    if attempts_overlap(job):
        found.append("two attempts wrote at once")
    told = Notification.objects.filter(group_key=job.stream, recipient=job.owner_id).count()
    if told > 1 or (job.state == State.COMPLETED and not told):
        found.append(f"its owner has {told} rows of it")
    return [f"{job.pk}: {one}; {described(job)}" for one in found]


def done_keys(job: Job) -> list[str]:
    """Return the keys of a job's items that are done."""
    return list(job.items.filter(state="done").values_list("key", flat=True))


def test_everything_breaks_again_and_again_and_nothing_is_lost(
    site: Site, crowd: Crowd, engine: Engine, owner: User
) -> None:
    sys.stderr.write(f"HEADWAY_SOAK_SEED={SEED}\n")
    before, chance = len(site.log()), random.Random(SEED)
    owners = [owner, *(User.objects.create_user(f"owner-{n}") for n in range(1, OWNERS))]
    nemesis = Nemesis(site, engine, chance, workers=4 if LONG else 2, keepers=2 if LONG else 1)
    starter, asked = Starter(site.front.address, owners), set[str]()
    steady, port = engine.web()  # never struck: its memory is looked at
    witnesses = Crowd(f"127.0.0.1:{port}")
    try:
        with starter.working():
            until(lambda: len(starter.accepted) >= min(OPEN, 20), 120, "the first jobs")
            viewers = []
            for user in owners:
                own = [f"job:{pk}" for pk in Job.objects.filter(owner=user).values_list("pk", flat=True)[:5]]
                for transport, number in PAGES.items():
                    viewers += crowd.open(user, f"user:{user.pk}", *own, number=number, transport=transport)
                viewers += witnesses.open(user, f"user:{user.pk}", number=2)
            for viewer in viewers:
                until(lambda viewer=viewer: has_all(viewer), 120, "a first state of everything")
            warm = 0
            for n in rounds(max(len(FEW), int(SECONDS / EVERY))):
                nemesis.strike("" if LONG else FEW[n])
                keep_company(starter, chance, EVERY, asked)
                if n == int(SECONDS / EVERY / 10):
                    warm = resident(steady.pid)
            nemesis.mend()
        jobs = list(Job.objects.order_by("created_at"))
        assert sorted(str(job.pk) for job in jobs) == sorted(starter.accepted)  # C1
        jobs = [ended(job, DRAINED) for job in jobs]
        all_right(viewers, 60)  # C2
        wrong = [text for job in jobs for text in wrong_with(job)]
        assert not wrong, f"{nemesis.done}: {wrong[:5]}"
        assert Effect.objects.count() == sum(job.items_done for job in jobs)
        assert not wrong_counts()  # C5
        logs = site.log()[before:] + engine.log.read_text(errors="replace")
        assert "request_failed" not in logs and 500 not in starter.statuses, nemesis.done  # C6
        assert "Traceback" not in logs, logs[logs.find("Traceback") - 300 :][:3_000]
        assert not any(1011 in viewer.closes for viewer in viewers)
        now = resident(steady.pid)
        sys.stderr.write(
            f"{len(jobs)} jobs, {len(nemesis.done)} strikes: {nemesis.done}\n"
            f"statuses {sorted(starter.statuses)}, memory {warm / 2**20:.1f} -> {now / 2**20:.1f} MB\n"
        )
        assert SECONDS < WARM_SECONDS or now <= warm * MORE_MEMORY  # C7
    finally:
        witnesses.close()
