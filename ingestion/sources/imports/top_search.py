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
    rows = finding.search(query).order_by(*finding.ORDER.by).only("tax_ident", "name")
    place = reverse("imports:units")
    # A unit may have many periods, one after the other; the newest of them that matches shows it.
    found: dict[str, search.Hit] = {}
    for one in rows[: most * 4]:
        url = f"{place}?{urlencode({'q': one.tax_ident})}"
        found.setdefault(one.tax_ident, search.Hit(url, one.name or one.tax_ident, one.tax_ident))
    return list(found.values())[:most]
