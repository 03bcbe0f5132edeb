"""What the page of one job shows, part by part."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db import connection
from django.db.models import Count, Max, Min, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ingestion import figures, serializers, source, waits, words
from ingestion.access import can_act, visible_jobs
from ingestion.models import FINAL, ItemState, Job, JobItem, State, Upload
from notifications.models import Follow, Mute

MAX_CHIPS = 60
ROWS = 25
MAX_EVENTS = 200
GROUPS_FROM = 5  # failed items from which causes say more than rows
MAX_GROUPS = 20
STRIP_BLOCKS = 100
MAX_STRIP = 100_000  # items; above this the strip costs more than it says
EARLIER = 5
MAX_PARAM = 300  # characters of one param in the details

FAILED = (ItemState.FAILED, ItemState.QUARANTINED)

# What `?items=` may say -> (word, states)
ITEM_FILTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "all": ("All", ()),
    "failed": ("Failed", FAILED),
    "waiting": ("Waiting", (ItemState.PENDING, ItemState.RUNNING)),
    "done": ("Done", (ItemState.DONE,)),
    "skipped": ("Skipped", (ItemState.SKIPPED,)),
}


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


def items(job: Job, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the items: chips while they are few, else a strip and a page of a table."""
    columns = getattr(source.find(job.source), "item_columns", {})
    rows = job.items.order_by("ordinal", "pk")
    if not columns:
        rows = rows.defer("result")
    some = list(rows[: MAX_CHIPS + 1])
    chosen = query.get("items", "")
    if chosen not in ITEM_FILTERS:
        chosen = "failed" if job.items_failed and len(some) > MAX_CHIPS else "all"
    filters = [
        {"name": name, "label": word, "count": count, "current": name == chosen}
        for name, (word, _) in ITEM_FILTERS.items()
        if (count := _count(job, name)) or name in ("all", chosen)
    ]
    shown = ITEM_FILTERS[chosen][1]
    names = _step_names(job)
    result: dict[str, Any] = {
        "filters": filters,
        "step_names": names,
        "chosen": chosen,
        "any": bool(some),
        "many": len(some) > MAX_CHIPS or bool(columns),
        "columns": list(columns.values()),
    }
    if not result["many"]:
        result["chips"] = _chips(job, [item for item in some if not shown or item.state in shown], names)
        result["failures"] = [item for item in some if item.state in FAILED][:GROUPS_FROM]
        return result
    result["strip"] = strip(job) if len(some) > MAX_CHIPS and job.items_total <= MAX_STRIP else []
    return result | _table(job, rows, chosen, query)


def _step_names(job: Job) -> dict[str, str]:
    """Return what the steps with items are called, in their order; nothing where only one has any."""
    order = {step.name: n for n, step in enumerate(getattr(source.find(job.source), "steps", []))}
    named = {name: step.get("label") or name for name, step in job.steps.items() if step.get("total")}
    if len(named) < 2:
        return {}
    return {name: named[name] for name in sorted(named, key=lambda name: order.get(name, len(order)))}


def _chips(job: Job, found: list[JobItem], names: Mapping[str, str]) -> list[tuple[str, list[JobItem]]]:
    """Return the items by step: (what the step is called, its items)."""
    for item in found:
        if job.state in FINAL and item.state == ItemState.RUNNING:
            item.state = ItemState.PENDING  # nobody works on what a job left behind
    if not names:
        return [("", found)] if found else []
    names = {**names, **{item.step: item.step for item in found if item.step not in names}}
    groups = ((label, [item for item in found if item.step == name]) for name, label in names.items())
    return [(label, of_step) for label, of_step in groups if of_step]


