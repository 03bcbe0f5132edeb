"""GET /metrics: figures for Prometheus, in its text format (version 0.0.4)."""

from collections.abc import Iterable

import structlog
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import unexpected, watchers
from config.problems import Problem, problem_response
from ingestion import metrics as jobs
from ingestion.waiting import in_thread
from realtime import hub as hubs
from realtime import metrics as live
from realtime.metrics import Family, Sample

log = structlog.get_logger(__name__)

PREFIX = "headway_"
TYPE = "text/plain; version=0.0.4; charset=utf-8"


@never_cache
@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the figures of the deployment, and of the live wire of this process."""
    try:
        await in_thread(lambda: watchers.admit(request))
        families = [Family("database_up", "gauge", "Whether the database answers", [Sample(1)])]
        families += await in_thread(lambda: list(jobs.figures()))
    except Problem as refused:
        return problem_response(request, refused)
    except DatabaseError as error:
        log.warning("database_unavailable", error=type(error).__name__)
        if not watchers.from_named_network(request):
            return problem_response(request, Problem("unavailable", n=5, retry_after=5))
        families = [Family("database_up", "gauge", "Whether the database answers", [Sample(0)])]
    families.append(await in_thread(jobs.redis_up))
    families += live.process()
    failed = Sample(unexpected.count(), suffix="_total")
    families.append(Family("requests_failed", "counter", "Requests that ended in an error of ours", [failed]))
    hub = hubs.running()
    if hub is not None:
        families += live.figures(hub)
    return HttpResponse(text(families), content_type=TYPE)


def text(families: Iterable[Family]) -> str:
    """Return figures as text."""
    lines = []
    for family in families:
        name = PREFIX + family.name
        # The type of a counter is declared for the name that its samples have.
        declared = f"{name}_total" if family.kind == "counter" else name
        lines += [f"# HELP {declared} {family.help}", f"# TYPE {declared} {family.kind}"]
        for sample in family.samples:
            labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in sample.labels.items())
            lines.append(f"{name}{sample.suffix}{{{labels}}} {sample.value:.10g}".replace("{}", ""))
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
