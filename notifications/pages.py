"""What the inbox page and the bell show: lines made of entries, by day, with what can be done to each."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Self

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from config.filters import UrlFilters
from notifications import days, links, listing, types
from notifications.entries import Entry, Fold, fold
from notifications.models import Level

PAGE = 50  # rows of a page
BELL = 6  # rows of the dropdown
MAX_PICKED = 500  # rows that one request may name

VIEWS = {"inbox": "inbox", "unread": "bell", "snoozed": "snooze", "archived": "archive"}  # -> icon
GROUP_ICONS = {"Jobs": "jobs", "Imports": "table", "System": "pulse"}

# How a line without a state of its own is marked.
STATUS = {
    Level.INFO: "info",
    Level.SUCCESS: "complete",
    Level.WARNING: "completed_with_errors",
    Level.ERROR: "failed",
}


@dataclass(frozen=True)
class Filters(UrlFilters):
    """What the page shows."""

    known = {"view": VIEWS}

    view: str = "inbox"
    type: str = ""
    q: str = ""
    before: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """Read the filters of a URL or of a form."""
        found = super().from_query(query)
        known = {one.lower(): one for one in types.groups()}
        return replace(found, type=known.get(found.type.lower(), ""))

    @property
    def narrowed(self) -> bool:
        """Say whether anything but the view is filtered."""
        return bool(self.type or self.q)

    def wanted(self, until: datetime | None = None) -> listing.Filter:
        """Return the filter that the lists know."""
        return listing.Filter(self.view, self.type, self.q, until)

    def place(self) -> tuple[datetime, int] | None:
        """Return after which entry the page begins."""
        text, _, pk = self.before.partition("~")
        try:
            at = parse_datetime(text)
        except ValueError:
            return None
        if at is None or timezone.is_naive(at) or not pk.removeprefix("-").isdecimal() or len(pk) > 18:
            return None
        return at, int(pk)


@dataclass(frozen=True)
class Line:
    """One line of a list: an entry, or several that are drawn as one (`rows`)."""

    key: str
    at: datetime
    title: str
    text: str
    href: str
    status: str
    read: bool
    seen: bool = True
    snoozed: bool = False
    until: datetime | None = None
    since: datetime | None = None
    job: str = ""
    open: bool = False
    retry: bool = False
    review: bool = False
    owned: bool = False
    everybody: bool = False
    version: int = 0
    rows: list["Line"] = field(default_factory=list)

    @property
    def iso(self) -> str:
        """Return its time for programs."""
        return self.at.isoformat()

    @property
    def stamp(self) -> str:
        """Return what differs when the line says something else."""
        return f"{self.version} {self.iso}"


def line(entry: Entry, user: Any) -> Line:
    """Return the line of an entry for its user. What its data says of a job comes from the job's own app."""
    status = str(entry.data.get("status") or STATUS.get(Level(entry.level), "info"))
    kind, _, name = (entry.about or "").partition(":")
    job = name if kind == "job" else ""
    since = entry.data.get("snoozed_since")
    owned = bool(job) and entry.data.get("owner") == user.pk  # others would be refused
    return Line(
        key=str(entry.id),
        at=entry.updated_at,
        title=entry.title,
        text=entry.text,
        href=links.href(entry.url),
        status=status,
        read=entry.read_at is not None,
        seen=entry.seen_at is not None,
        snoozed=entry.snoozed_at is not None,
        until=entry.snoozed_until,
        since=parse_datetime(since) if since else None,
        job=job,
        open=bool(entry.data.get("open")),
        retry=owned and bool(entry.data.get("retry")),
        # Of a row without an owner it is for whoever has it, on the page that the row leads to.
        review=(owned or "owner" not in entry.data) and bool(entry.data.get("review")),
        owned=owned,
        everybody=entry.is_broadcast,
        version=entry.version,
    )


