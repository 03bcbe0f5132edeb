"""What parsers give: blocks of text with their place, and refusals with a code. Imports nothing of Django."""

import re
from dataclasses import dataclass

MAX_HEADING = 300
MAX_TITLE = 200
# What PostgreSQL refuses, what no reader sees, and halves of characters.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\xad\u200b\ufeff\ufffe\uffff\ud800-\udfff]")
# Two letters that a font draws as one: nobody types them into a search.
_LIGATURES = str.maketrans(
    dict(
        zip(
            "\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06",
            ("ff", "fi", "fl", "ffi", "ffl", "st", "st"),
            strict=True,
        )
    )
)
_STEERING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # would turn the line it is shown in
_BLANKS = re.compile(r"[^\S\n\f]{2,}|[^\S \n\f]")  # but one that is single already: most are
_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Block:
    """A piece of text: on which page, or under which heading."""

    text: str
    page: int | None = None
    heading: str = ""


@dataclass(frozen=True)
class Facts:
    """What a document says of itself. notes: sentences about what was left out."""

    pages: int | None = None
    title: str = ""
    notes: tuple[str, ...] = ()


class Unreadable(Exception):
    """A document that cannot be read, and why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def tidy(text: str) -> str:
    """Return text without control characters, with single blanks and at most one empty line in a row."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = text.translate(_LIGATURES).replace("\u2028", "\n")
    text = _BLANKS.sub(" ", _UNWANTED.sub("", text))
    return _LINES.sub("\n\n", text.replace(" \n", "\n").replace("\n ", "\n")).strip()


def line(text: str, most: int) -> str:
    """Return text as one line of at most so many characters, in the direction of its letters."""
    return " ".join(_STEERING.sub("", tidy(text)).split())[:most]
