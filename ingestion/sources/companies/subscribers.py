"""S1's sockets: a page names itself with an id, and is told of the ingestion that it asked for last.

The stream `subscriber:<user>-<id>` says which that is, before there is any as after; the job's own stream
says the rest. The id is no secret and no right: it leads only to sockets of the same signed-in user. (S1.18)
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Min

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

MOST = 50  # ids of a user; those asked with longest ago go
_KEY = re.compile(r"([1-9][0-9]{0,17})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII)
# A user's rows share one count, so the lowest are the oldest, and a row made anew is above what it was.
_ROUTE = """
    INSERT INTO companies_subscriber (user_id, client, job, version)
    SELECT %(user)s, %(client)s, %(job)s, coalesce(max(version), 0) + 1
        FROM companies_subscriber WHERE user_id = %(user)s
    ON CONFLICT (user_id, client) DO UPDATE SET job = excluded.job,
        version = greatest(companies_subscriber.version + 1, excluded.version)
    RETURNING version
"""


def register() -> None:
    """Make the stream known."""
    streams.register(streams.Kind(name="subscriber", visible=_visible, versions=_versions, read=_read))


def route(user: Any, client: UUID, job: Job) -> None:
    """Let the sockets that a user opened under an id hear of a job."""
    with transaction.atomic():
        ((version,),) = execute(_ROUTE, {"user": user.pk, "client": client, "job": job.pk})
        others = Subscriber.objects.filter(user=user).exclude(client=client)
        old = list(others.order_by("-version", "-pk").values_list("pk", "version")[MOST - 1 :])
        if old:  # what was asked with again meanwhile stands above them, and stays
            highest = old[0][1]
            Subscriber.objects.filter(pk__in=[pk for pk, _ in old], version__lte=highest).delete()
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


def _places(keys: Iterable[str]) -> dict[str, tuple[int, UUID | None]]:
    """Return the version and the job of each id.

    An id without a row stands where its user's oldest row does once there are so many that some went: never
    lower than when it went, which would be taken for a restored backup.
    """
    wanted = _parsed(keys)
    rows = Subscriber.objects.filter(client__in={client for _, client in wanted.values()})
    known = {(row.user_id, row.client): (row.version, row.job) for row in rows}
    without = {owner for owner, client in wanted.values() if (owner, client) not in known}
    lowest = _lowest(without) if without else {}
    return {key: known.get(pair, (lowest.get(pair[0], 0), None)) for key, pair in wanted.items()}


def _lowest(users: Iterable[int]) -> dict[int, int]:
    rows = Subscriber.objects.filter(user__in=users).values("user").order_by("user")
    many = rows.annotate(rows=Count("pk"), lowest=Min("version")).filter(rows__gte=MOST)
    return dict(many.values_list("user", "lowest"))


def _versions(keys: Iterable[str]) -> dict[str, int]:
    return {key: version for key, (version, _) in _places(keys).items()}


def _read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    return {
        key: Reading(version, {"job": str(job)} if job else {}, [])
        for key, (version, job) in _places(since).items()
    }
