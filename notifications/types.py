"""The kinds of notifications: each app declares its own in its `types.py`, loaded when apps are ready.

A kind says what it is called in the settings, and which channels carry it for who never chose.
"""

from collections.abc import Collection
from dataclasses import dataclass

from notifications.models import Channel, Level

OTHER = "Other"  # the group of a kind that names none, or that nobody declares any more
CHANNELS = (Channel.INBOX, Channel.WEBHOOK)  # of a kind that names none
WITH_EMAIL = (*CHANNELS, Channel.EMAIL)


class UnknownType(ValueError):
    """Somebody would be told something of a kind that no app declares."""


@dataclass(frozen=True)
class Type:
    """One kind.

    channels: those that are on for a user without a choice of their own. group: the word of the inbox's
    filter. many: how a burst of them is drawn, with `{n}`; empty: each by itself, as each wants something.
    """

    name: str
    label: str
    level: Level
    channels: frozenset[Channel]
    group: str = OTHER
    many: str = ""


_types: dict[str, Type] = {}


def declare(
    name: str,
    label: str,
    *,
    level: Level = Level.INFO,
    channels: Collection[Channel] = CHANNELS,
    group: str = OTHER,
    many: str = "",
) -> Type:
    """Make a kind known. Twice is fine, the last counts.

    Args:
        name: stored with each row, at most 60 characters.
        label: for people, in the plural: "Failed jobs".
        level: of a notification that names none.
        channels: that carry it unless the user says otherwise.
        group: the word of the inbox's type filter.
        many: how three or more within 10 minutes are drawn as one, for example "{n} jobs are done".
    """
    _types[name] = Type(name, label, level, frozenset(channels), group, many)
    return _types[name]


def declared() -> dict[str, Type]:
    """Return all kinds by name, in the order of their declaration."""
    return dict(_types)


def find(name: str) -> Type | None:
    """Return a kind, None when nobody declared it."""
    return _types.get(name)


def known(name: str) -> Type:
    """Return a kind. Raises UnknownType."""
    kind = _types.get(name)
    if kind is None:
        raise UnknownType(f"No type of notification {name!r}")
    return kind


def groups() -> list[str]:
    """Return the words of the type filter; rows outlive the app that declared their type."""
    return sorted({OTHER, *(one.group for one in _types.values())})


def group_of(name: str) -> str:
    """Return the group of a kind, declared or not."""
    kind = _types.get(name)
    return kind.group if kind is not None else OTHER


def names_of(group: str) -> list[str]:
    """Return the names of a group's declared kinds; none for a word that is no group."""
    return [one.name for one in _types.values() if one.group == group]


def names_beside(group: str) -> list[str]:
    """Return the names of all declared kinds of other groups."""
    return [one.name for one in _types.values() if one.group != group]


# What the service itself says, and the names under which programs tell their users of work of their own
# (seeds S2.50 to S2.55); the sixth, `task_complete`, is a job's, see `ingestion/types.py`.
declare("system", "Announcements", group="System")
declare("webhook_test", "Tests of your webhook", group="System")
declare(
    "auto_ingest_complete",
    "Finished collections",
    level=Level.SUCCESS,
    group="Articles",
    many="{n} topics were collected",
)
declare(
    "auto_ingest_error",
    "Failed collections",
    level=Level.ERROR,
    channels=WITH_EMAIL,
    group="Articles",
    many="{n} topics could not be collected",
)
declare(
    "evaluation_complete",
    "Finished evaluations",
    level=Level.SUCCESS,
    group="Articles",
    many="{n} evaluations have finished",
)
declare(
    "article_analysis",
    "Finished analyses",
    level=Level.SUCCESS,
    group="Articles",
    many="{n} analyses have finished",
)
