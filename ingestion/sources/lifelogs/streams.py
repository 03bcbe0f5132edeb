"""The streams `day:<account>:<date>` and `days:<account>`. Both are their owner's alone.

A day without a row is at version 0, empty and partial. `days:` says where the days stand that
moved last, so that who shows many of them follows one stream.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any

from django.db.models import Q

from ingestion.sources.lifelogs.models import Account, Day, Ingestion
from notifications import abouts
from realtime import streams
from realtime.streams import JsonObject, Reading

MOST_MOVED = 400  # days that the stream of an account speaks of: what moved last, more than a year of it
_FIRST, _LAST = date(1900, 1, 1), date(9998, 12, 31)


def register() -> None:
    """Make both kinds known, and what a followed account is called."""
    streams.register(streams.Kind(name="day", visible=_visible, versions=_versions, read=_read))
    streams.register(streams.Kind(name="days", visible=_visible_all, versions=_versions_all, read=_read_all))
    abouts.register("days", _named)


def parse_date(text: str) -> date | None:
    """Return a date in its one form 2026-11-18, or None."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.isoformat() == text and _FIRST <= found <= _LAST else None


def data_updated(account: int, service: str, day: str, said: JsonObject) -> JsonObject:
    """Return what is told of a day that changed (seed S0.34). said: of the day, by the stream `days:`.

    account: whose day it is; one may have several at a service, and the sample is one, too.
    """
    return {"type": "data_updated", "source": service, "account": account, "date": day, **said}


def _parts(keys: Iterable[str]) -> dict[str, tuple[int, date]]:
    found = {}
    for key in keys:
        number, _, text = key.partition(":")
        pk, day = streams.numbers([number]), parse_date(text)
        if pk and day is not None:
            found[key] = (pk[0], day)
    return found


def _visible(user: Any, keys: Iterable[str]) -> set[str]:
    parts = _parts(keys)
    mine = _visible_all(user, {str(pk) for pk, _ in parts.values()})
    return {key for key, (pk, _) in parts.items() if str(pk) in mine}


def _rows(parts: Mapping[str, tuple[int, date]]) -> dict[tuple[int, date], Day]:
    wanted = defaultdict(set)
    for pk, day in parts.values():
        wanted[pk].add(day)
    either = Q()
    for pk, days in wanted.items():
        either |= Q(account=pk, date__in=days)
    rows = Day.objects.filter(either) if wanted else Day.objects.none()
    return {(row.account_id, row.date): row for row in rows}


def _versions(keys: Iterable[str]) -> dict[str, int]:
    parts = _parts(keys)
    rows = _rows(parts)
    return {key: rows[part].version if part in rows else 0 for key, part in parts.items()}


def _read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    parts = _parts(since)
    rows = _rows(parts)
    return {key: _reading(rows.get(part)) for key, part in parts.items()}


def _reading(day: Day | None) -> Reading:
    if day is None:
        return Reading(0, {"status": str(Ingestion.PARTIAL), "items": 0, "turns": 0}, events=[])
    data = {
        "status": day.ingestion_status,
        "items": day.items_count,
        "turns": day.version,  # a recording that grew changes nothing else
        "completed_at": day.completed_at.isoformat() if day.completed_at else None,
        "changed_after": True if day.changed_after else None,
    }
    return Reading(day.version, {name: value for name, value in data.items() if value is not None}, events=[])


def _visible_all(user: Any, keys: Iterable[str]) -> set[str]:
    if not (user.is_authenticated and user.is_active):
        return set()
    mine = Account.objects.filter(pk__in=streams.numbers(keys), owner=user).values_list("pk", flat=True)
    return {str(pk) for pk in mine}


def _versions_all(keys: Iterable[str]) -> dict[str, int]:
    rows = Account.objects.filter(pk__in=streams.numbers(keys)).values_list("pk", "version")
    return {str(pk): version for pk, version in rows}


def _read_all(since: Mapping[str, int | None]) -> dict[str, Reading]:
    with streams.snapshot():
        accounts = list(Account.objects.filter(pk__in=streams.numbers(since)))
        moved = _moved([one.pk for one in accounts])
    readings = {}
    for account in accounts:
        data = {"service": account.service, "status": account.status, "moved": moved[account.pk]}
        if account.reason:
            data["reason"] = account.reason
        readings[str(account.pk)] = Reading(account.version, data, events=[])
    return readings


def _moved(accounts: Collection[int]) -> dict[int, dict[str, JsonObject]]:
    """Return of each account the days that moved last: where they stand, by date."""
    found: dict[int, dict[str, JsonObject]] = {pk: {} for pk in accounts}
    rows = Day.objects.raw(
        """
        SELECT day.* FROM unnest(%s::bigint[]) AS wanted (account_id)
        CROSS JOIN LATERAL (
            SELECT * FROM lifelogs_day WHERE account_id = wanted.account_id
            ORDER BY moved_at DESC, date DESC LIMIT %s
        ) AS day
        """,
        [list(found), MOST_MOVED],
    )
    for day in rows:
        said = {"version": day.version, "status": day.ingestion_status}
        found[day.account_id][day.date.isoformat()] = said
    return found


def _named(user: Any, keys: Collection[str]) -> Mapping[str, tuple[str, str]]:
    rows = Account.objects.filter(pk__in=streams.numbers(keys), owner=user)
    return {str(one.pk): (f"Days of {one.label}", one.get_absolute_url()) for one in rows}
