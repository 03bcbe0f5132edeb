"""Turn the first sheet of an .xlsx workbook into CSV: values only, no formulas, no macros, no links."""

import csv
import io
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time
from typing import IO, Any

from ingestion.source import SourceError

MAX_SHARED_STRINGS = 64 << 20  # openpyxl holds them all in memory
MAX_PARTS = 5000
CHECK_EVERY = 1000  # rows


def write_csv(stored: IO[bytes], target: IO[bytes], most: int, check: Callable[[], None]) -> None:
    """Write the first sheet that has cells. Raises SourceError: file_type, file_too_large, csv_no_rows."""
    # Here, because its import would cost every process of ours a tenth of its start, and few files need it.
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    _check_parts(stored, most)
    stored.seek(0)
    try:
        book = openpyxl.load_workbook(stored, read_only=True, data_only=True, keep_links=False)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise _damaged() from error
    try:
        text = io.TextIOWrapper(target, encoding="utf-8", newline="", write_through=True)
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # what the file claims about its size may be wrong
            if _write_sheet(sheet, text, check):
                text.detach()
                return
        text.detach()
    except (zipfile.BadZipFile, KeyError, ValueError, SyntaxError) as error:
        raise _damaged() from error
    finally:
        book.close()
    raise SourceError("csv_no_rows", "The file has no rows.")


def _write_sheet(sheet: Any, text: io.TextIOWrapper, check: Callable[[], None]) -> bool:
    writer = csv.writer(text)
    any_cell, blank, width = False, 0, 0
    for number, row in enumerate(sheet.iter_rows(values_only=True)):
        if number % CHECK_EVERY == 0:
            check()
        cells = [_plain(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            blank += 1
            continue
        any_cell = True
        width = width or len(cells)
        text.write("\r\n" * blank)  # rows keep the numbers that the sheet shows
        blank = 0
        writer.writerow(cells + [""] * (width - len(cells)))
    return any_cell


def _plain(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value).replace("\0", "")


def _check_parts(stored: IO[bytes], most: int) -> None:
    try:
        with zipfile.ZipFile(stored) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise _damaged() from error
    names = {part.filename for part in parts}
    if "xl/workbook.xml" not in names:
        raise SourceError("file_type", "This is not an Excel workbook (.xlsx).")
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > most:
        raise SourceError("file_too_large", f"The file is larger than the {most >> 20:,} MB limit.")
    if any(part.file_size > MAX_SHARED_STRINGS for part in parts if part.filename == "xl/sharedStrings.xml"):
        raise SourceError("file_too_large", "The workbook holds too much text. Save the sheet as CSV.")


def _damaged() -> SourceError:
    return SourceError("file_type", "This Excel workbook is damaged.")
