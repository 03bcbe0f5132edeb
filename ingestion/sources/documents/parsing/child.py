"""The process that reads one document, within limits: a file that eats memory or time ends it alone.

`python -m ingestion.sources.documents.parsing.child KIND PATH PAGES` writes one JSON object a line: facts
first, then blocks, at last {"end": true} or {"error": code}. It has no database, no secrets, no settings.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ingestion.sources.documents.parsing.blocks import Block, Facts, Unreadable

MEMORY_BYTES = 1 << 30  # of address space
PIECE_SECONDS = 30  # of CPU for a page, or for all of what has no pages
TOTAL_SECONDS = 900  # of CPU for the document
OPEN_FILES = 64
KINDS = ("pdf", "docx", "html", "markdown", "text")


def main() -> int:
    """Read the document that the command line names."""
    kind, path, most_pages = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # parsers warn there; nobody reads it
    parse = _parser(kind)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no file
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with Path(path).open("rb") as file:
            for piece in parse(file, most_pages):
                _more_time()
                _say({"facts" if isinstance(piece, Facts) else "block": asdict(piece)})
    except Unreadable as error:
        _say({"error": error.code})
    except MemoryError:
        _say({"error": "limits"})
    except Exception as error:  # whatever a parser raises, the document is what it cannot read
        # A parser may hide that it ran out of memory behind an error of its own.
        hidden = isinstance(error.__context__, MemoryError) or isinstance(error.__cause__, MemoryError)
        _say({"error": "limits" if hidden else "damaged"})
    else:
        _say({"end": True})
    return 0


def _parser(kind: str) -> Any:
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
    return _limited(parse)


def _limited(parse: Any) -> Any:
    def limited(file: Any, most_pages: int) -> Iterator[Facts | Block]:
        _more_time()
        return parse(file, most_pages)  # type: ignore[no-any-return]

    return limited


def _more_time() -> None:
    """Allow the next piece its seconds. What takes longer is ended by the kernel."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (min(spent + PIECE_SECONDS, TOTAL_SECONDS), TOTAL_SECONDS))


def _say(what: dict[str, Any]) -> None:
    data = json.dumps(what).encode() + b"\n"  # ASCII: halves of characters pass
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    os._exit(main())  # nothing to tidy up; what a broken file left behind may take long to let go
