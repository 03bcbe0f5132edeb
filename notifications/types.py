"""The kinds of notifications: each app declares its own when apps are ready.

A kind says what it is called in the settings, and which channels carry it for who never chose.
"""

from collections.abc import Collection
from dataclasses import dataclass

from notifications.models import Channel, Level


@dataclass(frozen=True)
class Type:
    """One kind. channels: those that are on for a user without a choice of their own."""

    name: str
    label: str
    level: Level
    channels: frozenset[Channel]


_types: dict[str, Type] = {}


def declare(
    name: str,
    label: str,
    *,
    level: Level = Level.INFO,
    channels: Collection[Channel] = (Channel.INBOX, Channel.WEBHOOK),
) -> Type:
    """Make a kind known. Twice is fine, the last counts.

    Args:
        name: stored with each row, at most 60 characters.
        label: for people, in the plural: "Failed jobs".
        level: of a notification that names none.
        channels: that carry it unless the user says otherwise.
    """
    _types[name] = Type(name, label, level, frozenset(channels))
    return _types[name]


def declared() -> dict[str, Type]:
    """Return all kinds by name, in the order of their declaration."""
    return dict(_types)


def find(name: str) -> Type | None:
    """Return a kind, None when nobody declared it."""
    return _types.get(name)
