"""How long things are kept, and deleting them in small batches."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import accumulate
from typing import Any

import structlog
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from config import audit, patience
from config.models import AuditLog
from ingestion.models import FINAL, IdempotencyKey, Job, JobAttempt, JobEvent, Process, Sighting, Upload
from notifications import inbox, keeping
from realtime.models import Session

log = structlog.get_logger(__name__)

BATCH = 1000
MOST_BATCHES = 100_000  # of a kind, by one call
MOST_ITEMS = 20_000  # that the jobs of a batch have together, as they go with them: some seconds
FORGET_PROCESS_AFTER = timedelta(minutes=10)
FORGET_SIGHTING_AFTER = timedelta(days=2)  # the status page shows the last one
STATE_EVENTS = (
    "created",
    "started",
    "completed",
    "partial",
    "failed",
    "cancelled",
    "rejected",
    "waiting",
    "answered",
    "released",
    "retrying",
    "rescued",
    "crashed",
    "quarantined",
)


_contributed: dict[str, Callable[[int], int]] = {}


def contribute(name: str, forget: Callable[[int], int]) -> None:
    """Have what a source keeps pruned too. Called from `AppConfig.ready`.

    forget: deletes at most so many batches, and returns how many rows went; fewer than BATCH mean that none
    is left.
    """
    _contributed[name] = forget


def kept(name: str, default: int) -> timedelta:
    """Return a retention setting, in days."""
    return timedelta(days=getattr(settings, f"RETENTION_{name}_DAYS", default))


class Pruned(dict[str, int]):
    """How many rows of each kind went, and whether more may be left."""

    more = False


def prune(jobs_older_than: timedelta | None = None, batches: int = MOST_BATCHES) -> Pruned:
    """Delete what has been kept long enough. Return how many rows of each kind went.

    Unfinished jobs are never touched. batches: at most so many deletes of 1,000 rows a kind, fewer where much
    goes with them.
    """
    few = _Few("items_total")
    old_jobs = Job.objects.filter(
        state__in=FINAL, finished_at__lt=Now() - (jobs_older_than or kept("JOBS", 180))
    )
    uploads = Upload.objects.filter(
        Q(job=None, expires_at__lt=Now()) | Q(job__finished_at__lt=Now() - kept("UPLOADS", 30))
    )
    chatter = JobEvent.objects.filter(at__lt=Now() - kept("EVENTS", 30)).exclude(kind__in=STATE_EVENTS)
    traces = JobAttempt.objects.filter(ended_at__lt=Now() - kept("EVENTS", 30)).exclude(traceback="")
    keys = IdempotencyKey.objects.filter(created_at__lt=Now() - timedelta(hours=24))
    silent = Process.objects.filter(beat_at__lt=Now() - FORGET_PROCESS_AFTER)
    seen = Sighting.objects.filter(at__lt=Now() - FORGET_SIGHTING_AFTER)
    acts = AuditLog.objects.filter(at__lt=Now() - kept("AUDIT", 730))
    kinds: dict[str, Callable[[], int]] = {
        "processes": partial(_in_batches, silent, batches),
        "sightings": partial(_in_batches, seen, batches),
        "uploads": partial(_in_batches, uploads, batches, _drop_files),
        "jobs": partial(_in_batches, old_jobs, batches, after=_forget_jobs, few=few),
        "events": partial(_in_batches, chatter, batches),
        "tracebacks": partial(_in_batches, traces, batches, _forget_tracebacks, delete=False),
        "idempotency_keys": partial(_in_batches, keys, batches),
        "audit": partial(_in_batches, acts, batches, lambda _: audit.prune_within()),
        "sessions": partial(_in_batches, Session.objects.filter(expire_date__lt=Now()), batches),
        "notifications": partial(keeping.prune, batches),
        "deliveries": partial(keeping.prune_deliveries, batches),
        **{name: partial(forget, batches) for name, forget in _contributed.items()},
    }
    gone = Pruned({name: _pruned(name, forget) for name, forget in kinds.items()})
    gone.more = few.left_some or max(gone.values()) >= BATCH
    return gone


def _pruned(kind: str, forget: Callable[[], int]) -> int:
    """Return how many went of one kind. What breaks or is held there holds up no other kind."""
    try:
        return forget()
    except Exception as error:
        if isinstance(error, OperationalError | InterfaceError) and not patience.is_held(error):
            raise
        log.exception("prune_failed", kind=kind)
        return 0


def _in_batches(
    rows: QuerySet[Any],
    batches: int,
    before: Callable[[QuerySet[Any]], set[Any] | None] | None = None,
    *,
    after: Callable[[list[Any]], None] | None = None,
    delete: bool = True,
    few: "_Few | None" = None,
) -> int:
    gone = 0
    for _ in range(batches):
        with transaction.atomic():
            # Locked while it goes: a retry that takes an upload at this moment keeps it, or is refused.
            free = rows.select_for_update(of=("self",), skip_locked=True).only(few.weight if few else "pk")
            old = list(free[:BATCH])
            ids = [row.pk for row in (few.of(old) if few else old)]
            batch = rows.model._base_manager.filter(pk__in=ids)
            found = len(ids)
            if before is not None and (stay := before(batch)):
                batch, found = batch.exclude(pk__in=stay), found - len(stay)
            if delete:
                batch.delete()
            if after is not None:
                after(ids)
        gone += found
        if found < BATCH and len(ids) == len(old):
            break
    return gone


class _Few:
    """Takes of some rows the first that weigh no more than MOST_ITEMS together, and knows if it left any.

    weight: the field.
    """

    def __init__(self, weight: str) -> None:
        self.weight = weight
        self.left_some = False

    def of(self, rows: list[Any]) -> list[Any]:
        """Return the first rows, one at least."""
        sums = accumulate(getattr(row, self.weight) for row in rows)
        taken = rows[: max(1, sum(so_far <= MOST_ITEMS for so_far in sums))]
        self.left_some = len(taken) < len(rows)
        return taken


def _drop_files(uploads: QuerySet[Upload]) -> set[Any]:
    """Delete the files of uploads; return those that stay, as their storage did not let go of the file."""
    stay = set()
    for pk, path in uploads.values_list("pk", "path"):
        try:
            default_storage.delete(path)
        except OSError as error:  # the others go all the same, and somebody is told of this one
            log.error("file_of_upload_left", path=path, error=error.strerror or str(error))
            stay.add(pk)
    return stay


def _forget_jobs(ids: list[Any]) -> None:
    inbox.forget(f"job:{pk}" for pk in ids)  # last: it locks inboxes


def _forget_tracebacks(attempts: QuerySet[JobAttempt]) -> None:
    attempts.update(traceback="")
