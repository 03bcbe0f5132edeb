"""What is being processed, for whoever asks: own jobs by name, those of others by number."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from config.statements import execute
from ingestion import stability
from ingestion.access import visible_jobs
from ingestion.models import ACTIVE, Job
from ingestion.source import registry

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
    return read_at(user)[0]


def read_at(user: Any) -> tuple[JsonObject, dict[str, int]]:
    """Return what `read` does, and where the streams stood that it shows: never later than what was read."""
    versions = {stability.STREAM: stability.position()}
    seen = visible_jobs(user).filter(ACTIVE)
    found: JsonObject = {"system_stable": stability.is_stable()}
    named: list[Any] = []
    for name, of in _lists.items():
        jobs = list(
            seen.filter(source=of.source)
            .exclude(queue=ANALYTICS)
            .select_related("owner")
            .order_by("priority", "created_at", "pk")[:MOST]
        )
        found[name] = of.rows(jobs)
        named += jobs
    versions |= {job.stream: job.version for job in named}
    tasks = list(_named_tasks(seen))
    versions |= {f"job:{pk}": version for pk, version in tasks}
    found["analytics_tasks"] = _tasks([pk for pk, _ in tasks])
    listed = [job.pk for job in named] + [task["id"] for task in found["analytics_tasks"]]
    found["others"] = Job.objects.filter(ACTIVE).exclude(pk__in=listed).count()
    return found, versions


def _named_tasks(seen: QuerySet[Job]) -> QuerySet[Job, Any]:
    """Return ids and versions of the tasks that are named: those this user sees, and the system's own.

    What the system starts by itself is nobody's, and its name says nothing about anybody.
    """
    own = [kind for kind, source in registry().items() if not source.offered]
    tasks = Job.objects.filter(ACTIVE, queue=ANALYTICS)
    named = tasks.filter(Q(owner=None, source__in=own) | Q(pk__in=seen.filter(queue=ANALYTICS).values("pk")))
    return named.values_list("pk", "version")


def linked(user: Any, found: JsonObject) -> set[str]:
    """Return the ids of the listed tasks whose pages this user may open."""
    ids = [task["id"] for task in found["analytics_tasks"]]
    return {str(pk) for pk in visible_jobs(user).filter(pk__in=ids).values_list("pk", flat=True)}


def _tasks(ids: list[Any]) -> list[JsonObject]:
    if not ids:
        return []
    names = ("id", "command", "state", "created_at", "duration_ms")
    tasks = [dict(zip(names, row, strict=True)) for row in execute(_TASKS, [ids, MOST])]
    return [{**task, "id": str(task["id"]), "created_at": task["created_at"].isoformat()} for task in tasks]
