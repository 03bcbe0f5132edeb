"""Cut a document into passages: never across a page or a heading, at ends of paragraphs and sentences."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingestion.sources.documents.parsing.blocks import Block

MAX_CHUNKS = 60_000  # of a document
_BREAKS = ("\n\n", "\n", (". ", "! ", "? ", "\u3002", "\uff01", "\uff1f", "\u06d4", "\u0964"), (" ",))
_SPACE = re.compile(r"\s")
LEAST_SHARE = 0.6  # of its size a chunk has at least, before it is cut at a better place


@dataclass(frozen=True)
class Passage:
    """A chunk before it is stored."""

    ordinal: int
    text: str
    page: int | None
    heading: str


def cut(blocks: Iterable[Block], size: int, overlap: int) -> list[Passage]:
    """Return the passages of a document, in order. size, overlap: in characters."""
    found: list[Passage] = []
    for block in blocks:
        for text in pieces(block.text, size, overlap):
            found.append(Passage(len(found), text, block.page, block.heading))
    return found


def pieces(text: str, size: int, overlap: int) -> Iterator[str]:
    """Yield overlapping pieces of at most `size` characters; those without letters or digits are left out."""
    start = 0
    while start < len(text):
        end = _end(text, start, size)
        piece = text[start:end].strip()
        if any(map(str.isalnum, piece)):
            yield piece
        if end >= len(text):
            return
        start = _start(text, start, end, overlap)


def _end(text: str, start: int, size: int) -> int:
    most = start + size
    if most >= len(text):
        return len(text)
    least = start + int(size * LEAST_SHARE)
    for signs in _BREAKS:
        places = [text.rfind(sign, least, most) for sign in ([signs] if isinstance(signs, str) else signs)]
        place = max(places)
        if place > 0:
            sign = text[place]
            return place + (0 if sign.isspace() else 1)
    while most > least and unicodedata.combining(text[most]):  # a letter keeps its marks
        most -= 1
    return most


def _start(text: str, start: int, end: int, overlap: int) -> int:
    """Return where the next piece begins: a little before the end of this one, at the start of a word."""
    begin = max(end - overlap, start + 1)
    blank = _SPACE.search(text, begin, end)
    begin = blank.end() if blank else begin
    while begin < end and unicodedata.combining(text[begin]):
        begin += 1
    return begin
