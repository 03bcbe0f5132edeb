"""The stream `shelf:<pk>`: all that an app of its own needs for its pages to be live."""

from collections.abc import Iterable, Mapping
from typing import Any

from realtime import streams
from realtime.streams import Kind, Reading, numbers
from tests.demo.models import Shelf


def register() -> None:
    """Make the kind known."""
    streams.register(Kind(name="shelf", visible=visible, versions=versions, read=read))


def visible(user: Any, keys: Iterable[str]) -> set[str]:
    """Return those that this user may watch: here, every signed-in user every shelf."""
    return {str(pk) for pk in numbers(keys)} if user.is_authenticated else set()


def versions(keys: Iterable[str]) -> dict[str, int]:
    """Return where each stands."""
    rows = Shelf.objects.filter(pk__in=numbers(keys)).values_list("pk", "version")
    return {str(pk): version for pk, version in rows}


def read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    """Return what each says."""
    rows = Shelf.objects.filter(pk__in=numbers(since))
    return {str(row.pk): Reading(row.version, {"name": row.name}, events=[]) for row in rows}
