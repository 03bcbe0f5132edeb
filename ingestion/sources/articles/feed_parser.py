"""Read the text of a feed, in a process of its own within limits.

`python -m ingestion.sources.articles.feed_parser ADDRESS` takes the text on its standard input and gives one
JSON object. Some inputs cost its parser time that grows with their square: the limit on CPU ends these.
It has no database, no secrets, no settings.
"""

import hashlib
import html
import io
import json
import os
import re
import resource
import sys
from calendar import timegm
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import feedparser
import lxml.html
from lxml import etree

CPU_SECONDS = 10
MEMORY_BYTES = 1 << 30  # of address space
MAX_TITLE = 500
MAX_TEXT = 20_000
MAX_AUTHOR = 200
MAX_URL = 2_000
MAX_ID = 500
EARLIEST, LATEST = 1970, 2200  # years; what is outside is a mistake
# What the parser has raised, or might, on input that nobody thought of.
_BREAKS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_INLINE = re.compile(
    r"</?(?:a|abbr|b|br|cite|code|em|i|q|small|span|strong|sub|sup|u|wbr)(?:\s[^<>]*)?/?>", re.IGNORECASE
)
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SPACE = re.compile(r"\s+")
_SECONDS = re.compile(r"1\d{9}(\d{3})?")  # since 1970, or thousandths of them
_UNSEEN = ("script", "style", "template", "noscript", "iframe", "object")


@dataclass(frozen=True)
class Entry:
    """What a feed says of one article.

    id: what makes it the same entry another time. url: http or https, empty where none is given; then
    `problem` is the code of what is missing. published: None where no date is given that can be one.
    """

    id: str
    url: str
    title: str = ""
    text: str = ""
    author: str = ""
    published: datetime | None = None
    problem: str = ""


@dataclass(frozen=True)
class Reading:
    """What the parser made of a feed.

    damaged: not all of it could be read. bare: nothing in it is a feed's.
    """

    title: str
    url: str
    language: str
    entries: tuple[Entry, ...]
    damaged: bool
    bare: bool


def read(data: bytes, address: str) -> Reading:
    """Read a feed in UTF-8. address: where relative links are meant from."""
    headers = {"content-type": "application/xml; charset=utf-8", "content-location": address}
    try:
        # Bytes as such would be taken for the name of a file. Markup goes below, all of it.
        found = feedparser.parse(
            io.BytesIO(data), response_headers=headers, sanitize_html=False, resolve_relative_uris=False
        )
    except _BREAKS:
        return Reading("", "", "", (), damaged=True, bare=True)
    return Reading(
        title=plain(found.feed.get("title", ""))[:MAX_TITLE],
        url=_web(str(found.feed.get("link") or ""), address),
        language=str(found.feed.get("language") or "")[:20],
        entries=tuple(_once(_entry(one, address) for one in found.entries)),
        damaged=bool(found.bozo),
        bare=not found.feed and not found.entries,
    )


def as_json(reading: Reading) -> bytes:
    """Return a reading as JSON."""
    return json.dumps(asdict(reading), default=datetime.isoformat).encode()


def from_json(data: bytes) -> Reading:
    """Return the reading that `as_json` wrote."""
    values = json.loads(data)
    entries = []
    for one in values.pop("entries"):
        moment = one.pop("published")
        entries.append(Entry(**one, published=datetime.fromisoformat(moment) if moment else None))
    return Reading(**values, entries=tuple(entries))


def _once(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Leave out what stands twice: pages of a feed move while their publisher writes them."""
    seen: set[str] = set()
    for one in entries:
        key = one.url or one.id
        if key not in seen:
            seen.add(key)
            yield one


def _entry(raw: Any, address: str) -> Entry:
    url = _link(raw, address)
    title = plain(raw.get("title", ""))[:MAX_TITLE]
    texts = [str(raw.get("summary") or ""), *(str(one.get("value") or "") for one in raw.get("content", ()))]
    text = _clean(words(max(texts, key=len)))[:MAX_TEXT]
    guid = str(raw.get("id") or "").strip()
    return Entry(
        id=(guid or url or _digest(title, text))[:MAX_ID],
        url=url,
        title=title,
        text=text,
        author=plain(raw.get("author", ""))[:MAX_AUTHOR],
        published=_moment(raw),
        problem="" if url else "rss_no_link" if guid or raw.get("link") else "rss_no_id",
    )


def _link(raw: Any, address: str) -> str:
    """Return the page of an entry: what a redirecting service says it stands for, its link, or its guid."""
    for value in (raw.get("feedburner_origlink"), raw.get("link"), *_others(raw)):
        if url := _web(str(value or ""), address):
            return target(url)
    return ""


def _others(raw: Any) -> Iterator[Any]:
    for one in raw.get("links", ()):
        if one.get("rel", "alternate") == "alternate":
            yield one.get("href")
    if raw.get("guidislink"):
        yield raw.get("id")


def target(url: str) -> str:
    """Return where a link of Google's leads: a service of alerts wraps each of its links in one."""
    parts = urlsplit(url)
    if (parts.hostname or "").removeprefix("www.").startswith("google.") and parts.path == "/url":
        query = parse_qs(parts.query, max_num_fields=50)
        for name in ("url", "q"):
            if found := _web(query.get(name, [""])[0], url):
                return found
    return url


def _web(value: str, address: str) -> str:
    """Return an absolute address of the web, or an empty text."""
    value = "".join(value.split())
    try:
        url = urljoin(address, value) if value else ""
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return ""
    return url if good and len(url) <= MAX_URL else ""


def _moment(raw: Any) -> datetime | None:
    """Return when an entry was published, else when it was changed; None where neither can be."""
    for name in ("published", "updated", "created"):
        said, given = str(raw.get(name) or "").strip(), raw.get(f"{name}_parsed")
        if _SECONDS.fullmatch(said):  # which would be taken for a year, a month and so on
            return datetime.fromtimestamp(int(said[:10]), UTC)
        if given is not None and EARLIEST <= given.tm_year <= LATEST:
            return datetime.fromtimestamp(timegm(given), UTC)
    return None


def plain(value: Any) -> str:
    """Return a title as text: marks of style go, what is no markup stays as it stands. (UP76)"""
    text = _INLINE.sub("", str(value or "")[: MAX_TITLE * 20])
    return _clean(_SPACE.sub(" ", html.unescape(text)).strip())


def words(markup: str) -> str:
    """Return what one would read of a piece of HTML, in one line. (UP77)"""
    if "<" not in markup and "&" not in markup:
        return _SPACE.sub(" ", markup).strip()
    try:
        tree = lxml.html.fragment_fromstring(markup, create_parent="div")
    except (etree.ParserError, ValueError):
        return ""
    etree.strip_elements(tree, *_UNSEEN, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    return _SPACE.sub(" ", " ".join(tree.itertext())).strip()


def _digest(*texts: str) -> str:
    return "sha256:" + hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _clean(text: str) -> str:
    return _IMPOSSIBLE.sub("", text)


def main() -> int:
    """Read the feed that comes on the standard input."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no file
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data = sys.stdin.buffer.read()
    try:
        said = as_json(read(data, sys.argv[1]))
    except MemoryError:
        return 1
    sys.stdout.buffer.write(said)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    os._exit(main())  # nothing to tidy up; what a broken feed left behind may take long to let go
