"""Files that nobody should send, each with what is said of it by each reader."""

import bz2
import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import openpyxl

from tests.documents.making import docx, locked, paragraphs, pdf, picture_pdf
from tests.documents.test_bad_files import (
    dictionaries_in_each_other,
    looping_pages,
    lying,
    object_streams_in_each_other,
    too_many_pages,
)
from tests.imports.test_bad_files import BOMBS, SHEET, SHEET_END, workbook

MB = 1 << 20
HEAD = "tax_ident,name\n"
WORDS = "Cobalt suppliers are audited every two years."
XSS = "<img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class File:
    """A file and what is to become of it.

    imports, documents, addresses: the code of the refusal, now or in the job; "" where it is read.
    long: takes seconds to be read, so that it is tried in the long round only.
    """

    name: str
    make: Callable[[], bytes]
    imports: str = "file_type"
    documents: str = "file_type"
    addresses: str = "file_type"
    long: bool = False


def archive(*members: tuple[str, bytes], link: str = "") -> bytes:
    """Return a ZIP of these. link: the name of one more that points out of it."""
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members:
            made.writestr(name, data)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            made.writestr(info, "/etc/passwd")
    return kept.getvalue()


def sheet(*rows: list[object]) -> bytes:
    """Return a workbook of these rows."""
    book, kept = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(kept)
    return kept.getvalue()


def encrypted() -> bytes:
    """Return a ZIP whose members say that they need a password."""
    data = archive(("xl/workbook.xml", b"x" * 100))
    return data.replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00").replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    )


def nested(times: int = 20) -> bytes:
    """Return a ZIP in a ZIP in a ZIP."""
    data = b"tax_ident,name\n1,a\n"
    for n in range(times):
        data = archive((f"{n}.zip", data))
    return data


def packed_bomb() -> bytes:
    """Return 2 MB that are a table of 2,000 MB, whose second line never ends."""
    piece = gzip.compress(b"0" * (32 * MB))
    return gzip.compress(HEAD.encode()) + piece * 64


def text(content: str) -> Callable[[], bytes]:
    return content.encode


def data(content: bytes) -> Callable[[], bytes]:
    return lambda: content


