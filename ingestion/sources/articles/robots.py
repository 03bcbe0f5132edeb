"""What a host lets robots read: RFC 9309, as much of it as concerns who reads single pages."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ingestion.sources.articles import addresses

NAME = "headway"
MOST_BYTES = 500 * 1024  # RFC 9309, 2.5
MOST_RULES = 2_000  # of those that are ours
MOST_DELAY = 10.0  # seconds between two pages that we grant at most


@dataclass(frozen=True)
class Rules:
    """What we may read, and how long to wait between. rules: (allowed, path), the longest path counts."""

    rules: tuple[tuple[bool, str], ...] = ()
    delay: float = 0.0

    def allow(self, url: str) -> bool:
        """Say whether a page may be read."""
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        fitting = [(len(rule), allowed) for allowed, rule in self.rules if _fits(rule, path)]
        return max(fitting)[1] if fitting else True  # of two that are as long, the one that allows


NOTHING = Rules(((False, "/"),))
ANYTHING = Rules()


def parse(text: str) -> Rules:
    """Return the rules for us: of the groups that name us, else of those for everybody."""
    groups: dict[str, list[tuple[bool, str]]] = {}
    delays: dict[str, float] = {}
    names: set[str] = set()
    open_to_names = False
    for line in text.removeprefix("\ufeff").splitlines():
        field, colon, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if not colon:
            continue
        if field == "user-agent":
            name = NAME if value.lower().split("/")[0] == NAME else value.lower()
            # Rules for others are not kept: of thousands of names with thousands of rules there is no end.
            ours = {name} & {NAME, "*"}
            names = names | ours if open_to_names else ours
            open_to_names = True
            for one in ours:
                groups.setdefault(one, [])
        elif field in ("allow", "disallow"):
            open_to_names = False
            for name in names:
                if value and len(groups[name]) < MOST_RULES:
                    groups[name].append((field == "allow", addresses.escaped(value)))
        elif field == "crawl-delay":
            open_to_names = False
            for name in names:
                delays[name] = _seconds(value)
    group = NAME if NAME in groups else "*"
    return Rules(tuple(groups.get(group, ())), delays.get(group, 0.0))


def _seconds(value: str) -> float:
    return min(float(value), MOST_DELAY) if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", value) else 0.0


def _fits(rule: str, path: str) -> bool:
    """Say whether a rule is about a path: `*` is anything, `$` at its end is the end.

    Piece by piece, never as a pattern: what strangers write must not make us search for long.
    """
    ends = rule.endswith("$")
    first, *others = rule.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    for n, piece in enumerate(others):
        if ends and n == len(others) - 1:
            return len(path) - len(piece) >= at and path.endswith(piece)
        found = path.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return at == len(path) if ends else True
