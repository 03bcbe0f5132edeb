"""An import that waits for its review in a backup is reviewed, approved and loaded after the restore."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion import lifecycle, uploads
from ingestion.models import Job
from ingestion.source import get
from ingestion.sources.imports.models import Import, ImportRow, NotedRow, StagedSpan, Unit
from ingestion.testing import resume_inline, run_inline
from tests.commands.conftest import run

pytestmark = pytest.mark.django_db(transaction=True)

LINES = [f"{n},Company {n},{'many' if n == 40 else n}" for n in range(1, 201)]
FILE = "\n".join(["tax_ident,name,employees", *LINES, ""]).encode()


def shown(imported: Import) -> list[tuple[Any, ...]]:
    """Return what review shows of every row."""
    return list(imported.rows.order_by("number").values_list("number", "span", "cells", "errors", "warnings"))


def test_an_import_under_review_goes_on_after_a_restore(
    alice: User, client: Client, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path / "files"
    upload = uploads.store(alice, "register.csv", io.BytesIO(FILE), source=get("imports"))
    waiting = run_inline("imports", alice, file=str(upload.pk), review="always")
    imported = Import.objects.get(job=waiting)
    before = shown(imported)
    assert (len(before), StagedSpan.objects.exists()) == (len(LINES), True)
    assert [row.errors for row in NotedRow.objects.exclude(errors=None)] == [before[39][3]]
    assert run("backup", tmp_path / "saved.tar").code == 0
    Import.objects.all().delete()
    Job.objects.all().delete()
    assert not ImportRow.objects.exists()

    said = run("restore", tmp_path / "saved.tar", "--yes")

    assert said.code == 0, said.err
    imported = Import.objects.select_related("job").get()
    assert shown(imported) == before
    client.force_login(User.objects.get(pk=alice.pk))
    assert "Approve 199 rows" in client.get(imported.get_absolute_url()).content.decode()
    lifecycle.answer(imported.job, "approve", {}, alice)
    job = resume_inline(imported.job)
    assert (job.state, job.message) == (
        "partial",
        "199 rows loaded: 199 new, 0 updated, 1 with errors left out",
    )
    assert Unit.objects.filter(loaded_by=imported).count() == 199
