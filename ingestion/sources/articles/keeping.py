"""Articles and judgements as rows: one article an address and a text, one judgement of it a topic."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from ingestion.clock import ClockTimestamp
from ingestion.sources.articles import analysis
from ingestion.sources.articles.models import LONGEST_URL, Address, Analysis, Article, Keyword, Match, Term
from ingestion.sources.articles.reading import Page


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
    _lock(page)
    found = _put(page, page.url) or _put(page, page.passed[-1])
    assert found is not None  # where a page was fetched, it is what stands there
    if page.passed:  # it was asked for, and not read from our row
        Article.objects.filter(pk=found.pk).update(fetched_at=ClockTimestamp())
    rows = [Address(url=url, article=found) for url in sorted(set(page.passed)) if len(url) <= LONGEST_URL]
    # What led elsewhere before leads here now.
    Address.objects.bulk_create(rows, update_conflicts=True, update_fields=["article"], unique_fields=["url"])
    return found


def known(url: str) -> Article | None:
    """Return the article that was fetched from a canonical address."""
    found = Address.objects.select_related("article").filter(url=url).first()
    return found.article if found else None


def _lock(page: Page) -> None:
    """Lock all that a page may be, in one order: two that name each other would wait for each other else."""
    rows = Article.objects.filter(Q(url__in={page.url, *page.passed[-1:]}) | Q(text_hash=page.text_hash))
    list(rows.order_by("pk").select_for_update().values_list("pk"))


def _put(page: Page, url: str) -> Article | None:
    """Return the row of a page at an address, made or brought up to date; None where it is another page's."""
    values = {
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
        "fetched_at": ClockTimestamp(),
    }
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
    rows = Analysis.objects.filter(topic=topic, article=article)
    before = rows.first()
    above = told.relevance >= threshold
    values: dict[str, Any] = {
        "relevance": told.relevance,
        "sentiment": told.sentiment,
        "summary": told.summary,
        "model": told.model,
        "notes": told.notes,
        "job": job,
        "analysed_at": ClockTimestamp(),
    }
    if above and keep and (before is None or before.kept_at is None):
        values["kept_at"] = ClockTimestamp()
    [row] = Analysis.objects.bulk_create(
        [Analysis(topic_id=topic, article=article, **values)],
        update_conflicts=True,
        update_fields=list(values),
        unique_fields=["topic", "article"],
    )
    row.matches.filter(keyword__in=told.looked).delete()  # not of what came since the job began
    if told.matches:  # a keyword may have been taken away since the job began
        there = set(Keyword.objects.filter(topic=topic, pk__in=told.matches).values_list("pk", flat=True))
        Match.objects.bulk_create(
            [Match(analysis=row, keyword_id=pk, count=n) for pk, n in told.matches.items() if pk in there]
        )
    Term.objects.filter(article=article).delete()
    Term.objects.bulk_create([Term(article=article, ordinal=n, text=t) for n, t in enumerate(told.terms)])
    kept = before is not None and before.kept_at is not None
    return Kept(row, new=before is None, kept=kept or "kept_at" in values)
