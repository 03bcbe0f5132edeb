"""How long the rows of a file are kept: as long as files are, counted from the end of their import.

What was found in them, decided about them and loaded of them stays with the import.
"""

from datetime import datetime

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from ingestion.models import FINAL
from ingestion.retention import kept
from ingestion.sources.imports.models import Import, ImportRow

BATCH = 10_000  # rows of one delete
IMPORTS = 100  # looked at for one delete

_FORGET = """
    DELETE FROM imports_importrow WHERE (import_id, number) IN (
        SELECT import_id, number FROM imports_importrow WHERE import_id = ANY(%s) LIMIT %s
    )
"""


def keeps_until(imported: Import) -> datetime | None:
    """Return until when the rows of an import that has ended are kept."""
    ended = imported.job.finished_at if imported.job is not None else None
    return None if ended is None else ended + kept("UPLOADS", 30)


def forget(batches: int) -> int:
    """Delete the rows of imports that ended long ago; return how many. batches: of 10,000 rows."""
    _mark()
    gone = 0
    for _ in range(batches):
        left = Import.objects.filter(Exists(ImportRow.objects.filter(parent=OuterRef("pk"))))
        ids = list(left.exclude(forgotten_at=None).order_by("pk").values_list("pk", flat=True)[:IMPORTS])
        if not ids:
            break
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [ids, BATCH])
            gone += cursor.rowcount
    return gone


def _mark() -> None:
    """Say of imports that their rows go. Afterwards no retry takes them."""
    ended = Q(job__state__in=FINAL, job__finished_at__lt=Now() - kept("UPLOADS", 30))
    removed = Q(job=None, created_at__lt=Now() - kept("UPLOADS", 30))
    with transaction.atomic():
        old = Import.objects.filter(ended | removed, forgotten_at=None)
        # Locked: a retry that takes an import at this moment keeps its rows, or is refused.
        ids = [one.pk for one in old.select_for_update(of=("self",), skip_locked=True).only("pk")[:IMPORTS]]
        Import.objects.filter(pk__in=ids).update(forgotten_at=Now())
