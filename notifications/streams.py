"""The streams `user:<pk>`, put together from parts that apps contribute, and `broadcast`, one for all."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from notifications import newest
from notifications.models import Broadcasts, Inbox
from realtime import streams
from realtime.streams import JsonObject, Reading

Part = Callable[[Collection[int]], Mapping[int, JsonObject]]
_parts: dict[str, Part] = {}


def contribute(name: str, read: Part) -> None:
    """Add a part to every user's stream. Called from `AppConfig.ready`.

    read: gives the part of each of these users, in a fixed number of queries. Whoever changes what it says
        calls `inbox.touch` in the same transaction.
    """
    _parts[name] = read


def register() -> None:
    """Make both kinds known, and contribute `inbox` to the users' streams."""
    streams.register(streams.Kind(name="user", visible=_visible, versions=_versions, read=_read))
    streams.register(
        streams.Kind(name="broadcast", visible=_heard_by, versions=_versions_of_all, read=_read_broadcasts)
    )
    contribute("inbox", newest.inboxes)


def _visible(user: Any, keys: Iterable[str]) -> set[str]:
    if not user.is_authenticated or not user.is_active:
        return set()
    return {key for key in keys if key == str(user.pk)}


def _versions(keys: Iterable[str]) -> dict[str, int]:
    users = streams.numbers(keys)
    # A user without a row stands at 0: nothing of theirs has moved yet.
    found = dict(Inbox.objects.filter(pk__in=users).values_list("pk", "version"))
    return {str(user): found.get(user, 0) for user in users}


def _read(since: Mapping[str, int | None]) -> dict[str, Reading]:
    users = streams.numbers(since)
    with streams.snapshot():
        versions = _versions(since)
        parts = {name: read(users) for name, read in _parts.items()}
    return {
        str(user): Reading(
            version=versions[str(user)],
            data={name: dict(part.get(user, {})) for name, part in parts.items()},
            events=[],
        )
        for user in users
    }


def _heard_by(user: Any, keys: Iterable[str]) -> set[str]:
    return {key for key in keys if not key} if user.is_authenticated and user.is_active else set()


def _versions_of_all(keys: Iterable[str]) -> dict[str, int]:
    if "" not in set(keys):
        return {}
    return {"": Broadcasts.objects.values_list("version", flat=True).first() or 0}


def _read_broadcasts(since: Mapping[str, int | None]) -> dict[str, Reading]:
    with streams.snapshot():
        versions = _versions_of_all(since)
        data = newest.broadcasts_for_all()
    return {key: Reading(version=version, data=data, events=[]) for key, version in versions.items()}
