"""S2's sockets: one tells of a bulk job, one of all jobs of a topic. (S2.9, S2.10)"""

from typing import Any

from ingestion.models import FINAL
from ingestion.sources.articles import tasks
from realtime import hub as hubs
from realtime.frames import Ready
from realtime.plain_sockets import Feed, JsonObject, PlainSocket

MOST_JOBS = 20  # of a topic: as many as its stream names


class JobProgress(Feed):
    """What is told of one job: where it is, and each time batches were completed."""

    spacing = 0.125  # seconds: a client gets fewer than ten messages a second of all jobs (S2.96)

    def __init__(self, user: Any, groups: dict[str, str]) -> None:
        self.streams = {f"job:{groups['job'].lower()}"}
        self._batches: dict[str, int] = {}
        self._saved: dict[str, tuple[int, int]] = {}  # of a job: up to which version, how many
        self._ended: set[str] = set()

    async def tell(self, hub: "hubs.Hub", frame: Ready) -> list[JsonObject] | None:
        """Say where the job is."""
        if frame.data is None or frame.stream not in self.streams:
            return None
        return await self.told(hub, frame.data)

    async def told(self, hub: "hubs.Hub", job: JsonObject) -> list[JsonObject]:
        """Return the messages of a job's state; its end is told once."""
        if job.get("source") not in tasks.KINDS or job["id"] in self._ended:
            return []
        after, saved = self._saved.get(job["id"], (-1, 0))
        if job["version"] > after:
            saved += await hub.in_database(tasks.saved_in, job["id"], after, job["version"])
            self._saved[job["id"]] = job["version"], saved
        return self.said(job, saved)

    def said(self, job: JsonObject, saved: int) -> list[JsonObject]:
        """Return the messages of a state, of whose items so many are kept."""
        found = []
        batch = tasks.batch(job, self._batches.get(job["id"], 0), saved)
        if batch is not None:
            self._batches[job["id"]] = batch["batch_completed"]
            found.append(batch)
        if job["state"] in FINAL:
            self._ended.add(job["id"])
        return [*found, tasks.message(job, saved)]


class TopicProgress(JobProgress):
    """What is told of all jobs of a topic; those that had ended before are not news."""

    def __init__(self, user: Any, groups: dict[str, str]) -> None:
        super().__init__(user, {"job": ""})
        self._topic = f"topic:{groups['topic']}"
        self.streams = {self._topic}
        self._before: set[str] | None = None  # jobs that there were when the socket was opened
        self._seen: set[str] = set()

    async def tell(self, hub: "hubs.Hub", frame: Ready) -> list[JsonObject] | None:
        """Follow the topic's jobs, and say where each is."""
        if frame.data is None:
            return None
        if frame.stream == self._topic:
            jobs = frame.data["jobs"][:MOST_JOBS]
            self.streams = {self._topic, *(f"job:{pk}" for pk in jobs)}
            self._before = set(jobs) if self._before is None else self._before
            return None
        if frame.stream not in self.streams:
            return None
        pk = frame.data["id"]
        if pk not in self._seen and pk in (self._before or ()) and frame.data["state"] in FINAL:
            self._ended.add(pk)
        self._seen.add(pk)
        return await self.told(hub, frame.data)


JOB = PlainSocket(
    r"/ws/bulk-process/(?P<job>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/?", JobProgress
)
TOPIC = PlainSocket(r"/ws/progress/(?P<topic>[1-9][0-9]{0,17})/?", TopicProgress)
