"""Feeds as they come: which encoding they are in, and what of XML is refused before a parser sees them."""

import codecs
import html
import re

from ingestion import encodings
from ingestion.errors import SourceError

MAX_PROLOG = 10_000  # characters in which a feed must have begun
MAX_ENTRIES = 10_000
# Python has codecs that are no encodings of text, and some whose time grows with the square of their input.
_CODEC = re.compile(
    r"utf-(8|16|32)(-[bl]e|-sig)?|ascii|iso8859-\d+|cp\d+|koi8-[rut]|gb\w+|hz|big5\w*|euc_\w+|shift_jis\w*"
    r"|iso2022_\w+|mac-\w+|johab|tis-620|ptcp154|kz1048"
)
_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})[\"']")
_HIGH = re.compile(rb"[\x80-\xff]+")
_LATIN = re.compile(r"iso8859-(1|15)|cp1252|ascii")
_LONG_RUN = 4  # bytes beyond ASCII in a row, on average: words of other letters than Latin ones
_SAMPLE = 64 << 10
# What XML 1.0 does not have, and PostgreSQL's text neither.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_BEGINNING = re.compile(r"<(\?xml\b|rss\b|feed\b|rdf:RDF\b)", re.IGNORECASE)
_WRAPPED = re.compile(r"<(rss|feed)\s[^<>]*>", re.IGNORECASE)
_SKIPPED = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->", re.DOTALL)
_ROOT = re.compile(r"<(?:([A-Za-z_][\w.-]*):)?([A-Za-z_][\w.-]*)")
_DOCTYPE = re.compile(
    r"<!DOCTYPE\s+[\w:.-]+(?:\s+(?:PUBLIC\s+(?:\"[^\"]*\"|'[^']*')|SYSTEM)(?:\s+(\"[^\"]*\"|'[^']*'))?)?\s*>",
    re.IGNORECASE,
)
# Feeds name these by habit. They are cut off: nothing is ever fetched to read a feed.
_KNOWN_DTD = re.compile(
    r"https?://(www\.w3\.org|my\.netscape\.com|www\.rssboard\.org)/[\w./-]*\.dtd", re.IGNORECASE
)
_XINCLUDE = re.compile(r"<[^<>]*xmlns(?::[\w.-]+)?\s*=\s*[\"']http://www\.w3\.org/2001/XInclude[\"']")
_CDATA = re.compile(r"<!\[CDATA\[.*?(\]\]>|\Z)", re.DOTALL)
_REFERENCE = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)"
    r"|&(?!(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos);)(?:[A-Za-z][A-Za-z0-9]{1,31};)?",
    re.DOTALL,
)
_ENTRY = re.compile(r"<(?:\w+:)?(?:item|entry)[\s>]")


def decode(data: bytes, charset: str = "") -> tuple[str, bool]:
    """Return the text of a feed, and whether characters were lost.

    The bytes are believed more than what is said of them: many feeds name another encoding than they have.

    charset: what the answer's headers say, or an empty text.
    """
    if found := encodings.from_mark(data):
        name, mark = found
        return _decoded(data[mark:], name)
    if zeros := encodings.from_zeros(data[:_SAMPLE]):
        return _decoded(data, zeros)
    said = _DECLARED.search(data[:1000])
    names = [_codec(one) for one in (charset, said[1].decode("ascii") if said else "")]
    if (shifting := next((one for one in names if one.startswith("iso2022")), "")) and b"\x1b" in data:
        return _decoded(data, shifting)
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return _decoded_otherwise(data, [one for one in names if one and not one.startswith("utf-")])


def checked(text: str) -> tuple[str, str, bool]:
    """Return a feed without what is before its root, the root's name, and whether something else was there.

    Raises SourceError rss_not_feed, rss_entities.
    """
    junk = False
    text = _IMPOSSIBLE.sub("", text).lstrip("\ufeff \t\r\n")
    if not text.startswith("<"):
        begun = _BEGINNING.search(text, 0, MAX_PROLOG)
        if begun is None:
            raise _not_a_feed(text)
        text = text[begun.start() :]
        junk = True
    place = _after_prolog(text)
    root = _ROOT.match(text, place)
    if root is None:
        raise _not_a_feed(text)
    if "2001/XInclude" in text and _XINCLUDE.search(_CDATA.sub("", text)):
        raise _entities()
    name = root[2].lower()
    if name == "html" and (wrapped := _WRAPPED.search(text, place, place + MAX_PROLOG)):
        place, name, junk = wrapped.start(), wrapped[1].lower(), True
    if name not in ("rss", "feed", "rdf"):
        raise _not_a_feed(text, name)
    mended, loose = _mended(text[place:])
    return mended, name, junk or loose


