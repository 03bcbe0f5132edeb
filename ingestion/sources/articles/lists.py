"""Lists of addresses that somebody brings: a file of one a line or a table, or the entries of a feed."""

import codecs
import csv
import re

from ingestion import file_types, uploads
from ingestion.answers import MEMO_BYTES
from ingestion.models import Level
from ingestion.run import Run
from ingestion.source import SourceError
from ingestion.sources.articles import addresses, feeds
from ingestion.sources.articles.fetching import FEEDS, PAGES, Fetcher

# A page among the kinds: who gave its address is told where its feed is.
KINDS = (*FEEDS, *PAGES, "application/json", "application/feed+json")
MOST_REMEMBERED = MEMO_BYTES - 4_096  # bytes of addresses that a job holds on to in each of its attempts
MOST_FILE = uploads.MEGABYTE  # bytes of a file of addresses
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


def in_file(content: bytes, name: str) -> list[str]:
    """Return the addresses in a file: one a line; of a table, by its name `.csv`, one a row.

    What is no address is returned too: the job says of it what is wrong. Raises ValueError with a sentence
    for a file that is too large, is no text, names nothing, or is a table that cannot be read.
    """
    if len(content) > MOST_FILE:
        raise ValueError("The file is larger than the 1 MB limit.")
    if content and file_types.type_of(content[: file_types.HEAD]) not in (file_types.TEXT, file_types.CSV):
        raise ValueError("This is not a text file.")
    lines = [line.strip() for line in _text(content).splitlines() if line.strip()]
    if not lines:
        raise ValueError("The file is empty.")
    if not name.lower().endswith(".csv"):
        return lines
    delimiter = _delimiter(lines[0])
    table = csv.reader(lines, delimiter=delimiter) if delimiter else ([line] for line in lines)
    try:
        rows = [[cell.strip() for cell in row if cell.strip()] for row in table]
    except csv.Error as error:
        raise ValueError("This table cannot be read.") from error
    found = [next((cell for cell in row if _ADDRESS.match(cell)), "") for row in rows]
    # A first row without an address names the columns; any other is told of by what it begins with.
    told = [one or row[0] for n, (one, row) in enumerate(zip(found, rows, strict=True)) if row and (one or n)]
    if not told:
        raise ValueError("The file names no address.")
    return told


def in_feed(job: Run, fetcher: Fetcher, url: str) -> list[str]:
    """Return where the entries of a feed lead, the same in each attempt. Raises SourceError."""

    def read() -> list[str]:
        fetched = fetcher.get(url, kinds=KINDS)
        assert fetched is not None  # nothing was named that it could equal
        found: dict[str, None] = {}
        for entry in feeds.parse(fetched.content, fetched.url, fetched.charset).entries:
            try:
                found[addresses.canonical(entry.url)] = None
            except SourceError:
                continue  # it leads nowhere
        kept, room = [], MOST_REMEMBERED
        for one in found:
            room -= len(one.encode()) + 4
            if room < 0:
                break
            kept.append(one)
        if len(kept) < len(found):
            job.log(f"Of {len(found):,} entries the first {len(kept):,} are read.", Level.WARNING)
        return kept

    return job.once("entries", read)


def _text(content: bytes) -> str:
    """Return a file as text: addresses are ASCII, so that around them anything may be read wrongly."""
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return content.decode("utf-16", "replace").replace("\0", "")
    try:
        return content.decode("utf-8-sig").replace("\0", "")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace").replace("\0", "")


def _delimiter(line: str) -> str:
    """Return what parts the columns of a table, by its first line; nothing where there is one column."""
    best = max(",;\t|", key=line.count)
    return best if best in line else ""
