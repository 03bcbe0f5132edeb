"""What stands in a page of a stranger. Called in a process of its own, see page_process.py."""

import re
from typing import Any

import charset_normalizer
import py3langid
import trafilatura
from lxml import etree, html

from ingestion.errors import SourceError

MOST_TEXT = 65_000  # characters of an article that we keep
MOST_LINKS = 10  # of those by which a page names itself
LONGEST_LINK = 4_000
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


def read(content: bytes, url: str, content_type: str = "", charset: str = "") -> dict[str, Any]:
    """Return what stands in a page: title, text, author, site, description, date, language, notes, own.

    own: the addresses that it gives as its own, as they stand there. Raises SourceError.
    """
    text, notes = decoded(content, charset)
    if content_type == "text/plain":
        body = _clean(text)
        values: dict[str, Any] = {"title": _line(body.partition("\n")[0])[:200], "own": []}
    else:
        values = _extracted(text, url)
        body = values.pop("text")
    if not body:
        raise no_text()
    if len(body) > MOST_TEXT:
        notes.append(f"Of {len(body):,} characters the first {MOST_TEXT:,} are kept.")
    body = body[:MOST_TEXT]
    return {**values, "text": body, "notes": notes, "language": language_of(body)}


def decoded(content: bytes, charset: str = "") -> tuple[str, list[str]]:
    """Return text and notes on it: by its marks, as UTF-8, as it claims, else as its letters tell.

    charset: what the answer's headers say, believed before what the page says of itself.
    """
    for mark, codec in _MARKS.items():
        if content.startswith(mark):
            return _counted(content.decode(codec, "replace"))
    try:
        return _counted(content.decode("utf-8"))  # what is wrongly UTF-8 is seldom anything else
    except UnicodeDecodeError:
        pass
    found = _META.search(content[:4096])
    for claimed in (charset, found[1].decode() if found else ""):
        codec = claimed.strip("\"' ").lower()
        try:
            return _counted(content.decode(_WIDER.get(codec, codec or "utf-8")))
        except (UnicodeError, LookupError, ValueError):  # "idna" and "undefined" raise no UnicodeDecodeError
            continue
    best = charset_normalizer.from_bytes(content[:200_000]).best()
    return _counted(content.decode(best.encoding if best else "utf-8", "replace"))


def language_of(text: str) -> str:
    """Return the ISO 639-1 code of a text's language, or an empty text when it cannot be told."""
    sample = text[:5_000]
    return str(py3langid.classify(sample)[0]) if sum(map(str.isalpha, sample)) >= LEAST_LANGUAGE else ""


def _extracted(text: str, url: str) -> dict[str, Any]:
    parser = html.HTMLParser(encoding="utf-8")
    try:
        tree = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.LxmlError, ValueError, AssertionError) as error:
        raise no_text() from error
    found = trafilatura.bare_extraction(text, url=url, include_comments=False, with_metadata=True)
    return {
        "text": _clean(getattr(found, "text", "") or ""),
        "title": (_line(getattr(found, "title", "")) or _line(tree.findtext(".//title")))[:500],
        "author": _line(getattr(found, "author", ""))[:300],
        "site": _line(getattr(found, "sitename", ""))[:200],
        "description": _line(getattr(found, "description", ""))[:1000],
        "date": str(getattr(found, "date", "") or "")[:40],
        "own": [str(one)[:LONGEST_LINK] for one in tree.xpath("//link[@rel='canonical']/@href")[:MOST_LINKS]],
    }


def _counted(text: str) -> tuple[str, list[str]]:
    text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")  # some codecs give halves
    bad = text.count("\ufffd")
    note = f"{bad:,} character{'s' * (bad != 1)} of the page could not be read."
    return text.replace("\0", ""), [note] if bad else []


def _clean(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.replace("\0", "").splitlines())
    return "\n".join(line for line in lines if line)


def _line(value: Any) -> str:
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", " ", str(value or "")).split())


def no_text() -> SourceError:
    """Return what is told of a page without an article."""
    return SourceError("no_text", "No article was found on this page.")
