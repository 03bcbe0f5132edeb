"""Redis and PostgreSQL refuse, hang, break off: no page loses its connection, and each is told what is so."""

import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.contrib.auth.models import User

from tests.crowd import Crowd, all_right, everywhere
from tests.faults.conftest import FULL, pass_time, within
from tests.proxy import Proxy
from tests.realtime.client import session
from tests.realtime.rows import make_job, move
from tests.site import Site
from tests.viewers import Viewer
from tests.waiting import until

EVERY_SERVER = True
FAULTS = {"refuses": Proxy.refuse, "hangs": Proxy.silence, "breaks off": Proxy.half_close}


@pytest.mark.parametrize("fault", FAULTS if FULL else ["hangs"])
def test_without_redis_every_page_is_right_within_two_seconds(
    site: Site, crowd: Crowd, owner: User, fault: str
) -> None:
    """F4: a channel layer that loses Redis closes its sockets or leaves them stale, and refuses new ones."""
    job, told = make_job(owner), len(site.log())
    viewers = everywhere(crowd, owner, job.stream)
    before = [viewer for viewer in viewers if len(viewer.connections) == 1]
    FAULTS[fault](site.redis)
    move(job, event="log", message="Without Redis")
    all_right(viewers, within(2))
    newcomers = everywhere(crowd, owner, job.stream)
    move(job, event="log", message="Still without")
    all_right(viewers + newcomers, within(2))
    site.redis.heal()
    site.redis.allow()
    until(lambda: heard_soon(viewers[0], job), 40, "hints again")
    assert [len(viewer.connections) for viewer in before if viewer.transport == "websocket"] == [1]
    assert "Traceback" not in site.log()[told:]


def heard_soon(viewer: Viewer, job: object) -> bool:
    """Say whether hints bring three moves of a job in a row: a position check may be quick by chance."""
    for _ in range(3):
        began = time.monotonic()
        version = move(job, event="log")  # type: ignore[arg-type]
        until(lambda version=version: viewer.at(job.stream, version), 10, "the news")  # type: ignore[attr-defined]
        if (viewer.at(job.stream, version) or 0) - began > 0.4:  # type: ignore[attr-defined]
            return False
    return True


def test_an_idle_socket_stays_open(site: Site, crowd: Crowd, owner: User) -> None:
    """F1: redis-py's own time-out of 5 s ended every idle socket of the usual channel layer."""
    job = make_job(owner)
    viewers = everywhere(crowd, owner, job.stream)
    pass_time(30 if FULL else 7)
    assert [len(viewer.connections) for viewer in viewers if viewer.transport != "poll"] == [1, 1]
    assert all(viewer.frames("beat") for viewer in viewers if viewer.transport != "poll")
    until(lambda: heard_soon(viewers[0], job), 20, "a hint after the silence")


def stale(viewer: Viewer, since: float) -> bool:
    """Say whether a viewer was told that what it sees may be late."""
    return any(one.frame["stale"] for one in viewer.frames("beat") if one.at >= since)


@pytest.mark.parametrize("fault", ["refuses", "hangs"] if FULL else ["hangs"])
def test_without_the_database_pages_stay_and_are_told(
    site: Site, crowd: Crowd, owner: User, fault: str
) -> None:
    job = make_job(owner)
    viewers = crowd.add(owner, job.stream) + crowd.add(owner, job.stream, transport="sse")
    began = time.monotonic()
    FAULTS[fault](site.database)
    for viewer in viewers:
        left = max(0.05, began + within(3) - time.monotonic())
        until(lambda viewer=viewer: stale(viewer, began), left, f"the warning of {viewer}")  # X19
    version = move(job, event="log", message="Nobody can read this now")
    pass_time(1)
    assert not any(viewer.at(job.stream, version) for viewer in viewers)
    site.database.heal()
    site.database.allow()
    all_right(viewers, within(5))
    assert {len(viewer.connections) for viewer in viewers} == {1}
    last = viewers[0].frames("beat")[-1].frame
    assert last["stale"] is False


def test_without_the_database_a_page_is_answered_503_and_soon_again_200(site: Site, owner: User) -> None:
    request = Request(f"http://{site.front.address}/api/jobs", headers={"Cookie": session(owner)[0]})
    assert status(request) == 200
    site.database.refuse()
    away = time.monotonic() + (20 if FULL else 3)
    while time.monotonic() < away:
        began = time.monotonic()
        assert status(request) == 503
        assert time.monotonic() - began <= within(2) + 0.5  # X19; the pool waits 2 s
    site.database.allow()
    until(lambda: status(request) == 200, within(5), "an answer after the database is back")


def status(request: Request) -> int:
    """Return the status of an answer."""
    try:
        with urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except HTTPError as refused:
        return refused.code
