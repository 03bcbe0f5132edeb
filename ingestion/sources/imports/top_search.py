"""What the search of the top bar finds in the register."""

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from ingestion import search
from ingestion.sources.imports import finding


def register() -> None:
    """Let units be found by identifier, and by name once the statistics have followed."""
    search.register(
        "units", search.Kind(label="Units of the register", icon="table", find=_found, more="imports:units")
    )


def _found(user: Any, query: str, most: int) -> list[search.Hit]:
    rows = finding.search(query).order_by(*finding.ORDER.by)[:most]
    place = reverse("imports:units")
    return [
        search.Hit(f"{place}?{urlencode({'q': one.tax_ident})}", one.name or one.tax_ident, one.tax_ident)
        for one in rows
    ]
