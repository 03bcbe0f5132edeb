"""What a live socket costs, how soon a change is there, and how soon everybody is back."""

import asyncio
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.crowds import Pages, cpu, crowd, memory, server
from tests.benchmarks.figures import Figure, p50, p99
from tests.benchmarks.live_servers import STREAM
from tests.benchmarks.viewers import Tally, Viewer, connect
from tests.servers import free_port

VIEWERS = 500
WARM = 50  # sockets before the first is counted: the server's own memory grows with them
JOBS = 20
UPDATES = 4.0  # of each job a second: what a reporter writes at most
RETRY_SECONDS = 0.5  # rule 7 of PROTOCOL.md: a client's first wait, doubling ...
SHORT_SECONDS, REPLACED_SECONDS = 5.0, 60.0  # ... to this, in the first minute without the server


async def idle(pages: Pages) -> list[Figure]:
    """What a socket costs that is only there: memory, and CPU to connect."""
    found = {}
    for name, path in (("session", "/ws/live/"), ("bare", "/ws/bare/")):
        async with server("hub") as (process, port):
            own = [(cookie if name == "session" else "", csrf, pk) for cookie, csrf, pk in pages]
            warm, rest = own[:WARM], own[WARM : WARM + VIEWERS]
            await crowd(port, warm, Tally(), path=path)
            await asyncio.sleep(2)
            before, spent = memory(process), cpu(process)
            await crowd(port, rest, Tally(), path=path)
            spent = cpu(process) - spent
            await asyncio.sleep(2)
            found[name] = (memory(process) - before) / VIEWERS / 1024, spent / VIEWERS * 1000
    (size, cost), (bare_size, bare_cost) = found["session"], found["bare"]
    return [
        Figure(
            "live.idle_socket",
            size,
            "KB resident",
            size / bare_size,
            f"without a session ({bare_size:.1f})",
            "at most 25 KB",
        ),
        Figure(
            "live.connect",
            cost,
            "ms CPU",
            cost / bare_cost,
            f"without a session ({bare_cost:.2f})",
            "at most 3",
        ),
    ]


async def latency(pages: Pages) -> list[Figure]:
    """From the commit of a job's progress to 500 viewers of 20 jobs."""
    from tests.realtime.rows import make_job

    jobs = await asyncio.to_thread(_committed, lambda: [make_job(_owner(pages)) for _ in range(JOBS)])
    tally = Tally()
    async with server("hub") as (_, port):
        for number, job in enumerate(jobs):
            await crowd(port, pages[number:VIEWERS:JOBS], tally, job.stream)
        ids = [str(job.pk) for job in jobs]
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.progress", str(UPDATES), *ids
        )
        try:
            while not tally.late:  # it starts
                await asyncio.sleep(0.1)
            await asyncio.sleep(1)
            tally.late.clear()
            await asyncio.sleep(10)
            late = [1000 * value for value in tally.late]
        finally:
            writer.terminate()
            await writer.wait()
    rate = f"{len(late) / 10:.0f} deliveries a second"
    return [
        Figure("live.commit_to_client_p50", p50(late), "ms", None, rate, "under 100 ms"),
        Figure("live.commit_to_client_p99", p99(late), "ms", None, rate, "under 300 ms"),
    ]


def _owner(pages: Pages) -> Any:
    from django.contrib.auth.models import User

    return User.objects.get(pk=pages[0][2])


def _committed(call: Callable[[], Any]) -> Any:
    from django.db import connection

    try:
        return call()
    finally:
        connection.close()


async def restart(pages: Pages) -> list[Figure]:
    """500 pages come back to a web process that was restarted."""
    port, tally, back = free_port(), Tally(), asyncio.Event()
    here: dict[Viewer, float] = {}  # when each was told the state again

    async def come_back(page: tuple[str, str, int], told: float | None) -> None:
        pause, since = RETRY_SECONDS, time.monotonic()
        while True:
            await asyncio.sleep(random.random() * pause if told is None else told)
            assert time.monotonic() < since + REPLACED_SECONDS, "later, other waits hold"
            viewer = await one_try(page)
            if viewer is not None and viewer.stated.is_set():
                here[viewer] = time.monotonic()
                if len(here) == VIEWERS:
                    back.set()
                return
            told = viewer.after if viewer is not None else None
            pause = min(SHORT_SECONDS, pause * 2)

    async def one_try(page: tuple[str, str, int]) -> Viewer | None:
        hello = {"type": "hello", "csrf": page[1], "streams": [STREAM]}
        viewer = Viewer("/ws/live/", page[0], hello, tally)
        try:
            await connect(port, viewer)
        except OSError:
            return None
        ends = [asyncio.ensure_future(event.wait()) for event in (viewer.stated, viewer.gone)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        return viewer

    tasks = []
    async with server("hub", port) as (process, _):
        old = await crowd(port, pages[:VIEWERS], tally, STREAM)
        for viewer, page in zip(old, pages, strict=False):
            viewer.lost = lambda lost, page=page: tasks.append(
                asyncio.ensure_future(come_back(page, lost.after))
            )
        await asyncio.gather(*(viewer.stated.wait() for viewer in old))
        began = time.monotonic()
    stopped = time.monotonic()
    async with server("hub", port) as (process, _):
        serves = time.monotonic()
        spent = cpu(process)
        async with asyncio.timeout(90):
            await back.wait()
        end, spent = time.monotonic(), cpu(process) - spent
    down, half = serves - stopped, p50(list(here.values())) - serves
    took = (
        f"{stopped - began:.1f} s to stop, {down:.1f} to start, half back after {half:.1f}, {spent:.1f} CPU"
    )
    return [Figure("live.back_after_restart", end - serves, "s after it serves again", None, took, "10 s")]
