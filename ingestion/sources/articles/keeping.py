"""Articles and judgements as rows: one article an address and a text, one judgement of it a topic."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

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
    """Store an article, or bring the one up to date that has its address or its text; join its addresses."""
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
    Article.objects.bulk_create([Article(url=page.url, **values)], ignore_conflicts=True)
    found = Article.objects.select_for_update().filter(url=page.url).first()
    if found is None:  # the same text has another address
        found = Article.objects.select_for_update().get(text_hash=page.text_hash)
    elif page.passed and found.text_hash != page.text_hash:  # what comes from the row itself may be older
        try:
            with transaction.atomic():
                Article.objects.filter(pk=found.pk).update(**values)
        except IntegrityError:  # what it says now, another said before
            found = Article.objects.get(text_hash=page.text_hash)
        else:
            found.refresh_from_db()
    if page.passed:  # it was asked for, and not read from our row
        Article.objects.filter(pk=found.pk).update(fetched_at=ClockTimestamp())
    urls = {url for url in (*page.passed, page.url) if url != found.url and len(url) <= LONGEST_URL}
    rows = [Address(url=url, article=found) for url in sorted(urls)]
    Address.objects.bulk_create(rows, ignore_conflicts=True)
    return found


def known(url: str) -> Article | None:
    """Return the article that is known to be at a canonical address."""
    found = Article.objects.filter(url=url).first()
    if found is None:
        address = Address.objects.select_related("article").filter(url=url).first()
        found = address.article if address else None
    return found


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
    row = Analysis.objects.update_or_create(topic_id=topic, article=article, defaults=values)[0]
    row.matches.filter(keyword__in=told.looked).delete()  # not of what came since the job began
    # A keyword may have been taken away since the job began.
    there = set(Keyword.objects.filter(topic=topic, pk__in=told.matches).values_list("pk", flat=True))
    Match.objects.bulk_create(
        [Match(analysis=row, keyword_id=pk, count=n) for pk, n in told.matches.items() if pk in there]
    )
    Term.objects.filter(article=article).delete()
    Term.objects.bulk_create([Term(article=article, ordinal=n, text=t) for n, t in enumerate(told.terms)])
    kept = before is not None and before.kept_at is not None
    return Kept(row, new=before is None, kept=kept or "kept_at" in values)