def lines(folds: Iterable[Fold], user: Any) -> list[Line]:
    """Return a line for each fold of this user's entries."""
    drawn = []
    for one in folds:
        rows = [line(entry, user) for entry in one.entries]
        if one.folded:
            first = rows[0]
            rows = [
                Line(
                    key=",".join(row.key for row in rows),
                    at=first.at,
                    title=one.title,
                    text="",
                    href="",
                    status=first.status,
                    read=not one.is_unread,
                    everybody=all(row.everybody for row in rows),
                    rows=rows,
                )
            ]
        drawn += rows
    return drawn


def context(user: Any, filters: Filters) -> dict[str, Any]:
    """Return what the inbox's template shows."""
    now = timezone.now()
    upto, shared = listing.latest(user)  # before the list, which may know more but not less
    wanted = filters.wanted()
    found = listing.entries(user, wanted, limit=PAGE + 1, after=filters.place(), shared=shared)
    shown, more = found[:PAGE], len(found) > PAGE
    drawn = lines(fold(shown), user)
    here, local = timezone.localtime(now), timezone.localtime
    by_day = groupby(drawn, lambda row: days.group(local(row.at), here))
    # The archive is a pile that nobody counts.
    views = [name for name in VIEWS if name != "archived" or filters.view == name]
    counted = listing.counts(user, wanted, views, shared)
    counts, of_type = counted.views, counted.groups
    last = f"{shown[-1].updated_at.isoformat()}~{shown[-1].id}" if more else ""
    matching = of_type[filters.type] if filters.type else counts[filters.view]
    is_exact = counted.is_all or (filters.view == "unread" and not filters.narrowed)
    if not is_exact:  # among the newest may be fewer of a type than the page shows
        matching = max(matching, len(found))
    return {
        "filters": filters,
        "views": _views(filters, counts),
        "groups": _groups(filters, of_type),
        "days": [(day, list(rows)) for day, rows in by_day],
        "counts": counts,
        "more": "" if counted.is_all else "+",
        "wakes": _wakes(user) if not drawn and counts["snoozed"] else None,
        "shown": len(shown),
        "matching": matching,
        "more_match": "" if is_exact else "+",
        "first": not filters.before,
        "following": filters.query(before=last) if last else "",
        "query": filters.query(),
        "kept": [(name, value) for name, value in filters.said().items() if name in ("view", "type")],
        "filter_values": filters.chosen,
        "upto": upto.isoformat(),
    }


def _views(filters: Filters, counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the piles to choose from, each with its count."""
    return [
        {
            "name": name,
            "label": name.capitalize(),
            "icon": icon,
            "count": counts.get(name, 0),
            "current": filters.view == name,
            "query": filters.query(view=name),
        }
        for name, icon in VIEWS.items()
    ]


def _groups(filters: Filters, counts: Counter[str]) -> list[dict[str, Any]]:
    """Return the types to choose from, the chosen one too where it has none."""
    return [
        {
            "label": name,
            "icon": GROUP_ICONS.get(name, "file"),
            "count": counts[name],
            "current": filters.type == name,
            "query": filters.query(type="" if filters.type == name else name),
        }
        for name in sorted({*counts, filters.type} - {""})
    ]


def _wakes(user: Any) -> datetime | None:
    """Return when the first of what is snoozed comes back, when that is known of all."""
    found = listing.entries(user, listing.Filter("snoozed"), limit=PAGE, shared=[])
    times = [entry.snoozed_until for entry in found]
    return min((at for at in times if at is not None), default=None) if None not in times else None


def bell(user: Any) -> dict[str, Any]:
    """Return what the dropdown shows: the newest, the unread ones first."""
    upto, shared = listing.latest(user)
    shown = [line(entry, user) for entry in listing.bell(user, BELL, shared)]
    more = listing.unread_count(user) - sum(not row.read for row in shown)
    return {"rows": shown, "more": more, "upto": upto.isoformat()}


def picked(values: Iterable[str]) -> list[int]:
    """Return the ids that a form names, in one value or several; what is none is left out."""
    texts = [text for value in values for text in value.split(",")][:MAX_PICKED]
    return [int(text) for text in texts if text.removeprefix("-").isdecimal() and len(text) < 18]
