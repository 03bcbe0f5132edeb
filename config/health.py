"""Health for machines: is this process up, and is the whole ready to work?"""

from datetime import timedelta
from typing import Any

import redis
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import DurationField, ExpressionWrapper, Max
from django.db.models.functions import Coalesce, Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from config import watchers
from config.problems import UNAVAILABLE_SECONDS, Problem, problem_response
from config.redis_fitness import unfit
from ingestion.models import Job, Process, State

log = structlog.get_logger(__name__)

ALIVE_SECONDS = 15
REDIS_SECONDS = 1
REPORT_BYTES = 4096  # of a browser's CSP report that is written down


async def healthz(request: HttpRequest) -> HttpResponse:
    """Say that this process answers. Asks nobody else."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether work can be done: database, Redis, keeper, and a worker for each queue.

    To the machine itself, and to whoever may read `/metrics`; nobody else need know what is missing.
    """
    if not watchers.from_here(request):
        try:
            watchers.admit(request)
        except Problem as refused:
            return problem_response(request, refused)
        except DatabaseError as error:
            log.warning("database_unavailable", error=type(error).__name__)
            n = UNAVAILABLE_SECONDS
            return problem_response(request, Problem("unavailable", n=n, retry_after=n))
    checks: dict[str, str] = {"database": "ok", "redis": _redis()}
    backlog: dict[str, Any] = {}
    try:
        checks |= _processes()
        backlog["oldest_due_seconds"] = _backlog()
    except DatabaseError as error:
        log.warning("database_unavailable", error=type(error).__name__)
        checks["database"] = "Cannot reach the database."
    ready = all(text == "ok" for text in checks.values())
    return JsonResponse({"ready": ready, "checks": checks, **backlog}, status=200 if ready else 503)


def _redis() -> str:
    try:
        return unfit(settings.REDIS_URL, REDIS_SECONDS) or "ok"
    except (redis.RedisError, OSError):
        return "Cannot reach Redis."


def _processes() -> dict[str, str]:
    alive = set(Process.objects.alive(ALIVE_SECONDS).values_list("role", "queue"))
    checks = {"keeper": "ok" if any(role == "keeper" for role, _ in alive) else "No keeper is alive."}
    for queue in settings.QUEUES:
        checks[f"worker {queue}"] = "ok" if ("worker", queue) in alive else "No worker is alive."
    return checks


def _backlog() -> float:
    """Return for how long the oldest due job has waited."""
    since = Coalesce("run_after", "created_at")
    waited = ExpressionWrapper(Now() - since, output_field=DurationField())
    due = Job.objects.filter(state=State.PENDING, pending_reason__in=["queue", "slot"])
    oldest: timedelta | None = due.annotate(waited=waited).aggregate(oldest=Max("waited"))["oldest"]
    return max(0.0, oldest.total_seconds()) if oldest else 0.0


@csrf_exempt
@require_POST
def csp_report(request: HttpRequest) -> HttpResponse:
    """Write down what a browser refused to load."""
    report = request.body[:REPORT_BYTES].decode("utf-8", "replace")
    log.warning("csp_violation", report=report, address=request.META.get("REMOTE_ADDR", ""))
    return HttpResponse(status=204)
