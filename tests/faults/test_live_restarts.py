"""Web processes are stopped, killed and stormed: every page is somewhere else soon, and the site stays up."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest
from django.contrib.auth.models import User

from realtime import limits
from tests.crowd import Crowd, all_right, connected, everywhere, percentile
from tests.faults.conftest import FULL, within
from tests.faults.movement import moving
from tests.realtime.client import session
from tests.realtime.rows import make_job, move
from tests.site import Site
from tests.viewers import Viewer
from tests.waiting import until

PAGES = 6 if FULL else 3  # of each user and transport
STORM = 25 if FULL else 6  # users with 20 sockets each: reads come by ticks, so few viewers would share few
REST_BOUND = 0.25  # seconds; below it, twice as long as before is noise


def leave_by_turns(site: Site, crowd: Crowd, owner: User) -> None:
    """Replace the web process as a deployment does: the new one first, then SIGTERM to the old."""
    job = make_job(owner, items_total=1_000_000)
    viewers = everywhere(crowd, owner, job.stream, number=PAGES)
    with moving(job):
        for _ in range(2 if FULL else 1):
            old = site.process
            site.front.target = ("127.0.0.1", site.web())
            places = {viewer: len(viewer.connections) for viewer in viewers}
            began = time.monotonic()
            old.send_signal(signal.SIGTERM)
            for viewer in viewers:
                connected([viewer], places[viewer] + 1)
            sockets = [v for v in viewers if v.transport == "websocket"]
            back = [viewer.connections[places[viewer]] - began for viewer in sockets]
            assert max(back) <= within(6), f"back after {max(back):.1f} s"  # P22
            assert all(viewer.frames("drain") for viewer in sockets), "no word of the drain"
            waits = [viewer.frames("drain")[-1].frame["after_ms"] for viewer in sockets]
            assert len(set(waits)) > 1 and max(waits) <= limits.DRAIN_MS
            assert old.wait(15) in (0, -signal.SIGTERM)
    all_right(viewers, within(2))


def test_a_rolling_restart_is_announced_and_spread(site: Site, crowd: Crowd, owner: User) -> None:
    leave_by_turns(site, crowd, owner)  # P22, X26, F20


def test_without_the_drain_nobody_hears_of_it(site: Site, crowd: Crowd, owner: User) -> None:
    with site.without("drain"), pytest.raises(AssertionError, match="no word of the drain"):
        leave_by_turns(site, crowd, owner)


def test_a_killed_web_process_is_a_short_gap(site: Site, crowd: Crowd, owner: User) -> None:
    job = make_job(owner, items_total=1_000_000)
    viewers = everywhere(crowd, owner, job.stream, number=PAGES)
    gaps = []
    with moving(job):
        for _ in range(10 if FULL else 1):
            old = site.process
            site.front.target = ("127.0.0.1", site.web())
            began = time.monotonic()
            site.engine.kill(old)
            for viewer in viewers:
                gaps.append(news_since(viewer, began) - began)
    assert percentile(gaps, 99) <= within(6)  # X25
    all_right(viewers, within(2))


def news_since(viewer: Viewer, moment: float) -> float:
    """Return when a viewer was told something over a connection made after that moment."""
    until(lambda: viewer.connections[-1] > moment, 30, f"another connection of {viewer}")
    until(lambda: viewer.steps[-1].at >= viewer.connections[-1], 30, f"news for {viewer}")
    return min(step.at for step in list(viewer.steps) if step.at >= moment + 0.05)


@contextmanager
def asking(address: str, user: User) -> Iterator[list[float]]:
    """Ask for a user's jobs all the time; yield how long each answer took, in seconds."""
    took: list[float] = []
    request = Request(f"http://{address}/api/jobs", headers={"Cookie": session(user)[0]})
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.05):
            began = time.monotonic()
            with urlopen(request, timeout=30) as answer:
                answer.read()
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=ask, name="asking")
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join(30)


def storm(site: Site, crowd: Crowd, owner: User, *, seconds: float) -> None:
    """Cut everybody off at the same moment; count what their coming back costs, and takes at most."""
    job = make_job(owner)
    users = [User.objects.create_superuser(f"staff-{n}") for n in range(STORM)]
    # In two browsers of each: 20 sockets of one session that come twice in 10 s would be too many of them.
    viewers = [v for user in users for _ in "ab" for v in crowd.open(user, job.stream, number=10)]
    connected(viewers, 1, 60)
    with asking(site.direct, owner) as before:
        until(lambda: len(before) >= 20, 30, "20 answers in peace")
    reads = site.database.seen
    with asking(site.direct, owner) as during:
        began = time.monotonic()
        site.front.cut()
        move(job, event="log", message="While nobody looked")
        connected(viewers, 2, seconds)
        all_right(viewers, began + seconds - time.monotonic())  # P23
        until(lambda: len(during) >= 5, 30, "answers in the storm")
    assert site.database.connections <= limits.READERS  # P23: all of them come from one pool
    assert site.database.seen - reads <= len(viewers) // 3, "a read for each newcomer"
    if FULL:
        assert percentile(during, 95) <= max(2 * percentile(before, 95), REST_BOUND)


def test_a_storm_of_reconnects_costs_few_reads_and_stops_nothing(
    site: Site, crowd: Crowd, owner: User
) -> None:
    storm(site, crowd, owner, seconds=within(10))  # P23, X30


def test_without_shared_reads_each_of_them_costs_one(site: Site, crowd: Crowd, owner: User) -> None:
    # Read one by one they are late as well: what fails must be the count of the reads.
    with site.without("one_read"), pytest.raises(AssertionError, match="a read for each newcomer"):
        storm(site, crowd, owner, seconds=120)