def _table(job: Job, rows: QuerySet[JobItem], chosen: str, query: Mapping[str, str]) -> dict[str, Any]:
    shown = ITEM_FILTERS[chosen][1]
    if shown:
        rows = rows.filter(state__in=shown)
    code = query.get("code", "")[:50].replace("\0", "")
    if code:
        rows = rows.filter(error_code=code)
    text = query.get("item", "")[:200].replace("\0", "").strip()
    if text:
        rows = rows.filter(Q(label__icontains=text) | Q(key__icontains=text))
    ordinal, _, pk = query.get("after", "").partition("-")
    if ordinal.isdecimal() and pk.isdecimal() and len(ordinal) < 10 and len(pk) < 19:
        rows = rows.filter(Q(ordinal__gt=int(ordinal)) | Q(ordinal=int(ordinal), pk__gt=int(pk)))
    found = list(rows[: ROWS + 1])
    last = found[ROWS - 1] if len(found) > ROWS else None
    kept = {"items": chosen, "code": code, "item": text}
    following = (
        urlencode({**{k: v for k, v in kept.items() if v}, "after": f"{last.ordinal}-{last.pk}"})
        if last
        else ""
    )
    columns = getattr(source.find(job.source), "item_columns", {})
    return {
        "table": [(item, [_cell(item, name) for name in columns]) for item in found[:ROWS]],
        "following": following,
        "code": code,
        "text": text,
        "paged": "after" in query,
    }


def _cell(item: JobItem, name: str) -> str:
    """Return what an item's result says under a name; nothing where it has no result yet."""
    value = item.result.get(name) if isinstance(item.result, dict) else None
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value or "")[:MAX_PARAM]


def _count(job: Job, name: str) -> int:
    finished = job.items_done + job.items_failed + job.items_skipped
    return {
        "all": job.items_total,
        "failed": job.items_failed,
        "waiting": max(0, job.items_total - finished),
        "done": job.items_done,
        "skipped": job.items_skipped,
    }[name]


def strip(job: Job) -> list[dict[str, Any]]:
    """Return the items in order as a hundred blocks, so that one sees where the failures are."""
    table = JobItem._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT block, count(*) FILTER (WHERE state IN ('failed', 'quarantined')),
                   bool_and(state IN ('done', 'skipped')), bool_or(state IN ('done', 'skipped'))
            FROM (SELECT state, ntile({STRIP_BLOCKS}) OVER (ORDER BY ordinal, id) AS block
                  FROM {table} WHERE job_id = %s) AS blocks
            GROUP BY block ORDER BY block
            """,  # a constant and the table of our own model  # nosec B608
            [job.pk],
        )
        rows = cursor.fetchall()
    return [
        {
            "x": (block - 1) * 10,
            "status": "failed" if bad else "complete" if whole else "running" if begun else "pending",
            "failed": bad,
        }
        for block, bad, whole, begun in rows
    ]


def groups(job: Job) -> list[dict[str, Any]]:
    """Return why items failed, by cause, where there are so many that causes say more than rows."""
    return causes([job]) if job.items_failed >= GROUPS_FROM else []


def causes(jobs: Sequence[Job], but: Q | None = None) -> list[dict[str, Any]]:
    """Return why items of these jobs failed, by cause, the most frequent first. jobs: the newest first.

    but: items that are not told of.

    The engine tries an item again by itself when, and only when, its error may pass; a cause whose items were
    all given up at the first try cannot be helped by another. Each names the newest of the jobs that has it.
    """
    rows = (
        JobItem.objects.filter(job__in=[job.pk for job in jobs], state__in=FAILED)
        .exclude(but or Q(pk=None))
        .order_by()
        .values("job", "error_code")
        .annotate(items=Count("pk"), example=Min("error"), tries=Max("tries"))
    )
    newest = {job.pk: n for n, job in enumerate(jobs)}
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: newest[row["job"]]):
        cause = found.setdefault(row["error_code"], {**row, "job": jobs[newest[row["job"]]], "items": 0})
        cause["items"] += row["items"]
        cause["tries"] = max(cause["tries"], row["tries"])
    ordered = sorted(found.values(), key=lambda cause: (-cause["items"], cause["error_code"]))
    return [
        {**cause, "retryable": cause["tries"] != 1 or not cause["error_code"]}
        for cause in ordered[:MAX_GROUPS]
    ]


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
        "items": items(job, query),
        "groups": groups(job),
        "events": events(job),
        "now": now,
        "fragment_query": urlencode(
            {k: query[k] for k in ("items", "item", "code", "after") if query.get(k)}
        ),
        **side(job, user),
    }
