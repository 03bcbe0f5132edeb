"""A cable is pulled: nothing ends, nothing is refused, nothing arrives."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from realtime.limits import STREAM_SECONDS
from tests import netns
from tests.crowd import Crowd, all_right
from tests.faults.conftest import FULL, pass_time, within
from tests.faults.movement import moving
from tests.faults.test_live_readers import heavy_job, relabel
from tests.netns import SERVER, Network
from tests.realtime.rows import make_job, move
from tests.site import Site
from tests.waiting import until

QUIET = 10.0 if FULL else 1.0  # seconds after which a client doubts its connection


@pytest.fixture
def network() -> Iterator[Network]:
    """Another network; skips, and says so, where the machine allows none."""
    with netns.network() as made:
        if made is None:
            pytest.skip("no network namespaces here (they need root and iproute2)")
        yield made


@pytest.fixture
def far_crowd(site: Site, network: Network) -> Iterator[Crowd]:
    """Viewers at the other end of the cable."""
    port = site.web(host="0.0.0.0", HEADWAY_ALLOWED_HOSTS=SERVER)
    crowd = Crowd(f"{SERVER}:{port}", network.enter)
    yield crowd
    network.plug()
    crowd.close()


def test_a_pulled_cable_is_noticed_at_both_ends_and_loses_nothing(
    far_crowd: Crowd, network: Network, owner: User
) -> None:
    """X29."""
    job, heavy = make_job(owner, items_total=1_000_000), heavy_job(owner)
    port = int(far_crowd.address.split(":")[1])
    viewers = far_crowd.add(owner, job.stream, heavy.stream, number=5, ack=True, quiet=QUIET)
    assert netns.established(port) == 5
    with moving(job):
        network.pull()
        for number in range(10):  # what nobody acknowledges uses their credit up
            relabel(heavy, number)
            pass_time(2 * STREAM_SECONDS)  # told one by one, not the last for all
        if FULL:
            until(lambda: netns.established(port) == 0, 30, "the server to drop them")
            pass_time(30)
        else:
            pass_time(QUIET + 2)
        network.plug()
        move(job, event="log", message="The cable is back")
    all_right(viewers, within(10))
    assert all(len(viewer.connections) > 1 for viewer in viewers)
