"""The text of a .docx: paragraphs, tables, headers, footers and notes, straight from its XML.

Only parts that hold text are opened, within a limit on what they unpack to; entities are refused.
"""

import re
import zipfile
from collections.abc import Iterator
from typing import IO, Any
from xml.etree.ElementTree import ParseError  # nosec B405  # the exception alone

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from ingestion.sources.documents.parsing.blocks import (
    MAX_HEADING,
    MAX_TITLE,
    Block,
    Facts,
    Unreadable,
    line,
    tidy,
)

MAX_PARTS = 5000
MAX_UNPACKED = 200 << 20  # bytes of the parts that hold text
MAX_DEPTH = 500  # of elements in elements; letting go of a million takes longer than all else
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_NOTES = re.compile(r"word/(footnotes|endnotes)\.xml")
_MARGINS = re.compile(r"word/(header|footer)\d*\.xml")
_HEADING = re.compile(r"(heading|titre|überschrift|título|titolo|rubrik|kop)\s*(\d)", re.IGNORECASE)


def parse(file: IO[bytes], most_pages: int) -> Iterator[Facts | Block]:
    """Yield the title, then the sections, then what stands in margins and notes. Raises Unreadable."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = _check(archive)
            yield Facts(title=_title(archive, names), notes=_left_out(names))
            yield from _sections(archive, _headings(archive, names))
            for pattern, name in ((_MARGINS, "Headers and footers"), (_NOTES, "Notes")):
                parts = [part for part in names if pattern.fullmatch(part)]
                text = "\n\n".join(dict.fromkeys(_text(archive, part) for part in sorted(parts)))
                if text.strip():
                    yield Block(text=text, heading=name)
    except DefusedXmlException as error:
        raise Unreadable("entities") from error
    except (zipfile.BadZipFile, ParseError, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise Unreadable("damaged") from error


def _check(archive: zipfile.ZipFile) -> list[str]:
    parts = archive.infolist()
    names = [part.filename for part in parts]
    if "word/document.xml" not in names:
        raise Unreadable("damaged")
    text = sum(part.file_size for part in parts if part.filename.endswith(".xml"))
    if len(parts) > MAX_PARTS or text > MAX_UNPACKED:
        raise Unreadable("limits")
    return names


def _left_out(names: list[str]) -> tuple[str, ...]:
    notes = []
    if any(name.endswith("vbaProject.bin") for name in names):
        notes.append("It carries macros, which were not run.")
    if any(name.startswith("word/embeddings/") for name in names):
        notes.append("It carries embedded files, which were not read.")
    return tuple(notes)


def _elements(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, Any]]:
    """Yield (event, element) of a part, its names without the namespace; refuse what unpacks to too much."""
    depth = 0
    with archive.open(part) as stream:
        for event, element in iterparse(_Limited(stream), events=("start", "end"), forbid_dtd=True):
            depth += 1 if event == "start" else -1
            if depth > MAX_DEPTH:
                raise Unreadable("limits")
            element.tag = element.tag.replace(_STRICT, _W)
            yield event, element


class _Limited:
    """A stream that ends the reading of what unpacks to more than it said."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, MAX_UNPACKED

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        piece = self._stream.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise Unreadable("limits")
        return piece


def _paragraphs(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, str]]:
    """Yield (style, text) of each paragraph, and each row of a table as one."""
    depth, row, pieces, style = 0, [], [], ""  # type: int, list[str], list[str], str
    for event, element in _elements(archive, part):
        name = element.tag.removeprefix(_W)
        if event == "start":
            if name == "tbl":
                depth += 1
            continue
        if name == "t":
            pieces.append(element.text or "")
        elif name in ("tab", "br", "cr"):
            pieces.append("\n" if name != "tab" else "\t")
        elif name == "pStyle":
            style = element.get(f"{_W}val") or element.get(f"{_STRICT}val") or ""
        elif name == "p":
            text, pieces = "".join(pieces), []
            if depth:
                row.append(text)
            else:
                yield style, text
            style = ""
        elif name == "tr" and depth:
            if any(cell.strip() for cell in row):
                yield "", " | ".join(cell.strip() for cell in row)
            row = []
        elif name == "tbl":
            depth -= 1
        if name in ("p", "tr", "tbl", "sectPr"):
            element.clear()  # its text is read; a large document need not stay in memory


def _sections(archive: zipfile.ZipFile, headings: set[str]) -> Iterator[Block]:
    heading, body = "", []  # type: str, list[str]
    for style, text in _paragraphs(archive, "word/document.xml"):
        if style in headings and text.strip():
            if any(body):
                yield Block(text=tidy("\n".join(body)), heading=heading)
            heading, body = line(text, MAX_HEADING), [text]
        else:
            body.append(text)
    if any(body):
        yield Block(text=tidy("\n".join(body)), heading=heading)


def _text(archive: zipfile.ZipFile, part: str) -> str:
    return tidy("\n".join(text for _, text in _paragraphs(archive, part)))


def _headings(archive: zipfile.ZipFile, names: list[str]) -> set[str]:
    """Return the ids of the styles that are headings; a document may have no styles at all."""
    found = {f"Heading{n}" for n in range(1, 10)} | {"Title"}
    if "word/styles.xml" not in names:
        return found
    style = ""
    for event, element in _elements(archive, "word/styles.xml"):
        name = element.tag.removeprefix(_W)
        if event == "start" and name == "style":
            style = element.get(f"{_W}styleId") or element.get(f"{_STRICT}styleId") or ""
        elif event == "end" and name == "name" and style:
            if _HEADING.match(element.get(f"{_W}val") or element.get(f"{_STRICT}val") or ""):
                found.add(style)
        elif event == "end" and name == "outlineLvl" and style:
            found.add(style)
    return found


def _title(archive: zipfile.ZipFile, names: list[str]) -> str:
    if "docProps/core.xml" not in names:
        return ""
    for event, element in _elements(archive, "docProps/core.xml"):
        if event == "end" and element.tag.endswith("}title"):
            return line(element.text or "", MAX_TITLE)
    return ""
