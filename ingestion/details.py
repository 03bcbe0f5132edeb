"""What is being processed, for whoever asks: own jobs by name, those of others by number."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from config.statements import execute
from ingestion import stability
from ingestion.access import visible_jobs
from ingestion.models import ACTIVE, Job

JsonObject = dict[str, Any]
MOST = 50  # named in one list
ANALYTICS = "analytics"  # the queue whose jobs are the system's tasks

_TASKS = """
    SELECT id, command, state, created_at, duration_ms FROM analytics_tasks_in_progress()
    WHERE id = ANY(%s) LIMIT %s
"""


class _Listed(NamedTuple):
    source: str
    rows: Callable[[Sequence[Job]], list[JsonObject]]


_lists: dict[str, _Listed] = {}


def contribute(name: str, source: str, rows: Callable[[Sequence[Job]], list[JsonObject]]) -> None:
    """List the active jobs of a source under a name. Called from `AppConfig.ready`.

    rows: tells jobs, in their order.
    """
    _lists[name] = _Listed(source, rows)


def read(user: Any) -> JsonObject:
    """Return the answer, what is listed of it, and how many active jobs are not.

    others: of people whose jobs this user may not see, and what exceeds a list.
    """
    seen = visible_jobs(user).filter(ACTIVE)
    found: JsonObject = {"system_stable": stability.is_stable()}
    named: list[Any] = []
    for name, listed in _lists.items():
        jobs = list(
            seen.filter(source=listed.source)
            .exclude(queue=ANALYTICS)
            .select_related("owner")
            .order_by("priority", "created_at", "pk")[:MOST]
        )
        found[name] = listed.rows(jobs)
        named += jobs
    ids = list(seen.filter(queue=ANALYTICS).values_list("pk", flat=True))
    found["analytics_tasks"] = _tasks(ids)
    found["others"] = Job.objects.filter(ACTIVE).count() - len(named) - len(found["analytics_tasks"])
    return found


def _tasks(ids: list[Any]) -> list[JsonObject]:
    if not ids:
        return []
    names = ("id", "command", "state", "created_at", "duration_ms")
    tasks = [dict(zip(names, row, strict=True)) for row in execute(_TASKS, [ids, MOST])]
    return [{**task, "id": str(task["id"]), "created_at": task["created_at"].isoformat()} for task in tasks]
