"""The readable text of a filing's document: HTML, inline XBRL, plain text, or a whole submission."""

import re
from html.parser import HTMLParser

# Hidden parts of inline XBRL, and what is not text.
_SKIPPED = {"script", "style", "head", "title", "ix:header", "ix:hidden", "noscript"}
_IN_HEAD = {"base", "link", "meta", "title", "style", "script", "noscript", "template"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
_BLOCKS = {
    "address", "article", "blockquote", "center", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "li", "ol", "p", "pre", "section", "table", "tr", "ul", "br", "body", "page",
}  # fmt: skip
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_DOCUMENT = re.compile(rb"<DOCUMENT>(.*?)(?:</DOCUMENT>|\Z)", re.DOTALL | re.IGNORECASE)
_TYPE = re.compile(rb"<TYPE>([^\r\n<]*)", re.IGNORECASE)
_TEXT = re.compile(rb"<TEXT>(.*?)(?:</TEXT>|\Z)", re.DOTALL | re.IGNORECASE)
_MARKUP = re.compile(r"<(?:html|body|p|div|table|font|br)\b", re.IGNORECASE)
_SOURCE_BREAK = "\x1e"
PLAIN_RATIO = 20  # line breaks of the source for each tag that begins a line
_HEAD = 200_000  # characters that are looked at to tell HTML from plain text
_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\n{3,}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\ufeff]")
_PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})


def text_of(content: bytes, form: str) -> str:
    """Return the text of a document. form: which of several documents is wanted, "10-K"."""
    source = _decoded(_inner(content, form))
    if not _MARKUP.search(source[:_HEAD]):
        return _tidy(_untagged(source))
    parser = _Text()
    parser.feed(source)
    parser.close()
    text = "".join(parser.pieces)
    # A line break of the source is a space for the reader, unless it is plain text within a few tags.
    plain = text.count(_SOURCE_BREAK) > PLAIN_RATIO * max(parser.blocks, 1)
    return _tidy(text.replace(_SOURCE_BREAK, "\n" if plain else " "))


def _inner(content: bytes, form: str) -> bytes:
    """Unwrap <DOCUMENT><TYPE>...<TEXT>: of before 2019, and of whole submissions, which have several."""
    documents = _DOCUMENT.findall(content)
    if not documents:
        return content
    wanted = form.removesuffix("/A").encode()
    named = [one for one in documents if (found := _TYPE.search(one)) and found[1].strip().startswith(wanted)]
    chosen = (named or documents)[0]
    inner = _TEXT.search(chosen)
    return inner[1] if inner else chosen


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")  # what writers of HTML before UTF-8 used


def _untagged(text: str) -> str:
    # Plain text of the 1990s marks pages and table columns with tags of its own.
    return re.sub(r"</?[A-Z]{1,10}>", " ", text)


def _tidy(text: str) -> str:
    text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).translate(_PLAIN)
    lines = (_BLANKS.sub(" ", line).strip() for line in text.split("\n"))
    return _LINES.sub("\n\n", "\n".join(lines)).strip()


class _Text(HTMLParser):
    """Collects what a reader sees. A tag left open within a hidden one hides nothing behind that."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.blocks = 0  # tags that begin a line
        self._open: list[str] = []  # since the outermost hidden tag

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body" or (self._open == ["head"] and tag not in _IN_HEAD):
            self._open.clear()  # the end tag of `head` may be left out, as writers by hand did
        if self._open:
            if tag not in _VOID:
                self._open.append(tag)
            return
        style = next((value for name, value in attrs if name == "style" and value), "")
        if tag not in _VOID and (tag in _SKIPPED or _HIDDEN.search(style)):
            self._open.append(tag)
        elif tag in ("td", "th"):
            self.pieces.append(" ")
        elif tag in _BLOCKS:
            self.blocks += 1
            self.pieces.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._open and tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._open:
            if tag in self._open:  # what was left open inside ends with it
                while self._open.pop() != tag:
                    pass
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._open:
            self.pieces.append(data.replace("\r", "").replace("\n", _SOURCE_BREAK))
