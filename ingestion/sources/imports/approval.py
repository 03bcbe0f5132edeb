"""Approvals: what a person is asked, and whether the register is still what they were asked about."""

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from ingestion.models import ItemState, Job, JobItem
from ingestion.sources.imports import decisions, preview
from ingestion.sources.imports.models import Import


def question(imported: Import) -> str:
    """Return what a person is asked before the rows are loaded."""
    if not imported.rows_bad:
        return f"{imported.rows_total:,} rows checked, no problems. Load them?"
    have = "1 has an error" if imported.rows_bad == 1 else f"{imported.rows_bad:,} have errors"
    return f"{imported.rows_total:,} rows checked, {have}. Load the other {imported.rows_good:,}?"


def look_again(imported: Import) -> int:
    """Compare the rows with the register as it is now; return their revision.

    It is a new one where they would fare differently.
    """
    with transaction.atomic():
        current = Import.objects.select_for_update().get(pk=imported.pk)
        if _others_have_loaded(current):
            before = _preview(current)
            decisions.compare_again(current)
            preview.count(current)
            current.refresh_from_db()
            if _preview(current) != before:
                current.revision += 1
                current.save(update_fields=["revision"])
    return current.revision


def _others_have_loaded(imported: Import) -> bool:
    """Say whether another import has written since this one's rows were first compared with the register."""
    job = imported.job
    assert job is not None
    checked = (job.steps or {}).get("check", {}).get("started_at") or imported.created_at
    written = JobItem.objects.filter(
        job=OuterRef("pk"), step="load", state=ItemState.DONE, finished_at__gte=checked
    )
    others = Job.objects.filter(Q(finished_at=None) | Q(finished_at__gte=checked), source="imports")
    return others.exclude(pk=job.pk).filter(Exists(written)).exists()


def _preview(imported: Import) -> tuple[object, ...]:
    return imported.rows_total, imported.rows_bad, imported.rows_new, imported.problems
