"""The live wire beside its limit and the plain ways: `./run bench live`."""

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import django
import uvloop

from tests.benchmarks.crowds import Pages, cpu, crowd, server, sign_in, silent_crowd
from tests.benchmarks.figures import Figure, p50, p99
from tests.benchmarks.live_servers import FEW, STREAM, message
from tests.benchmarks.live_sockets import idle, latency, restart
from tests.benchmarks.viewers import Tally, masked

VIEWERS = 500
FEW_VIEWERS = 50
WINDOW = 2.0  # seconds of one measurement; those of different servers take turns
ROUNDS = 5  # so many that what happens every 15 or 20 s falls into few of a server's windows
RATE = 8.0  # messages a second; the hub sends a socket at most 10
PLAIN_RATE = 3.0  # the plain way cannot keep up with more


def main() -> None:
    """Measure everything and print it."""
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    pages = sign_in(VIEWERS + 2 * FEW_VIEWERS)
    for measure in (fan_out, daphne, idle, latency, restart):
        for figure in uvloop.run(measure(pages)):
            figure.say()


class Source:
    """One server under load: how its messages are asked for, and what came of them."""

    def __init__(
        self, process: subprocess.Popen[bytes], rate: float, ask: Callable[[], Awaitable[None]]
    ) -> None:
        self.process, self.rate, self.ask = process, rate, ask
        self.tally = Tally()
        self.costs: list[float] = []  # CPU microseconds a delivery, by round
        self.late: list[float] = []
        self.each: list[float] = []  # CPU microseconds a message, however many got it
        self.before = self.after = lambda: None

    async def turn(self) -> None:
        """Let it work for one window."""
        self.before()
        await asyncio.sleep(0.3)
        self.tally.late.clear()
        seen, spent, asked = self.tally.messages, cpu(self.process), 0
        end = time.monotonic() + WINDOW
        while time.monotonic() < end:
            await self.ask()
            asked += 1
            await asyncio.sleep(1 / self.rate)
        await asyncio.sleep(0.3)  # the last ones arrive
        spent, seen = cpu(self.process) - spent, self.tally.messages - seen
        self.after()
        if not seen:
            raise SystemExit(f"nothing arrived from {self.process.args!r}")
        self.costs.append(spent / seen * 1e6)
        self.each.append(spent / asked * 1e6)
        self.late += self.tally.late


async def nothing() -> None:
    """Ask for nothing: the server has a clock of its own."""


async def hint(stream: str) -> None:
    """Say that a stream of the hub has moved."""
    from realtime.publish import publish

    await asyncio.to_thread(publish, stream, int(time.time() * 1000), urgent=True)


async def to_group(kind: str) -> None:
    """Send a message to everybody in the group of the plain consumers."""
    from channels.layers import get_channel_layer

    text = message(1)
    if kind == "celery":
        event = {"type": "update_task_progress", "data": json.loads(text)}
    else:
        event = {"type": "bench", "text": text}
    await get_channel_layer().group_send("bench", event)


def ratios(ours: list[float], theirs: list[float]) -> float:
    """Return the median of what the rounds say."""
    return p50([mine / other for mine, other in zip(ours, theirs, strict=True)])


