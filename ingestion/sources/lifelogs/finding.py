"""Search over what was recorded."""

from collections.abc import Sequence
from typing import Any

from django.contrib.postgres.search import SearchQuery
from django.db.models import QuerySet

from ingestion.sources.lifelogs.models import DataItem

MAX_QUERY = 200  # characters
MOST = 50  # of a page


def items(user: Any, query: str) -> "QuerySet[DataItem]":
    """Return a user's items in which all words occur, the newest first."""
    wanted = SearchQuery(query, config="simple", search_type="websearch")
    rows = DataItem.objects.filter(words=wanted, account__owner=user, deleted_at=None)
    return rows.select_related("account", "day").order_by("-started_at", "-pk")


def search(user: Any, query: str) -> Sequence[dict[str, Any]]:
    """Return the first of them, each with its time in its owner's zone and what stands around the word."""
    return [
        {
            "item": one,
            # Without its zone: templates would turn it into the reader's.
            "at": one.started_at.astimezone(one.account.local).replace(tzinfo=None),
            "text": around(one.markdown, query),
        }
        for one in items(user, query).defer("contents")[:MOST]
    ]


def around(text: str, query: str, width: int = 160) -> str:
    """Return the part of a text in which the first word of a query occurs."""
    words = [word for word in query.lower().split() if word.isalnum()]
    plain = " ".join(text.replace("#", " ").split())
    places = [plain.lower().find(word) for word in words]
    at = max(0, min((place for place in places if place >= 0), default=0) - width // 3)
    cut = plain[at : at + width]
    return f"{'… ' if at else ''}{cut}{' …' if at + width < len(plain) else ''}"
