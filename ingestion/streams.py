"""The streams `job:<uuid>` and `system`, and the jobs in `user:<pk>`."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Q

from ingestion import serializers, stability
from ingestion.access import visible_jobs
from ingestion.models import ACTIVE_REASONS, FINAL, OPEN, Job, JobEvent, State, System
from notifications import streams as user_streams
from notifications.models import Follow
from realtime import streams
from realtime.epoch import current
from realtime.streams import JsonObject, Reading

LAST_EVENTS = 50  # what a newcomer is told of a job's history
MOST_EVENTS = 500  # what somebody who was away is told at most; above it, the last 50
OPEN_IDS = 50  # jobs of a user's stream by id; above it only their number


def register() -> None:
    """Make both kinds known and contribute `jobs` to the users' streams."""
    streams.register(streams.Kind(name="job", visible=_visible, versions=_versions, read=_read))
    streams.register(
        streams.Kind(name=stability.STREAM, visible=_may_ask, versions=_system_stands_at, read=_read_system)
    )
    user_streams.contribute("jobs", jobs_of_users)


def _visible(user: Any, keys: Iterable[str]) -> set[str]:
    seen = visible_jobs(user).filter(pk__in=_ids(keys)).values_list("pk", flat=True)
    return {str(pk) for pk in seen}


def _versions(keys: Iterable[str]) -> dict[str, int]:
    found = Job.objects.filter(pk__in=_ids(keys)).values_list("pk", "version")
    return {str(pk): version for pk, version in found}


def _read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    with streams.snapshot():
        jobs = list(serializers.for_json(Job.objects.filter(pk__in=_ids(since))))
        items = serializers.items_of(jobs)
        events = _events({job.pk: since[str(job.pk)] for job in jobs})
    readings = {}
    for job in jobs:
        found = events.get(job.pk, [])
        cut = since[str(job.pk)] is not None and len(found) > MOST_EVENTS
        if cut:
            found = found[-LAST_EVENTS:]
        readings[str(job.pk)] = Reading(
            version=job.version,
            data=serializers.job_data(job, items.get(job.pk)),
            events=[serializers.event_data(event) for event in found],
            final=job.state in FINAL,
            cut=cut,
        )
    return readings


def _events(since: Mapping[UUID, int | None]) -> dict[UUID, list[JobEvent]]:
    """Return each job's events after its version (None: the last ones), ascending, in one query."""
    found: dict[UUID, list[JobEvent]] = defaultdict(list)
    if not since:
        return found
    rows = JobEvent.objects.raw(
        """
        SELECT event.* FROM unnest(%s::uuid[], %s::bigint[], %s::int[]) AS wanted (job_id, since, most)
        CROSS JOIN LATERAL (
            SELECT * FROM ingestion_jobevent
            WHERE job_id = wanted.job_id AND version > wanted.since
            ORDER BY version DESC LIMIT wanted.most
        ) AS event
        ORDER BY event.job_id, event.version
        """,
        [
            list(since),
            [-1 if version is None else version for version in since.values()],
            # One more than told, to see that there are more.
            [LAST_EVENTS if version is None else MOST_EVENTS + 1 for version in since.values()],
        ],
    )
    for event in rows:
        found[event.job_id].append(event)
    return found


def events_after(job: Job, since: str | None, epoch: str | None) -> JsonObject:
    """Return the events after a version that a caller names, and `why`: `behind`, or why they are the last.

    since, epoch: as they came; what is no place in this stream costs the caller nothing but a fuller answer.
    """
    known = re.fullmatch("[0-9]{1,19}", since or "", re.ASCII) is not None and int(since or 0) <= job.version
    why = "epoch" if epoch not in (None, current()) else "behind" if known else "gap"
    after = int(since or 0) if why == "behind" else None
    found = [one for one in _events({job.pk: after}).get(job.pk, []) if one.version <= job.version]
    if after is not None and len(found) > MOST_EVENTS:
        why, found = "too_old", found[-LAST_EVENTS:]
    return {"why": why, "events": [serializers.event_data(event) for event in found]}


def jobs_of_users(users: Collection[int]) -> dict[int, JsonObject]:
    """Return for each user how many of their and followed jobs are active, and the newest open ones."""
    ids: dict[int, set[UUID]] = {user: set() for user in users}
    active = dict.fromkeys(users, 0)
    own = (
        Job.objects.filter(owner__in=users, state__in=OPEN)
        .values("owner")
        .annotate(
            active=Count(
                "pk", filter=Q(state=State.RUNNING) | Q(pending_reason__in=[str(r) for r in ACTIVE_REASONS])
            ),
            ids=ArrayAgg("pk"),
        )
    )
    for row in own:
        active[row["owner"]] = row["active"]
        ids[row["owner"]].update(row["ids"])
    for user, pk, is_active in _followed(users):
        if pk not in ids[user]:
            ids[user].add(pk)
            active[user] += is_active
    return {
        user: {"active": active[user], "ids": [str(pk) for pk in sorted(ids[user], reverse=True)[:OPEN_IDS]]}
        for user in users
    }


def _followed(users: Collection[int]) -> list[tuple[int, UUID, bool]]:
    follows: dict[UUID, list[int]] = defaultdict(list)
    abouts = Follow.objects.filter(user__in=users, about__startswith="job:").values_list("user", "about")
    for user, about in abouts:
        for pk in _ids([about.removeprefix("job:")]):
            follows[pk].append(user)
    jobs = Job.objects.filter(pk__in=follows, state__in=OPEN).values_list("pk", "state", "pending_reason")
    return [
        (user, pk, state == State.RUNNING or reason in ACTIVE_REASONS)
        for pk, state, reason in jobs
        for user in follows[pk]
    ]


def _may_ask(user: Any, keys: Iterable[str]) -> set[str]:
    return {key for key in keys if not key} if user.is_authenticated and user.is_active else set()


def _system_stands_at(keys: Iterable[str]) -> dict[str, int]:
    return {"": stability.position()} if "" in set(keys) else {}


def _read_system(since: Mapping[str, int | None]) -> dict[str, Reading]:
    row = System.objects.first()
    version = 0 if row is None else row.version
    return {"": Reading(version=version, data=stability.said(row), events=[])} if "" in since else {}


def _ids(keys: Iterable[str]) -> list[UUID]:
    """Return the keys that are uuids in their one canonical form; the others are nobody's."""
    ids = []
    for key in keys:
        try:
            pk = UUID(key)
        except ValueError:
            continue
        if str(pk) == key:
            ids.append(pk)
    return ids
