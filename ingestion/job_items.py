"""What the page of a job shows of its items: chips or a strip and a table, and why some failed, by cause."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.db.models import Count, Max, Min, Q, QuerySet

from config.filters import visible_text
from config.paging import Order
from ingestion import source
from ingestion.models import FINAL, ItemState, Job, JobItem

MAX_CHIPS = 60
ROWS = 25
MAX_CELL = 300  # characters of what an item's result says in the table
GROUPS_FROM = 5  # failed items from which causes say more than rows
MAX_GROUPS = 20
STRIP_BLOCKS = 100
MAX_STRIP = 100_000  # items; above this the strip costs more than it says

FAILED = (ItemState.FAILED, ItemState.QUARANTINED)
# What the file of the items says -> field.
COLUMNS = {
    "Step": "step",
    "Key": "key",
    "Name": "label",
    "State": "state",
    "Error code": "error_code",
    "Error": "error",
    "Tries": "tries",
    "URL": "url",
    "Started (UTC)": "started_at",
    "Ended (UTC)": "finished_at",
}

# What `?items=` may say -> (word, states)
ITEM_FILTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "all": ("All", ()),
    "failed": ("Failed", FAILED),
    "waiting": ("Waiting", (ItemState.PENDING, ItemState.RUNNING)),
    "done": ("Done", (ItemState.DONE,)),
    "skipped": ("Skipped", (ItemState.SKIPPED,)),
}


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


def _after(items: QuerySet[JobItem], key: Sequence[Any]) -> QuerySet[JobItem]:
    step, name = key
    behind = Q(step__gt=step) | Q(step=step, key__gt=name)
    return items.filter(behind, step__gte=step)  # the second is what the index goes by


# By step and key: an index of the job's items finds them so.
ORDER = Order(["step", "key"], ["step", "key"], _after)


def as_listed(job: Job, query: Mapping[str, str]) -> QuerySet[JobItem]:
    """Return all items of a job that the filters of its page mean."""
    chosen = query.get("items", "")
    return _filtered(job.items.all(), chosen if chosen in ITEM_FILTERS else "all", query)[0]


def _filtered(
    rows: QuerySet[JobItem], chosen: str, query: Mapping[str, str]
) -> tuple[QuerySet[JobItem], str, str]:
    """Return the items that are meant, and what else than their state was asked for: error code, name."""
    shown = ITEM_FILTERS[chosen][1]
    if shown:
        rows = rows.filter(state__in=shown)
    code = query.get("code", "")[:50].replace("\0", "")
    if code:
        rows = rows.filter(error_code=code)
    text = visible_text(query, "item")
    if text:
        rows = rows.filter(Q(label__icontains=text) | Q(key__icontains=text))
    return rows, code, text


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
    rows, code, text = _filtered(rows, chosen, query)
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
    return f"{value:,}" if isinstance(value, int) else str(value or "")[:MAX_CELL]


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