def cut(text: str, root: str) -> tuple[str, bool]:
    """Return the feed with its first entries, at most MAX_ENTRIES, and whether there were more.

    Cut before it is parsed: what is parsed of a hundred thousand entries takes minutes.
    """
    for number, found in enumerate(_ENTRY.finditer(text)):
        if number == MAX_ENTRIES:
            ends = {"rss": "</channel></rss>", "feed": "</feed>"}
            return text[: found.start()] + ends.get(root, "</rdf:RDF>"), True
    return text, False


def _mended(text: str) -> tuple[str, bool]:
    """Return a text whose references are XML's own, and whether an ampersand stood for itself."""
    loose = False

    def put(found: re.Match[str]) -> str:
        nonlocal loose
        given = found[0]
        if given.startswith("<"):
            return given
        meant = html.unescape(given)
        loose = loose or meant.startswith("&")
        return html.escape(meant, quote=False)

    return _REFERENCE.sub(put, text), loose


def _decoded(data: bytes, name: str) -> tuple[str, bool]:
    text = data.decode(name, "replace")
    return text, "\ufffd" in text


def _decoded_otherwise(data: bytes, names: list[str]) -> tuple[str, bool]:
    """Decode what is not UTF-8: as is said, unless that cannot be; else as it looks."""
    runs = _HIGH.findall(data)
    foreign = sum(map(len, runs)) >= _LONG_RUN * len(runs)
    for name in names:
        if foreign and _LATIN.fullmatch(name):
            continue  # Latin encodings take any bytes: 'it could be decoded' says nothing
        try:
            return data.decode("cp1252" if name == "iso8859-1" else name), False
        except UnicodeDecodeError:
            continue
    start = max(0, data.find(runs[0]) - 1000)
    # More characters of UTF-8 than broken ones: no other encoding looks so, it is UTF-8 that was damaged.
    broken = data.decode("utf-8", "replace")
    if sum(one > "\x7f" for one in broken) > broken.count("\ufffd") * 2:
        return broken, True
    guessed = encodings.guess(data[start : start + _SAMPLE])
    return _decoded(data, guessed or (names[0] if names else "cp1252"))


def _codec(name: str) -> str:
    """Return Python's name of an encoding of text, or an empty text."""
    try:
        found = codecs.lookup(name).name if name else ""
    except (LookupError, ValueError):
        return ""
    return found if _CODEC.fullmatch(found) else ""


def _after_prolog(text: str) -> int:
    """Return where the root begins. Raises SourceError rss_entities where entities could come in."""
    place = 0
    while True:
        if skipped := _SKIPPED.match(text, place):
            place = skipped.end()
        elif text[place : place + 9].upper() == "<!DOCTYPE":
            declared = _DOCTYPE.match(text, place)
            if declared is None or not (
                declared[1] is None or _KNOWN_DTD.fullmatch(declared[1].strip("\"'"))
            ):
                raise _entities()
            place = declared.end()
        else:
            return place


def _entities() -> SourceError:
    text = "This feed defines entities or includes other files, which is not allowed."
    return SourceError("rss_entities", text)


def _not_a_feed(text: str, root: str = "") -> SourceError:
    what = "This is not an RSS or Atom feed."
    if root == "urlset" or root == "sitemapindex":
        what = "This is a site map, not an RSS or Atom feed."
    elif text.startswith(("{", "[")):
        what = "This is JSON, not an RSS or Atom feed."
    elif root == "html" or "<html" in text[:MAX_PROLOG].lower():
        found = _alternate(text)
        what = "This is a web page, not an RSS or Atom feed."
        what += f" Its feed is {found}" if found else " Look on it for a link that says RSS or Atom."
    return SourceError("rss_not_feed", what)


_LINK = re.compile(r"<link\s[^<>]{0,1000}>", re.IGNORECASE)
_HREF = re.compile(r"\bhref\s*=\s*[\"']?([^\s\"'<>]{1,500})", re.IGNORECASE)


def _alternate(page: str) -> str:
    """Return the address of the feed that a web page names, as it stands there, or an empty text."""
    for tag in _LINK.findall(page[: _SAMPLE * 4]):
        if re.search(r"application/(rss|atom)\+xml", tag, re.IGNORECASE) and (found := _HREF.search(tag)):
            return found[1]
    return ""
