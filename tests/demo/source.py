"""Sources of the tests: quick, slow, failing, deadly."""

import os
import time
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db import connection
from pydantic import Field

from ingestion.source import Outcome, Retry, Source, SourceError, SourceParams, Step, register, source
from tests.demo.models import Effect


@source("ping", label="Ping", queue="default")
def ping(job: Any) -> Outcome:
    """Answer at once."""
    return Outcome(text="pong")


@source("flash", label="Flash", fork=False, limit=50)
def flash(job: Any) -> Outcome:
    """Answer at once, without a fork."""
    return Outcome(text="flash")


class ShelfParams(SourceParams):
    name: str = Field(default="shelf", max_length=50)
    n: int = Field(default=5, ge=0, le=5000, description="How many items")
    wait: float = Field(default=0.0, ge=0, le=60, description="Seconds inside each item")
    fetch_wait: float = Field(default=0.0, ge=0, le=60)
    threads: int = Field(default=1, ge=1, le=8)
    fail: list[str] = Field(default_factory=list, description="Keys that fail for good")
    flaky: list[str] = Field(default_factory=list, description="Keys that fail once an attempt")
    skip: list[str] = Field(default_factory=list)
    kill: list[str] = Field(default_factory=list, description="Keys that end the process")
    eat: list[str] = Field(default_factory=list, description="Keys that ask for a gigabyte of memory")


@register
class Shelves(Source):
    """Puts items on a shelf, in every way that can go wrong."""

    kind, label, params = "shelves", "Shelves", ShelfParams
    steps = [Step("look", "Look around", 10), Step("fill", "Fill the shelf", 80), Step("tidy", "Tidy up", 10)]
    item_noun = "boxes"
    subject = "{name}"
    unique = "{name}"
    limit = 4
    example: ClassVar[dict[str, Any]] = {"n": 4}
    item_waits = (0.05, 0.1)
    retry = Retry(3, backoff=0.2)

    def run(self, job: Any, p: ShelfParams) -> Outcome:
        seen: set[str] = set()
        with job.step("look", f"Looking at {p.name}"):
            n = job.once("n", lambda: p.n)

        def fetch(key: str) -> str:
            time.sleep(p.fetch_wait)
            return key.upper()

        with job.step("fill") as step:
            keys = [f"k{i:04}" for i in range(n)]
            for item in step.items(
                keys, key=str, label=lambda key: f"Box {key}", fetch=fetch, threads=p.threads
            ):
                with item:
                    put(job.id, item.key)
                    if p.wait:
                        time.sleep(p.wait)
                    if item.key in p.kill:
                        os.kill(os.getpid(), 9)
                    if item.key in p.eat:
                        bytearray(1 << 30)
                    if item.key in p.fail:
                        raise SourceError("broken_box", f"Box {item.key} is broken.")
                    if item.key in p.flaky and item.key not in seen:
                        seen.add(item.key)
                        raise ConnectionError("the box slipped")
                    if item.key in p.skip:
                        item.skip("nothing in it")
                    item.result = {"fetched": item.fetched}
        with job.step("tidy"):
            pass
        return Outcome(text=f"{p.name} is full", data={"n": n})


class NapParams(SourceParams):
    seconds: float = Field(default=1.0, ge=0, le=600)
    name: str = "nap"


@register
class Nap(Source):
    """Sleeps outside any item, deaf to everything but signals."""

    kind, label, params = "nap", "Nap", NapParams
    unique, limit = "{name}", 8
    example: ClassVar[dict[str, Any]] = {"seconds": 0}

    def run(self, job: Any, p: NapParams) -> None:
        with job.step("sleep"):
            end = time.monotonic() + p.seconds
            while time.monotonic() < end:
                time.sleep(0.05)


HURRIED_SECONDS = 1.5


@source("hurried", label="Hurried", queue="default", time_limit=HURRIED_SECONDS)
def hurried(job: Any, p: NapParams) -> None:
    """Sleep, and may do so for a second and a half."""
    end = time.monotonic() + (p.seconds if p.name == "long" else 0)
    while time.monotonic() < end:
        time.sleep(0.05)


class DoorParams(SourceParams):
    name: str = Field(default="door", min_length=1)


@register
class Door(Source):
    """Asks a person before it goes on."""

    kind, label, params = "door", "Door", DoorParams
    unique = "{name}"

    def run(self, job: Any, p: DoorParams) -> Outcome:
        with job.step("knock"):
            put_once = job.once("knocked", lambda: True)
        said = job.wait_for("review", "Somebody is at the door. Open it?")
        return Outcome(text=f"{said['answer']} by {said['by']}", data={"knocked": put_once})


class FaultyParams(SourceParams):
    times: int = 1
    retryable: bool = True
    secretive: bool = False


@register
class Faulty(Source):
    """Fails outside items until it has failed often enough."""

    kind, label, params = "faulty", "Faulty", FaultyParams
    retry = Retry(3, backoff=0.05)

    def reviewers(self) -> Any:
        """Ask a group, which is empty in most tests."""
        return User.objects.filter(groups__name="reviewers")

    def run(self, job: Any, p: FaultyParams) -> None:
        if p.secretive:  # with what nobody outside may read
            raise RuntimeError("cannot open /srv/canary of https://ann:canary-word@canary.internal")
        if job.attempt <= p.times:
            raise SourceError("unlucky", "It did not work out.", retryable=p.retryable)


def put(job: Any, key: str) -> None:
    """Leave one effect."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name')")
        token = cursor.fetchone()[0]
    Effect.objects.create(job=job, key=key, token=token)


@source("clock", label="Clock", queue="default", limit=50)
def clock(job: Any) -> Outcome:
    """Say when its first line ran."""
    return Outcome(data={"at": time.time()})
