"""Search over what was recorded."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.postgres.search import SearchQuery
from django.db import connection
from django.db.models import Q, QuerySet

from ingestion.sources.lifelogs.models import DataItem

MAX_QUERY = 200  # characters
MOST = 50  # of a page
NEWEST = 2000  # items of an account that are looked at one by one before the index of words is asked

# Of all items with a word, each would be read to know which are the newest. A word that most items have is
# soon among the newest ones; where it is not, or they are all there are, little is left to do.
FROM_NEWEST = """
    SELECT found.keys, cardinality(found.keys) >= %(most)s OR NOT EXISTS (
        SELECT FROM lifelogs_dataitem
        WHERE account_id = account.id AND deleted_at IS NULL AND (started_at, id) < (%(at)s, %(pk)s)
        ORDER BY started_at DESC, id DESC OFFSET %(newest)s LIMIT 1
    )
    FROM lifelogs_account AS account CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(id), '{}') AS keys FROM (
            SELECT id FROM (
                SELECT id, words, started_at FROM lifelogs_dataitem
                WHERE account_id = account.id AND deleted_at IS NULL AND (started_at, id) < (%(at)s, %(pk)s)
                ORDER BY started_at DESC, id DESC LIMIT %(newest)s
            ) AS newest
            WHERE words @@ websearch_to_tsquery('simple', %(query)s)
            ORDER BY started_at DESC, id DESC LIMIT %(most)s
        ) AS hits
    ) AS found
    WHERE account.owner_id = %(owner)s
"""
_START = ("infinity", 0)  # before it is everything


def newest(
    user: Any, query: str, most: int, before: tuple[datetime, int] | None = None
) -> QuerySet[DataItem]:
    """Return the newest items of a user in which all words occur, at most so many.

    before: time and number of the item after which to go on.
    """
    at, pk = before or _START
    given = {"query": query, "most": most, "at": at, "pk": pk, "newest": NEWEST, "owner": user.pk}
    with connection.cursor() as cursor:
        cursor.execute(FROM_NEWEST, given)
        accounts = cursor.fetchall()
    rows = items(user, query)
    if all(is_whole for _, is_whole in accounts):
        rows = _ordered(DataItem.objects.filter(pk__in=[key for keys, _ in accounts for key in keys]))
    elif before is not None:
        rows = rows.filter(Q(started_at__lt=at) | Q(started_at=at, pk__lt=pk))
    return rows[:most]


def items(user: Any, query: str) -> QuerySet[DataItem]:
    """Return all of a user's items in which all words occur, the newest first."""
    wanted = SearchQuery(query, config="simple", search_type="websearch")
    return _ordered(DataItem.objects.filter(words=wanted, account__owner=user, deleted_at=None))


def search(user: Any, query: str) -> Sequence[dict[str, Any]]:
    """Return the first of them, each with its time in its owner's zone and what stands around the word."""
    return [
        {
            "item": one,
            # Without its zone: templates would turn it into the reader's.
            "at": one.started_at.astimezone(one.account.local).replace(tzinfo=None),
            "text": around(one.markdown, query),
        }
        for one in newest(user, query, MOST).defer("contents")
    ]


def around(text: str, query: str, width: int = 160) -> str:
    """Return the part of a text in which the first word of a query occurs."""
    words = [word for word in query.lower().split() if word.isalnum()]
    plain = " ".join(text.replace("#", " ").split())
    places = [plain.lower().find(word) for word in words]
    at = max(0, min((place for place in places if place >= 0), default=0) - width // 3)
    cut = plain[at : at + width]
    return f"{'… ' if at else ''}{cut}{' …' if at + width < len(plain) else ''}"


def _ordered(rows: QuerySet[DataItem]) -> QuerySet[DataItem]:
    return rows.select_related("account", "day").order_by("-started_at", "-pk")
