"""What the search of the top bar finds of documents: by their names, and by words of a passage."""

from typing import Any

from django.db.models import QuerySet

from ingestion import search
from ingestion.sources.documents import by_words
from ingestion.sources.documents.models import Document, Workspace

MOST_WORKSPACES = 50  # whose passages are looked in, the newest first


def register() -> None:
    """Let the documents of a person's workspaces be found."""
    kind = search.Kind(label="Documents", icon="file", find=_found, alike=_alike)
    search.register("documents", kind)


def _found(user: Any, query: str, most: int) -> list[search.Hit]:
    found = _named(search.having, user, query, most)
    if len(found) < most:
        spaces = Workspace.objects.of(user).order_by("-pk").values_list("pk", flat=True)[:MOST_WORKSPACES]
        saying = by_words.documents_with(list(spaces), by_words.words_of(query), most)
        known = {one.pk for one in found}
        by_pk = _rows().in_bulk([pk for pk in saying if pk not in known])
        found += [by_pk[pk] for pk in saying if pk in by_pk]
    return _hits(found[:most])


def _alike(user: Any, query: str, most: int) -> list[search.Hit]:
    return _hits(_named(search.resembling, user, query, most))


def _named(words: search.Words, user: Any, query: str, most: int) -> list[Document]:
    seen = Document.objects.filter(workspace__in=Workspace.objects.of(user))
    newest = seen.order_by("-pk").values("pk")[: search.NEWEST]
    return list(_rows().filter(words(query, "name"), pk__in=newest).order_by("-pk")[:most])


def _rows() -> QuerySet[Document]:
    return Document.objects.select_related("workspace")


def _hits(rows: list[Document]) -> list[search.Hit]:
    return [search.Hit(one.get_absolute_url(), one.name, one.workspace.name) for one in rows]
