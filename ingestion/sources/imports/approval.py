"""Approvals: what a person is asked, and whether the register is still what they were asked about."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from ingestion.models import ItemState, Job, JobItem
from ingestion.sources.imports import decisions, preview, staged_decisions
from ingestion.sources.imports.models import Import


def question(imported: Import) -> str:
    """Return what a person is asked before the rows are loaded."""
    if not imported.rows_bad:
        return f"{imported.rows_total:,} rows checked, no problems. Load them?"
    have = "1 has an error" if imported.rows_bad == 1 else f"{imported.rows_bad:,} have errors"
    return f"{imported.rows_total:,} rows checked, {have}. Load the other {imported.rows_good:,}?"


def question_again(imported: Import) -> str:
    """Return what a person is asked where an approval no longer holds."""
    changed = "The register has changed since this was approved."
    if decisions.is_begun(imported):
        return f"{changed} A part of the file is loaded. Load the rest?"
    return f"{changed} {question(imported)}"


def look_of(imported: Import, time: int) -> str:
    """Return under which name a job remembers what it saw after the n-th approval.

    A retry knows what was approved, perhaps long ago: it looks for itself.
    """
    job = imported.job
    return f"approval-{time}" + (f"-{job.pk}" if job is not None and job.retry_of_id else "")


def look_again(imported: Import, approved_at: str) -> int:
    """Compare the rows with the register as it is now; return their revision.

    It is a new one where they would fare differently; once a part of them is loaded, and cannot be compared
    with what it became, also where others have loaded since the approval. approved_at: ISO 8601.
    """
    with transaction.atomic():
        current = Import.objects.select_for_update().get(pk=imported.pk)
        if decisions.is_begun(current):
            if _others_have_loaded(current, datetime.fromisoformat(approved_at)):
                current.revision += 1
                current.save(update_fields=["revision"])
        elif _others_have_loaded(current, _compared_at(current)):
            before = _preview(current)
            staged_decisions.compare_again(current)
            preview.count(current)
            current.refresh_from_db()
            if _preview(current) != before:
                current.revision += 1
                current.save(update_fields=["revision"])
    return current.revision


def _compared_at(imported: Import) -> datetime | str:
    """Return when the rows were first compared with the register."""
    assert imported.job is not None
    return (imported.job.steps or {}).get("check", {}).get("started_at") or imported.created_at


def _others_have_loaded(imported: Import, since: datetime | str) -> bool:
    """Say whether another import has written since then: neither this one, nor what it is a retry of."""
    written = JobItem.objects.filter(
        job=OuterRef("pk"), step="load", state=ItemState.DONE, finished_at__gte=since
    )
    others = Job.objects.filter(Q(finished_at=None) | Q(finished_at__gte=since), source="imports")
    return others.exclude(pk__in=_with_ancestors(imported)).filter(Exists(written)).exists()


def _with_ancestors(imported: Import) -> list[UUID]:
    found, job = [], imported.job
    while job is not None:
        found.append(job.pk)
        job = job.retry_of
    return found


def _preview(imported: Import) -> tuple[object, ...]:
    return imported.rows_total, imported.rows_bad, imported.rows_new, imported.problems
