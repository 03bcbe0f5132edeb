"""The text of a PDF, page by page. Nothing in it is run, fetched or unpacked to disk."""

from collections.abc import Iterator
from typing import IO, Any

from pypdf import PdfReader
from pypdf.errors import FileNotDecryptedError, LimitReachedError, PyPdfError

from ingestion.sources.documents.parsing.blocks import MAX_TITLE, Block, Facts, Unreadable, line, tidy

SCAN_LETTERS = 40  # that pages of pictures may still have, all together: a stamp, a page number
PICTURES_LOOKED_FOR = 20  # pages


def parse(file: IO[bytes], most_pages: int) -> Iterator[Facts | Block]:
    """Yield what the PDF says of itself, then each page. Raises Unreadable."""
    try:
        reader = PdfReader(file, strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("encrypted")
        pages = _pages(reader, most_pages)
    except FileNotDecryptedError as error:
        raise Unreadable("encrypted") from error
    except RecursionError as error:  # streams of objects within each other (a loop of pages is seen as one)
        raise Unreadable("limits") from error
    yield Facts(pages=len(pages), title=_title(reader), notes=_notes(reader))
    unread = letters = too_large = 0
    for number, page in enumerate(pages, 1):
        try:
            text = tidy(page.extract_text()) or _empty(page)
        except MemoryError:
            raise
        except LimitReachedError:
            too_large += 1
            continue
        except Exception:  # one page that cannot be read takes no other with it
            unread += 1
            continue
        if letters < SCAN_LETTERS:
            letters += sum(map(str.isalnum, text[:1000]))
        yield Block(text=text, page=number)
    unread += too_large
    if unread == len(pages):
        raise Unreadable("limits" if too_large else "damaged")
    if letters < SCAN_LETTERS and any(map(_has_picture, pages[:PICTURES_LOOKED_FOR])):
        raise Unreadable("no_text")
    if unread:
        told = "1 page" if unread == 1 else f"{unread} pages"
        yield Facts(pages=len(pages), notes=(f"{told} could not be read.",))


def _pages(reader: PdfReader, most: int) -> list[Any]:
    """Return the pages that there are; what the file claims about their number is not believed."""
    try:
        found = []
        for page in reader.pages:
            found.append(page)
            if len(found) > most:
                raise Unreadable("too_many_pages")
    except LimitReachedError as error:
        raise Unreadable("limits" if "depth" in str(error) else "too_many_pages") from error
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise Unreadable("damaged") from error
    if not found:
        raise Unreadable("damaged")
    return found


def _empty(page: Any) -> str:
    """Return no text. Raises LimitReachedError where that is because the page unpacks to too much (F18)."""
    page.get_contents()
    return ""


def _has_picture(page: Any) -> bool:
    try:
        found = page["/Resources"]["/XObject"].get_object()
        return any(one.get_object().get("/Subtype") == "/Image" for one in found.values())
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _title(reader: PdfReader) -> str:
    try:
        return line(str(reader.metadata.title or ""), MAX_TITLE) if reader.metadata else ""
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _notes(reader: PdfReader) -> tuple[str, ...]:
    notes = []
    try:
        root: Any = reader.trailer["/Root"]
        names = root.get("/Names") or {}
        names = names.get_object() if hasattr(names, "get_object") else names
        if "/EmbeddedFiles" in names:
            notes.append("It carries attached files, which were not read.")
        opening = root.get("/OpenAction")
        opening = opening.get_object() if hasattr(opening, "get_object") else opening
        acts = isinstance(opening, dict) and opening.get("/S") in ("/JavaScript", "/Launch")
        if acts or "/JavaScript" in names:
            notes.append("It carries actions or scripts, which were not run.")
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return tuple(notes)
