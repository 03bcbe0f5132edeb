"""What a web process and its hub say about themselves in figures: those of the answering process alone."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from realtime.hub import Hub
from realtime.lags import BOUNDS
from realtime.seats import Seat


class Sample(NamedTuple):
    """One figure: the ending of its name, its labels, its value."""

    value: float
    labels: dict[str, str] = {}
    suffix: str = ""


@dataclass(frozen=True)
class Family:
    """Figures of one name. kind: counter, gauge or histogram."""

    name: str
    kind: str
    help: str
    samples: list[Sample]


# The hub's counts by their names there.
COUNTED = {
    "frames": "Frames put into the messages of viewers",
    "messages": "Messages written to sockets and event streams",
    "reads": "Reads of moved streams, one for all streams of a kind",
    "hints": "Hints that said something new",
    "hints_ignored": "Hints for streams that nobody here watches",
    "hints_lost": "Moves that the position check found before a hint did",
    "position_repairs": "Streams that the position check found elsewhere than we held them",
    "epochs": "Changes of the epoch: a restored backup, or a version that went down",
    "parked": "Times a client had no credit left",
    "caught_up": "Times a client was told afresh what was left out for it",
    "closed_slow": "Connections closed because their client did not read or acknowledge",
    "cursor_ahead": "Subscriptions from versions that are not reached yet",
    "ack_ahead": "Acknowledgements of versions that were never sent",
    "expelled": "Connections closed because their right ended",
    "withdrawn": "Streams taken away because the right to them ended",
}
_STATM = Path("/proc/self/statm")  # Linux alone has it
TRANSPORTS = ("websocket", "sse", "poll", "wait")


def process() -> Iterator[Family]:
    """Return what the answering process takes."""
    spent = Sample(time.process_time(), suffix="_total")
    yield Family("process_cpu_seconds", "counter", "Processor time of the answering process", [spent])
    if _STATM.exists():
        resident = int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        yield Family("process_resident_bytes", "gauge", "Memory of the answering process", [Sample(resident)])


def figures(hub: Hub) -> Iterator[Family]:
    """Return a hub's figures."""
    everybody = hub.everybody()
    by_transport = Counter(viewer.transport for viewer in everybody)
    connections = [Sample(by_transport[name], {"transport": name}) for name in TRANSPORTS]
    yield Family("live_connections", "gauge", "Viewers by transport; a poller counts for 15 s", connections)
    waits = sum(isinstance(viewer, Seat) and viewer.taken for viewer in everybody)
    yield Family("live_polls_open", "gauge", "Requests for JSON being answered now", [Sample(waits)])
    parked = sum(viewer.parked_at is not None for viewer in everybody)
    yield Family("live_parked", "gauge", "Clients that have no credit now", [Sample(parked)])
    yield Family("live_streams", "gauge", "Watched streams", [Sample(len(hub.watched))])
    since = hub.database.stale_since
    stale = 0.0 if since is None else time.monotonic() - since
    yield Family("live_stale_seconds", "gauge", "For how long the database has been away", [Sample(stale)])
    for name, text in COUNTED.items():
        yield Family(f"live_{name}", "counter", text, [Sample(hub.counts[name], suffix="_total")])
    yield _lags(hub)


def _lags(hub: Hub) -> Family:
    samples, total = [], 0
    for bound, count in zip([*map(str, BOUNDS), "+Inf"], hub.lags.counts, strict=True):
        total += count
        samples.append(Sample(total, {"le": bound}, "_bucket"))
    samples += [Sample(total, suffix="_count"), Sample(hub.lags.seconds, suffix="_sum")]
    text = "From a frame's writing to its acknowledgement, with the client's own wait before it acknowledges"
    return Family("live_delivery_lag_seconds", "histogram", text, samples)
