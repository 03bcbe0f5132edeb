"""Servers to measure, and crowds of viewers before them."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.benchmarks.viewers import Tally, Viewer, connect
from tests.servers import free_port

AT_ONCE = 25  # connections that are made at the same time

Pages = list[tuple[str, str, int]]  # Cookie, csrf token, user


def sign_in(number: int) -> Pages:
    """Make users who may see everything, each with a session."""
    from django.contrib.auth.models import User

    from tests.realtime.client import session

    users = [
        User(username=f"viewer{n}", is_staff=True, is_superuser=True, password="!") for n in range(number)
    ]
    return [(*session(user), user.pk) for user in User.objects.bulk_create(users)]


def cpu(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU seconds of a process (the clock of its id: clock_getcpuclockid(3))."""
    return time.clock_gettime((~process.pid << 3) | 2)


def memory(process: subprocess.Popen[bytes]) -> int:
    """Return the resident bytes of a process."""
    with open(f"/proc/{process.pid}/status") as status:  # noqa: PTH123
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


@asynccontextmanager
async def server(kind: str, port: int | None = None) -> AsyncIterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a server of a kind; yield it and its port when it takes connections."""
    port = port or free_port()
    command = [sys.executable, "-m", "tests.benchmarks.live_servers", kind, str(port)]
    # As `up` and the deployment start one: a web process keeps its connections to the database.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "HEADWAY_ROLE": "web"})
    try:
        await listening(process, port)
        yield process, port
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def listening(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a server takes connections."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(f"a server did not start: {process.args!r}")


async def crowd(
    port: int, pages: Pages, tally: Tally, *streams: str, path: str = "/ws/live/"
) -> list[Viewer]:
    """Connect a viewer a page, a few at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(cookie: str, csrf: str) -> Viewer:
        async with gate:
            hello = {"type": "hello", "csrf": csrf, "streams": list(streams)}
            return await connect(port, Viewer(path, cookie, hello, tally))

    return await asyncio.gather(*(one(cookie, csrf) for cookie, csrf, _ in pages))


async def silent_crowd(port: int, number: int, tally: Tally) -> list[Viewer]:
    """Connect viewers that say nothing: what they get comes by itself."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> Viewer:
        async with gate:
            return await connect(port, Viewer("/ws/live/", "", None, tally))

    return await asyncio.gather(*(one() for _ in range(number)))
