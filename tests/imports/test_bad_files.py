"""Bad files are refused or fail with the catalogue's code and words; bad rows wait for review."""

import gzip
import io
import subprocess
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import openpyxl
import pytest

from config import children
from config.problems import Problem
from ingestion import encodings, lifecycle
from ingestion.admission import Refused
from ingestion.source import SourceError
from ingestion.sources.imports import dialect, files, records, workbooks
from ingestion.sources.imports.columns import ADDED
from ingestion.sources.imports.default import DEFAULT
from ingestion.sources.imports.models import Unit
from ingestion.testing import resume_inline
from tests.imports.conftest import Run, errors_of

HEAD = "tax_ident,name\n"


def judge(data: bytes | str, name: str = "register.csv") -> dialect.Dialect | None:
    raw = data.encode() if isinstance(data, str) else data
    return dialect.judge_head(name, raw[: files.HEAD], len(raw), DEFAULT)


REFUSED = {
    "UP1 nothing": (b"", "file_empty", "The file is empty."),
    "UP2 only a mark": (b"\xef\xbb\xbf", "file_empty", "The file is empty."),
    "UP3 only newlines": (b"\n\r\n\n", "csv_no_rows", "The file has no rows."),
    "UP4 only a header": (HEAD.encode(), "csv_no_rows", "The file has a header but no rows."),
    "UP6 a column twice": (
        b"tax_ident,name,name\n1,a,b\n",
        "csv_columns",
        'Column "name" appears twice. Found: tax_ident, name, name.',
    ),
    "UP7 a column without a name": (
        b"tax_ident,,name\n1,a,b\n",
        "csv_columns",
        "Column 2 has no name. Found: tax_ident, , name.",
    ),
    "UP16 a zero byte": (
        b"tax_ident,name\n1,a\x00b\n",
        "csv_nul",
        "The file contains a zero byte (position 19).",
    ),
    "UP20 two encodings": (
        "tax_ident,name\n1,Müller\n".encode() + "2,Jürgens\n".encode("latin-1"),
        "file_encoding",
        "Line 3 is not UTF-8 text. Save the file as UTF-8 and try again.",
    ),
    "UP21 two separators": (b"a;b,c\n1;2,3\n", "csv_separator", "The separator could not be recognised."),
    "an unknown separator": (
        b"tax_ident^name\n1^a\n2^b\n",
        "csv_separator",
        "The separator could not be recognised.",
    ),
    "UP25 too many columns": (
        ",".join(f"c{n}" for n in range(9074)).encode() + b"\n",
        "csv_columns",
        "At most 200 columns. Found: 9,074.",
    ),
    "UP31 HTML": (b"<!DOCTYPE html><html>", "file_type", "This is not a CSV file."),
    "UP31 ELF": (b"\x7fELF\x02\x01\x01" + b"\0" * 60, "file_type", "This is not a CSV file."),
    "UP31 PNG": (b"\x89PNG\r\n\x1a\n", "file_type", "This is not a CSV file."),
    "UP32 gzip under another name": (
        gzip.compress(b"tax_ident,name\n1,a\n"),
        "file_type",
        "This is not a CSV file. It is compressed with gzip; its name must end in .gz.",
    ),
    "a quote that never closes": (
        b'"tax_ident,name\n1,a\n2,b\n',
        "csv_unclosed_quote",
        "A quote opened in line 1 is never closed.",
    ),
}


