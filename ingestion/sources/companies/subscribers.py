"""S1's sockets: a page names itself with an id, and is told of the ingestion that it asked for last.

The stream `subscriber:<user>-<id>` says which that is, before there is any as after; the job's own stream
says the rest. The id is no secret and no right: it leads only to sockets of the same signed-in user. (S1.18)
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from config.statements import execute
from ingestion.models import Job
from ingestion.sources.companies import tasks
from ingestion.sources.companies.models import Subscriber
from realtime import hub as hubs
from realtime import streams
from realtime.frames import Ready
from realtime.plain_sockets import Feed, JsonObject, PlainSocket
from realtime.publish import publish
from realtime.streams import Reading

MOST = 50  # ids of a user; the longest unused go
_KEY = re.compile(r"([1-9][0-9]{0,17})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII)
_ROUTE = """
    INSERT INTO companies_subscriber (user_id, client, job, version) VALUES (%s, %s, %s, 1)
    ON CONFLICT (user_id, client) DO UPDATE SET job = excluded.job,
        version = companies_subscriber.version + 1
    RETURNING version
"""


def register() -> None:
    """Make the stream known."""
    streams.register(streams.Kind(name="subscriber", visible=_visible, versions=_versions, read=_read))


def route(user: Any, client: UUID, job: Job) -> None:
    """Let the sockets that a user opened under an id hear of a job."""
    with transaction.atomic():
        ((version,),) = execute(_ROUTE, [user.pk, client, job.pk])
        old = Subscriber.objects.filter(user=user).exclude(client=client).order_by("-job")
        Subscriber.objects.filter(pk__in=list(old.values_list("pk", flat=True)[MOST - 1 :])).delete()
        publish(_name(user.pk, client), version, urgent=True)


class Updates(Feed):
    """What a socket is told: `ingestion_update` of the ingestion that was asked for last. (S1.17, S1.42)"""

    def __init__(self, user: Any, groups: dict[str, str]) -> None:
        self._own = _name(user.pk, UUID(groups["client"]))
        self.streams = {self._own}

    async def tell(self, hub: "hubs.Hub", frame: Ready) -> JsonObject | None:
        """Follow the job that the page asked for, and tell of it."""
        if frame.data is None:
            return None
        if frame.stream == self._own:
            job = frame.data.get("job")
            self.streams = {self._own, f"job:{job}"} if job else {self._own}
            return None
        if frame.stream not in self.streams:
            return None  # of the ingestion before
        beside = tasks.Beside()
        if tasks.needs_more(frame.data):
            beside = await hub.in_database(_beside, UUID(frame.data["id"]))
        return tasks.update(frame.data, beside)


SOCKET = PlainSocket(r"/ws/(?P<client>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/?", Updates)


def _name(user: int, client: UUID) -> str:
    return f"subscriber:{user}-{client}"


def _beside(pk: UUID) -> tasks.Beside:
    job = Job.objects.filter(pk=pk).first()
    return tasks.Beside() if job is None else tasks.beside(job)


def _parsed(keys: Iterable[str]) -> dict[str, tuple[int, UUID]]:
    found = {key: match for key in keys if (match := _KEY.fullmatch(key)) is not None}
    return {key: (int(match[1]), UUID(match[2])) for key, match in found.items()}


def _visible(user: Any, keys: Iterable[str]) -> set[str]:
    if not (user.is_authenticated and user.is_active):
        return set()
    return {key for key, (owner, _) in _parsed(keys).items() if owner == user.pk}


def _rows(keys: Iterable[str]) -> dict[str, Subscriber | None]:
    wanted = _parsed(keys)
    rows = Subscriber.objects.filter(client__in={client for _, client in wanted.values()})
    known = {(row.user_id, row.client): row for row in rows}
    return {key: known.get(pair) for key, pair in wanted.items()}


def _versions(keys: Iterable[str]) -> dict[str, int]:
    return {key: row.version if row else 0 for key, row in _rows(keys).items()}


def _read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    return {
        key: Reading(row.version, {"job": str(row.job)}, []) if row else Reading(0, {}, [])
        for key, row in _rows(since).items()
    }
