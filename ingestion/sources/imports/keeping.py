"""How long the rows of a file are kept: as long as files are, counted from the end of their import.

What was found in them, decided about them and loaded of them stays with the import.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from config.statements import execute
from ingestion.models import FINAL
from ingestion.retention import kept
from ingestion.sources.imports.models import Import, StagedSpan

BATCH = 10_000  # rows of one delete, and what is left of a span
IMPORTS = 100  # looked at for one delete
ROUNDS = 100  # of so many imports that are marked at a time: the keeper comes each hour

# Whole spans of a file: as many as begin within so many rows.
_FORGET = """
    WITH gone AS (
        DELETE FROM imports_stagedspan WHERE (import_id, first) IN (
            SELECT import_id, first FROM (
                SELECT import_id, first, sum(total) OVER (ORDER BY import_id, first) - total AS before
                FROM imports_stagedspan WHERE import_id = ANY(%s)
            ) AS spans WHERE before < %s
        ) RETURNING import_id, first, rows, total
    ), noted AS (
        DELETE FROM imports_notedrow AS noted USING gone
        WHERE noted.import_id = gone.import_id
            AND noted.number BETWEEN gone.first AND gone.first + gone.rows - 1
    )
    SELECT coalesce(sum(total), 0) FROM gone
"""


def keeps_until(imported: Import) -> datetime | None:
    """Return until when the rows of an import that has ended are kept."""
    ended = imported.job.finished_at if imported.job is not None else None
    return None if ended is None else ended + kept("UPLOADS", 30)


def forget(batches: int) -> int:
    """Delete the rows of imports that ended long ago; return how many. batches: of 10,000 rows."""
    for _ in range(ROUNDS):
        if _mark() < IMPORTS:
            break
    left, gone = batches * BATCH, 0
    while gone < left and (deleted := _delete(min(BATCH, left - gone))):
        gone += deleted
    return gone


def _delete(most: int) -> int:
    """Delete rows of imports that are marked, however few each has; return how many."""
    having = Import.objects.filter(Exists(StagedSpan.objects.filter(parent=OuterRef("pk"))))
    ids = list(having.exclude(forgotten_at=None).order_by("pk").values_list("pk", flat=True)[:IMPORTS])
    if not ids:
        return 0
    ((rows,),) = execute(_FORGET, [ids, most])
    return int(rows)


def _mark() -> int:
    """Say of imports that their rows go; return of how many. Afterwards no retry takes them."""
    ended = Q(job__state__in=FINAL, job__finished_at__lt=Now() - kept("UPLOADS", 30))
    removed = Q(job=None, created_at__lt=Now() - kept("UPLOADS", 30))
    with transaction.atomic():
        old = Import.objects.filter(ended | removed, forgotten_at=None)
        # Locked: a retry that takes an import at this moment keeps its rows, or is refused.
        ids = [one.pk for one in old.select_for_update(of=("self",), skip_locked=True).only("pk")[:IMPORTS]]
        return Import.objects.filter(pk__in=ids).update(forgotten_at=Now())
