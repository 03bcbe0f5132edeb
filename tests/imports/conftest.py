"""Importing made easy for tests: bytes in, the ended or waiting job out.

Ours is imported inside: settings are not named yet here.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from ingestion.sources.imports.models import Import, ImportDefinition

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


def definition(
    *columns: dict[str, Any], drop: tuple[str, ...] = (), slug: str = "mine", **values: Any
) -> "ImportDefinition":
    """Keep a definition: identifier, name, and these columns; `drop`: without those two.

    A column's `codes` are {code: label}.
    """
    from ingestion.sources.imports.models import Code, CodeList, ImportDefinition, TargetColumn

    row = ImportDefinition.objects.create(slug=slug, name=slug, **values)
    keys = [{"name": name, "required": True, "longest": 200} for name in ("tax_ident", "name")]
    for place, one in enumerate([*(key for key in keys if key["name"] not in drop), *columns]):
        column = {"label": one["name"], "type": "text", **one}
        if codes := column.pop("codes", None):
            column["codes"] = CodeList.objects.create(name=f"{slug} {one['name']}")
            Code.objects.bulk_create(Code(codes=column["codes"], code=c, label=v) for c, v in codes.items())
        TargetColumn.objects.create(definition=row, position=place, **column)
    return row


@pytest.fixture
def run_anew(alice: "User") -> Run:
    """Import bytes as alice when nothing else was ever imported; for tests that import many times."""
    from ingestion.models import Job
    from ingestion.sources.imports.models import Import, Unit
    from ingestion.testing import run_inline

    def run(data: bytes | str, name: str = "register.csv") -> "Import":
        Unit.objects.all().delete()
        Import.objects.all().delete()
        Job.objects.all().delete()
        job = run_inline("imports", alice, file=store(alice, data, name), review="always")
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
