"""A job that watches itself from outside: how long a change takes from its commit to an open page."""

import json
import statistics
import time
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import User
from pydantic import Field
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection

from ingestion.access import can_operate
from ingestion.metrics import PROBED
from ingestion.models import Job
from ingestion.run import Run
from ingestion.source import Outcome, Retry, Source, SourceError, SourceParams, Step, register
from realtime.deployment import ANSWER_SECONDS, Deployment, signed_in

LATE_SECONDS = 2.0  # for which no page may be wrong
PAUSE_SECONDS = 0.3  # between two changes: a stream is sent five times a second at most
QUIET_SECONDS = 15.0  # without a word, after which a socket is held for dead


class Params(SourceParams):
    """How often to look."""

    changes: int = Field(default=10, ge=1, le=100, description="How many changes to follow")


@register
class Probe(Source):
    """Follows its own job over a WebSocket at the site's own address, signed in as who started it."""

    kind, label, params = "probe", "Probe of live delivery", Params
    description = (
        "Measure how long a change takes from its commit to an open page, by way of the site's address."
    )
    steps: ClassVar[list[Step]] = [Step("follow", "Follow changes")]
    offered = False
    shared, unique, limit = True, "probe", 1
    retry = Retry(0)
    time_limit = 300.0

    def can_start(self, user: Any, p: Params) -> None:
        """Leave it to operators, as whom it signs in. Raises SourceError."""
        if user is None or not can_operate(user):
            raise SourceError("permission_denied", "Only operators start this.")

    def created(self, job: Job, p: Params) -> None:
        """Name what it is about: so `/metrics` finds the last one."""
        job.object = PROBED
        job.save(update_fields=["object"])

    def run(self, job: Run, p: Params) -> Outcome:
        """Commit changes of the job's own row, and wait for each. Raises SourceError when one is late."""
        site = Deployment(settings.SITE_URL)
        took: list[float] = []
        with job.step("follow") as step, signed_in(_owner(job), f"job:{job.id}") as who:
            try:
                with site.socket(who.headers, origin=site.origin) as link:
                    link.send(json.dumps({"type": "hello", "csrf": who.csrf, "streams": [who.stream]}))
                    _follow(link, who.stream, 0, ANSWER_SECONDS)
                    for number in step.track(range(p.changes)):
                        job.sleep(PAUSE_SECONDS)
                        took.append(_one(job, link, who.stream, number))
            except TimeoutError as error:
                text = f"A change was not told within {QUIET_SECONDS:.0f} s."
                raise SourceError("probe_late", text) from error
            except (OSError, WebSocketException) as error:
                text = f"No live connection to {site.origin}: ./run check_realtime says what is in the way."
                raise SourceError("probe_unreachable", text) from error
        worst, middle = max(took), statistics.median(took)
        if worst > LATE_SECONDS:
            raise SourceError("probe_late", f"A change took {worst:.1f} s to an open page.")
        data = {"median_ms": round(middle * 1000), "most_ms": round(worst * 1000), "changes": len(took)}
        text = f"Changes reach pages within {data['median_ms']} ms, at most {data['most_ms']} ms."
        return Outcome(text=text, data=data, quiet=True)


def _owner(job: Run) -> User:
    owner = Job.objects.select_related("owner").get(pk=job.id).owner
    if owner is None or not owner.is_active or not can_operate(owner):
        raise SourceError("permission_denied", "Who started this is no operator any more.")
    return owner


def _one(job: Run, link: ClientConnection, stream: str, number: int) -> float:
    """Commit a change; return the seconds from then until it, or a later one, is here."""
    job.once(f"change {job.attempt}.{number}", lambda: number)
    began = time.monotonic()
    version = Job.objects.values_list("version", flat=True).get(pk=job.id)
    _follow(link, stream, version, QUIET_SECONDS)
    return time.monotonic() - began


def _follow(link: ClientConnection, stream: str, version: int, seconds: float) -> None:
    """Return when a stream is told at a version. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while True:
        content = json.loads(link.recv(timeout=max(0.01, end - time.monotonic())))
        for frame in content if isinstance(content, list) else [content]:
            if frame.get("stream") == stream:
                if frame["type"] == "gone":
                    raise SourceError("probe_late", "The site does not know the job that runs.")
                if frame.get("version", -1) >= version:
                    return
