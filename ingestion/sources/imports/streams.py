"""The stream `import:<pk>`: for reviewers, who see an import but not its job."""

from collections.abc import Iterable, Mapping
from typing import Any

from ingestion.sources.imports.models import Import
from realtime import streams
from realtime.streams import Kind, Reading, numbers


def register() -> None:
    """Make the kind known."""
    streams.register(Kind(name="import", visible=_visible, versions=_versions, read=_read))


def _visible(user: Any, keys: Iterable[str]) -> set[str]:
    if not user.is_authenticated:
        return set()
    seen = Import.objects.visible_to(user).filter(pk__in=numbers(keys)).values_list("pk", flat=True)
    return {str(pk) for pk in seen}


def _versions(keys: Iterable[str]) -> dict[str, int]:
    found = Import.objects.filter(pk__in=numbers(keys), job__isnull=False)
    return {str(pk): version or 0 for pk, version in found.values_list("pk", "job__version")}


def _read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    found = Import.objects.filter(pk__in=numbers(since), job__isnull=False)
    rows = found.values_list("pk", "job__version", "job__state", "revision")
    return {
        str(pk): Reading(version or 0, {"state": state, "revision": revision}, events=[])
        for pk, version, state, revision in rows
    }
