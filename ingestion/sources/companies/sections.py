"""A filing's text in passages: one for each Item whose body can be found, the rest between them.

Every heading comes at least twice, in the contents and before its text, and in cross references besides; of
all places that look like an Item's heading, its body follows the one with the longest text behind it. What is
too short, or is full of page numbers, is no body: some filers only refer to another document.
"""

import hashlib
import re
from dataclasses import dataclass
from itertools import zip_longest

SHORTEST = 1500  # characters of a body
MOST_PAGES = 1.5  # mentions of a page per 1,000 characters, from which a text is a table of contents
LONGEST = 100_000  # characters of one passage: full-text search takes no more than 1 MB of words
_HEADING = re.compile(r"^[ \t]*item\s{0,3}(\d{1,2}[ABC]?)\b[ \t]*[.:\u2013\u2014-]?[ \t]*(.*)$", re.I | re.M)
_PAGE = re.compile(r"\bpages?\s+\d+", re.IGNORECASE)
_TITLE = 120  # characters
TITLES = {
    "1": "Business",
    "1A": "Risk factors",
    "1B": "Unresolved staff comments",
    "1C": "Cybersecurity",
    "2": "Properties",
    "3": "Legal proceedings",
    "4": "Mine safety disclosures",
    "5": "Market for the registrant's equity",
    "7": "Management's discussion and analysis",
    "7A": "Market risk",
    "8": "Financial statements",
    "9A": "Controls and procedures",
    "10": "Directors",
    "11": "Executive compensation",
}


@dataclass(frozen=True)
class Part:
    """A passage of a text. item: empty for what is between sections."""

    item: str
    title: str
    text: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def split(text: str, form: str) -> list[Part]:
    """Cut a filing's text into passages, in its order, nothing twice and nothing left out."""
    titles = TITLES if form.startswith("10-K") else {}
    parts: list[Part] = []
    at = 0
    for start, end, item, title in _bodies(text):
        parts += _pieces("", "", text[at:start])
        parts += _pieces(item, titles.get(item, title), text[start:end])
        at = end
    return parts + _pieces("", "", text[at:])


def _bodies(text: str) -> list[tuple[int, int, str, str]]:
    """Return (start, end, item, title) of each Item's body, in order."""
    found = list(_HEADING.finditer(text))
    longest: dict[str, tuple[int, int, str, str]] = {}
    for match, following in zip_longest(found, found[1:]):
        item, end = match[1].upper(), following.start() if following else len(text)
        one = (match.start(), end, item, match[2].strip()[:_TITLE])
        if item not in longest or end - match.start() > longest[item][1] - longest[item][0]:
            longest[item] = one
    return sorted(one for one in longest.values() if _is_body(text[one[0] : one[1]]))


def _is_body(text: str) -> bool:
    return len(text) >= SHORTEST and len(_PAGE.findall(text)) * 1000 < MOST_PAGES * len(text)


def _pieces(item: str, title: str, text: str) -> list[Part]:
    text = text.strip()
    return [Part(item, title, text[n : n + LONGEST]) for n in range(0, len(text), LONGEST)]
