"""The limits of a user and of a session hold for two real web processes as for one (SEC63, SEC66)."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from uuid import uuid4

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

SOCKETS, CONNECTS = 6, 4


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
    with suppress(ConnectionClosed):  # refused already: who asks how it was closed hears it
        link.send(json.dumps({"type": "hello", "csrf": csrf, "streams": []}))
    return link


def closed(link: ClientConnection, seconds: float) -> tuple[int, str] | None:
    """Return the code and reason with which a socket is closed within this time, None if it stays open."""
    end = time.monotonic() + seconds
    try:
        while True:  # beats come meanwhile
            link.recv(timeout=max(0.0, end - time.monotonic()))
    except TimeoutError:
        return None
    except ConnectionClosed as over:
        assert over.rcvd is not None
        return over.rcvd.code, over.rcvd.reason


def replaced(ports: tuple[int, int]) -> list[tuple[int, str] | None]:
    """Let somebody new open a socket too many, by turns in both; return how each was closed, if it was."""
    user = User.objects.create_user(uuid4().hex)
    with ExitStack() as stack:
        links = [opened(stack, ports[number % 2], *session(user)) for number in range(SOCKETS)]
        if any(early := [closed(link, 0.1) for link in links]):
            return early
        links.append(opened(stack, ports[1], *session(user)))
        return [closed(links[0], within(2)), *(closed(link, 0.1) for link in links[1:])]


def test_two_processes_count_a_users_sockets_together(ports: tuple[int, int]) -> None:
    """Each alone has four at most: what closes the oldest is what they count together."""
    expected = [(Close.REPLACED, ""), *[None] * SOCKETS]
    # Once more where Redis took longer than the 0.3 s that a process waits for it.
    until(lambda: replaced(ports) == expected, within(6), "the oldest socket closed, and no other")


def refused(ports: tuple[int, int]) -> tuple[int, str] | None:
    """Let somebody new come once too often, by turns to both; return how one of these sockets was closed.

    Which one, Redis decides: a process counts its own at once and asks about all beside that.
    """
    credentials = session(User.objects.create_user(uuid4().hex))
    end = time.monotonic() + within(1)
    with ExitStack() as stack:
        links = [opened(stack, ports[number % 2], *credentials) for number in range(CONNECTS + 1)]
        while not (found := [one for link in links if (one := closed(link, 0.05))]):
            if time.monotonic() > end:
                return None
        assert len(found) + sum(closed(link, 0.1) is None for link in links) == len(links)
    (last,) = found
    return last


def test_two_processes_count_a_sessions_connects_together(ports: tuple[int, int]) -> None:
    """Each alone has let in three at most: what refuses one is what they count together."""
    # Once more where Redis took longer than the 0.3 s that a process waits for it.
    code, reason = until(lambda: refused(ports), within(4), "a refusal")
    assert code == Close.TOO_MANY
    assert 0 < json.loads(reason)["retry_after_ms"] <= 10_000
