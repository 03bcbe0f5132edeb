"""Feeds: what RSS and Atom say of articles. From bytes alone; nothing is fetched to read one."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings

from ingestion.errors import SourceError
from ingestion.sources.articles import feed_parser, feed_text
from ingestion.sources.articles.feed_parser import Entry, Reading

MAX_BYTES = 10 << 20
WALL_SECONDS = 120  # its limit is on CPU; a machine with much to do lets it wait

WARNINGS: Mapping[str, str] = {
    "rss_damaged": "The feed is damaged; what could be read of it was taken.",
    "rss_encoding": "Some characters of the feed could not be read.",
    "rss_too_many_items": f"The feed is very long; its first {feed_text.MAX_ENTRIES:,} articles were taken.",
}
PROBLEMS: Mapping[str, str] = {
    "rss_no_id": "The feed gives neither a link nor an id for this article.",
    "rss_no_link": "The feed gives no link to this article.",
}


@dataclass(frozen=True)
class Feed:
    """A feed that was read. warnings: codes of what was amiss with it, see `WARNINGS`."""

    title: str
    url: str
    language: str
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...] = ()


def parse(data: bytes, address: str, charset: str = "") -> Feed:
    """Read a feed.

    Args:
        data: its bytes, unpacked.
        address: where it came from; relative links are meant from there.
        charset: what the answer's headers say, believed where the bytes allow it.

    Raises SourceError feed_empty, rss_too_large, rss_not_feed, rss_entities, rss_damaged.
    """
    if len(data) > MAX_BYTES:
        raise SourceError("rss_too_large", f"This feed is larger than {MAX_BYTES >> 20} MB.")
    if not data.strip(b"\0 \t\r\n\xef\xbb\xbf\xfe\xff"):
        raise SourceError("feed_empty", "This feed is empty.")
    text, lost = feed_text.decode(data, charset)
    text, root, junk = feed_text.checked(text)
    text, more = feed_text.cut(text, root)
    reading = _read(text.encode(), address)
    # The parser finds fault with much that it reads well: only with nothing read is that the end of it.
    if not reading.entries and reading.damaged:
        raise _damaged()
    if reading.bare:
        raise SourceError("rss_not_feed", "This is not an RSS or Atom feed.")
    warnings = {
        "rss_damaged": reading.damaged or junk,
        "rss_encoding": lost,
        "rss_too_many_items": more,
    }
    return Feed(
        reading.title,
        reading.url,
        reading.language,
        reading.entries,
        tuple(code for code, found in warnings.items() if found),
    )


def _read(data: bytes, address: str) -> Reading:
    # No secrets, no settings: what it reads was written by strangers.
    bare = {"PATH": os.environ.get("PATH", "")}
    command = [sys.executable, "-m", feed_parser.__name__, address]
    try:
        ended = subprocess.run(
            command,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=bare,
            cwd=settings.BASE_DIR,
            timeout=WALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _damaged() from error
    if ended.returncode != 0:
        raise SourceError("rss_damaged", "This feed takes too long to read.")
    return feed_parser.from_json(ended.stdout)


def _damaged() -> SourceError:
    return SourceError("rss_damaged", "This feed is damaged: nothing could be read of it.")
