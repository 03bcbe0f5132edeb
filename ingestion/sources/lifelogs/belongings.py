"""What a person has here: accounts without their keys, and every recording with its text."""

from collections.abc import Iterator
from typing import Any

from ingestion import belongings
from ingestion.sources.lifelogs.models import Account, DataItem


def register() -> None:
    """Make them known."""
    belongings.register("lifelog_accounts", belongings.Belongings(rows=_accounts))
    belongings.register("lifelogs", belongings.Belongings(rows=_items))


def _accounts(user: Any) -> Iterator[belongings.Row]:
    found = Account.objects.filter(owner=user)
    return belongings.in_turn(found, "service", "label", "zone", "status")


def _items(user: Any) -> Iterator[belongings.Row]:
    found = DataItem.objects.filter(account__owner=user)
    told = ("account__label", "day__date", "title", "markdown", "started_at", "ended_at", "starred")
    return belongings.in_turn(found, *told)
