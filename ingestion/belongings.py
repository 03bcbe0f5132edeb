"""What belongs to a person, from every app: given to them as one file, and handed on when they go."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import OPEN, ApiToken, Job, Schedule, Upload
from notifications.models import BroadcastReceipt, Follow, Mute, Notification, Preference, Webhook

BATCH = 500  # rows read at once, and written in one part

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Belongings:
    """What an app keeps of a person.

    rows: yields it for the export, a few rows at a time read. leave: sees to it that nobody else is left
    without an owner, before the person is deleted; what belongs to them alone goes by itself or here.
    begin: the part of it that may raise Refused, of what is theirs alone; it comes before every `leave`, so
    that who is refused goes on with all they share.
    """

    rows: Callable[[Any], Iterator[Row]]
    begin: Callable[[Any], None] = lambda user: None
    leave: Callable[[Any], None] = lambda user: None


_kept: dict[str, Belongings] = {}


def register(name: str, belongings: Belongings) -> None:
    """Let an app's rows of a person be exported and left. Called from `AppConfig.ready`."""
    _kept[name] = belongings


def in_turn(rows: QuerySet[Any], *columns: str) -> Iterator[Row]:
    """Yield columns of rows in the order they were made, reading BATCH at a time."""
    last = None
    while True:
        page = rows if last is None else rows.filter(pk__gt=last)
        some = list(page.order_by("pk").values("pk", *columns)[:BATCH])
        for row in some:
            last = row.pop("pk")
            yield row
        if len(some) < BATCH:
            return


def parts(user: Any, about: Row) -> Iterator[str]:
    """Yield one JSON object in parts of at most BATCH rows: `about`, then a list a name."""
    yield "{" + '"account": ' + _json(about)
    for name, rows in _all(user):
        yield f',\n"{name}": ['
        first = True
        while some := [_json(row) for row in islice(rows, BATCH)]:
            yield ("\n" if first else ",\n") + ",\n".join(some)
            first = False
        yield "]"
    yield "}\n"


def leave(user: Any) -> None:
    """Stop what works for a person and hand on what others share with them. Once more is the same as once.

    Raises Refused where an app cannot begin: then nothing was stopped and nothing handed on.
    """
    for belongings in _kept.values():
        belongings.begin(user)
    Schedule.objects.filter(owner=user).delete()
    for job in Job.objects.filter(owner=user, state__in=OPEN).order_by("pk"):
        try:
            lifecycle.cancel(job, user)
        except Refused:
            continue  # it has just ended
    for belongings in _kept.values():
        belongings.leave(user)


def _all(user: Any) -> Iterator[tuple[str, Iterator[Row]]]:
    job = ("id", "source", "title", "subject", "params", "state", "error", "created_at", "finished_at")
    yield "jobs", in_turn(Job.objects.filter(owner=user), *job)
    schedule = ("name", "source", "params", "cron", "zone", "paused", "created_at")
    yield "schedules", in_turn(Schedule.objects.filter(owner=user), *schedule)
    yield "files", _files(user)
    token = ("name", "scopes", "created_at", "expires_at", "last_used_at")
    yield "tokens", in_turn(ApiToken.objects.filter(user=user), *token)
    told = ("type", "level", "title", "text", "url", "created_at", "read_at", "archived_at")
    yield "notifications", in_turn(Notification.objects.filter(recipient=user), *told)
    said = ("broadcast__title", "seen_at", "read_at", "archived_at", "deleted_at")
    yield "broadcasts", in_turn(BroadcastReceipt.objects.filter(user=user), *said)
    yield "follows", in_turn(Follow.objects.filter(user=user), "about")
    yield "mutes", in_turn(Mute.objects.filter(user=user), "about")
    yield "notification_settings", in_turn(Preference.objects.filter(user=user), "type", "channel", "when")
    yield "webhooks", in_turn(Webhook.objects.filter(user=user), "url", "created_at", "ended_at", "reason")
    for name, belongings in _kept.items():
        yield name, belongings.rows(user)


def _files(user: Any) -> Iterator[Row]:
    """Yield the files with where their bytes are given; one file of all of them could have 20 GB."""
    for row in in_turn(Upload.objects.filter(owner=user), "id", "name", "size", "type", "created_at"):
        yield row | {"file": f"/api/uploads/{row['id']}/file"}


def _json(row: Row) -> str:
    return json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False)
