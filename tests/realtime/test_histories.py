"""Random histories through the real hub and database: never backwards, equal to the server at the end."""

import asyncio
import json
import random

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.models import Job, JobEvent
from realtime import epoch, limits
from realtime import publish as door
from realtime.frames import Cursor
from realtime.patch import without_nulls
from realtime.reducer import Reducer
from realtime.sockets import Socket
from realtime.streams import kinds
from tests.realtime.client import fresh_hub, in_database, standing_of
from tests.realtime.rows import make_job
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = [
    "write",
    "write silently",
    "event",
    "deliver",
    "deliver twice",
    "swap",
    "drop the connection",
    "restore",
    "wait",
]


@pytest.fixture
def fast(monkeypatch):
    for name, seconds in {
        "TICK": 0.005,
        "STREAM_SECONDS": 0.01,
        "SOCKET_SECONDS": 0.0,
        "CHECK_SECONDS": 0.05,
    }.items():
        monkeypatch.setattr(limits, name, seconds)


class Viewer:
    """A client whose network the history decides: what arrives, how often, in which order."""

    def __init__(self, hub, standing, stream, said):
        self.hub = hub
        self.standing = standing
        self.stream = stream
        self.reducer = Reducer()
        self.said = said  # version -> what the server had there, in any epoch
        self.highest = {}
        self.connect()

    def connect(self):
        if hasattr(self, "socket"):
            self.hub.remove(self.socket)
        self.flight = flight = []

        async def send(text):
            content = json.loads(text)
            flight.extend(content if isinstance(content, list) else [content])

        async def close(code):
            raise AssertionError(f"closed with {code}")

        self.socket = Socket(self.standing, send, close)
        self.hub.add(self.socket)
        self.ask([self.stream])

    def ask(self, streams):
        asked = self.reducer.ask(streams)
        wanted = {
            s["stream"] if isinstance(s, dict) else s: Cursor(s["epoch"], s["version"])
            if isinstance(s, dict)
            else None
            for s in asked["streams"]
        }
        assert self.hub.subscribe(self.socket, wanted, asked["id"])

    def deliver(self, at=0, *, keep=False):
        if len(self.flight) <= at:
            return
        frame = self.flight[at] if keep else self.flight.pop(at)
        again = self.reducer.take(json.loads(json.dumps(frame)))
        held = self.reducer.streams[self.stream]
        if held.data is not None:
            assert held.data["version"] == held.version
            assert held.version >= self.highest.get(held.epoch, 0), "went back"
            self.highest[held.epoch] = held.version
            assert held.data in self.said[held.version], "shows what never was"
            versions = [event["version"] for event in held.events]
            assert versions == sorted(set(versions)) and (not versions or versions[-1] <= held.version)
        if again:
            self.ask(again)


def rewrite(job, luck, what):
    """Change the row and return (version, data) as the server now says them."""
    values = {
        "message": luck.choice(["", "a", "b"]),
        "rate": luck.choice([None, 1.5]),
        "progress": luck.choice([0, 0.5]),
    }
    with transaction.atomic():
        if what == "restore":  # a backup, and the epoch raised as the runbook says
            lower = max(1, Job.objects.values_list("version", flat=True).get(pk=job.pk) - luck.randint(1, 3))
            JobEvent.objects.filter(job=job, version__gt=lower).delete()
            Job.objects.filter(pk=job.pk).update(version=lower, **values)
            epoch.raise_from(epoch.current())
        else:
            Job.objects.filter(pk=job.pk).update(version=F("version") + 1, **values)
        if what == "event":
            version = Job.objects.values_list("version", flat=True).get(pk=job.pk)
            JobEvent.objects.create(job=job, version=version, kind="log", message="x")
    reading = kinds()["job"].read({str(job.pk): None})[str(job.pk)]
    if what in ("write", "event"):
        door.publish(job.stream, reading.version, urgent=True)
    return reading.version, without_nulls(reading.data)


async def play(user, steps, seed):
    luck = random.Random(seed)
    job = await in_database(make_job, user)
    async with fresh_hub() as hub:
        first = await in_database(lambda: kinds()["job"].read({str(job.pk): None})[str(job.pk)])
        said = {first.version: [without_nulls(first.data)]}
        viewer = Viewer(hub, await in_database(standing_of, user), job.stream, said)

        async def write(what):
            # What a version says must be known before a client can see it.
            version, data = await in_database(rewrite, job, luck, what)
            viewer.said.setdefault(version, []).append(data)

        await write("write")
        for step in steps:
            match step:
                case "write" | "write silently" | "event" | "restore":
                    await write(step)
                case "deliver":
                    viewer.deliver()
                case "deliver twice":
                    viewer.deliver(keep=True)
                    viewer.deliver()
                case "swap":
                    viewer.deliver(1)
                case "drop the connection":
                    viewer.connect()
                case "wait":
                    await asyncio.sleep(luck.choice([0.01, 0.06]))
        # The last write is seen by a beat at the latest, as a page would.
        await until_async(lambda: converged(viewer, job), 10, "the page to equal the server")
        hub.remove(viewer.socket)


async def converged(viewer, job):
    while viewer.flight:
        viewer.deliver()
    held = viewer.reducer.streams[job.stream]
    now = await in_database(lambda: kinds()["job"].read({str(job.pk): None})[str(job.pk)])
    viewer.hub.beat(viewer.socket)
    last = [event["version"] for event in held.events[-1:]] == [event["version"] for event in now.events[-1:]]
    return held.version == now.version and held.data == without_nulls(now.data) and last


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=25), seed=st.integers(0, 2**16))
def test_every_history_ends_right_and_never_goes_back(alice, fast, steps, seed):
    async_to_sync(play)(alice, steps, seed)
