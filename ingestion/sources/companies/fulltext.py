"""Words in the text of filings: where they are, and what stands around them."""

from dataclasses import dataclass

from django.contrib.postgres.search import SearchHeadline, SearchQuery
from django.db.models import QuerySet

from ingestion.sources.companies.models import Company, Passage

_FROM, _TO = "\ue000", "\ue001"  # around a word that was found: of no text, and no markup that could be taken


@dataclass(frozen=True)
class Found:
    """A passage, and pieces of its text around the words: (text, whether it is what was looked for)."""

    passage: Passage
    pieces: list[tuple[str, bool]]

    @property
    def snippet(self) -> str:
        """Return the pieces as plain text."""
        return "".join(text for text, _ in self.pieces)


def passages(query: str, company: Company | int | None = None) -> QuerySet[Passage]:
    """Return the passages with these words; quotes, `or` and `-` work as in web searches.

    company: only in what it filed.
    """
    found = Passage.objects.filter(words=_asked(query)).select_related("filing")
    if company is not None:
        found = found.filter(filing__companies=company)
    return found


def around(rows: QuerySet[Passage], query: str, count: int) -> list[Found]:
    """Return the first of these passages with what stands around the words. Only their texts are read."""
    ids = list(rows.values_list("pk", flat=True)[:count])
    headline = SearchHeadline(
        "text",
        _asked(query),
        config="english",
        start_sel=_FROM,
        stop_sel=_TO,
        max_words=40,
        min_words=15,
        max_fragments=2,
        fragment_delimiter=" … ",
    )
    told = Passage.objects.filter(pk__in=ids).select_related("filing").defer("text")
    told = told.prefetch_related("filing__companies")
    by_id = {row.pk: row for row in told.annotate(headline=headline)}
    return [Found(by_id[pk], _pieces(by_id[pk].headline)) for pk in ids if pk in by_id]


def _asked(query: str) -> SearchQuery:
    return SearchQuery(query, config="english", search_type="websearch")


def _pieces(headline: str) -> list[tuple[str, bool]]:
    first, *others = headline.split(_FROM)
    pieces = [(first, False)]
    for other in others:
        word, _, rest = other.partition(_TO)
        pieces += [(word, True), (rest, False)]
    return [piece for piece in pieces if piece[0]]
