"""Figures of jobs and processes, read from the database when they are asked for."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, DurationField, ExpressionWrapper, Max
from django.db.models.functions import Coalesce, Now

from ingestion import pauses, queues
from ingestion.models import FINAL, OPEN, Job, JobAttempt, Process, State
from notifications import keeping
from realtime.metrics import Family, Sample

ALIVE_SECONDS = 15
LOST = ("lost", "crashed")  # released in an outage, or counted as a crash
PROBED = "probe:site"  # what probes of live delivery are about
CANCEL_WITHIN = timedelta(seconds=10)  # whatever the worker does


def figures() -> Iterator[Family]:
    """Return the figures of the whole deployment. Raises what the database raises while it is away."""
    yield Family("jobs_open", "gauge", "Jobs that have not ended", _open())
    yield Family("jobs_ended_last_hour", "gauge", "Jobs that ended within the last hour", _ended())
    yield Family(
        "jobs_oldest_due_seconds", "gauge", "For how long the oldest due job has waited", _oldest_due()
    )
    over = Job.objects.filter(state=State.RUNNING, lease_until__lt=Now()).count()
    yield Family("jobs_lease_over", "gauge", "Running jobs whose worker is silent", [Sample(over)])
    crashed = Job.objects.filter(state__in=OPEN, crashes__gt=0).count()
    yield Family("jobs_crashing", "gauge", "Open jobs whose last attempts were lost", [Sample(crashed)])
    yield Family(
        "attempts_lost_last_hour", "gauge", "Attempts whose worker was lost, by its fault or not", _lost()
    )
    paused = pauses.current().filter(scope="all").exists()
    yield Family("jobs_paused", "gauge", "Whether everything is paused", [Sample(paused)])
    late = Job.objects.filter(state=State.RUNNING, cancel_requested_at__lt=Now() - CANCEL_WITHIN).count()
    yield Family(
        "jobs_cancelled_late", "gauge", "Jobs that run 10 s after they were cancelled", [Sample(late)]
    )
    repaired = Sample(keeping.repairs(), suffix="_total")
    yield Family("inbox_counts_repaired", "counter", "Unread counts that were found wrong", [repaired])
    yield from _probe()
    yield Family("processes", "gauge", "Processes that have beaten within 15 s", _processes())


def redis_up() -> Family:
    """Return whether Redis answers."""
    return Family("redis_up", "gauge", "Whether Redis answers", [Sample(not queues.trouble())])


def _probe() -> Iterator[Family]:
    last = (
        Job.objects.filter(object=PROBED, state__in=FINAL).order_by("-pk").values("state", "result").first()
    )
    data = (last["result"] or {}) if last else {}
    told = [Sample(data[f"{of}_ms"] / 1000, {"of": of}) for of in ("median", "most") if f"{of}_ms" in data]
    text = "What a change took from its commit to an open page, in the last probe"
    yield Family("probe_seconds", "gauge", text, told)
    failed = [Sample(last["state"] == State.FAILED)] if last else []
    yield Family("probe_failed", "gauge", "Whether the last probe of live delivery failed", failed)


def _open() -> list[Sample]:
    groups = Job.objects.filter(state__in=OPEN).values("state", "pending_reason", "queue")
    return [
        Sample(row["jobs"], {"state": row["state"], "reason": row["pending_reason"], "queue": row["queue"]})
        for row in groups.annotate(jobs=Count("pk")).order_by("state", "pending_reason", "queue")
    ]


def _ended() -> list[Sample]:
    ended: Any = Job.objects.filter(finished_at__gt=Now() - timedelta(hours=1)).values_list("state")
    counts = dict(ended.annotate(jobs=Count("pk")))
    return [Sample(counts.get(str(state), 0), {"state": str(state)}) for state in FINAL]


def _lost() -> list[Sample]:
    lost: Any = JobAttempt.objects.filter(ended_at__gt=Now() - timedelta(hours=1), outcome__in=LOST)
    counts = dict(lost.values_list("outcome").annotate(attempts=Count("pk")))
    return [Sample(counts.get(name, 0), {"outcome": name}) for name in LOST]


def _oldest_due() -> list[Sample]:
    waited = ExpressionWrapper(Now() - Coalesce("run_after", "created_at"), output_field=DurationField())
    due = Job.objects.filter(state=State.PENDING, pending_reason__in=["queue", "slot"])
    found = dict(due.annotate(waited=waited).values_list("queue").annotate(oldest=Max("waited")))
    return [
        Sample(max(0.0, found[queue].total_seconds()) if queue in found else 0.0, {"queue": queue})
        for queue in settings.QUEUES
    ]


def _processes() -> list[Sample]:
    alive = Process.objects.alive(ALIVE_SECONDS).values("role", "queue").annotate(n=Count("pk"))
    return [
        Sample(row["n"], {"role": row["role"], "queue": row["queue"]})
        for row in alive.order_by("role", "queue")
    ]
