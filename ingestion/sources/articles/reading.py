"""The article in a page: its text, title, author and date; its own address; and how its bytes are read."""

import gzip
import hashlib
import io
import re
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import charset_normalizer
from lxml import etree, html

from ingestion.source import SourceError
from ingestion.sources.articles import addresses
from ingestion.sources.articles.fetching import MOST_BYTES, Fetched
from ingestion.sources.articles.words import fold

MOST_TEXT = 65_000  # characters of an article that we keep
LEAST_LANGUAGE = 40  # letters from which a language can be told
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_META = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_\-:.]{2,40})", re.I)
# What pages that claim these really hold (WHATWG Encoding).
_WIDER = {
    "ascii": "cp1252",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "ks_c_5601-1987": "cp949",
    "latin-1": "cp1252",
    "shift_jis": "cp932",
    "us-ascii": "cp1252",
}


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

    @property
    def text_hash(self) -> str:
        """Return what two pages with the same text have in common."""
        return hashlib.sha256(fold(self.text).encode()).hexdigest()


def read(fetched: Fetched) -> Page:
    """Return the article in a page. Raises SourceError when there is none."""
    # Here: it takes half a second and 60 MB, which only workers that read pages need.
    import trafilatura

    text, notes = decoded(fetched.content, fetched.content_type)
    if fetched.content_type == "text/plain":
        return _plain(fetched, text, notes)
    try:
        tree = html.document_fromstring(
            text.encode("utf-8", "replace"), parser=html.HTMLParser(encoding="utf-8")
        )
    except (etree.LxmlError, ValueError, AssertionError) as error:
        raise _no_text() from error
    url = _own_address(tree, fetched.url)
    found = trafilatura.bare_extraction(text, url=fetched.url, include_comments=False, with_metadata=True)
    body = _clean(getattr(found, "text", "") or "")
    if not body:
        raise _no_text()
    values = {
        name: _line(getattr(found, name, "")) for name in ("title", "author", "sitename", "description")
    }
    page = Page(
        url=url,
        title=(values["title"] or _line(tree.findtext(".//title")) or _name_in(url))[:500],
        text=_cut(body, notes),
        author=values["author"][:300],
        site=(values["sitename"] or addresses.host_of(url))[:200],
        description=values["description"][:1000],
        published_at=_moment(getattr(found, "date", None)),
        passed=fetched.passed,
        notes=notes,
    )
    page.language = language_of(page.text)
    return page


def decoded(content: bytes, content_type: str = "") -> tuple[str, list[str]]:
    """Return text and notes on it: by its marks, as UTF-8, as it claims, else as its letters tell."""
    if content[:2] == b"\x1f\x8b":
        content = _unzipped(content)
    for mark, codec in _MARKS.items():
        if content.startswith(mark):
            return _counted(content.decode(codec, "replace"))
    try:
        return _counted(content.decode("utf-8"))  # what is wrongly UTF-8 is seldom anything else
    except UnicodeDecodeError:
        pass
    claimed = _META.search(content[:4096])
    codec = claimed[1].decode().lower() if claimed else ""
    try:
        return _counted(content.decode(_WIDER.get(codec, codec or "utf-8")))
    except (UnicodeError, LookupError):  # "idna" and "undefined" raise no UnicodeDecodeError
        best = charset_normalizer.from_bytes(content[:200_000]).best()
    return _counted(content.decode(best.encoding if best else "utf-8", "replace"))


def language_of(text: str) -> str:
    """Return the ISO 639-1 code of a text's language, or an empty text when it cannot be told."""
    import py3langid

    sample = text[:5_000]
    return str(py3langid.classify(sample)[0]) if sum(map(str.isalpha, sample)) >= LEAST_LANGUAGE else ""


def _unzipped(content: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            found = packed.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError("url_bad_answer", "The page could not be unpacked.") from error
    if len(found) > MOST_BYTES:
        raise SourceError("url_too_large", f"The page is larger than {MOST_BYTES // 1024**2} MB.")
    return found


def _counted(text: str) -> tuple[str, list[str]]:
    bad = text.count("\ufffd")
    note = f"{bad:,} character{'s' * (bad != 1)} of the page could not be read."
    return text.replace("\0", ""), [note] if bad else []


def _own_address(tree: Any, url: str) -> str:
    """Return the address that a page calls its own, of its own host and port: it may claim no other."""
    for link in tree.iterfind(".//link[@rel='canonical']"):
        try:
            own = addresses.joined(url, link.get("href") or "")
        except SourceError:
            continue
        if (urlsplit(own).hostname, urlsplit(own).port) == (urlsplit(url).hostname, urlsplit(url).port):
            return own
    return url


def _plain(fetched: Fetched, text: str, notes: list[str]) -> Page:
    body = _clean(text)
    if not body:
        raise _no_text()
    page = Page(
        url=fetched.url,
        title=_line(body.split("\n")[0])[:200] or _name_in(fetched.url),
        text=_cut(body, notes),
        site=addresses.host_of(fetched.url)[:200],
        passed=fetched.passed,
        notes=notes,
    )
    page.language = language_of(page.text)
    return page


def _cut(text: str, notes: list[str]) -> str:
    if len(text) > MOST_TEXT:
        notes.append(f"Of {len(text):,} characters the first {MOST_TEXT:,} are kept.")
    return text[:MOST_TEXT]


def _clean(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.replace("\0", "").splitlines())
    return "\n".join(line for line in lines if line)


def _line(value: Any) -> str:
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", " ", str(value or "")).split())


def _name_in(url: str) -> str:
    parts = urlsplit(url)
    last = unquote(parts.path.rstrip("/").rpartition("/")[2])
    return _line(re.sub(r"[-_]+", " ", last)) or parts.netloc


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)).replace(tzinfo=UTC) if value else None
    except ValueError:
        return None


def _no_text() -> SourceError:
    return SourceError("no_text", "No article was found on this page.")
