"""The text of an HTML page, by its headings. What is hidden, scripts and styles are left out."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import IO

from ingestion.sources.documents.parsing.blocks import MAX_HEADING, MAX_TITLE, Block, Facts, line, tidy
from ingestion.sources.documents.parsing.plain import decoded

_SKIPPED = {"script", "style", "noscript", "template", "svg", "math", "object", "iframe"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_BLOCKS = _HEADINGS | {
    "address", "article", "aside", "blockquote", "body", "br", "center", "dd", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hr", "li", "main", "nav", "ol", "p", "pre",
    "section", "table", "tr", "ul",
}  # fmt: skip
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_SOURCE_BREAK = "\x1e"


def parse(file: IO[bytes], most_pages: int) -> Iterator[Facts | Block]:
    """Yield the title, then a block for each heading. Raises Unreadable."""
    data = file.read()
    named = _CHARSET.search(data[:4096])
    parser = _Page()
    parser.feed(decoded(data, named[1].decode("ascii") if named else ""))
    parser.close()
    parser.end_section()
    yield Facts(title=line("".join(parser.title), MAX_TITLE))
    yield from parser.blocks


class _Page(HTMLParser):
    """Collects what a reader sees, cut at the headings."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self.blocks: list[Block] = []
        self._heading = ""
        self._pieces: list[str] = []
        self._in_heading: list[str] | None = None
        self._in_title = False
        self._preformatted = 0
        self._open: list[str] = []  # since the outermost hidden tag

    def end_section(self) -> None:
        """Keep the text since the last heading."""
        text = tidy("".join(self._pieces).replace(_SOURCE_BREAK, " "))
        if text:
            self.blocks.append(Block(text=text, heading=self._heading))
        self._pieces = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._open:
            if tag not in _VOID:
                self._open.append(tag)
            return
        values = dict(attrs)
        hidden = "hidden" in values or _HIDDEN.search(values.get("style") or "")
        if tag not in _VOID and (tag in _SKIPPED or hidden):
            self._open.append(tag)
            return
        if tag in _HEADINGS:
            self.end_section()
            self._in_heading = []
        self._in_title = self._in_title or tag == "title"
        self._preformatted += tag == "pre"
        if tag in ("td", "th"):
            self._pieces.append(" | ")
        elif tag in _BLOCKS:
            self._pieces.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._open and tag in _BLOCKS:
            self._pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._open:
            if tag in self._open:  # what was left open inside ends with it
                while self._open.pop() != tag:
                    pass
            return
        if tag in _HEADINGS and self._in_heading is not None:
            self._heading = line("".join(self._in_heading), MAX_HEADING)
            self._in_heading = None
        self._preformatted -= tag == "pre" and self._preformatted > 0
        if tag == "title":
            self._in_title = False
        elif tag in _BLOCKS:
            self._pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._open:
            return
        if self._in_title:
            self.title.append(data)
            return
        if self._in_heading is not None:
            self._in_heading.append(data)
        self._pieces.append(data if self._preformatted else data.replace("\n", _SOURCE_BREAK))
