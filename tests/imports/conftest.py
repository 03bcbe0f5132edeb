"""Importing made easy for tests: bytes in, the ended or waiting job out.

Ours is imported inside: settings are not named yet here.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from ingestion.sources.imports.models import Import

Run = Callable[..., "Import"]


def store(user: "User", data: bytes | str, name: str = "register.csv") -> str:
    """Keep a file of a user; return the id that params take."""
    from ingestion import uploads
    from ingestion.source import get

    content = io.BytesIO(data.encode() if isinstance(data, str) else data)
    return str(uploads.store(user, name, content, source=get("imports")).pk)


@pytest.fixture
def run(alice: "User") -> Run:
    """Import bytes as alice and return the import as one attempt left it."""
    from ingestion.sources.imports.models import Import
    from ingestion.testing import run_inline

    def run(data: bytes | str, name: str = "register.csv", **params: Any) -> "Import":
        job = run_inline("imports", alice, file=store(alice, data, name), **params)
        return Import.objects.select_related("job").get(job=job)

    return run


def errors_of(imported: "Import") -> dict[int, dict[str, str]]:
    """Return row number -> {column: code} of the bad rows."""
    rows = imported.rows.filter(errors__isnull=False).order_by("number")
    return {row.number: {column: one["code"] for column, one in row.errors.items()} for row in rows}


def state_of(imported: "Import") -> str:
    """Return the state of the import's job now."""
    from ingestion.models import Job

    return Job.objects.get(pk=imported.job_id).state
