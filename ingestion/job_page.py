"""What the page of one job shows, part by part; `job_items.py` has its items."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ingestion import figures, job_items, serializers, source, waits, words
from ingestion.access import can_act, visible_jobs
from ingestion.models import FINAL, Job, State, Upload
from notifications.models import Follow, Mute

MAX_EVENTS = 200
EARLIER = 5
MAX_PARAM = 300  # characters of one param in the details


@dataclass(frozen=True)
class StepRow:
    """A step with its stretch of time, in percent of the track."""

    name: str
    current: bool
    label: str
    status: str
    spoken: str
    x: str
    width: str
    ghost_x: str
    ghost_width: str
    took: str
    since: str  # when a running step began; the page counts on from there
    done: int
    total: int | None


def header(job: Job, user: Any, now: datetime) -> dict[str, Any]:
    """Return the title, the badge's word, and what this user may do now."""
    kind = source.find(job.source)
    acts = can_act(user, job)
    verbs = serializers.can(job, user) if acts else []
    mine = job.owner_id == user.pk
    waiting = job.state == State.WAITING
    return {
        "kind": kind,
        "kind_label": kind.label if kind else job.source,
        "noun": kind.item_noun if kind else "items",
        "display": serializers.display(job, now),
        "acts": acts,
        "may_cancel": "cancel" in verbs,
        "may_retry": "retry" in verbs and kind is not None,
        "may_answer": "answer" in verbs,
        "may_repeat": job.state in FINAL and mine and kind is not None,
        "mine": mine,
        "review_template": getattr(kind, "review_template", "") or "ingestion/_review.html",
        "review_url": review_url(job) if waiting else "",
        "refresh": job.state not in FINAL,
    }


def review_url(job: Job) -> str:
    """Return the page on which a source wants its answer given, or an empty text."""
    kind = source.find(job.source)
    return kind.review_url(job) if kind is not None else ""


def steps(job: Job, now: datetime) -> list[StepRow]:
    """Return the rows of a job's steps, in their order."""
    begin = job.started_at or now
    end = job.finished_at or now
    ahead = figures.left(job, now) or 0.0
    axis = (end - begin).total_seconds() + ahead
    return [_step(job, name, step, begin, end, axis) for name, step in serializers.steps_of(job)]


def _step(
    job: Job, name: str, step: Mapping[str, Any], begin: datetime, end: datetime, axis: float
) -> StepRow:
    state = step.get("state") or "pending"
    status, spoken = _step_status(job, state)
    started, finished = _when(step.get("started_at")), _when(step.get("finished_at"))
    until = finished or end
    x = _percent((started - begin).total_seconds(), axis) if started else 0.0
    width = _percent((until - started).total_seconds(), axis) if started else 0.0
    width = min(max(width, 0.6) if started else 0.0, 100.0 - x)
    running = status == "running"
    return StepRow(
        name=name,
        current=state == "running" and job.state not in FINAL,
        label=step.get("label") or name,
        status=status,
        spoken=spoken,
        x=f"{x:.2f}",
        width=f"{width:.2f}",
        ghost_x=f"{x + width:.2f}",
        ghost_width=f"{max(0.0, 100.0 - x - width):.2f}" if running else "0",
        took=figures.duration(until - started) if started else "",
        since=started.isoformat() if started and running else "",
        done=step.get("done") or 0,
        total=step.get("total"),
    )


def _step_status(job: Job, state: str) -> tuple[str, str]:
    if state == "completed":
        return "complete", "done"
    if state == "failed":
        return "failed", "failed"
    if job.state in FINAL:
        if state == "running":
            return ("cancelled", "stopped") if job.state == State.CANCELLED else ("failed", "failed")
        return "skipped", "not reached"
    if state == "running" and job.state == State.WAITING:
        return serializers.display(job), "waits for a person"
    return ("running", "in progress") if state == "running" else ("pending", "waiting")


def _when(text: str | None) -> datetime | None:
    found = parse_datetime(text) if text else None
    return (
        found
        if found is None or timezone.is_aware(found)
        else found.replace(tzinfo=timezone.get_default_timezone())
    )


def _percent(seconds: float, axis: float) -> float:
    """Return a share of the track that can be drawn, whatever the clocks say."""
    if axis <= 0 or not math.isfinite(seconds):
        return 0.0
    return min(100.0, max(0.0, 100.0 * seconds / axis))


def events(job: Job) -> list[dict[str, Any]]:
    """Return the last events, newest last."""
    rows = list(job.events.order_by("-version")[:MAX_EVENTS])
    return [
        {"event": row, "status": words.LEVEL[row.level][0], "icon": words.LEVEL[row.level][1]}
        for row in rows[::-1]
    ]


def side(job: Job, user: Any) -> dict[str, Any]:
    """Return the details, the runs before and after, and whether the user follows or muted it."""
    attempt = (
        job.attempts.order_by("-number").values_list("worker", flat=True).first() if job.attempt else None
    )
    visible = visible_jobs(user).select_related("owner")
    related = list(visible.filter(Q(pk=job.retry_of_id) | Q(retry_of=job.pk)).order_by("-pk")[:EARLIER])
    if job.unique_key and job.owner_id:
        # By owner first: that is what the index knows.
        same = visible.filter(owner=job.owner_id, source=job.source, unique_key=job.unique_key)
        related += same.exclude(pk__in=[job.pk, *(one.pk for one in related)]).order_by("-pk")[:EARLIER]
    return {
        "worker": attempt or "",
        "related": related[:EARLIER],
        "follows": Follow.objects.filter(user=user, about=job.stream).exists(),
        "mutes": Mute.objects.filter(user=user, about=job.stream).exists(),
        "shown_params": _shown_params(job) if job.owner_id == user.pk or user.is_staff else {},
        "waited": job.started_at - job.created_at if job.started_at else None,
    }


def _shown_params(job: Job) -> dict[str, str]:
    """Return what the job was asked for in words: files by name, lists in a line, nothing that is empty."""
    kind = source.find(job.source)
    given = {name: value for name, value in job.params.items() if value not in (None, "", [], {})}
    ids = {name: given[name] for name in (source.upload_fields(kind.params) if kind else []) if name in given}
    files = dict(Upload.objects.filter(pk__in=ids.values()).values_list("pk", "name")) if ids else {}
    shown = {}
    for name, value in given.items():
        if name in ids:
            shown[name] = files.get(UUID(str(value)), "No longer kept")
        elif isinstance(value, bool):
            shown[name] = "Yes" if value else "No"
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            shown[name] = text if len(text) <= MAX_PARAM else text[: MAX_PARAM - 1] + "…"
    return shown


def context(
    job: Job, user: Any, query: Mapping[str, str], why: waits.Why | None = None, tag: str = ""
) -> dict[str, Any]:
    """Return everything the page shows. why: of a job that waits for its turn. tag: names what is shown."""
    now = timezone.now()
    return {
        "job": job,
        "why": why,
        "tag": tag,
        **header(job, user, now),
        "steps": steps(job, now),
        "items": job_items.items(job, query),
        "groups": job_items.groups(job),
        "events": events(job),
        "now": now,
        "fragment_query": urlencode(
            {k: query[k] for k in ("items", "item", "code", "after") if query.get(k)}
        ),
        **side(job, user),
    }
