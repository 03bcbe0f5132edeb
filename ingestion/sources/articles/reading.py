"""The article in a page: its text, title, author and date, and its own address.

Pages are parsed by a process of their own, see page_parser.py; one serves all threads of this one.
"""

import atexit
import gzip
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings

from ingestion.source import SourceError
from ingestion.sources.articles import addresses
from ingestion.sources.articles.fetching import MOST_BYTES, Fetched
from ingestion.sources.articles.words import fold

PARSER = "ingestion.sources.articles.page_parser"
CPU_SECONDS = 10  # for a page
MEMORY_BYTES = 1 << 30  # of address space
WALL_SECONDS = 120.0  # its limit is on CPU; a machine with much to do lets it wait
MOST_PAGES = 500  # of one process: what parsers keep would grow for ever
_ENDED_BY_LIMIT = (1, -signal.SIGXCPU)  # out of memory, and out of time


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


class Parser:
    """The process that parses pages: started with the first of them, and anew after many or a bad one.

    seconds: of CPU for a page. memory: bytes of address space.
    """

    def __init__(self, seconds: int = CPU_SECONDS, memory: int = MEMORY_BYTES) -> None:
        self._limits = [str(seconds), str(memory)]
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._left = 0
        atexit.register(self.end)

    def parse(self, fetched: Fetched) -> dict[str, Any]:
        """Return what stands in a page, see `page_parser.read`. Raises SourceError."""
        content = _unzipped(fetched.content)
        with self._lock:
            said = self._asked(fetched, content)
        if "error" in said:
            raise SourceError(*said["error"])
        page: dict[str, Any] = said["page"]
        return page

    def end(self) -> None:
        """End the process, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with suppress(BrokenPipeError):  # half a page is of no use to anybody
                child.communicate()

    def _asked(self, fetched: Fetched, content: bytes) -> dict[str, Any]:
        child = self._running()
        assert child.stdin is not None and child.stdout is not None
        head = {
            "url": fetched.url,
            "type": fetched.content_type,
            "charset": fetched.charset,
            "size": len(content),
        }
        late = threading.Timer(WALL_SECONDS, child.kill)
        late.daemon = True
        late.start()
        line, heard = b"", False
        try:
            with suppress(BrokenPipeError):
                child.stdin.write(json.dumps(head).encode() + b"\n" + content)
                child.stdin.flush()
                line = child.stdout.readline()
            heard = True
        finally:
            late.cancel()
            if not heard:  # what it would say yet were taken for an answer to the next page
                self.end()
        if not line.endswith(b"\n"):
            try:
                limit = child.wait(10) in _ENDED_BY_LIMIT
            finally:
                self.end()
            text = "This page takes too much time or memory to read."
            raise SourceError("page_limits", text, retryable=not limit)
        said: dict[str, Any] = json.loads(line)
        if said.get("last"):
            self.end()
        return said

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._left == 0 or self._child.poll() is not None:
            self.end()
            # No secrets, no settings: what it reads was written by strangers. It needs one core.
            bare = {"PATH": os.environ.get("PATH", ""), "OPENBLAS_NUM_THREADS": "1"}
            self._child = subprocess.Popen(
                [sys.executable, "-m", PARSER, *self._limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=bare,
                cwd=settings.BASE_DIR,
            )
            self._left = MOST_PAGES
        self._left -= 1
        return self._child


parser = Parser()


def read(fetched: Fetched) -> Page:
    """Return the article in a page. Raises SourceError when there is none."""
    found = parser.parse(fetched)
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
