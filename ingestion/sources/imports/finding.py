"""Finding units of the register: by identifier at once, by words of their names once those are derived."""

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import QuerySet

from ingestion.sources.imports.analytics.models import Change, ChangedImport, Words
from ingestion.sources.imports.models import Unit

MAX_QUERY = 200  # characters
MAX_WORDS = 8


def search(query: str) -> QuerySet[Unit]:
    """Return the units with this identifier, or with words that begin like these in their name."""
    found = Unit.objects.all()
    words = "".join(letter if letter.isalnum() else " " for letter in query).split()[:MAX_WORDS]
    if not query:
        return found
    if not words:
        return found.filter(tax_ident=query)
    raw = SearchQuery(" & ".join(f"{word}:*" for word in words), config="simple", search_type="raw")
    named = found.filter(tax_ident__in=Words.objects.filter(words=raw).values("tax_ident"))
    # A unit that was called so in another period is not meant.
    by_name = named.annotate(said=SearchVector("name", config="simple")).filter(said=raw)
    ways = (found.filter(tax_ident=query), found.filter(stat_ident=query), by_name)
    numbers = [way.values("pk") for way in ways]
    return found.filter(pk__in=numbers[0].union(*numbers[1:], all=True))


def names_follow() -> bool:
    """Say whether units are not found by their names yet: what imports wrote is still to be derived."""
    return ChangedImport.objects.exists() or Change.objects.exists()
