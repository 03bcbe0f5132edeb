"""Search takes little however many items have a word, and finds the same as looking at all of them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from ingestion.sources.lifelogs import accounts, finding
from ingestion.sources.lifelogs.models import Account, DataItem, Day
from tests.lifelogs.service import Server

pytestmark = pytest.mark.django_db
MANY = 6000
QUERIES = ["often", "old", "seldom", "often old", "w5 -old", '"often w7"', "item", "nothing", "'&!:*"]


@pytest.fixture
def many(account: Account) -> Account:
    """An account with many items: often is in all of them, old in the older ones, seldom in a few."""
    day = Day.objects.create(account=account, date=datetime(2026, 1, 1, tzinfo=UTC).date())
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO lifelogs_dataitem (account_id, day_id, key, title, markdown, contents, started_at,
                ended_at, starred, digest, ingestion_status, day_version, first_version)
            SELECT %s, %s, 'limitless:n' || n, 'Item ' || n, 'often w' || n %% 97
                || CASE WHEN n > 5000 THEN ' old' ELSE '' END
                || CASE WHEN n %% 500 = 0 THEN ' seldom' ELSE '' END,
                '[]', at, at, false, '', 'complete', 1, 1
            FROM generate_series(1, %s) AS n,
                -- two each hour begin at once
                LATERAL (SELECT timestamptz '2026-01-01T00:00Z' - n / 2 * interval '1 hour' AS at) AS hours
            """,
            [account.pk, day.pk, MANY],
        )
        # What was just written waits in a list that is read whole, until a vacuum comes by.
        cursor.execute("SELECT gin_clean_pending_list('item_by_words')")
        cursor.execute("ANALYZE lifelogs_dataitem")
    return account


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a plan does with items."""
    if plan.get("Relation Name") == "lifelogs_dataitem":
        yield plan
    for one in plan.get("Plans", []):
        yield from nodes(one)


def looked_at(user: User, query: str) -> int:
    """Return how many items are read to answer from the newest ones."""
    given = {"query": query, "most": finding.MOST, "at": "infinity", "pk": 0, "owner": user.pk}
    with connection.cursor() as cursor:
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {finding.FROM_NEWEST}"
        cursor.execute(explain, {**given, "newest": finding.NEWEST})
        told = cursor.fetchone()[0]
    [found] = told if isinstance(told, list) else json.loads(told)
    used = list(nodes(found["Plan"]))
    assert {one.get("Index Name") for one in used} == {"item_newest"}, found
    return int(sum(one["Actual Rows"] * one["Actual Loops"] for one in used))


def test_a_word_that_most_items_have_is_looked_for_in_no_more_items_than_are_shown(many: Account) -> None:
    assert looked_at(many.owner, "often") == finding.MOST
    assert len(finding.search(many.owner, "often")) == finding.MOST


def test_a_rare_word_is_looked_for_in_the_newest_items_and_then_by_its_index(many: Account) -> None:
    # the newest, and their number
    assert looked_at(many.owner, "seldom") <= 2 * finding.NEWEST + 1
    plan = finding.items(many.owner, "seldom old").explain()
    assert "item_by_words" in plan and "Seq Scan on lifelogs_dataitem" not in plan, plan
    assert len(finding.search(many.owner, "seldom")) == MANY // 500


@pytest.mark.parametrize("newest", [1, 700, finding.NEWEST, MANY])
def test_pages_are_the_same_wherever_they_are_looked_for(
    many: Account, service: Server, monkeypatch: pytest.MonkeyPatch, newest: int
) -> None:
    monkeypatch.setattr(finding, "NEWEST", newest)
    other = accounts.add(many.owner, "limitless", "another-key", "UTC")
    DataItem.objects.filter(pk__in=DataItem.objects.order_by("?").values("pk")[: MANY // 3]).update(
        account=other
    )
    DataItem.objects.filter(key__endswith="7").update(deleted_at=datetime(2026, 1, 1, tzinfo=UTC))
    for query in QUERIES:
        found: list[int] = []
        before = None
        while page := list(finding.newest(many.owner, query, 701, before)):
            found += [one.pk for one in page]
            before = (page[-1].started_at, page[-1].pk)
        assert found == list(finding.items(many.owner, query).values_list("pk", flat=True)), query
