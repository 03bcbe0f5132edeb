"""Search in what is ready: by meaning and by words, the two rankings fused by their ranks.

By words alone `cobalt` finds no `battery metal`, by vectors alone an invoice number finds its neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from django.db.models import Count, F, QuerySet, Sum
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from config.statements import execute
from ingestion import embedders
from ingestion.file_types import CSV, DOCX, HTML, PDF, TEXT
from ingestion.source import SourceError
from ingestion.sources.documents import by_words, vectors
from ingestion.sources.documents.by_words import Place
from ingestion.sources.documents.models import MAX_TOP_K, Chunk, Document, DocumentStatus, Workspace

log = structlog.get_logger(__name__)

MAX_QUERY = 500  # characters
CANDIDATES = 60  # of each ranking
FORMATS = {"pdf": (PDF,), "docx": (DOCX,), "html": (HTML,), "text": (TEXT, CSV)}
FUSION = 60  # reciprocal rank fusion: how little the first places differ (Cormack et al. 2009)
SNIPPET_CHARACTERS = 320
START, STOP = "\ue000", "\ue001"  # around a found word: of no text, and without meaning in HTML

_SNIPPETS = """
    SELECT c.id, ts_headline('english', c.text, %s::tsquery,
        'MaxFragments=2, MaxWords=32, MinWords=12, FragmentDelimiter=" … ",'
        || ' StartSel=' || %s::text || ', StopSel=' || %s::text)
    FROM documents_chunk c WHERE c.id = ANY(%s)
"""


@dataclass(frozen=True)
class Filters:
    """Where to look; nothing means everywhere. formats: of FORMATS. name: a part of a document's."""

    documents: tuple[int, ...] = ()
    formats: tuple[str, ...] = ()
    name: str = ""

    def of(self, rows: QuerySet[Document]) -> QuerySet[Document]:
        """Keep the documents that may be looked in."""
        if self.documents:
            rows = rows.filter(pk__in=[pk for pk in self.documents if 0 < pk < 2**63])
        if self.formats:
            rows = rows.filter(type__in=[kind for name in self.formats for kind in FORMATS[name]])
        return rows.filter(name__icontains=self.name.replace("\0", "")) if self.name else rows

    def __bool__(self) -> bool:
        return bool(self.documents or self.formats or self.name)


@dataclass(frozen=True)
class Hit:
    """A passage that was found: where it is, and a snippet with marks as HTML."""

    chunk: Chunk
    score: float
    snippet: SafeString

    @property
    def place(self) -> str:
        """Say where in the document it stands."""
        if self.chunk.page is not None:
            return f"page {self.chunk.page}"
        return self.chunk.heading or f"passage {self.chunk.ordinal + 1}"

    @property
    def url(self) -> str:
        """Return the address of the passage."""
        return f"{self.chunk.document.get_absolute_url()}?at={self.chunk.ordinal}#p{self.chunk.ordinal}"

    def as_json(self) -> dict[str, Any]:
        """Return it as API and commands tell it."""
        plain = {name: getattr(self.chunk, name) for name in ("ordinal", "page", "heading", "text")}
        document = {"document": self.chunk.document_id, "name": self.chunk.document.name}
        shown = {"place": self.place, "snippet": str(self.snippet), "score": round(self.score, 6)}
        return {**document, **plain, **shown, "url": self.url}


@dataclass(frozen=True)
class Found:
    """The answer to a question, and over how much it was looked for."""

    hits: list[Hit]
    ready: int  # documents that were searched
    not_ready: int
    by_words_only: bool = False  # the embedder did not answer


def search(
    workspace: Workspace,
    query: str,
    most: int | None = None,
    filters: Filters | None = None,
    way: str = "both",
) -> Found:
    """Return the passages that answer a question best. way: both, vectors or words, for comparisons."""
    query = " ".join(query.replace("\0", " ").split())[:MAX_QUERY]
    wanted = min(most or workspace.retrieval.top_k, MAX_TOP_K)
    rows = (filters or Filters()).of(Document.objects.filter(workspace=workspace))
    found = rows.filter(status=DocumentStatus.READY)
    counts = found.aggregate(ready=Count("pk"), passages=Sum("chunk_count"))
    ready, others = counts["ready"], rows.exclude(status=DocumentStatus.READY).count()
    if not query or not ready:
        return Found([], ready, others)
    documents: list[int] = []
    if filters:
        documents = list(found.values_list("pk", flat=True))
    words = by_words.words_of(query)
    place = Place(workspace.pk, counts["passages"], documents)
    having = by_words.ranked(place, words, CANDIDATES) if way != "vectors" else []
    by_vectors, away = _by_vectors(workspace, query, place) if way != "words" else ([], False)
    ranked = fuse(having, by_vectors)[:wanted]
    return Found(_hits(ranked, words), ready, others, away)


def fuse(*rankings: Sequence[int]) -> list[tuple[int, float]]:
    """Return (id, score), best first: the sum over the rankings of 1 / (60 + rank)."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, pk in enumerate(ranking, 1):
            scores[pk] = scores.get(pk, 0.0) + 1 / (FUSION + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def _by_vectors(workspace: Workspace, query: str, place: Place) -> tuple[list[int], bool]:
    name = workspace.retrieval.embedder
    try:
        question = embedders.get(name).encode([query])[0]
    except SourceError as error:
        log.warning("search_without_vectors", embedder=name, error=error.code)
        return [], True
    found = vectors.nearest(workspace, name, question, CANDIDATES, place.documents, place.passages)
    return [pk for pk, _ in sorted(found, key=lambda pair: pair[1])], False


def _hits(ranked: Sequence[tuple[int, float]], words: Sequence[str]) -> list[Hit]:
    ids = [pk for pk, _ in ranked]
    # Vectors that are kept in memory may be of a document that is processed anew since.
    rows = Chunk.objects.filter(document__status=DocumentStatus.READY, generation=F("document__generation"))
    chunks = rows.select_related("document").defer("words").in_bulk(ids)
    marked = dict(execute(_SNIPPETS, [by_words.query_of(words, " | "), START, STOP, ids])) if words else {}
    return [
        Hit(chunks[pk], score, snippet(marked.get(pk) or chunks[pk].text))
        for pk, score in ranked
        if pk in chunks
    ]


def snippet(text: str) -> SafeString:
    """Return text as HTML in which the found words are marked; without any, its beginning."""
    if START not in text:
        cut = text[:SNIPPET_CHARACTERS].rsplit(" ", 1)[0] if len(text) > SNIPPET_CHARACTERS else text
        text = cut + (" …" if cut != text else "")
    safe = str(escape(" ".join(text.split())))
    return mark_safe(safe.replace(START, "<mark>").replace(STOP, "</mark>"))  # nosec B308 B703  # escaped above
