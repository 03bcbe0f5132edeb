"""The stream `topic:<pk>`: how many articles it has, and its open jobs. Its members alone may see it."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from config.statements import execute
from ingestion.sources.articles.models import Topic
from notifications import abouts
from realtime import streams
from realtime.streams import Reading

# One statement, so that all of it is as of one version. A page refetches its tables.
_STATE = """
    SELECT t.id, t.version, jsonb_build_object('name', t.name,
        'analysed', (SELECT count(*) FROM articles_analysis a WHERE a.topic_id = t.id),
        'kept', (SELECT count(*) FROM articles_analysis a WHERE a.topic_id = t.id AND a.kept_at IS NOT NULL),
        'jobs', (SELECT coalesce(jsonb_agg(j.id ORDER BY j.id DESC), '[]') FROM (
            SELECT id FROM ingestion_job WHERE object = 'topic:' || t.id ORDER BY id DESC LIMIT 20
        ) j))::text
    FROM articles_topic t WHERE t.id = ANY(%s)
"""


def register() -> None:
    """Make the stream known, and what a followed topic is called."""
    streams.register(streams.Kind(name="topic", visible=_visible, versions=_versions, read=_read))
    abouts.register("topic", _named)


def _visible(user: Any, keys: Iterable[str]) -> set[str]:
    if not user.is_authenticated:
        return set()
    rows = Topic.objects.of(user).filter(pk__in=streams.numbers(keys))
    return {str(pk) for pk in rows.values_list("pk", flat=True)}


def _versions(keys: Iterable[str]) -> dict[str, int]:
    rows = Topic.objects.filter(pk__in=streams.numbers(keys))
    return {str(pk): version for pk, version in rows.values_list("pk", "version")}


def _read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    rows = execute(_STATE, [streams.numbers(since)])
    return {str(pk): Reading(version=version, data=json.loads(data), events=[]) for pk, version, data in rows}


def _named(user: Any, keys: Collection[str]) -> Mapping[str, tuple[str, str]]:
    rows = Topic.objects.of(user).filter(pk__in=streams.numbers(keys))
    return {str(one.pk): (one.name, one.get_absolute_url()) for one in rows}
