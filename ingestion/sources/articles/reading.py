"""The article in a page: its text, title, author and date, and its own address.

Pages are parsed and judged by processes of their own, see parsing.py.
"""

import gzip
import hashlib
import io
import re
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

from ingestion.source import SourceError
from ingestion.sources.articles import addresses
from ingestion.sources.articles.analysis import Judgement, Wanted
from ingestion.sources.articles.fetching import MOST_BYTES, Fetched
from ingestion.sources.articles.parsing import parser
from ingestion.sources.articles.words import fold


@dataclass
class Page:
    """An article as it was read."""

    url: str
    title: str
    text: str
    author: str = ""
    site: str = ""
    description: str = ""
    language: str = ""
    published_at: datetime | None = None
    passed: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    @cached_property
    def text_hash(self) -> str:
        """Return what two pages with the same text have in common."""
        return hashlib.sha256(fold(self.text).encode()).hexdigest()


def read(fetched: Fetched) -> Page:
    """Return the article in a page. Raises SourceError when there is none."""
    return _page(fetched, parser.ask(_asked(fetched), _unzipped(fetched.content))["page"])


def read_for(fetched: Fetched, topic: Wanted, *, compare: bool = True) -> tuple[Page, Judgement]:
    """Return the article in a page, and what it says of a topic. Raises SourceError when there is none.

    compare: see `analysis.judge`.
    """
    question = {**_asked(fetched), "topic": _topic(topic, compare)}
    said = parser.ask(question, _unzipped(fetched.content))
    page = _page(fetched, said["page"])
    told = said.get("told")  # not of one that we gave a title
    return page, judged(page, topic, compare=compare) if told is None else Judgement.of(told)


def judged(page: Page, topic: Wanted, *, compare: bool = True) -> Judgement:
    """Return what an article says of a topic. Raises SourceError.

    As `analysis.judge` says it, where neither its text nor the encoder can take time or memory of ours.
    """
    text = {"title": page.title, "text": page.text, "language": page.language}
    said = parser.ask({"page": text, "topic": _topic(topic, compare)})
    return Judgement.of(said["told"])


def _asked(fetched: Fetched) -> dict[str, Any]:
    return {"url": fetched.url, "type": fetched.content_type, "charset": fetched.charset}


def _topic(topic: Wanted, compare: bool) -> dict[str, Any]:
    return {"text": topic.text, "keywords": topic.keywords, "compare": compare}


def _page(fetched: Fetched, found: dict[str, Any]) -> Page:
    url = _own_address(found["own"], fetched.url)
    return Page(
        url=url,
        title=found["title"] or _name_in(url),
        text=found["text"],
        author=found.get("author", ""),
        site=found.get("site") or addresses.host_of(url)[:200],
        description=found.get("description", ""),
        language=found["language"],
        published_at=_moment(found.get("date")),
        passed=fetched.passed,
        notes=found["notes"],
    )


def _unzipped(content: bytes) -> bytes:
    """Return a page that its host keeps packed and serves as it is. Raises SourceError."""
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            found = packed.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError("url_bad_answer", "The page could not be unpacked.") from error
    if len(found) > MOST_BYTES:
        raise SourceError("url_too_large", f"The page is larger than {MOST_BYTES // 1024**2} MB.")
    return found


def _own_address(links: list[str], url: str) -> str:
    """Return the address that a page calls its own, of its own host and port: it may claim no other.

    Whether it is believed, `keeping.save` decides.
    """
    for link in links:
        try:
            own = addresses.joined(url, link)
        except SourceError:
            continue
        if (urlsplit(own).hostname, urlsplit(own).port) == (urlsplit(url).hostname, urlsplit(url).port):
            return own
    return url


def _name_in(url: str) -> str:
    parts = urlsplit(url)
    last = unquote(parts.path.rstrip("/").rpartition("/")[2])
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|[-_]+", " ", last)
    return " ".join(plain.split())[:500] or parts.netloc


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)).replace(tzinfo=UTC) if value else None
    except ValueError:
        return None
