"""Articles and judgements as rows: one article an address and a text, one judgement of it a topic."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from config.statements import execute
from ingestion.clock import ClockTimestamp
from ingestion.sources.articles import analysis
from ingestion.sources.articles.models import LONGEST_URL, Address, Analysis, Article
from ingestion.sources.articles.reading import Page

_LOCK = "SELECT id FROM articles_article WHERE url = ANY(%s) OR text_hash = %s ORDER BY id FOR UPDATE"
# An article that nobody had, and the addresses that lead there now. No row comes back where somebody had it.
_NEW = """
    WITH article AS (
        INSERT INTO articles_article (url, title, text, author, site, description, language, published_at,
            characters, text_hash, notes, fetched_at)
        VALUES (%(url)s, %(title)s, %(text)s, %(author)s, %(site)s, %(description)s, %(language)s,
            %(published_at)s, %(characters)s, %(text_hash)s, %(notes)s, clock_timestamp())
        ON CONFLICT DO NOTHING RETURNING id, fetched_at
    ), addresses AS (
        INSERT INTO articles_address (url, article_id)
        SELECT passed.url, article.id FROM article, unnest(%(passed)s::text[]) AS passed(url)
        ON CONFLICT (url) DO UPDATE SET article_id = excluded.article_id
    ) SELECT id, fetched_at FROM article
"""
_FRESH = """
    SELECT article.id
    FROM articles_address address JOIN articles_article article ON article.id = address.article_id
    WHERE address.url = %s AND article.fetched_at > clock_timestamp() - %s
"""
# What is kept stays kept. A row that was there already has an xmax: it was locked to be changed.
_JUDGED = """
    INSERT INTO articles_analysis AS held (topic_id, article_id, relevance, sentiment, summary, model,
        notes, job, analysed_at, kept_at)
    VALUES (%(topic)s, %(article)s, %(relevance)s, %(sentiment)s, %(summary)s, %(model)s, %(notes)s, %(job)s,
        clock_timestamp(), CASE WHEN %(keep)s THEN clock_timestamp() END)
    ON CONFLICT (topic_id, article_id) DO UPDATE SET relevance = excluded.relevance,
        sentiment = excluded.sentiment, summary = excluded.summary, model = excluded.model,
        notes = excluded.notes, job = excluded.job, analysed_at = excluded.analysed_at,
        kept_at = coalesce(held.kept_at, excluded.kept_at)
    RETURNING id, analysed_at, kept_at, xmax = 0
"""
# What was looked for is replaced, not what came since the job began; nor does what was taken away come back.
_FOUND = """
    WITH found AS (
        SELECT keyword.id, new.count FROM unnest(%(keywords)s::bigint[], %(counts)s::int[]) AS new(id, count)
        JOIN articles_keyword keyword ON keyword.id = new.id AND keyword.topic_id = %(topic)s
    ), gone AS (
        DELETE FROM articles_match WHERE analysis_id = %(analysis)s
            AND keyword_id = ANY(%(looked)s::bigint[]) AND keyword_id NOT IN (SELECT id FROM found)
    ), matches AS (
        INSERT INTO articles_match (analysis_id, keyword_id, count) SELECT %(analysis)s, id, count FROM found
        ON CONFLICT (analysis_id, keyword_id)
            DO UPDATE SET count = excluded.count, found_at = excluded.found_at
    ), unsaid AS (
        DELETE FROM articles_term WHERE article_id = %(article)s AND ordinal >= cardinality(%(terms)s::text[])
    )
    INSERT INTO articles_term (article_id, ordinal, text)
    SELECT %(article)s, said.n - 1, said.text FROM unnest(%(terms)s::text[]) WITH ORDINALITY AS said(text, n)
    ON CONFLICT (article_id, ordinal) DO UPDATE SET text = excluded.text
