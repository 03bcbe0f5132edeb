"""Dead letters: jobs that ended without doing their work, and what is done about them.

A job that failed, or that set items aside because they ended its worker again and again; as long as no retry
of it has been made, and nobody has said that it needs no more.
"""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from config import audit
from config.filters import UrlFilters
from ingestion import source
from ingestion.access import can_act, can_view_all, visible_jobs
from ingestion.admission import Refused
from ingestion.models import Dismissal, ItemState, Job, JobEvent, JobItem, Level, State

PAGE = 25
NAMED_ITEMS = 3  # set aside, of a job, that are named
LAST_ERRORS = 3  # lines of a job's history
MAX_REASON = 300  # characters
UNSHOWN = ("memo", "result", "steps", "params")  # large

# What the file of the list says -> field.
COLUMNS = {
    "Job": "id",
    "Source": "source",
    "Title": "title",
    "Subject": "subject",
    "By": "owner__username",
    "State": "state",
    "Error": "error",
    "Items set aside": "aside",
    "Ended (UTC)": "finished_at",
    "Dismissed (UTC)": "dismissal__at",
    "Dismissed by": "dismissal__by__username",
    "Dismissed because": "dismissal__reason",
}

_SET_ASIDE = JobItem.objects.filter(job=OuterRef("pk"), state=ItemState.QUARANTINED)
# A cancelled retry did nothing: the work is still undone.
_RETRIED = Job.objects.filter(retry_of=OuterRef("pk")).exclude(state=State.CANCELLED)
Place = tuple[datetime, UUID]
UNDONE = Q(state__in=(State.FAILED, State.PARTIAL)) & (Q(state=State.FAILED) | Exists(_SET_ASIDE))


@dataclass(frozen=True)
class Filters(UrlFilters):
    """What the page shows. show: "" what needs somebody, or "dismissed"."""

    known = {"show": ("dismissed",)}

    show: str = ""
    source: str = ""
    before: str = ""

    @property
    def place(self) -> Place | None:
        """Return the end of the page before: when its last job ended, and its id."""
        ended, _, pk = self.before.partition("~")
        try:
            return datetime.fromisoformat(ended).astimezone(UTC), UUID(pk)
        except (ValueError, OverflowError):
            return None


def undone(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """Return those of the jobs that need somebody."""
    dismissed = Dismissal.objects.filter(job=OuterRef("pk"))
    return jobs.filter(UNDONE, ~Exists(_RETRIED), ~Exists(dismissed))


def find(user: Any, *, dismissed: bool, kind: str = "", before: Place | None = None) -> QuerySet[Job]:
    """Return what failed and needs somebody, or what was dismissed, that ended last first, with what is told.

    kind: of one source only. before: the job that the page before ended with, which may be gone by now.
    """
    jobs = visible_jobs(user)
    if dismissed:
        jobs = jobs.filter(UNDONE, dismissal__isnull=False).select_related("dismissal__by")
    else:
        jobs = undone(jobs)
    if kind:
        jobs = jobs.filter(source=kind)
    if before is not None:
        ended, pk = before
        jobs = jobs.filter(Q(finished_at__lt=ended) | Q(finished_at=ended, pk__lt=pk))
    return _told(jobs).order_by("-finished_at", "-pk")


def context(user: Any, filters: Filters) -> dict[str, Any]:
    """Return what the page shows: a fixed number of queries, whatever failed."""
    jobs = find(user, dismissed=filters.show == "dismissed", kind=filters.source, before=filters.place)
    found: list[Any] = list(jobs.select_related("owner").defer(*UNSHOWN)[: PAGE + 1])
    shown = found[:PAGE]
    return {
        "rows": [
            {
                "job": job,
                "label": _label(job.source),
                "acts": can_act(user, job),
                "more_items": max(0, job.aside - NAMED_ITEMS),
            }
            for job in shown
        ],
        "filters": filters,
        "query": filters.query(),
        "here": filters.query(before=filters.before),
        "sources": source.registry().values(),
        "everybodys": can_view_all(user),
        "following": filters.query(before=_place(shown[-1])) if len(found) > PAGE else "",
        "first": filters.place is None,
        "tag": f"{zlib.crc32(repr([(job.pk, job.version) for job in shown]).encode()):x}",
    }


def dismiss(job: Job, by: Any, reason: str = "") -> None:
    """Say that a job needs nobody any more. Raises Refused when it does not need anybody."""
    with transaction.atomic():
        if not undone(Job.objects.filter(pk=job.pk)).exists():
            raise Refused("changed_meanwhile", "It needs nobody any more.")
        _, made = Dismissal.objects.get_or_create(job=job, defaults={"by": by, "reason": reason[:MAX_REASON]})
        if made:
            audit.write("job.dismiss", job.stream, by, reason=reason)


def put_back(job: Job, by: Any) -> None:
    """Take a dismissal back. Raises Refused when there is none."""
    with transaction.atomic():
        if not Dismissal.objects.filter(job=job).delete()[0]:
            raise Refused("changed_meanwhile", "It was not dismissed.")
        audit.write("job.undismiss", job.stream, by)


def _told(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """Read with each job what it set aside, and the last lines of its history that say what went wrong."""
    aside = _SET_ASIDE.order_by("ordinal", "pk")
    count = aside.order_by().values("job").annotate(n=Count("pk")).values("n")
    wrong = JobEvent.objects.filter(job=OuterRef("pk"), level__in=(Level.ERROR, Level.WARNING))
    return jobs.annotate(
        aside=Coalesce(Subquery(count), 0),
        aside_keys=ArraySubquery(aside.values("key")[:NAMED_ITEMS]),
        wrong=ArraySubquery(wrong.order_by("-version").values("message")[:LAST_ERRORS]),
    )


def _label(kind: str) -> str:
    known = source.find(kind)
    return known.label if known is not None else kind


def _place(job: Job) -> str:
    assert job.finished_at is not None  # it has ended
    return f"{job.finished_at.isoformat()}~{job.pk}"