async def fan_out(pages: Pages) -> list[Figure]:
    """One message to 500 sockets of one process, the servers taking turns."""
    async with (
        server("broadcast") as (limit, limit_port),
        server("hub") as (hub, hub_port),
        server("hub-send") as (send, send_port),
        server("group") as (group, group_port),
        server("celery") as (celery, celery_port),
    ):
        sources = {
            "limit": Source(limit, RATE, nothing),
            "hub": Source(hub, RATE, partial(hint, STREAM)),
            "few": Source(hub, RATE, partial(hint, FEW)),
            "send": Source(send, RATE, partial(hint, STREAM)),
            "group": Source(group, PLAIN_RATE, partial(to_group, "group")),
            "celery": Source(celery, PLAIN_RATE, partial(to_group, "celery")),
        }
        # The plain servers share one group; only the one under measurement has viewers in it.
        await silent_crowd(limit_port, VIEWERS, sources["limit"].tally)
        (control,) = await silent_crowd(limit_port, 1, Tally())
        sources["limit"].before = partial(control.transport.write, masked(str(RATE)))
        sources["limit"].after = partial(control.transport.write, masked("0"))
        await crowd(hub_port, pages[:VIEWERS], sources["hub"].tally, STREAM)
        await crowd(hub_port, pages[VIEWERS : VIEWERS + FEW_VIEWERS], sources["few"].tally, FEW)
        await crowd(send_port, pages[:VIEWERS], sources["send"].tally, STREAM)
        for _ in range(ROUNDS):
            for name in ("limit", "hub", "few", "send"):
                await sources[name].turn()
        for name, port in (("group", group_port), ("celery", celery_port)):
            viewers = await silent_crowd(port, VIEWERS, sources[name].tally)
            for _ in range(ROUNDS):
                await sources[name].turn()
            for viewer in viewers:
                viewer.transport.close()
            await asyncio.sleep(2)  # they leave the group
    return list(fan_out_figures(sources))


def fan_out_figures(sources: dict[str, Source]) -> Iterator[Figure]:
    """Say what the rounds found."""
    limit, hub, few, send = (sources[name] for name in ("limit", "hub", "few", "send"))
    against = f"websockets.broadcast(), same run ({p50(limit.costs):.2f})"
    unit = "us CPU a delivery"
    yield Figure("live.fan_out", p50(hub.costs), unit, ratios(hub.costs, limit.costs), against, "at most 1.3")
    yield Figure(
        "live.fan_out_by_send",
        p50(send.costs),
        unit,
        ratios(send.costs, limit.costs),
        against,
        "none: the old way",
    )
    more = [(many - a_few) / (VIEWERS - FEW_VIEWERS) for many, a_few in zip(hub.each, few.each, strict=True)]
    yield Figure(
        "live.one_more_viewer", p50(more), "us CPU a message", ratios(more, limit.costs), against, "under 12"
    )
    for name, peer in (
        ("group", "a plain Channels group on uvicorn"),
        ("celery", "celery-progress's consumer"),
    ):
        plain = p50(sources[name].costs)
        yield Figure(
            f"live.beside_{name}",
            p50(hub.costs),
            unit,
            plain / p50(hub.costs),
            f"less than {peer} ({plain:.1f})",
            "at least 12",
        )
    late = [1000 * value for value in hub.late]
    raw = [1000 * value for value in limit.late]
    yield Figure(
        "live.fan_out_p50", p50(late), "ms", p50(late) / p50(raw), f"the limit's ({p50(raw):.1f})", "none"
    )
    yield Figure(
        "live.fan_out_p99",
        p99(late),
        "ms",
        p99(late) / p99(raw),
        f"the limit's ({p99(raw):.1f})",
        "at most 2.5",
    )


async def daphne(pages: Pages) -> list[Figure]:
    """The same hub and the same plain group under daphne."""
    async with server("hub-daphne") as (hub, hub_port), server("group-daphne") as (group, group_port):
        ours = Source(hub, PLAIN_RATE, partial(hint, STREAM))
        plain = Source(group, PLAIN_RATE, partial(to_group, "group"))
        await crowd(hub_port, pages[:VIEWERS], ours.tally, STREAM)
        await silent_crowd(group_port, VIEWERS, plain.tally)
        for _ in range(ROUNDS):
            await ours.turn()
            await plain.turn()
    against = f"less than a plain Channels group on daphne ({p50(plain.costs):.1f})"
    ratio = ratios(plain.costs, ours.costs)
    return [Figure("live.daphne", p50(ours.costs), "us CPU a delivery", ratio, against, "at least 6")]


if __name__ == "__main__":
    main()
