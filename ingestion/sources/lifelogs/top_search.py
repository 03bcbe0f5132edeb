"""What the search of the top bar finds in a person's own days."""

from typing import Any

from ingestion import search
from ingestion.sources.lifelogs import finding
from ingestion.sources.lifelogs.models import DataItem


def register() -> None:
    """Let a person find what was recorded of them; nobody else does."""
    search.register("days", search.Kind(label="Days", icon="day", find=_found, more="lifelogs:search"))


def _found(user: Any, query: str, most: int) -> list[search.Hit]:
    return [_hit(one, query) for one in finding.newest(user, query, most).defer("contents")]


def _hit(one: DataItem, query: str) -> search.Hit:
    at = one.started_at.astimezone(one.account.local)
    url = f"{one.day.get_absolute_url()}#item-{one.pk}"
    return search.Hit(
        url, one.title or "Without a title", f"{at:%Y-%m-%d %H:%M} · {finding.around(one.markdown, query)}"
    )
