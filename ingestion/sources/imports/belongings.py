"""What a person has here: the files they imported. What those brought into the register is everybody's."""

from collections.abc import Iterator
from typing import Any

from ingestion import belongings
from ingestion.sources.imports.models import Import


def register() -> None:
    """Make them known."""
    belongings.register("imports", belongings.Belongings(rows=_imports))


def _imports(user: Any) -> Iterator[belongings.Row]:
    return belongings.in_turn(
        Import.objects.filter(owner=user), "slug", "file_name", "file_size", "created_at"
    )
