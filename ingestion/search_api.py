"""The API of the search of the top bar."""

from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from config.http import StrictQuery, answer
from ingestion import search

READ = ["GET", "HEAD"]
router = Router(tags=["search"])


class SearchFilter(Schema):
    """What to look for."""

    q: Annotated[str, Field(max_length=search.MAX_QUERY, description="Words, all of which occur")] = ""


class SeenOut(Schema):
    """One thing that was found."""

    url: str
    title: str
    sub: str


class HitsOut(Schema):
    """What was found of a kind; `more` is the page that lists all of it, null where there is none.

    `alike`: nothing has the words of the query, these only look like it.
    """

    kind: str
    label: str
    hits: Annotated[list[SeenOut], Field(max_length=search.MOST)]
    alike: bool
    more: str | None


class SearchOut(Schema):
    """What was found, kind by kind; a kind of which there is nothing is left out."""

    query: str
    groups: list[HitsOut]


@router.api_operation(READ, "/search", response=SearchOut, operation_id="search")
def find(request: HttpRequest, filters: Annotated[SearchFilter, StrictQuery(...)]) -> HttpResponse:
    """Find jobs, companies, documents, articles, topics, days and units that you may see, some of each."""
    query = search.plain(filters.q)
    groups = [
        {
            "kind": group.name,
            "label": group.kind.label,
            "hits": [vars(hit) for hit in group.hits],
            "alike": group.alike,
            "more": group.more or None,
        }
        for group in search.search(request.user, query)
    ]
    return answer({"query": query, "groups": groups})
