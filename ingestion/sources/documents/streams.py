"""The stream `workspace:<pk>`: its status and where its documents stand. Its members alone may see it."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from config.statements import execute
from ingestion.sources.documents.models import Workspace
from notifications import abouts
from realtime import streams
from realtime.streams import Reading

STREAM_ERROR = 200  # characters of an error that the stream tells: see below

# One statement, so that all of it is as of one version. The 60 documents that moved last, and since when if
# there are so many: a page refetches its table.
_STATE = """
    SELECT w.id, w.version,
        jsonb_build_object('name', w.name, 'status', w.status, 'message', nullif(w.status_message, ''),
                           'indexed', w.indexed,
            'since', (SELECT d.moved_at FROM documents_document d WHERE d.workspace_id = w.id
                      ORDER BY d.moved_at DESC, d.id DESC OFFSET 59 LIMIT 1),
        'counts', (SELECT coalesce(jsonb_object_agg(c.status, c.n), '{}') FROM (
            SELECT d.status, count(*) AS n FROM documents_document d WHERE d.workspace_id = w.id GROUP BY 1
        ) c),
        'documents', (SELECT coalesce(jsonb_object_agg(n.id::text, jsonb_build_object(
            'name', left(n.name, 150), 'status', n.status, 'stage', nullif(n.stage, ''),
            'error', nullif(left(n.error, 200), ''), 'chunks', n.chunk_count, 'pages', n.pages,
            'generation', n.generation)), '{}') FROM (
            SELECT * FROM documents_document d WHERE d.workspace_id = w.id
            ORDER BY d.moved_at DESC, d.id DESC LIMIT 60
        ) n))::text
    FROM documents_workspace w WHERE w.id = ANY(%s)
"""


def register() -> None:
    """Make the stream known, and what a followed workspace is called."""
    streams.register(streams.Kind(name="workspace", visible=_visible, versions=_versions, read=_read))
    abouts.register("workspace", _named)


def _visible(user: Any, keys: Iterable[str]) -> set[str]:
    if not user.is_authenticated:
        return set()
    rows = Workspace.objects.of(user).filter(pk__in=streams.numbers(keys))
    return {str(pk) for pk in rows.values_list("pk", flat=True)}


def _versions(keys: Iterable[str]) -> dict[str, int]:
    rows = Workspace.objects.filter(pk__in=streams.numbers(keys))
    return {str(pk): version for pk, version in rows.values_list("pk", "version")}


def _read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    rows = execute(_STATE, [streams.numbers(since)])
    return {str(pk): Reading(version=version, data=json.loads(data), events=[]) for pk, version, data in rows}


def _named(user: Any, keys: Collection[str]) -> Mapping[str, tuple[str, str]]:
    rows = Workspace.objects.of(user).filter(pk__in=streams.numbers(keys))
    return {str(one.pk): (one.name, one.get_absolute_url()) for one in rows}
