"""What a text from a stranger may hold: one rule for the API, pages, commands and sources."""

import re
import types
import unicodedata
from typing import Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticCustomError

ODD = "Contains a character that is not allowed (position {n})."
ODD_ENTRY = "Entry {entry} contains a character that is not allowed (position {n})."

# What breaks a line, steers a terminal or turns the direction of what follows: texts become titles,
# messages and lines of logs.
_STEERING = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
# They say of their own place alone which direction it has: real Arabic and Hebrew hold them. A line is what
# something is known by, and two that look the same must be the same.
_MARKS = "\u061c\u200e\u200f"
_ODD_IN_LINES = re.compile(f"[{_STEERING}]")
_ODD_IN_LINE = re.compile(f"[\t\n\r{_MARKS}{_STEERING}]")


def odd_at(text: str, *, lines: bool = False) -> int | None:
    """Return the position, from 1, of the first character that a text may not hold, None where all are fine.

    lines: it may have several lines, and tabs.
    """
    found = (_ODD_IN_LINES if lines else _ODD_IN_LINE).search(text)
    return None if found is None else found.start() + 1


def shows(text: str) -> bool:
    """Say whether anything of a text can be seen: not of spaces and of what has no width."""
    return any(not one.isspace() and unicodedata.category(one) != "Cf" for one in text)


def judged(value: Any, *, lines: bool = False) -> Any:
    """Return a text, or those of a list, without the space around; "" for a text of which nothing shows.

    Any other value comes back as it is. For pydantic, before its own checks. Raises PydanticCustomError
    bad_character for a text, or a list with one, that holds what it may not.
    """
    listed = isinstance(value, list)
    for entry, text in enumerate(value if listed else [value], 1):
        position = odd_at(text.strip(), lines=lines) if isinstance(text, str) else None
        if position is not None:
            before = len(text) - len(text.lstrip())  # told is where it stands in the text as given
            place = {"n": before + position} | ({"entry": entry} if listed else {})
            raise PydanticCustomError("bad_character", ODD_ENTRY if listed else ODD, place)
    if listed:  # what is not looked at must not stay
        return [one.strip() if isinstance(one, str) else one for one in value]
    if not isinstance(value, str):
        return value
    return value.strip() if shows(value) else ""


def is_word(annotation: Any) -> bool:
    """Say whether a field takes the words of a list alone."""
    if get_origin(annotation) in (Union, types.UnionType):
        return all(one is types.NoneType or is_word(one) for one in get_args(annotation))
    return get_origin(annotation) is Literal


def refuse(text: str, *, lines: bool = False) -> str:
    """Return a text that may be kept. Raises ValueError with a sentence for any other."""
    position = odd_at(text, lines=lines)
    if position is not None:
        raise ValueError(ODD.format(n=position))
    return text


def marked(text: str) -> str:
    """Return a text as it may be shown: a mark stands where something steers."""
    return _ODD_IN_LINES.sub("\ufffd", text)


def plain(text: str, most: int) -> str:
    """Return what was typed into a search or a filter, at most `most` characters, without what steers.

    The spaces within stay: names may have two of them.
    """
    return _ODD_IN_LINE.sub(" ", text).strip()[:most].rstrip()
