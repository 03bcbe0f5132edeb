"""What the search of the top bar finds of companies."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from ingestion import search
from ingestion.sources.companies.search import Match, by_look
from ingestion.sources.companies.search import search as by_words


def register() -> None:
    """Let companies be found, those that are not here yet too."""
    kind = search.Kind(
        label="Companies",
        icon="company",
        find=partial(_found, by_words),
        alike=partial(_found, by_look),
        more="companies:list",
    )
    search.register("companies", kind)


def _found(matches: Callable[[str], Sequence[Match]], user: Any, query: str, most: int) -> list[search.Hit]:
    return [search.Hit(_url(one), f"{one.ticker} {one.name}", one.sub) for one in matches(query)[:most]]


def _url(one: Match) -> str:
    if one.company is not None:
        return one.company.get_absolute_url()
    return f"{reverse('companies:list')}?{urlencode({'q': one.ticker})}"
