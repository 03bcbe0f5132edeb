"""Which passages of a workspace have the words of a question: ranked by their rarity, then by their density.

The index `chunk_by_terms` alone says who has which word; the words of a passage, which are kept apart from
its row, are read for the few that come first: what a search costs does not grow with how many passages match.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.statements import execute

MAX_WORDS = 16  # different words of a question that are looked for
MOST_OF_A_WORD = 250  # passages of a word by which others are found: one that more have tells little
MOST_RANKED = 1500  # passages that are ranked by the words they have
MOST_COMPARED = 40  # of them, by how densely those words stand: that costs most

_WORDS = "SELECT DISTINCT w FROM unnest(tsvector_to_array(to_tsvector('english', %s))) w LIMIT %s"
# Only what a search may find. No join: it would ask the index for a word once a document. Documents that are
# chosen are a condition beside the word, so that their own index is asked too.
_FOUND = """
    SELECT c.id FROM documents_chunk c WHERE {terms} {chosen} AND c.generation = (
        SELECT d.generation FROM documents_document d WHERE d.id = c.document_id AND d.status = 'ready'
    ) LIMIT %s
"""
_CHOSEN = "AND c.document_id = ANY(%s)"
_TERMS = "documents_terms(c.workspace_id, c.words)"
_WITH_EACH = """
    SELECT asked.n, found.id FROM unnest(%s::text[]) WITH ORDINALITY AS asked(term, n)
    CROSS JOIN LATERAL ({found}) found
"""
_HAS_THAT, _HAS_ALL = f"{_TERMS} @> ARRAY[asked.term]", f"{_TERMS} @> %s::text[]"
_HAS_ONE_OF_AND = f"{_TERMS} && %s::text[] AND {_HAS_ALL}"
_SAYING = f"""
    SELECT document_id FROM (
        SELECT c.document_id FROM documents_chunk c WHERE {{terms}} AND c.generation = (
            SELECT d.generation FROM documents_document d WHERE d.id = c.document_id AND d.status = 'ready'
        ) LIMIT {MOST_RANKED}
    ) AS found GROUP BY document_id ORDER BY count(*) DESC, document_id DESC LIMIT %s
"""  # nosec B608  # a number of ours
_DENSITY = "SELECT id, ts_rank_cd(words, %s::tsquery, 1) FROM documents_chunk WHERE id = ANY(%s)"


@dataclass(frozen=True)
class Place:
    """Where to look: a workspace, of how many passages, and which of its documents; none means all."""

    workspace: int
    passages: int
    documents: Sequence[int] = ()

    def term(self, word: str) -> str:
        """Return a word as the index knows it."""
        return f"{self.workspace}:{word}"


def words_of(query: str) -> list[str]:
    """Return the different words of a question, as the index spells them."""
    return [row[0] for row in execute(_WORDS, [query, MAX_WORDS])]


def ranked(place: Place, words: Sequence[str], most: int) -> list[int]:
    """Return the passages that have the rarest of these words, best first."""
    having = _having_each(place, words)
    if not having:
        return []
    weights = {word: math.log(1 + place.passages / len(found)) for word, found in having.items()}
    rare, common = _chosen(having)
    if rare:
        candidates = set().union(*(having[word] for word in rare))
        having |= {word: _having_too(place, rare, word) for word in common}
    else:
        # Words that too many passages have choose nothing by themselves; together they do. Of each word only
        # some passages are known so far: those that have all would else weigh by chance.
        candidates = _having(place, common, MOST_RANKED)
        having = dict.fromkeys(common, candidates) if candidates else having
        candidates = candidates or having[common[0]]
    weighed = {pk: sum(weights[word] for word, found in having.items() if pk in found) for pk in candidates}
    ordered = sorted(weighed, key=lambda pk: (-weighed[pk], pk))
    best, others = ordered[:MOST_COMPARED], ordered[MOST_COMPARED:most]
    dense = dict(execute(_DENSITY, [query_of(list(having), " | "), best]))
    scores = {pk: weighed[pk] * (1 + dense.get(pk, 0.0)) for pk in best}
    return (sorted(scores, key=lambda pk: (-scores[pk], pk)) + others)[:most]


def documents_with(workspaces: Sequence[int], words: Sequence[str], most: int) -> list[int]:
    """Return documents with a passage that has all of the words, those with the most of them first."""
    if not words or not workspaces:
        return []
    # A passage is of one workspace: who has one of the terms of each word has all of them in one place.
    terms = [[f"{place}:{word}" for place in workspaces] for word in words]
    has = " AND ".join(f"{_TERMS} && %s::text[]" for _ in words)
    return [row[0] for row in execute(_SAYING.format(terms=has), [*terms, most])]


def query_of(words: Sequence[str], sign: str) -> str:
    """Return words as a tsquery, joined by `&` or `|`."""
    quoted = ("'" + word.replace("\\", "\\\\").replace("'", "''") + "'" for word in words)
    return sign.join(quoted)


def _chosen(having: Mapping[str, set[int]]) -> tuple[list[str], list[str]]:
    """Return the words whose passages are ranked, and the others, the rarest first."""
    rare: list[str] = []
    reached = 0
    ordered = sorted(having, key=lambda word: (len(having[word]), word))
    for word in ordered:
        reached += len(having[word])
        if len(having[word]) > MOST_OF_A_WORD or (rare and reached > MOST_RANKED):
            break
        rare.append(word)
    return rare, ordered[len(rare) :]


def statement(place: Place, has: str) -> tuple[str, list[list[int]]]:
    """Return what finds passages by a condition on their words, and its values before the limit."""
    chosen = [list(place.documents)] if place.documents else []
    return _FOUND.format(terms=has, chosen=_CHOSEN if chosen else ""), chosen


def _having_each(place: Place, words: Sequence[str]) -> dict[str, set[int]]:
    """Return the passages of each word that any has; of one that many have, one more than may choose."""
    found, chosen = statement(place, _HAS_THAT)
    terms = [place.term(word) for word in words]
    having: dict[str, set[int]] = {}
    for n, pk in execute(_WITH_EACH.format(found=found), [terms, *chosen, MOST_OF_A_WORD + 1]):
        having.setdefault(words[n - 1], set()).add(pk)
    return having


def _having(place: Place, words: Sequence[str], most: int) -> set[int]:
    """Return passages that have all of these words."""
    sql, chosen = statement(place, _HAS_ALL)
    return {row[0] for row in execute(sql, [[place.term(word) for word in words], *chosen, most])}


def _having_too(place: Place, rare: Sequence[str], word: str) -> set[int]:
    """Return the passages with one of the rare words that have another too."""
    sql, chosen = statement(place, _HAS_ONE_OF_AND)
    terms = [place.term(one) for one in rare]
    return {row[0] for row in execute(sql, [terms, [place.term(word)], *chosen, MOST_RANKED])}
