"""The process that reads one document, within limits: a file that eats memory or time ends it alone.

`python -m ingestion.sources.documents.parsing.child KIND PATH PAGES SECONDS` writes one JSON object a line:
facts first, then blocks, at last {"end": true} or {"error": code}. SECONDS of CPU are for a page, or for all
of what has no pages. It has no database, no secrets, no settings.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ingestion.sources.documents.parsing.blocks import Facts, Unreadable

MEMORY_BYTES = 1 << 30  # of address space
TOTAL_SECONDS = 900  # of CPU for the document
OPEN_FILES = 64
KINDS = ("pdf", "docx", "html", "markdown", "text")


def main() -> int:
    """Read the document that the command line names."""
    kind, path, most_pages, piece_seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # parsers warn there; nobody reads it
    parse = parser_of(kind)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no file
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _more_time(piece_seconds)
    with Path(path).open("rb") as file:
        for told in said(parse, file, most_pages):
            _say(told)
            if kind == "pdf":
                _more_time(piece_seconds)
    return 0


def said(parse: Any, file: Any, most_pages: int) -> Iterator[dict[str, Any]]:
    """Yield what is told of a document: facts, blocks, and how it ended."""
    try:
        for piece in parse(file, most_pages):
            yield {"facts" if isinstance(piece, Facts) else "block": asdict(piece)}
    except Unreadable as error:
        yield {"error": error.code}
    except MemoryError:
        yield {"error": "limits"}
    except Exception as error:  # whatever a parser raises, the document is what it cannot read
        # A parser may hide that it ran out of memory behind an error of its own.
        hidden = isinstance(error.__context__, MemoryError) or isinstance(error.__cause__, MemoryError)
        yield {"error": "limits" if hidden else "damaged"}
    else:
        yield {"end": True}


def parser_of(kind: str) -> Any:
    """Return the function that reads documents of a kind."""
    # Imported here: each format pays only for its own parser, before memory is limited.
    if kind == "pdf":
        from ingestion.sources.documents.parsing.pdf import parse
    elif kind == "docx":
        from ingestion.sources.documents.parsing.word import parse
    elif kind == "html":
        from ingestion.sources.documents.parsing.markup import parse
    elif kind == "markdown":
        from ingestion.sources.documents.parsing.plain import parse_markdown as parse
    else:
        from ingestion.sources.documents.parsing.plain import parse_text as parse
    return parse


def _more_time(piece_seconds: int) -> None:
    """Allow the next piece its seconds. What takes longer is ended by the kernel."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (min(spent + piece_seconds, TOTAL_SECONDS), TOTAL_SECONDS))


def _say(what: dict[str, Any]) -> None:
    data = json.dumps(what).encode() + b"\n"  # ASCII: halves of characters pass
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    os._exit(main())  # nothing to tidy up; what a broken file left behind may take long to let go
