"""What `about` texts are called and where they lead: each app names its own kinds when apps are ready."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class About:
    """What a user follows or has muted, for people."""

    about: str
    title: str
    url: str = ""


# Gives title and address of those of these keys that this user may see, in a fixed number of queries.
Describe = Callable[[Any, Collection[str]], Mapping[str, tuple[str, str]]]
_kinds: dict[str, Describe] = {}


def register(kind: str, describe: Describe) -> None:
    """Let objects of one kind, such as `job` of `job:<uuid>`, show by name. Called from `AppConfig.ready`."""
    _kinds[kind] = describe


def describe(user: Any, abouts: Iterable[str]) -> list[About]:
    """Return these with their names, in their order; what nobody can name shows as it is written."""
    wanted = list(abouts)
    keys: dict[str, list[str]] = {}
    for about in wanted:
        kind, _, key = about.partition(":")
        keys.setdefault(kind, []).append(key)
    named = {
        f"{kind}:{key}": found
        for kind, of_kind in keys.items()
        if kind in _kinds
        for key, found in _kinds[kind](user, of_kind).items()
    }
    return [About(about, *named.get(about, (about, ""))) for about in wanted]