"""


@dataclass(frozen=True)
class Kept:
    """What became of an article. new: nobody in the topic had it. kept: it is above the threshold."""

    analysis: Analysis
    new: bool
    kept: bool


def save(page: Page) -> Article:
    """Store an article, or bring the one up to date that has its address or its text; join its addresses.

    The address that a page gives as its own is believed while nothing else is known there: of a host that
    many share it may be somebody else's.
    """
    urls = sorted({url for url in page.passed if len(url) <= LONGEST_URL})
    found = None if _lock(page) else _new(page, urls)
    if found is not None:
        return found
    found = _put(page, page.url) or _put(page, page.passed[-1])
    assert found is not None  # where a page was fetched, it is what stands there
    if page.passed:  # it was asked for, and not read from our row
        Article.objects.filter(pk=found.pk).update(fetched_at=ClockTimestamp())
    rows = [Address(url=url, article=found) for url in urls]
    # What led elsewhere before leads here now.
    Address.objects.bulk_create(rows, update_conflicts=True, update_fields=["article"], unique_fields=["url"])
    return found


def known(url: str) -> Article | None:
    """Return the article that was fetched from a canonical address."""
    found = Address.objects.select_related("article").filter(url=url).first()
    return found.article if found else None


def fresh(url: str, age: timedelta) -> Article | None:
    """Return the article that was fetched from a canonical address no longer ago than this."""
    rows = execute(_FRESH, [url, age])
    return Article.objects.filter(pk=rows[0][0]).first() if rows else None


def _lock(page: Page) -> bool:
    """Lock all that a page may be, in one order: two that name each other would wait for each other else.

    Return whether there is any.
    """
    return bool(execute(_LOCK, [[page.url, *page.passed[-1:]], page.text_hash]))


def _new(page: Page, passed: list[str]) -> Article | None:
    """Return the row of a page that nobody had, None where another worker brought it just now."""
    values = _values(page)
    rows = execute(_NEW, {**values, "url": page.url, "passed": passed})
    return Article(pk=rows[0][0], url=page.url, fetched_at=rows[0][1], **values) if rows else None


def _values(page: Page) -> dict[str, Any]:
    return {
        "title": page.title,
        "text": page.text,
        "author": page.author,
        "site": page.site,
        "description": page.description,
        "language": page.language,
        "published_at": page.published_at,
        "characters": len(page.text),
        "text_hash": page.text_hash,
        "notes": [note[:200] for note in page.notes],
    }


def _put(page: Page, url: str) -> Article | None:
    """Return the row of a page at an address, made or brought up to date; None where it is another page's."""
    values = {**_values(page), "fetched_at": ClockTimestamp()}
    # Two workers may bring the same: whoever is second finds the first one's row.
    Article.objects.bulk_create([Article(url=url, **values)], ignore_conflicts=True)
    found = Article.objects.select_for_update().filter(url=url).first()
    if found is None:  # the same text has another address
        return Article.objects.select_for_update().get(text_hash=page.text_hash)
    if not page.passed or found.text_hash == page.text_hash:  # what comes from the row itself may be older
        return found
    if url not in page.passed and not _is_from_here(found, page):
        return None
    try:
        with transaction.atomic():
            Article.objects.filter(pk=found.pk).update(**values)
    except IntegrityError:  # what it says now, another said before
        return Article.objects.get(text_hash=page.text_hash)
    found.refresh_from_db()
    return found


def _is_from_here(found: Article, page: Page) -> bool:
    """Say whether an article was read where this page was, and nobody has been at its own address."""
    seen = Address.objects.filter(article=found, url=page.passed[-1])
    return seen.exists() and not Address.objects.filter(url=found.url).exists()


def as_page(article: Article) -> Page:
    """Return a stored article as it was read."""
    names = ("url", "title", "text", "author", "site", "description", "language", "published_at")
    return Page(**{name: getattr(article, name) for name in names}, notes=list(article.notes))


def judged(
    topic: int, article: Article, told: analysis.Judgement, threshold: float, job: UUID, *, keep: bool = True
) -> Kept:
    """Store what an article says of a topic; one that is kept stays kept, whatever it is judged later."""
    values: dict[str, Any] = {
        "relevance": told.relevance,
        "sentiment": told.sentiment,
        "summary": told.summary,
        "model": told.model,
        "notes": told.notes,
        "job": job,
    }
    above = keep and told.relevance >= threshold
    [(pk, analysed_at, kept_at, new)] = execute(
        _JUDGED, {**values, "topic": topic, "article": article.pk, "keep": above}
    )
    found = {
        "keywords": list(told.matches),
        "counts": list(told.matches.values()),
        "looked": list(told.looked),
        "terms": told.terms,
    }
    execute(_FOUND, {**found, "topic": topic, "article": article.pk, "analysis": pk})
    row = Analysis(pk=pk, topic_id=topic, article=article, analysed_at=analysed_at, kept_at=kept_at, **values)
    return Kept(row, new=new, kept=kept_at is not None)
