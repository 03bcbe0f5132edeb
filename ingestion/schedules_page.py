"""The list of schedules: its filters, which live in the URL, its pages, and what names its rows."""

import zlib
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from config.filters import UrlFilters
from ingestion import schedules, serializers, source
from ingestion.access import can_operate, can_view_all, visible_jobs
from ingestion.models import Schedule

PAGE = 50
LARGEST_ID = 2**63 - 1
UNSHOWN = tuple(f"last_job__{name}" for name in ("memo", "result", "steps", "params"))  # large

# What `?show=` may say -> its name, and the rows it means.
SHOWS: dict[str, tuple[str, Q]] = {
    "": ("All", Q()),
    "active": ("Active", Q(paused=False)),
    "paused": ("Paused", Q(paused=True)),
    "refused": ("Last run refused", ~Q(last_error="")),
}

# Of the file for a spreadsheet.
COLUMNS = {
    "Id": "id",
    "Name": "name",
    "Source": "source",
    "Cron": "cron",
    "Zone": "zone",
    "By": "owner__username",
    "Paused": "paused",
    "Next (UTC)": "next_at",
    "Last (UTC)": "last_at",
    "Last job": "last_job",
    "Its state": "last_job__state",
    "Refused because": "last_error",
}


@dataclass(frozen=True)
class Filters(UrlFilters):
    """What the list shows."""

    known = {"show": SHOWS}

    show: str = ""
    source: str = ""
    by: str = ""
    q: str = ""
    before: str = ""

    def apply(self, rows: QuerySet[Schedule]) -> QuerySet[Schedule]:
        """Return those of the schedules that match."""
        rows = rows.filter(SHOWS[self.show][1])
        if self.source:
            rows = rows.filter(source=self.source)
        if self.by:
            rows = rows.filter(owner__username=self.by)
        return rows.filter(name__icontains=self.q) if self.q else rows


def context(user: Any, filters: Filters) -> dict[str, Any]:
    """Return what the page shows: three queries, however many schedules there are."""
    rows = filters.apply(schedules.visible(user)).select_related("owner", "last_job").defer(*UNSHOWN)
    if filters.before.isascii() and filters.before.isdigit() and len(filters.before) < 20:
        rows = rows.filter(pk__lt=min(int(filters.before), LARGEST_ID))
    shown = list(rows.order_by("-pk")[: PAGE + 1])
    more, shown = len(shown) > PAGE, shown[:PAGE]
    jobs = visible_jobs(user).filter(pk__in=[one.last_job_id for one in shown if one.last_job_id])
    seen = set(jobs.values_list("pk", flat=True))
    operates = can_operate(user)
    return {
        "rows": [
            {
                "schedule": one,
                "label": _label(one),
                "acts": operates or one.owner_id == user.pk,
                "job": one.last_job if one.last_job_id in seen else None,
            }
            for one in shown
        ],
        "filters": filters,
        "query": filters.query(),
        "here": filters.query(before=filters.before),
        "segments": [
            {"label": label, "query": filters.query(show=name), "current": filters.show == name}
            for name, (label, _) in SHOWS.items()
        ],
        "sources": source.registry().values(),
        "everybodys": can_view_all(user),
        "first": not filters.before,
        "following": filters.query(before=str(shown[-1].pk)) if more else "",
        "tag": _tag(shown),
    }


def _label(schedule: Schedule) -> str:
    known = source.find(schedule.source)
    return known.label if known is not None else schedule.source


def _tag(shown: list[Schedule]) -> str:
    """Name what the rows say, so that nothing is sent again while it holds."""
    now = timezone.now()
    said = [
        (
            *(one.pk, one.name, one.cron, one.zone, one.paused, one.next_at, one.last_at, one.last_error),
            one.last_job and (one.last_job_id, serializers.display(one.last_job, now)),
        )
        for one in shown
    ]
    return f"{zlib.crc32(repr(said).encode()):x}"
