"""Open an uploaded file as plain UTF-8 text, whatever it was: gzip, a workbook, another encoding.

The text keeps its line ends and quotes. A file that is UTF-8 already is read in place; others are turned into
one in an unnamed temporary file, so that every position found once is right again in the next attempt.
"""

import codecs
import gzip
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO

from django.conf import settings

from ingestion import encodings
from ingestion.source import SourceError
from ingestion.sources.imports import workbooks

CHUNK = 1 << 20
HEAD = 64 << 10  # what is judged before a job is made

_BINARY = (
    b"\x7fELF",
    b"\x89PNG",
    b"GIF8",
    b"\xff\xd8\xff",
    b"%PDF",
    b"MZ",
    b"\xca\xfe\xba\xbe",
    b"\xfd7zXZ",
    b"BZh",
    b"7z\xbc\xaf",
    b"Rar!",
    b"RIFF",
    b"\x28\xb5\x2f\xfd",
    b"SQLite format 3",
    b"{\\rtf",
)
_ZIP = b"PK\x03\x04"
_GZIP = b"\x1f\x8b"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MARKUP = re.compile(rb"\s*<(?:!doctype|html|head|body|svg|\?xml|script|!--)", re.IGNORECASE)
_CONTROLS = re.compile(rb"[\x01-\x08\x0e-\x19]")

Check = Callable[[], None]


@dataclass(frozen=True)
class Found:
    """What a file turned out to be, as told to its owner."""

    kind: str  # text, workbook
    packed: bool  # gzip
    encoding: str  # Python's name
    mark: int = 0  # bytes of its byte order mark

    @property
    def skip(self) -> int:
        """Return where the UTF-8 text begins: text from another encoding has no mark."""
        return self.mark if self.encoding == "utf-8" else 0


def limit() -> int:
    """Return how many bytes a file may have, unpacked."""
    return int(settings.MAX_UPLOAD_MB) << 20


def too_large() -> SourceError:
    """Return the refusal of a file beyond the limit."""
    return SourceError("file_too_large", f"The file is larger than the {limit() >> 20:,} MB limit.")


def kind_of(name: str, head: bytes) -> tuple[str, bool]:
    """Return what the first bytes are: ("text" | "workbook", gzip or not).

    The content must be what the name says. Raises SourceError: file_empty, file_type.
    """
    name = name.lower()
    if not head:
        raise SourceError("file_empty", "The file is empty.")
    if head.startswith(_GZIP):
        if not name.endswith((".gz", ".gzip")):
            raise _not_csv("It is compressed with gzip; its name must end in .gz.")
        return "text", True
    if head.startswith(_OLE):
        raise _not_csv("It is a workbook with a password or in an old format. Save the sheet as CSV.")
    if head.startswith(_ZIP):
        if name.endswith(".xlsx"):
            return "workbook", False
        raise _not_csv("Save the sheet as CSV.")
    if name.endswith(".xlsx"):
        raise SourceError("file_type", "This is not an Excel workbook (.xlsx).")
    if head.startswith(_BINARY) or _MARKUP.match(head.removeprefix(codecs.BOM_UTF8)):
        raise _not_csv()
    if len(_CONTROLS.findall(head)) > len(head) // 100 and encodings.from_zeros(head) is None:
        raise _not_csv()
    return "text", False


def unpacked_head(name: str, head: bytes) -> tuple[str, bytes]:
    """Return the kind and the first bytes of the text itself. Raises SourceError."""
    kind, packed = kind_of(name, head)
    if packed:
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, HEAD)
        except zlib.error:
            raise _not_csv("It is damaged.") from None
        inner, twice = kind_of(re.sub(r"\.gz(ip)?$", "", name, flags=re.IGNORECASE) or name, head)
        if twice or inner == "workbook":
            raise _not_csv("It is packed twice.")
    return kind, head


@contextmanager
def opened(
    stored: IO[bytes], name: str, known: Found | None = None, check: Check = lambda: None
) -> Iterator[tuple[BinaryIO, Found]]:
    """Open `stored` as UTF-8 text and say what it was.

    known: what an earlier attempt found; nothing is recognised again. check: called now and then while
    reading; it raises to stop. Raises SourceError.
    """
    stored.seek(0)
    kind, packed = kind_of(name, stored.read(HEAD))
    stored.seek(0)
    if kind == "workbook":
        with tempfile.TemporaryFile() as text:
            workbooks.write_csv(stored, text, limit(), check)
            yield _rewound(text), Found("workbook", packed=False, encoding="utf-8")
        return
    if not packed:
        with _as_utf8(stored, known, packed, check) as (text, found):
            yield text, found
        return
    with tempfile.TemporaryFile() as plain:
        _unpack(stored, plain, check)
        plain.seek(0)
        unpacked_head(name.removesuffix(".gz"), plain.read(HEAD))
        with _as_utf8(plain, known, packed, check) as (text, found):
            yield text, found


@contextmanager
def _as_utf8(
    source: IO[bytes], known: Found | None, packed: bool, check: Check
) -> Iterator[tuple[BinaryIO, Found]]:
    source.seek(0)
    if known is None:
        encoding, mark = encodings.recognise(source, check)
        known = Found("text", packed, encoding, mark)
    if known.encoding == "utf-8":
        source.seek(0)
        yield source, known  # type: ignore[misc]
        return
    with tempfile.TemporaryFile() as text:
        source.seek(known.mark)
        encodings.transcode(source, text, known.encoding, limit() * 2, check)
        yield _rewound(text), known


def _unpack(source: IO[bytes], target: IO[bytes], check: Check) -> None:
    size, most = 0, limit()
    try:
        with gzip.GzipFile(fileobj=source) as packed:
            while chunk := packed.read(CHUNK):
                check()
                size += len(chunk)
                if size > most:
                    raise too_large()
                target.write(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise _not_csv("It is damaged.") from error
    if size == 0:
        raise SourceError("file_empty", "The file is empty.")


def _rewound(file: IO[bytes]) -> BinaryIO:
    file.seek(0)
    return file  # type: ignore[return-value]


def _not_csv(hint: str = "") -> SourceError:
    return SourceError("file_type", f"This is not a CSV file. {hint}".strip())
