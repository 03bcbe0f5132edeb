"""The limits of a user and of a session hold for two real web processes as for one (SEC63, SEC66)."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.contrib.auth.models import User
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from realtime.limits import Close
from tests.faults.conftest import within
from tests.realtime.client import session
from tests.site import Site
from tests.waiting import until

SOCKETS, CONNECTS = 6, 8


@pytest.fixture
def ports(site: Site) -> Iterator[tuple[int, int]]:
    """Two web processes with small limits."""
    limits = {
        "HEADWAY_WS_MAX_SOCKETS_PER_USER": str(SOCKETS),
        "HEADWAY_WS_CONNECTS_PER_SESSION": str(CONNECTS),
    }
    found = site.web(**limits), site.web(**limits)
    yield found
    for port in found:
        site.engine.kill(site.processes.pop(port))


def opened(stack: ExitStack, port: int, cookie: str, csrf: str) -> ClientConnection:
    """Connect to a process and say hello; closed with the stack."""
    address = f"127.0.0.1:{port}"
    link = stack.enter_context(
        connect(
            f"ws://{address}/ws/live/",
            origin=Origin(f"http://{address}"),
            additional_headers={"Cookie": cookie},
            compression=None,
            ping_interval=None,
        )
    )
    link.send(json.dumps({"type": "hello", "csrf": csrf, "streams": []}))
    return link


def closed(link: ClientConnection, seconds: float) -> tuple[int, str] | None:
    """Return the code and reason with which a socket is closed within this time, None if it stays open."""
    try:
        while True:
            link.recv(timeout=seconds)
    except TimeoutError:
        return None
    except ConnectionClosed as end:
        assert end.rcvd is not None
        return end.rcvd.code, end.rcvd.reason


def test_two_processes_count_together(site: Site, ports: tuple[int, int], owner: User) -> None:
    with ExitStack() as stack:
        links = [opened(stack, ports[number % 2], *session(owner)) for number in range(SOCKETS)]
        assert [closed(link, 0.3) for link in links] == [None] * SOCKETS
        newest = opened(stack, ports[1], *session(owner))
        assert closed(links[0], within(2)) == (Close.REPLACED, "")
        assert [closed(link, 0.3) for link in [*links[1:], newest]] == [None] * SOCKETS

    cookie, csrf = session(owner)

    def come_and_go(port: int) -> tuple[int, str] | None:
        with ExitStack() as stack:
            return closed(opened(stack, port, cookie, csrf), 0.2)

    # Each process alone has let in half of them: what refuses one more is what they count together.
    assert [come_and_go(ports[number % 2]) for number in range(CONNECTS)] == [None] * CONNECTS
    code, reason = until(lambda: come_and_go(ports[0]), within(1), "a refusal")
    assert code == Close.TOO_MANY
    assert 0 < json.loads(reason)["retry_after_ms"] <= 10_000