@pytest.mark.parametrize(("data", "code", "text"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.seed("S4.72")
def test_the_first_64_kb_are_judged(data: bytes, code: str, text: str) -> None:
    with pytest.raises(SourceError) as caught:
        judge(data)
    assert (caught.value.code, caught.value.message) == (code, text)


def test_a_workbook_under_another_name_and_another_zip_are_refused() -> None:
    book = io.BytesIO()
    openpyxl.Workbook().save(book)
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("table.csv", "tax_ident,name\n1,a\n")
    for data in (book.getvalue(), other.getvalue()):
        with pytest.raises(SourceError, match=r"Save the sheet as CSV\.") as caught:
            judge(data)
        assert caught.value.code == "file_type"


Part = bytes | Callable[[bytes], Iterable[bytes]]  # instead of what was there, or made of it


def test_columns_that_we_added_do_not_count() -> None:
    header = ",".join(["tax_ident", "name", *(f"c{n}" for n in range(198)), *ADDED]) + "\n"
    found = judge(header + "1,a\n")
    assert found is not None and len(found.header) == 203
    with pytest.raises(SourceError, match=r"At most 200 columns\. Found: 204\."):
        judge("more," + header + "1,a\n")


def workbook(parts: Mapping[str, Part]) -> io.BytesIO:
    """Return a workbook of one row with some parts of ours."""
    plain, crafted = io.BytesIO(), io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["tax_ident", "name"])
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(crafted, "w", zipfile.ZIP_DEFLATED) as new:
        for name in sorted({*old.namelist(), *parts}):
            was = old.read(name) if name in old.namelist() else b""
            part = parts.get(name, was)
            with new.open(name, "w") as target:
                target.writelines([part] if isinstance(part, bytes) else part(was))
    return crafted


def repeated(begin: bytes, piece: bytes, megabytes: int, end: bytes) -> Callable[[bytes], Iterable[bytes]]:
    """Return what makes a part of so many megabytes."""
    block = piece * ((1 << 20) // len(piece))
    return lambda _: [begin, *(block for _ in range(megabytes)), end]


def with_strings_in_a_sheet(types: bytes) -> list[bytes]:
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    said = b'<Override PartName="/xl/worksheets/s.xml" ContentType="' + kind + b'"/></Types>'
    assert kind not in types and types.endswith(b"</Types>")
    return [types.replace(b"</Types>", said)]


SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
SHEET_END = b"</sheetData></worksheet>"
FAR_ROW = b'<row r="1999999999"><c r="A1999999999"><v>1</v></c></row>'
WIDE_ROW = b'<row><c r="XFD1"><v>1</v></c></row>'
MB = 1 << 20
# Parts that are small when they are packed, and what is said of them.
BOMBS: dict[str, tuple[dict[str, Part], str]] = {
    "large styles": (
        {"xl/styles.xml": repeated(b"<styleSheet>", b"<a/>", 65, b"</styleSheet>")},
        "needs too much memory or time",
    ),
    "strings that are called a sheet": (
        {
            "xl/worksheets/s.xml": repeated(b"<sst>", b"<si/>", 40, b"</sst>"),
            "[Content_Types].xml": with_strings_in_a_sheet,
        },
        "needs too much memory or time",
    ),
    "a row far below": ({"xl/worksheets/sheet1.xml": SHEET + FAR_ROW + SHEET_END}, "larger than the 80 MB"),
    "a cell far to the right": (
        {"xl/worksheets/sheet1.xml": repeated(SHEET, WIDE_ROW, 1, SHEET_END)},
        r"At most 200 columns\.",
    ),
    "too much in all": (
        {"xl/worksheets/sheet1.xml": repeated(SHEET, b" ", 81, SHEET_END)},
        "larger than the 80 MB limit",
    ),
    "broken XML": ({"xl/workbook.xml": b"<workbook"}, "is damaged"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_crafted_workbook_ends_its_own_process_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, told = BOMBS[name]
    stored = workbook(parts)
    assert len(stored.getvalue()) < MB
    monkeypatch.setattr(workbooks, "MEMORY_BYTES", 200 * MB)
    with tempfile.TemporaryFile() as text, pytest.raises(SourceError, match=told):
        workbooks.write_csv(stored, text, 80 * MB, lambda: None)


def test_reading_a_workbook_ends_with_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cancelled(Exception):
        pass

    def cancel() -> None:
        raise Cancelled

    started: list[subprocess.Popen[bytes]] = []
    start = children.start

    def watched(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*args, **options))
        return started[-1]

    monkeypatch.setattr(children, "start", watched)
    with tempfile.TemporaryFile() as text, pytest.raises(Cancelled):
        workbooks.write_csv(workbook({}), text, 1 << 20, cancel)
    (child,) = started
    assert child.returncode is not None  # it has ended, and was waited for


@pytest.mark.django_db(transaction=True)
def test_a_quote_open_at_the_end_fails_the_job_with_its_line(run: Run) -> None:
    rows = "".join(f"{n},Unit {n}\n" for n in range(20_000))
    imported = run(HEAD + rows + '20001,"never closed\n' + rows)
    assert imported.job.state == "failed"
    assert imported.job.error == {
        "code": "csv_unclosed_quote",
        "text": "A quote opened in line 20,002 is never closed.",
    }
    assert not imported.rows.exists()


@pytest.mark.django_db(transaction=True)
def test_a_zero_byte_far_in_fails_the_job_with_its_place(run: Run) -> None:
    rows = "".join(f"{n},Unit {n}\n" for n in range(20_000))
    imported = run(HEAD + rows + "x\0y,b\n")
    place = len((HEAD + rows).encode()) + 2
    assert imported.job.error == {
        "code": "csv_nul",
        "text": f"The file contains a zero byte (position {place:,}).",
    }


@pytest.mark.django_db(transaction=True)
def test_bytes_of_another_encoding_far_in_fail_the_job(run: Run) -> None:
    rows = "".join(f"{n},Ünit {n}\n" for n in range(20_000)).encode()
    imported = run(HEAD.encode() + rows + b"x,\xff\xfe\n")
    assert imported.job.error["code"] == "file_encoding"
    assert imported.job.error["text"].startswith("Line 20,002 is not UTF-8 text.")


@pytest.mark.django_db(transaction=True)
def test_rows_that_cannot_be_read_are_errors_of_their_own(run: Run) -> None:
    """UP10, UP13, UP14."""
    long = "x" * (csv_limit() + 1)
    imported = run(f'tax_ident,name,employees\n1,a,1\n2,b\n3,c,3,4\n4,"d"d,4\n5,{long},5\n6,f,6\n7,g,7,,\n')
    assert errors_of(imported) == {
        3: {"": "csv_row_width"},
        4: {"": "csv_row_width"},
        5: {"": "csv_quote"},
        6: {"": "csv_field_too_long"},
    }
    texts = [row.errors[""]["text"] for row in imported.rows.filter(errors__isnull=False).order_by("number")]
    assert texts == [
        "Row 3: expected 3 cells, found 2.",
        "Row 4: expected 3 cells, found 4.",
        "Row 5: misplaced quote.",
        "Row 6: a cell is longer than 131,072 characters.",
    ]
    assert imported.rows_good == 3  # empty cells beyond the header say nothing
    job = resume_inline(lifecycle.answer(imported.job, "approve", {}, imported.owner))
    assert (job.state, job.message) == ("partial", "3 rows loaded: 3 new, 0 updated, 4 with errors left out")


@pytest.mark.django_db(transaction=True)
def test_a_quoted_cell_beyond_the_limit_does_not_swallow_the_next_rows(run: Run) -> None:
    long = "line\n" * 40_000
    imported = run(f'tax_ident,name\n1,a\n2,"{long}"\n3,c\n')
    assert errors_of(imported) == {3: {"": "csv_field_too_long"}}
    assert list(imported.rows.order_by("number").values_list("number", flat=True)) == [2, 3, 4]


def test_a_line_of_50_mb_takes_no_memory() -> None:
    """UP15."""
    line = b"x" * (50 << 20)
    data = io.BytesIO(b"tax_ident,name\n1,a\n" + line + b"\n2,b\n")
    layout = records.Layout(",")
    tracemalloc.start()
    spans = records.plan(data, 0, 50 << 20, layout, 1, lambda: None)
    rows = [(number, row) for span in spans for number, row in records.read(data, span, layout)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [number for number, _ in rows] == [2, 3, 4]
    assert isinstance(rows[1][1], records.Bad) and rows[1][1].code == "csv_field_too_long"
    assert rows[2][1] == ["2", "b"]
    assert peak < 12 << 20


def test_an_unpacked_file_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "limit", lambda: 1 << 20)
    packed = io.BytesIO(gzip.compress(b"tax_ident,name\n" + b"1,a\n" * 1_000_000))
    with pytest.raises(SourceError) as caught, files.opened(packed, "register.csv.gz"):
        pass
    assert (caught.value.code, caught.value.message) == (
        "file_too_large",
        "The file is larger than the 1 MB limit.",
    )


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_ROWS", 1000)
    data = b"tax_ident,name\n" + b"1,a\n" * 1002
    with pytest.raises(SourceError) as caught:
        records.plan(io.BytesIO(data), 0, len(data), records.Layout(","), 1, lambda: None)
    assert (caught.value.code, caught.value.message) == (
        "csv_too_many_rows",
        "The file has more than 1,000 rows.",
    )


def test_batches_grow_with_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the largest size has 1,024 of them: what is kept of each must not grow without end."""
    monkeypatch.setattr(records, "SMALLEST", 100)
    monkeypatch.setattr(records, "LARGEST", 1000)
    for rows in (10, 1000, 100_000):
        data = b"tax_ident,name\n" + b"1,a\n" * rows
        spans = records.plan(io.BytesIO(data), 0, len(data), records.Layout(","), 1, lambda: None)
        assert sum(span.rows for span in spans) == rows
        assert len(spans) <= max(records.SPANS_AT_LEAST, len(data) // records.LARGEST) + 1


@pytest.mark.django_db(transaction=True)
def test_how_a_file_was_read_is_told(run: Run) -> None:
    """UP17, UP21."""
    imported = run("tax_ident;name\n1;Å\n".encode("utf-16"))
    told = imported.job.events.get(message__startswith="Read as UTF-16").message
    assert "Separator: ; (semicolon). 2 columns." in told


@pytest.mark.django_db(transaction=True)
def test_a_refused_file_makes_no_job(run: Run) -> None:
    with pytest.raises((Refused, Problem)) as caught:
        run("a,b\n1,2\n", match="never")
    assert caught.value.message == 'Column "tax_ident" is missing. Found: a, b.'
    assert not Unit.objects.exists()


def test_text_of_two_possible_alphabets_is_not_guessed() -> None:
    greek = "1,39,Ιωαννης\n2,23,Σοφοκλης\n3,36,Ελενη\n".encode("iso8859_7")
    assert encodings.guess(greek) is None


def csv_limit() -> int:
    return records.MAX_CELL
