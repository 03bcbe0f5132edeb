"""Read a stored document in a child process, within limits, and say in words why one cannot be read."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage

from config import children
from ingestion.file_types import CSV, DOCX, HTML, PDF, TEXT
from ingestion.interrupts import POLL_SECONDS
from ingestion.source import SourceError
from ingestion.sources.documents.parsing.blocks import Block

MODULE = "ingestion.sources.documents.parsing.child"
SILENT_SECONDS = 300  # without a word from the child: the machine is stuck, or the child sleeps
LEAVING_SECONDS = 10  # from a child's last word to its end
PIECE_SECONDS = 30  # of CPU for a page, or for all of what has no pages
MAX_CHARACTERS = 25_000_000
MAX_OUTPUT = 200 << 20  # bytes of JSON
LEAST_LETTERS = 3  # and digits, of a document; fewer are specks of dust

_NOUNS = {"pdf": "PDF", "docx": "Word document", "html": "page", "markdown": "text", "text": "text"}
_AGAIN = "Upload it again"
# What the child says -> (code, what it means, what to do).
_REASONS = {
    "encrypted": ("encrypted", "is protected by a password.", f"{_AGAIN} without a password."),
    "damaged": (
        "damaged",
        "is damaged.",
        f"Open and save it in the program that made it, then {_AGAIN.lower()}.",
    ),
    "entities": ("damaged", "has entity definitions, which are not allowed.", "Save it anew in Word."),
    "limits": (
        "limits",
        "needs too much memory or time.",
        f"Split it, or save it as plain text, then {_AGAIN.lower()}.",
    ),
    "encoding": (
        "encoding",
        "is in an encoding that could not be recognised.",
        "Save it as UTF-8 and upload it again.",
    ),
}


@dataclass
class Parsed:
    """What was read of a document."""

    blocks: list[Block] = field(default_factory=list)
    pages: int | None = None
    title: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def characters(self) -> int:
        """Count the characters of the text."""
        return sum(len(block.text) for block in self.blocks)


def kind_of(name: str, media_type: str) -> str | None:
    """Return how a file is read, by its content first: pdf, docx, html, markdown, text; None: not at all."""
    if media_type in (PDF, DOCX, HTML):
        return {PDF: "pdf", DOCX: "docx", HTML: "html"}[media_type]
    if media_type not in (TEXT, CSV):
        return None
    ending = name.rpartition(".")[2].lower()
    # Text that begins with a comment or an XML line may still be a page, and a head tells no Markdown.
    return {"md": "markdown", "markdown": "markdown", "html": "html", "htm": "html", "xhtml": "html"}.get(
        ending, "text"
    )


def read(path: str, kind: str, tell: Callable[[int, int | None], None], check: Callable[[], None]) -> Parsed:
    """Return the text of a stored document.

    path: in the storage. tell: is told (pages read, pages in all). check: raises where the reading must end.
    Raises SourceError with what is wrong and what to do about it.
    """
    parsed = Parsed()
    letters = size = 0
    with _local(path) as file:
        for said in _said(kind, file, check):
            if "error" in said:
                raise failure(kind, said["error"])
            if "facts" in said:
                facts = said["facts"]
                parsed.pages = facts["pages"] or parsed.pages
                parsed.title = facts["title"] or parsed.title
                parsed.notes += facts["notes"]
                tell(0, parsed.pages)
            else:
                block = Block(**said["block"])
                size += len(block.text)
                if letters < LEAST_LETTERS:
                    letters += sum(map(str.isalnum, block.text[:100_000]))
                if size > MAX_CHARACTERS:
                    raise failure(kind, "limits")
                parsed.blocks.append(block)
                tell(block.page or len(parsed.blocks), parsed.pages)
    if letters < LEAST_LETTERS:
        raise failure(kind, "no_text")
    return parsed


def failure(kind: str, reason: str) -> SourceError:
    """Return the error for people: what is wrong with a document of a kind, and what to do."""
    noun = _NOUNS[kind]
    prefix = "pdf" if kind == "pdf" else "document"
    if reason == "no_text" and kind == "pdf":
        text = "No text could be read from this PDF. A scan can be read after text recognition (OCR)."
        return SourceError("pdf_no_text", text)
    if reason == "no_text":
        return SourceError(
            "document_no_text", f"This {noun} contains no readable text. There is nothing to search."
        )
    if reason == "too_many_pages":
        most = f"{settings.MAX_DOCUMENT_PAGES:,}"
        return SourceError(
            "pdf_too_many_pages", f"This PDF has more than {most} pages. Split it and upload the parts."
        )
    code, text, remedy = _REASONS[reason]
    return SourceError(f"{prefix}_{code}", f"This {noun} {text} {remedy}")


@contextmanager
def _local(path: str) -> Iterator[str]:
    """Give a stored file a path on this machine."""
    try:
        yield default_storage.path(path)
    except NotImplementedError:  # a storage elsewhere
        with default_storage.open(path, "rb") as stored, tempfile.NamedTemporaryFile() as copy:
            while piece := stored.read(1 << 20):
                copy.write(piece)
            copy.flush()
            yield copy.name


def _said(kind: str, path: str, check: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """Yield what the child says, to its end. Ends the child in any case."""
    if not Path(path).exists():
        raise SourceError("document_gone", "The file is no longer kept. Upload it again.")
    limits = [str(settings.MAX_DOCUMENT_PAGES), str(PIECE_SECONDS)]
    command = [sys.executable, "-m", MODULE, kind, path, *limits]
    # No secrets, no settings. It may keep compiled modules: compiling pypdf takes longer than most documents.
    bare = {"PATH": os.environ.get("PATH", "")}
    child = children.start(command, env=bare, output=subprocess.PIPE, cwd=settings.BASE_DIR)
    try:
        ended = False
        for text in _lines(child, check):
            said = json.loads(text)
            ended = ended or "end" in said or "error" in said
            if "end" not in said:
                yield said
        if not ended:
            raise failure(kind, "damaged" if _left_by_itself(child) else "limits")
    finally:
        children.stop(child, signal.SIGKILL, 10)
        if child.stdout is not None:
            child.stdout.close()


def _left_by_itself(child: "subprocess.Popen[bytes]") -> bool:
    """Say whether a child that said no last word has left; else it was killed, or it is still there."""
    try:
        return child.wait(LEAVING_SECONDS) >= 0  # below: by its limit on CPU time, by the kernel for memory
    except subprocess.TimeoutExpired:
        return False


def _lines(child: "subprocess.Popen[bytes]", check: Callable[[], None]) -> Iterator[bytes]:
    assert child.stdout is not None
    size, heard = 0, time.monotonic()
    begun: list[bytes] = []  # of a line: a page may be one of many megabytes, which come in small pieces
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            check()
            if not selector.select(POLL_SECONDS):
                if time.monotonic() - heard > SILENT_SECONDS:
                    return
                continue
            piece, heard = os.read(child.stdout.fileno(), 1 << 20), time.monotonic()
            if not piece:
                return
            size += len(piece)
            if size > MAX_OUTPUT:
                return
            first, *others = piece.split(b"\n")
            begun.append(first)
            for following in others:
                yield b"".join(begun)
                begun = [following]
