"""Turn the first sheet of an .xlsx workbook into CSV: values only, no formulas, no macros, no links."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import IO

from django.conf import settings

from config import children
from ingestion.interrupts import POLL_SECONDS
from ingestion.source import SourceError
from ingestion.sources.imports import sheets

MEMORY_BYTES = 1 << 30  # of address space of the process that reads


def write_csv(stored: IO[bytes], target: IO[bytes], most: int, check: Callable[[], None]) -> None:
    """Write the first sheet that has cells, in a process of its own, within limits of memory and time.

    target: a file of the operating system. most: bytes, of what the workbook unpacks to and of the CSV.
    check: raises where the reading must end. Raises SourceError: file_type, file_too_large, csv_columns,
    csv_no_rows.
    """
    with tempfile.NamedTemporaryFile() as copy:
        stored.seek(0)
        shutil.copyfileobj(stored, copy)
        copy.flush()
        command = [sys.executable, "-m", sheets.__name__, copy.name, str(most), str(MEMORY_BYTES)]
        bare = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",  # openpyxl imports numpy, which takes 40 MB a core
        }
        child = children.start(command, env=bare, output=target, cwd=settings.BASE_DIR)
        try:
            while True:
                check()
                try:
                    ended = child.wait(POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
                break
        finally:
            children.stop(child, signal.SIGKILL, 10)
    if ended != sheets.READ:
        raise _refusal(ended, most)


def _refusal(ended: int, most: int) -> SourceError:
    """Return the error for people by how the process ended; below 0: by a signal, as it took too long."""
    match ended:
        case sheets.NO_WORKBOOK:
            return SourceError("file_type", "This is not an Excel workbook (.xlsx).")
        case sheets.NO_ROWS:
            return SourceError("csv_no_rows", "The file has no rows.")
        case sheets.TOO_LARGE:
            return SourceError("file_too_large", f"The file is larger than the {most >> 20:,} MB limit.")
        case sheets.TOO_WIDE:
            return SourceError("csv_columns", f"At most {sheets.MAX_COLUMNS} columns.")
        case sheets.DAMAGED:
            return SourceError("file_type", "This Excel workbook is damaged.")
        case _:
            text = "This workbook needs too much memory or time. Save the sheet as CSV."
            return SourceError("file_too_large", text)
