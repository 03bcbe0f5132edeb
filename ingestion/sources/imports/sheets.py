"""The process that reads one workbook, within limits: a file that eats memory or time ends it alone.

`python -m ingestion.sources.imports.sheets PATH MOST MEMORY` writes the first sheet that has cells as CSV to
its output, and ends with one of the numbers below. It has no database, no secrets, no settings.

MOST: bytes, of what the workbook unpacks to and of the CSV. MEMORY: bytes of address space.
"""

import csv
import errno
import io
import os
import resource
import sys
import zipfile
from datetime import date, datetime, time
from typing import IO, Any

READ, NO_WORKBOOK, DAMAGED, NO_ROWS, TOO_LARGE, TOO_WIDE, LIMITS = 0, 10, 11, 12, 13, 14, 15

SECONDS = 900  # of CPU; a million rows take about one
OPEN_FILES = 64
MAX_TEXT = 64 << 20  # bytes of a part that is no sheet: openpyxl holds it all in memory
MAX_PARTS = 5000
MAX_COLUMNS = 200  # of any file (UP25); those that are added to rows with errors not counted
MAX_CELLS = 2 * MAX_COLUMNS  # of a row; what is only a little too wide is an error of its row
MAX_ROWS = 1 << 20  # of a sheet; Excel has no more


class _Bad(Exception):
    """Why it ends, one of the numbers above."""


def main() -> int:
    """Read the workbook that the command line names."""
    path, most, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # openpyxl warns there; nobody reads it
    import openpyxl  # noqa: F401  before memory is limited

    _limit(most, memory)
    try:
        with open(path, "rb") as stored, open(1, "wb", closefd=False) as target:  # noqa: PTH123
            _write(stored, target, most)
    except _Bad as bad:
        return int(bad.args[0])
    except MemoryError:
        return LIMITS
    except OSError as error:
        return TOO_LARGE if error.errno == errno.EFBIG else DAMAGED
    except Exception as error:  # whatever a parser raises, the workbook is what it cannot read
        # A parser may hide that it ran out of memory behind an error of its own.
        hidden = isinstance(error.__context__, MemoryError) or isinstance(error.__cause__, MemoryError)
        return LIMITS if hidden else DAMAGED
    return READ


def _limit(most: int, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # Python ignores the signal and gets EFBIG
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _write(stored: IO[bytes], target: IO[bytes], most: int) -> None:
    import openpyxl

    _check_parts(stored, most)
    stored.seek(0)
    book = openpyxl.load_workbook(stored, read_only=True, data_only=True, keep_links=False)
    text = io.TextIOWrapper(target, encoding="utf-8", newline="")
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # what the file claims about its size may be wrong
        if _write_sheet(sheet, text):
            text.flush()
            return
    raise _Bad(NO_ROWS)


def _check_parts(stored: IO[bytes], most: int) -> None:
    with zipfile.ZipFile(stored) as archive:
        parts = archive.infolist()
    if "xl/workbook.xml" not in {part.filename for part in parts}:
        raise _Bad(NO_WORKBOOK)
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > most:
        raise _Bad(TOO_LARGE)
    # Sheets are read row by row. What is large and only called a sheet meets the limit of memory.
    others = (part for part in parts if not part.filename.startswith("xl/worksheets/"))
    if any(part.file_size > MAX_TEXT for part in others):
        raise _Bad(LIMITS)


def _write_sheet(sheet: Any, text: io.TextIOWrapper) -> bool:
    writer = csv.writer(text)
    any_cell, blank, width = False, 0, 0
    for number, row in enumerate(sheet.iter_rows(values_only=True)):
        if number >= MAX_ROWS:
            raise _Bad(TOO_LARGE)
        cells = [_plain(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            blank += 1
            continue
        if len(cells) > MAX_CELLS:
            raise _Bad(TOO_WIDE)
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


if __name__ == "__main__":
    os._exit(main())  # nothing to tidy up; what a broken file left behind may take long to let go
