"""What the search of the top bar finds of documents: by their names, and by words of a passage."""

from typing import Any

from ingestion import search
from ingestion.sources.documents import by_words
from ingestion.sources.documents.models import Document, Workspace

MOST_WORKSPACES = 50  # whose passages are looked in, the newest first


def register() -> None:
    """Let the documents of a person's workspaces be found."""
    search.register("documents", search.Kind(label="Documents", icon="file", find=_found))


def _found(user: Any, query: str, most: int) -> list[search.Hit]:
    seen = Workspace.objects.of(user)
    newest = Document.objects.filter(workspace__in=seen).order_by("-pk").values("pk")[: search.NEWEST]
    rows = Document.objects.select_related("workspace")
    named = list(rows.filter(search.having(query, "name"), pk__in=newest).order_by("-pk")[:most])
    if len(named) < most:
        spaces = list(seen.order_by("-pk").values_list("pk", flat=True)[:MOST_WORKSPACES])
        saying = by_words.documents_with(spaces, by_words.words_of(query), most)
        known = {one.pk for one in named}
        by_pk = rows.in_bulk([pk for pk in saying if pk not in known])
        named += [by_pk[pk] for pk in saying if pk in by_pk]
    return [search.Hit(one.get_absolute_url(), one.name, one.workspace.name) for one in named[:most]]
