"""The jobs list: its filters, which live in the URL, and its pages."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.http import QueryDict

from config.filters import UrlFilters
from ingestion import serializers, source
from ingestion.access import can_act, can_view_all, visible_jobs
from ingestion.models import FINAL, OPEN, Job, State

PAGE = 25  # rows of a page
BULK = 500  # ticked jobs that one bulk action may touch

ACTIVE = (State.PENDING, State.RUNNING)

# What `?state=` may say -> the states it means, in the order of the segments.
STATES: dict[str, tuple[str, tuple[State, ...]]] = {
    "": ("All", ()),
    "active": ("Active", ACTIVE),
    "waiting": ("Needs attention", (State.WAITING,)),
    "completed": ("Complete", (State.COMPLETED,)),
    "partial": ("With errors", (State.PARTIAL,)),
    "failed": ("Failed", (State.FAILED,)),
    "cancelled": ("Cancelled", (State.CANCELLED,)),
}


# What `?within=` may say -> its words, and how long ago a job ended at most.
WITHIN: dict[str, tuple[str, timedelta]] = {
    "1h": ("within the last hour", timedelta(hours=1)),
    "24h": ("within the last 24 hours", timedelta(days=1)),
    "7d": ("within the last 7 days", timedelta(days=7)),
}

# Of the file for a spreadsheet.
COLUMNS = {
    "Id": "id",
    "Source": "source",
    "Job": "title",
    "Subject": "subject",
    "State": "state",
    "By": "owner__username",
    "Message": "message",
    "Error": "error",
    "Items": "items_total",
    "Done": "items_done",
    "Failed": "items_failed",
    "Skipped": "items_skipped",
    "Made (UTC)": "created_at",
    "Started (UTC)": "started_at",
    "Ended (UTC)": "finished_at",
}


@dataclass(frozen=True)
class Filters(UrlFilters):
    """What the list shows."""

    known = {"state": STATES, "within": WITHIN}

    state: str = ""
    source: str = ""
    by: str = ""
    q: str = ""
    error: str = ""
    within: str = ""
    before: str = ""

    def apply(self, jobs: QuerySet[Job]) -> QuerySet[Job]:
        """Return those of the jobs that match."""
        states = STATES[self.state][1]
        if states:
            jobs = jobs.filter(state__in=states)
        return self._apply_others(jobs)

    def _apply_others(self, jobs: QuerySet[Job]) -> QuerySet[Job]:
        if self.source:
            jobs = jobs.filter(source=self.source)
        if self.by:
            jobs = jobs.filter(owner__username=self.by)
        if self.error:
            jobs = jobs.filter(error__code=self.error)
        if self.within:
            jobs = jobs.filter(finished_at__gt=Now() - WITHIN[self.within][1])
        if self.q:
            wanted = Q(title__icontains=self.q) | Q(subject__icontains=self.q)
            if (job_id := _uuid(self.q)) is not None:
                wanted |= Q(pk=job_id)
            jobs = jobs.filter(wanted)
        return jobs


@dataclass(frozen=True)
class Page:
    """One page of jobs: the running ones first, then the newest."""

    jobs: list[Job]
    following: str  # the `before` of the next page, empty on the last one


def page_of(jobs: QuerySet[Job], before: str) -> Page:
    """Return the page after `before`, which is `<0 running | 1 others>-<job id>`.

    Two queries instead of one ORDER BY: the running ones are few and have an index of their own.
    """
    rank, _, text = before.partition("-")
    after = _uuid(text) if rank in ("0", "1") else None
    jobs = serializers.for_json(jobs)
    rows: list[Job] = []
    others = jobs.order_by("-pk")
    if after is None or rank == "0":
        running = jobs.filter(state=State.RUNNING).order_by("-pk")
        rows += (running.filter(pk__lt=after) if after else running)[: PAGE + 1]
        # Not `exclude(state=RUNNING)`: a job that started between the two queries would be in neither.
        seen = {row.pk for row in rows}
        rows += [row for row in others[: PAGE + 1 + len(rows)] if row.pk not in seen][: PAGE + 1 - len(rows)]
    else:
        rows += others.exclude(state=State.RUNNING).filter(pk__lt=after)[: PAGE + 1]
    if len(rows) <= PAGE:
        return Page(rows, "")
    last = rows[PAGE - 1]
    return Page(rows[:PAGE], f"{0 if last.state == State.RUNNING else 1}-{last.pk}")


def context(user: Any, filters: Filters) -> dict[str, Any]:
    """Return what the list's template shows."""
    page = page_of(filters.apply(visible_jobs(user)), filters.before)
    return {
        **news(user, filters),
        "sources": source.registry().values(),
        "rows": [{"job": job, "acts": can_act(user, job)} for job in page.jobs],
        "following": filters.query(before=page.following) if page.following else "",
        "newest": max((str(job.pk) for job in page.jobs), default=""),
        "first": not filters.before,
        "refresh": any(job.state not in FINAL for job in page.jobs),
        "filter_values": filters.chosen,
        "ended": WITHIN[filters.within][0] if filters.within else "",
    }


def news(user: Any, filters: Filters, since: str | None = None) -> dict[str, Any]:
    """Return what changes above the rows: how many jobs of which state, how many since the newest one shown.

    `tag` names all of it. `asks`: no stream tells this user of all that the list shows, so the page asks.
    """
    counts = dict(
        filters._apply_others(visible_jobs(user).filter(state__in=OPEN))
        .order_by()
        .values_list("state")
        .annotate(Count("pk"))
    )
    new = 0 if since is None else newer(user, filters, since)
    named = {"new": new} | {
        name: counts.get(state, 0)
        for name, state in [("running", State.RUNNING), ("queued", State.PENDING), ("waiting", State.WAITING)]
    }
    return {
        **named,
        "tag": "-".join(map(str, named.values())),
        "asks": can_view_all(user),
        "newest": since,
        "filters": filters,
        "query": filters.query(),
        "segments": [
            {
                "name": name or "all",
                "label": label,
                "count": sum(counts.get(state, 0) for state in states) if set(states) <= set(OPEN) else None,
                "query": filters.query(state=name),
                "current": filters.state == name,
            }
            for name, (label, states) in STATES.items()
        ],
    }


def newer(user: Any, filters: Filters, newest: str) -> int:
    """Count the jobs that match and were made after the newest one shown; more than a page is enough."""
    since = _uuid(newest)
    jobs = filters.apply(visible_jobs(user))
    return (jobs.filter(pk__gt=since) if since else jobs)[: PAGE + 1].count()


def words(filters: Filters) -> list[str]:
    """Return what is filtered, in words."""
    known = source.find(filters.source)
    said = [
        STATES[filters.state][0] if filters.state else "",
        (known.label if known else filters.source) if filters.source else "",
        f"of {filters.by}" if filters.by else "",
        f"called “{filters.q}”" if filters.q else "",
        f"with the error {filters.error}" if filters.error else "",
        f"ended {WITHIN[filters.within][0]}" if filters.within else "",
    ]
    return [one for one in said if one] or ["All jobs"]


def chosen(user: Any, form: QueryDict) -> list[Job]:
    """Return the jobs that were ticked for a bulk action."""
    visible = visible_jobs(user).select_related("owner")
    ids = [pk for text in form.getlist("job")[:BULK] if (pk := _uuid(text)) is not None]
    return list(visible.filter(pk__in=ids).order_by("-pk"))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
