"""Plain text and Markdown, in any usual encoding."""

import io
import re
from collections.abc import Iterator
from typing import IO

from ingestion import encodings
from ingestion.errors import SourceError
from ingestion.sources.documents.parsing.blocks import (
    MAX_HEADING,
    MAX_TITLE,
    Block,
    Facts,
    Unreadable,
    line,
    tidy,
)

_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")


def parse_text(file: IO[bytes], most_pages: int) -> Iterator[Facts | Block]:
    """Yield the text; where it has form feeds, page by page. Raises Unreadable."""
    pages = decoded(file.read()).split("\f")
    yield Facts(pages=len(pages) if len(pages) > 1 else None)
    for number, text in enumerate(pages, 1):
        yield Block(text=tidy(text), page=number if len(pages) > 1 else None)


def parse_markdown(file: IO[bytes], most_pages: int) -> Iterator[Facts | Block]:
    """Yield a block for each heading; what stands in fences is no heading. Raises Unreadable."""
    heading, body, fence, title = "", [], "", ""  # type: str, list[str], str, str
    blocks = []
    for text in decoded(file.read()).splitlines():
        opened = _FENCE.match(text)
        if fence:
            fence = "" if opened and opened[1].startswith(fence) else fence
        elif opened:
            fence = opened[1]
        else:
            atx = _ATX.fullmatch(text)
            under = _SETEXT.fullmatch(text) if body and body[-1].strip() and not atx else None
            if under and len(body[-1]) < MAX_HEADING and (len(body) == 1 or not body[-2].strip()):
                head = body.pop()
            elif atx:
                head = atx[2]
            else:
                body.append(text)
                continue
            blocks.append(Block(text=tidy("\n".join(body)), heading=heading))
            heading = line(head, MAX_HEADING)
            title = title or heading[:MAX_TITLE]
            body = [heading]
            continue
        body.append(text)
    blocks.append(Block(text=tidy("\n".join(body)), heading=heading))
    yield Facts(title=title)
    yield from blocks


def decoded(data: bytes, named: str = "") -> str:
    """Return bytes as text. named: what the document says of its encoding, believed where it fits.

    Raises Unreadable encoding.
    """
    marked = encodings.from_mark(data[:8])
    if marked is None and named and encodings.from_zeros(data[: 64 << 10]) is None:
        try:
            return data.decode(named)
        except (LookupError, UnicodeDecodeError):
            pass  # it says what it is not
    try:
        name, mark = encodings.recognise(io.BytesIO(data))
        return data[mark:].decode(name)
    except (SourceError, UnicodeDecodeError) as error:
        raise Unreadable("encoding") from error
