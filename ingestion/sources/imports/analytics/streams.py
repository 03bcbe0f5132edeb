"""The stream `reports`: when the figures of the charts last moved. Every signed-in user may see them."""

from collections.abc import Iterable, Mapping
from typing import Any

from ingestion.sources.imports.analytics.models import Reports
from realtime import streams
from realtime.streams import Reading


def register() -> None:
    """Make the stream known."""
    streams.register(streams.Kind(name="reports", visible=_visible, versions=_versions, read=_read))


def _visible(user: Any, keys: Iterable[str]) -> set[str]:
    return {key for key in keys if not key} if user.is_authenticated and user.is_active else set()


def _versions(keys: Iterable[str]) -> dict[str, int]:
    if "" not in set(keys):
        return {}
    return {"": Reports.objects.values_list("version", flat=True).first() or 0}


def _read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    if "" not in since:
        return {}
    row = Reports.objects.first()
    at = None if row is None or row.derived_at is None else row.derived_at.isoformat()
    return {"": Reading(version=row.version if row else 0, data={"derived_at": at}, events=[])}
