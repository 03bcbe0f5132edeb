"""What was read of a day, written so that doing it again changes nothing and status never goes back."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from ingestion.clock import ClockTimestamp
from ingestion.run import Run
from ingestion.sources.lifelogs import accounts
from ingestion.sources.lifelogs.models import Account, DataItem, Day, Ingestion
from ingestion.sources.lifelogs.services import Recording
from ingestion.sources.lifelogs.walking import Walk

_WRITTEN = (
    "day",
    "title",
    "markdown",
    "contents",
    "started_at",
    "ended_at",
    "starred",
    "source_updated_at",
    "digest",
    "deleted_at",
    "day_version",
    "first_version",
    "updated_at",
)


@dataclass(frozen=True)
class Stored:
    """What a reading did to a day.

    stale: a newer one was stored before, so nothing was done. again: days that must be read after this one,
    for an item moves between them.
    """

    new: int = 0
    changed: int = 0
    deleted: int = 0
    completed: bool = False
    stale: bool = False
    again: frozenset[date] = frozenset()


@dataclass(frozen=True)
class _Compared:
    """How a reading of a day differs from what we have of it.

    left: other days that lose an item to this one. is_all: nothing of it is in doubt. again: see `Stored`.
    """

    fresh: list[DataItem]
    grown: list[DataItem]
    gone: list[DataItem]
    left: list[Day]
    is_all: bool
    again: frozenset[date]


@dataclass(frozen=True)
class Trouble:
    """Why a day could not be read. at: when that was tried, if that is known."""

    text: str
    at: datetime | None


def settle_time() -> timedelta:
    """Return how long after a day's end a reading must begin to complete it."""
    return timedelta(minutes=settings.LIFELOGS_SETTLE_MINUTES)


def known_ids(account: Account, days: Iterable[date]) -> dict[date, frozenset[str]]:
    """Return by day the service's ids of what we have of it."""
    found: dict[date, set[str]] = {day: set() for day in days}
    rows = account.items.filter(day__date__in=found, deleted_at=None)
    for day, key in rows.values_list("day__date", "key"):
        found[day].add(key.partition(":")[2])
    return {day: frozenset(ids) for day, ids in found.items()}


def save(job: Run, account: Account, date_: date, walk: Walk) -> Stored:
    """Write what was read of a day, inside an item of the job; say of each changed day that it changed.

    Raises AccountGone when the account was paused, revoked or deleted since the service was asked.
    """
    # Every writer of an account's days stands in line here, so versions and statuses follow one another.
    rows = Account.objects.select_for_update(no_key=True).filter(pk=account.pk)
    account = accounts.check_active(rows.first())
    day, is_new = Day.objects.get_or_create(account=account, date=date_)
    if day.walked_at is not None and day.walked_at > walk.began:
        return Stored(stale=True)
    found = _compared(account, day, walk)
    _write_items(found, day.version + 1)
    completed = found.is_all and not day.is_complete and walk.completes(date_, account.local, settle_time())
    # A day that was shown as failed is so no more: open pages must hear of that.
    moved = bool(is_new or found.fresh or found.grown or found.gone or completed or day.trouble)
    _write_day(account, day, walk, moved=moved, completed=completed)
    for other in found.left:
        count = other.items.filter(deleted_at=None).count()
        Day.objects.filter(pk=other.pk).update(items_count=count, moved_at=account.version + 1)
    for one in [*found.left, *([day] if moved else [])]:
        job.changed(one)
    if found.left or moved:
        job.changed(account)
    return Stored(len(found.fresh), len(found.grown), len(found.gone), completed, again=found.again)


def note_troubles(account_pk: int, troubles: Mapping[date, Trouble]) -> None:
    """Have days that could not be read say so, unless they are complete or were read well since then."""
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).filter(pk=account_pk).first()
        if account is None:
            return
        Day.objects.bulk_create((Day(account=account, date=day) for day in troubles), ignore_conflicts=True)
        marked = []
        for day in account.days.filter(date__in=troubles, ingestion_status=Ingestion.PARTIAL).order_by("pk"):
            trouble = troubles[day.date]
            if day.walked_at is None or trouble.at is None or day.walked_at < trouble.at:
                day.trouble = trouble.text[:300]
                marked.append(day)
        Day.objects.bulk_update(marked, ["trouble"])


def key_of(account: Account, source_id: str) -> str:
    """Return under which key an item is kept."""
    return f"{account.service}:{source_id}"


