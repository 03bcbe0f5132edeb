"""What the search of the top bar finds of topics and of the articles that are kept with them."""

from functools import partial
from typing import Any

from ingestion import search
from ingestion.sources.articles.models import Analysis, Topic


def register() -> None:
    """Let the topics of a person be found, and their articles by title."""
    for name, find in (("articles", _articles), ("topics", _topics)):
        kind = search.Kind(
            label=name.capitalize(),
            icon="read",
            find=partial(find, search.having),
            alike=partial(find, search.resembling),
        )
        search.register(name, kind)


def _articles(words: search.Words, user: Any, query: str, most: int) -> list[search.Hit]:
    kept = Analysis.objects.filter(topic__in=Topic.objects.of(user), kept_at__isnull=False)
    newest = kept.order_by("-pk").values("pk")[: search.NEWEST]
    rows = Analysis.objects.filter(words(query, "article__title"), pk__in=newest).order_by("-pk")
    # One article may be kept with several topics; the newest of them shows it.
    found: dict[int, search.Hit] = {}
    for one in rows.select_related("article", "topic").defer("article__text")[: most * 4]:
        sub = " · ".join(text for text in (one.article.site, one.topic.name) if text)
        found.setdefault(one.article_id, search.Hit(one.get_absolute_url(), one.article.title, sub))
    return list(found.values())[:most]


def _topics(words: search.Words, user: Any, query: str, most: int) -> list[search.Hit]:
    rows = Topic.objects.of(user).filter(words(query, "name", "description")).order_by("-pk")[:most]
    return [search.Hit(one.get_absolute_url(), one.name, one.description[:200]) for one in rows]