READ = ""
# As they are within the limits of an instance, see tests/imports/test_bad_files.py.
WORKBOOKS = {
    "large styles": "file_too_large",
    "strings that are called a sheet": "csv_no_rows",
    "a row far below": "file_too_large",
    "a cell far to the right": "csv_columns",
    "too much in all": "csv_no_rows",
    "broken XML": "file_type",
}
ROWS: dict[str, File] = {
    # ---- nothing, or nothing in it
    "UP1, UP36 nothing": File("a.csv", data(b""), *["file_empty"] * 3),
    "nothing, a PDF": File("a.pdf", data(b""), *["file_empty"] * 3),
    "nothing, a workbook": File("a.xlsx", data(b""), *["file_empty"] * 3),
    "UP2 a mark alone": File("a.csv", data(b"\xef\xbb\xbf"), *["file_empty"] * 3),
    "UP3 newlines": File("a.csv", data(b"\n\r\n\n"), "csv_no_rows", "document_no_text", "file_empty"),
    "spaces": File("a.txt", data(b"   \t  \n "), "csv_no_rows", "document_no_text", "file_empty"),
    "UP4 a header": File("a.csv", text(HEAD), "csv_no_rows", READ, "no_address"),
    # ---- tables
    "UP6 a column twice": File("a.csv", text("tax_ident,name,name\n1,a,b\n"), "csv_columns", READ, READ),
    "UP7 a column without a name": File("a.csv", text("tax_ident,,name\n1,a,b\n"), "csv_columns", READ, READ),
    "a column is missing, which is asked for": File("a.csv", text("a,b\n1,2\n"), READ, READ, READ),
    "UP10 too many cells": File("a.csv", text(f"{HEAD}1,a,b\n"), READ, READ, READ),
    "UP13 a quote in a cell": File("a.csv", text(f'{HEAD}1,"a"b\n'), READ, READ, READ),
    "a quote that never closes": File(
        "a.csv", text('"tax_ident,name\n1,a\n'), "csv_unclosed_quote", READ, "no_address"
    ),
    "UP14 a long cell": File("a.csv", text(f"{HEAD}1,{'x' * 131_073}\n"), READ, READ, "table"),
    "UP16 a zero byte": File("a.csv", data(b"tax_ident,name\n1,a\0b\n"), "csv_nul", READ, READ),
    "UP17 UTF-16": File("a.csv", lambda: f"{HEAD}1,a\n".encode("utf-16"), READ, READ, READ),
    "UP20 two encodings": File(
        "a.csv",
        lambda: f"{HEAD}1,Müller\n".encode() + "2,Jürgens\n".encode("latin-1"),
        "file_encoding",
        "document_encoding",
        READ,
    ),
    "UP21 two separators": File("a.csv", text("a;b,c\n1;2,3\n"), "csv_separator", READ, READ),
    "UP23 lines that end as on old Macs": File("a.csv", text("tax_ident,name\r1,a\r"), READ, READ, READ),
    "UP25 many columns": File(
        "a.csv", text(",".join(f"c{n}" for n in range(9_000)) + "\n"), "csv_columns", READ, "no_address"
    ),
    "UP26 formulas": File(
        "a.csv", text(f"{HEAD}1,=cmd|' /C calc'!A0\n2,+1\n3,@x\n4,-2+3\n"), READ, READ, READ
    ),
    "UP27 markup in cells": File("a.csv", text(f"{HEAD}1,{XSS}\n"), READ, READ, READ),
    "what steers in cells": File("a.csv", text(f"{HEAD}1,a\x1b[31mb\u202ec\n"), READ, READ, READ),
    "UP15 a line without end": File(
        "a.csv", lambda: HEAD.encode() + b"x" * (3 * MB), READ, READ, "file_too_large", long=True
    ),
    # ---- what says it is a table, or a text
    "UP30 a workbook as CSV": File("a.csv", lambda: sheet(["tax_ident", "name"], [1, "a"])),
    "UP31 a page": File("a.csv", data(b"<!DOCTYPE html><html><p>Hello")),
    "UP31 a program": File("a.csv", data(b"\x7fELF\x02\x01\x01" + bytes(60))),
    "UP31 a picture": File("a.csv", data(b"\x89PNG\r\n\x1a\n" + bytes(60))),
    "UP32 gzip as CSV": File("a.csv", lambda: gzip.compress(b"tax_ident,name\n1,a\n"), documents="file_type"),
    "a PDF as text": File("a.txt", lambda: pdf([WORDS])),
    "bytes of nothing known": File("a.csv", lambda: bytes(range(256)) * 40),
    "zero bytes": File("a.txt", data(bytes(5_000))),
    "a database": File("a.csv", data(b"SQLite format 3\0" + bytes(600))),
    "no ending": File("a", data(b"\x7fELF" + bytes(200))),
    # ---- packed
    "gzip cut off": File("a.csv.gz", lambda: gzip.compress(b"tax_ident,name\n" + b"1,a\n" * 9_999)[:-20]),
    "gzip of rubbish": File("a.csv.gz", data(b"\x1f\x8b" + b"rubbish" * 9)),
    "gzip of nothing": File("a.csv.gz", lambda: gzip.compress(b""), "file_empty"),
    "gzip in gzip": File("a.csv.gz", lambda: gzip.compress(gzip.compress(HEAD.encode()))),
    "gzip of a workbook": File("a.xlsx.gz", lambda: gzip.compress(sheet(["tax_ident", "name"], [1, "a"]))),
    "gzip of a picture": File("a.csv.gz", lambda: gzip.compress(b"\x89PNG\r\n\x1a\n" + bytes(90))),
    "gzip with a tail": File("a.csv.gz", lambda: gzip.compress(b"tax_ident,name\n1,a\n") + b"tail"),
    "gzip bomb": File("a.csv.gz", packed_bomb, "csv_field_too_long", addresses="file_too_large", long=True),
    "bzip2": File("a.csv", lambda: bz2.compress(b"tax_ident,name\n1,a\n")),
    "ZIP": File("a.zip", lambda: archive(("a.csv", b"tax_ident,name\n1,a\n"))),
    "ZIP of nothing": File("a.zip", archive),
    "ZIP that leads out": File(
        "a.zip", lambda: archive(("../../../etc/x", b"x"), ("/etc/y", b"y"), link="z")
    ),
    "ZIP in ZIP": File("a.zip", nested),
    # ---- workbooks
    "a table as a workbook": File("a.xlsx", text(f"{HEAD}1,a\n"), addresses=READ),
    "a ZIP as a workbook": File("a.xlsx", lambda: archive(("a.csv", b"x"))),
    "an old workbook": File("a.xlsx", data(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))),
    "a workbook with a password": File("a.xlsx", encrypted),
    "a workbook cut off": File("a.xlsx", lambda: sheet(["tax_ident", "name"], [1, "a"])[:2_000]),
    "a workbook of nothing": File("a.xlsx", sheet, "csv_no_rows"),
    "formulas in a workbook": File("a.xlsx", lambda: sheet(["tax_ident", "name"], [1, "=1+1"]), READ),
    "errors in a workbook": File("a.xlsx", lambda: sheet(["tax_ident", "name"], [1, "#REF!"]), READ),
    "a workbook that leads out": File(
        "a.xlsx",
        lambda: workbook({"../../outside.xml": b"<a/>", "/etc/outside": b"x"}).getvalue(),
        "csv_no_rows",
    ),
    "entities in a workbook": File(
        "a.xlsx",
        lambda: workbook(
            {"xl/worksheets/sheet1.xml": b'<!DOCTYPE x [<!ENTITY a "ha">]>' + SHEET + SHEET_END}
        ).getvalue(),
    ),
    **{
        f"a workbook with {name}": File(
            "a.xlsx",
            lambda parts=parts: workbook(parts).getvalue(),  # type: ignore[misc]
            WORKBOOKS[name],
            long=True,
        )
        for name, (parts, _told) in BOMBS.items()
    },
    # ---- documents
    "UP37 text as PDF": File("a.pdf", data(b"not a pdf"), addresses=READ),
    "UP38 a PDF after much else": File(
        "a.pdf", lambda: b" " * 2_000 + pdf([WORDS]), addresses="bad_character"
    ),
    "a page as PDF": File("a.pdf", data(b"<!doctype html><p>Hello")),
    "two kinds in one": File("a.pdf", lambda: b"GIF89a" + pdf([WORDS])),
    "a PDF as Word": File("a.docx", lambda: pdf([WORDS])),
    "SEC46 a drawing": File("a.svg", data(b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>")),
    "a picture": File("a.png", data(b"\x89PNG\r\n\x1a\n" + bytes(100))),
    "old Word": File("a.doc", data(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))),
    "RTF": File("a.rtf", data(b"{\\rtf1 hello}")),
    "UP39 a PDF cut off": File("a.pdf", lambda: pdf([WORDS])[:300], documents="pdf_damaged"),
    "UP40 a PDF whose table is elsewhere": File(
        "a.pdf", lambda: pdf([WORDS]).replace(b"startxref\n", b"startxref\n9"), documents=READ
    ),
    "UP41 a PDF with a password": File("a.pdf", lambda: locked(pdf([WORDS])), documents="pdf_encrypted"),
    "UP43 a PDF of pictures": File("a.pdf", lambda: picture_pdf("Received"), documents="pdf_no_text"),
    "UP44 a PDF bomb": File("a.pdf", lambda: pdf([b"\0" * (100 * MB)]), documents="pdf_limits", long=True),
    "UP45 a PDF of too many pages": File("a.pdf", too_many_pages, documents="pdf_too_many_pages", long=True),
    "UP46 a PDF that holds itself": File("a.pdf", looping_pages, documents="pdf_damaged"),
    "UP47 a PDF of nested streams": File(
        "a.pdf", object_streams_in_each_other, documents="pdf_limits", long=True
    ),
    "a PDF of nested dictionaries": File(
        "a.pdf", dictionaries_in_each_other, documents="pdf_damaged", long=True
    ),
    "UP50 a PDF that is a form": File(
        "a.pdf", lambda: pdf([b""], b"/AcroForm<</XFA[(a)(b)]>>"), documents="pdf_no_text"
    ),
    "UP51 a PDF with a title that steers": File(
        "a.pdf",
        lambda: pdf(
            [WORDS], info=b"/Title<" + "\ufeff\u202egnp.\0exe".encode("utf-16-be").hex().encode() + b">"
        ),
        documents=READ,
    ),
    "a Word document with entities": File(
        "a.docx",
        lambda: docx(paragraphs("&a;"), before='<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
        documents="document_damaged",
    ),
    "a Word document of nothing": File("a.docx", lambda: docx(""), documents="document_no_text"),
    "a Word document cut off": File(
        "a.docx", lambda: docx(paragraphs(WORDS))[:200], documents="document_damaged"
    ),
    "a Word document that leads out": File(
        "a.docx", lambda: docx(paragraphs(WORDS), {"../../outside.txt": "x"}), documents=READ
    ),
    "a Word document that lies of its size": File(
        "a.docx",
        lambda: lying(docx(paragraphs("x" * (210 * MB)))),
        documents="document_damaged",
        long=True,
    ),
    "what steers in a text": File(
        "a.txt", text(f"a\x1b[31mb\u202e {WORDS}"), "csv_no_rows", READ, "bad_character"
    ),
    "pages nested without end": File(
        "a.html", lambda: b"<html>" + b"<div>" * 9_000 + WORDS.encode(), documents=READ
    ),
}

# What a file is called (SEC47).
NAMES = [
    "../../etc/x.csv", "..\\..\\x.csv", "/etc/passwd.csv", "a\0b.csv", "con.csv", "x" * 300 + ".csv",
    "\u202ecsv.exe", 'a"; filename=x.csv', ".csv", "...", " ", "a\nb.csv", "a\x1b[31m.csv", "\ud800.csv",
    "\u200b.csv", "=1+1.csv", XSS + ".csv", "%2e%2e%2fx.csv", "a.csv/", "~/.ssh/x.csv", "-rf.csv",
    "a.csv\u2028",
]  # fmt: skip