def digest_of(one: Recording) -> str:
    """Return what is the same for an item as long as the service tells the same of it."""
    told = [
        one.title,
        one.markdown,
        one.contents,
        one.started_at.isoformat(),
        one.ended_at.isoformat(),
        one.starred,
    ]
    text = json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _compared(account: Account, day: Day, walk: Walk) -> _Compared:
    had = {item.key: item for item in _known(account, day, walk)}
    elsewhere = _brought_later(day, had, walk)
    told = {key_of(account, one.source_id): one for one in walk.items}
    told = {key: one for key, one in told.items() if key not in elsewhere}
    left = _days_left(day, [item for key, item in had.items() if key in told])
    ours = [one for one in had.values() if one.day_id == day.pk and one.deleted_at is None]
    unseen = [one for one in ours if one.key not in told]
    where = {one.pk: walk.gone[one.source_id] for one in unseen if one.source_id in walk.gone}
    again = {other for other in where.values() if other is not None}
    fresh, grown = _sorted_out(account, day, told, had, day.version + 1)
    return _Compared(
        fresh,
        grown,
        [one for one in unseen if one.pk in where],
        left,
        # What another job brought meanwhile and this look neither saw nor asked for, the next one asks for.
        is_all=len(where) == len(unseen) and not elsewhere,
        again=frozenset(again | ({day.date} if elsewhere else set())),
    )


def _write_items(found: _Compared, version: int) -> None:
    DataItem.objects.bulk_create(found.fresh, batch_size=500)
    DataItem.objects.bulk_update(found.grown, _WRITTEN, batch_size=100)
    DataItem.objects.filter(pk__in=[one.pk for one in found.gone]).update(
        deleted_at=ClockTimestamp(), updated_at=ClockTimestamp(), day_version=version
    )


def _write_day(account: Account, day: Day, walk: Walk, *, moved: bool, completed: bool) -> None:
    values: dict[str, Any] = {"walked_at": walk.began, "trouble": ""}
    if moved:
        values |= {"items_count": day.items.filter(deleted_at=None).count(), "moved_at": account.version + 1}
    if completed:
        values |= {
            "ingestion_status": Ingestion.COMPLETE,
            "completed_at": ClockTimestamp(),
            "completed_version": day.version + 1,
        }
    Day.objects.filter(pk=day.pk).update(**values)
    status = Ingestion.COMPLETE if completed or day.is_complete else Ingestion.PARTIAL
    day.items.exclude(ingestion_status=status).update(ingestion_status=status)


def _known(account: Account, day: Day, walk: Walk) -> list[DataItem]:
    keys = [key_of(account, one.source_id) for one in walk.items]
    rows = DataItem.objects.filter(Q(day=day) | Q(key__in=keys), account=account)
    return list(rows.select_related("day").defer("markdown", "contents").order_by("pk"))


def _brought_later(day: Day, had: Mapping[str, DataItem], walk: Walk) -> set[str]:
    """Return the keys of items that stand on another day, by a look at it that began after this one.

    One that such a look took from that day stands nowhere: left out here, it would be lost.
    """
    return {
        key
        for key, item in had.items()
        if item.day_id != day.pk
        and item.deleted_at is None
        and item.day.walked_at is not None
        and item.day.walked_at > walk.began
    }


def _days_left(day: Day, told: Iterable[DataItem]) -> list[Day]:
    """Return the other days that lose an item to this one: it was said to have begun at another time."""
    found = {item.day_id: item.day for item in told if item.day_id != day.pk and item.deleted_at is None}
    return sorted(found.values(), key=lambda one: one.date)


def _sorted_out(
    account: Account, day: Day, told: Mapping[str, Recording], had: Mapping[str, DataItem], version: int
) -> tuple[list[DataItem], list[DataItem]]:
    """Return the items that are new and those that changed. What is as it was is in neither."""
    fresh, grown = [], []
    for key, one in told.items():
        digest = digest_of(one)
        item = had.get(key)
        if item is None:
            fresh.append(DataItem(account=account, key=key, first_version=version))
            item = fresh[-1]
        elif item.digest == digest and item.deleted_at is None and item.day_id == day.pk:
            continue
        else:
            if item.day_id != day.pk or item.deleted_at is not None:
                item.first_version = version
            item.updated_at = ClockTimestamp()
            grown.append(item)
        item.day, item.digest, item.day_version, item.deleted_at = day, digest, version, None
        item.title, item.markdown, item.contents = one.title, one.markdown, one.contents
        item.started_at, item.ended_at, item.starred = one.started_at, one.ended_at, one.starred
        item.source_updated_at = one.updated_at
    return fresh, grown
