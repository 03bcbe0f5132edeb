"""Finding units of the register: by identifier at once, by words of their names once those are derived."""

from collections.abc import Sequence
from typing import Any

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import F, Q, QuerySet

from config import paging
from ingestion.sources.imports.analytics.models import Change, ChangedImport, Words
from ingestion.sources.imports.models import Unit

MAX_QUERY = 200  # characters
MAX_WORDS = 8


def _after(units: QuerySet[Unit], key: Sequence[Any]) -> QuerySet[Unit]:
    ident, starts = key
    behind = Q(tax_ident__gt=ident)
    if starts is not None:
        behind |= Q(tax_ident=ident) & (Q(valid_from__lt=starts) | Q(valid_from=None))
    return units.filter(behind, tax_ident__gte=ident)  # the second is what the index goes by


# By identifier, of each the newest period first: an index finds it so. Numbers have none.
ORDER = paging.Order(
    ["tax_ident", F("valid_from").desc(nulls_last=True)], ["tax_ident", "valid_from"], _after
)


def page(user: Any, query: str, cursor: str | None, limit: int) -> tuple[list[Unit], str | None]:
    """Return some units that match a search, and the cursor of the next. Raises Problem bad_cursor."""
    scope = paging.Scope("register", user.pk or 0, {"q": query})
    key = paging.read_cursor(scope, cursor)
    found = search(query).order_by(*ORDER.by)
    if key is not None:
        found = ORDER.after(found, key)
    return paging.page(list(found[: limit + 1]), limit, scope, _key)


def _key(unit: Unit) -> list[str | None]:
    return [unit.tax_ident, unit.valid_from.isoformat() if unit.valid_from else None]


def search(query: str) -> QuerySet[Unit]:
    """Return the units with this identifier, or with words that begin like these in their name."""
    found = Unit.objects.all()
    words = "".join(letter if letter.isalnum() else " " for letter in query).split()[:MAX_WORDS]
    if not query:
        return found
    if not words:
        return found.filter(tax_ident=query)
    raw = SearchQuery(" & ".join(f"{word}:*" for word in words), config="simple", search_type="raw")
    ways = (
        found.filter(tax_ident=query),
        found.filter(stat_ident=query),
        Words.objects.filter(words=raw),
    )
    idents = [way.values("tax_ident") for way in ways]
    # A unit that was called so in another period is not meant.
    meant = Q(tax_ident=query) | Q(stat_ident=query) | Q(said=raw)
    named = found.alias(said=SearchVector("name", config="simple"))
    return named.filter(meant, tax_ident__in=idents[0].union(*idents[1:], all=True))


def names_follow() -> bool:
    """Say whether units are not found by their names yet: what imports wrote is still to be derived."""
    return ChangedImport.objects.exists() or Change.objects.exists()
