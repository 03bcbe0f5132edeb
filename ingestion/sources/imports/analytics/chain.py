"""The chain that follows an import: collect changes -> derive units -> derive reports.

One chain is open at a time. What comes while it works is left in the tables, and whoever ends last looks
whether there is any: so two imports that end at once share a chain, or the second has the next one.
"""

import structlog

from config.statements import execute
from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import OPEN, Job
from ingestion.sources.imports.analytics.models import CellChange, Change, ChangedImport
from ingestion.sources.imports.models import Import, Unit

log = structlog.get_logger(__name__)

COLLECT, UNITS, REPORTS = "collect_changes", "derive_units", "derive_reports"


def import_ended(imported: Import) -> None:
    """Have what an import wrote derived. Called in the transaction that ends its job, however it ended."""
    if Unit.objects.filter(loaded_by=imported).exists():
        ChangedImport.objects.create(source=imported)
    follow_up()


def follow_up() -> None:
    """Start a chain if there is something to derive and none is open."""
    # Held until the commit: an import and a chain that end at once would each miss the other's work.
    execute("SELECT pg_advisory_xact_lock(4, 0)")
    left = any(table.objects.exists() for table in (ChangedImport, Change, CellChange))
    if not left or Job.objects.filter(source__in=(COLLECT, UNITS, REPORTS), state__in=OPEN).exists():
        return
    try:
        # Nobody's: the uploader is told of the import, not of what the system makes of it.
        lifecycle.create(COLLECT, {}, owner=None)
    except Refused as refused:  # the rows stay, the next import's end tries again
        log.warning("analytics_refused", code=refused.code)
