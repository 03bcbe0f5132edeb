"""Search in what is ready: by meaning and by words, the two rankings fused by their ranks.

By words alone `cobalt` finds no `battery metal`, by vectors alone an invoice number finds its neighbours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from django.db.models import F, QuerySet
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from config.statements import execute
from ingestion import embedders
from ingestion.source import SourceError
from ingestion.sources.documents import vectors
from ingestion.sources.documents.models import MAX_TOP_K, Chunk, Document, DocumentStatus, Workspace
from ingestion.uploads import CSV, DOCX, HTML, PDF, TEXT

log = structlog.get_logger(__name__)

MAX_QUERY = 500  # characters
MAX_WORDS = 16  # different words of a question that are looked for
CANDIDATES = 60  # of each ranking
MOST_OF_A_WORD = 400  # passages counted of a word: one that more have tells little
MOST_RANKED = 1500  # passages that are ranked by the words they have
MOST_COMPARED = 240  # of them, by how near those words stand: that costs most
FORMATS = {"pdf": (PDF,), "docx": (DOCX,), "html": (HTML,), "text": (TEXT, CSV)}
FUSION = 60  # reciprocal rank fusion: how little the first places differ (Cormack et al. 2009)
SNIPPET_CHARACTERS = 320
START, STOP = "\ue000", "\ue001"  # around a found word: of no text, and without meaning in HTML

_WORDS = "SELECT DISTINCT w FROM unnest(tsvector_to_array(to_tsvector('english', %s))) w LIMIT %s"
_READY = """
    documents_chunk c JOIN documents_document d
    ON d.id = c.document_id AND d.status = 'ready' AND d.generation = c.generation
"""
_COUNTS = """
    SELECT w, (SELECT count(*) FROM (SELECT 1 FROM documents_chunk c
        WHERE c.workspace_id = %s AND c.words @@ quote_literal(w)::tsquery LIMIT %s) f)
    FROM unnest(%s::text[]) w
"""
_BY_WORDS = f"""
    WITH chosen AS MATERIALIZED (
        SELECT c.id, c.words FROM {_READY}
        WHERE c.workspace_id = %s AND c.words @@ %s::tsquery
            AND (%s::bigint[] IS NULL OR d.id = ANY(%s::bigint[]))
        LIMIT %s
    ), weighed AS MATERIALIZED (
        SELECT id, words, (SELECT sum(g.weight) FROM unnest(%s::text[], %s::float[]) AS g(word, weight)
                           WHERE chosen.words @@ quote_literal(g.word)::tsquery) AS weight
        FROM chosen ORDER BY weight DESC, id LIMIT %s
    ) SELECT id FROM weighed ORDER BY weight * (1 + ts_rank_cd(words, %s::tsquery, 1)) DESC, id LIMIT %s
"""  # nosec B608  # our own words
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
    documents: list[int] = []
    if filters:
        documents = list(rows.filter(status=DocumentStatus.READY).values_list("pk", flat=True))
    ready = len(documents) if filters else rows.filter(status=DocumentStatus.READY).count()
    others = rows.exclude(status=DocumentStatus.READY).count()
    if not query or not ready:
        return Found([], ready, others)
    words = [row[0] for row in execute(_WORDS, [query, MAX_WORDS])]
    by_words = _by_words(workspace, words, documents) if way != "vectors" else []
    by_vectors, away = _by_vectors(workspace, query, documents) if way != "words" else ([], False)
    ranked = fuse(by_words, by_vectors)[:wanted]
    return Found(_hits(ranked, words), ready, others, away)


def fuse(*rankings: Sequence[int]) -> list[tuple[int, float]]:
    """Return (id, score), best first: the sum over the rankings of 1 / (60 + rank)."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, pk in enumerate(ranking, 1):
            scores[pk] = scores.get(pk, 0.0) + 1 / (FUSION + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def _by_vectors(workspace: Workspace, query: str, documents: Sequence[int]) -> tuple[list[int], bool]:
    name = workspace.retrieval.embedder
    try:
        question = embedders.get(name).encode([query])[0]
    except SourceError as error:
        log.warning("search_without_vectors", embedder=name, error=error.code)
        return [], True
    found = vectors.nearest(workspace, name, question, CANDIDATES, documents)
    return [pk for pk, _ in sorted(found, key=lambda pair: pair[1])], False


def _by_words(workspace: Workspace, words: Sequence[str], documents: Sequence[int]) -> list[int]:
    """Rank the passages that have the question's rarest words, by their rarity and nearness."""
    if not words:
        return []
    counted = execute(_COUNTS, [workspace.pk, MOST_OF_A_WORD, list(words)])
    counts = {word: count for word, count in counted if count}
    if not counts:
        return []
    total = max(Chunk.objects.filter(workspace_id=workspace.pk).count(), 1)
    weights = {word: math.log(1 + total / count) for word, count in counts.items()}
    telling: list[str] = []
    reached = 0
    for word in sorted(counts, key=lambda one: counts[one]):
        if telling and reached + counts[word] > MOST_RANKED:
            break
        telling.append(word)
        reached += counts[word]
    # Words that too many passages have choose nothing by themselves; together they do.
    common = counts[telling[0]] >= MOST_OF_A_WORD
    chosen = _query(list(counts), " & ") if common else _query(telling, " | ")
    every = list(documents) or None
    rows = execute(
        _BY_WORDS,
        [
            workspace.pk, chosen, every, every, MOST_RANKED,
            list(weights), list(weights.values()), MOST_COMPARED, _query(list(counts), " | "), CANDIDATES,
        ],
    )  # fmt: skip
    return [int(row[0]) for row in rows]


def _query(words: Sequence[str], sign: str) -> str:
    quoted = ("'" + word.replace("\\", "\\\\").replace("'", "''") + "'" for word in words)
    return sign.join(quoted)


def _hits(ranked: Sequence[tuple[int, float]], words: Sequence[str]) -> list[Hit]:
    ids = [pk for pk, _ in ranked]
    # Vectors that are kept in memory may be of a document that is processed anew since.
    rows = Chunk.objects.filter(document__status=DocumentStatus.READY, generation=F("document__generation"))
    chunks = rows.select_related("document").defer("words").in_bulk(ids)
    marked = dict(execute(_SNIPPETS, [_query(words, " | "), START, STOP, ids])) if words else {}
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
