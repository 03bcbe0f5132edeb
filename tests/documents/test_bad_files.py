"""Files that nobody should make end in words and in time (bad_inputs.json, SEC46 to SEC51)."""

import io
import resource
import struct
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from config.problems import Problem
from ingestion import uploads
from ingestion.models import Upload
from ingestion.source import SourceError, get
from ingestion.sources.documents import reading
from tests.documents.making import docx, locked, paragraphs, pdf, picture_pdf, raw_pdf, stream

MEGABYTE = 1 << 20
GOOD = "Cobalt suppliers are audited every two years."
XSS = "<img src=x onerror=alert(1)>"


@contextmanager
def _there(path: str) -> Iterator[str]:
    yield path


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read bytes as a kind of document, in the process that does that."""
    monkeypatch.setattr(reading, "_local", _there)

    def read(data: bytes, kind: str) -> reading.Parsed:
        path = tmp_path / "file"
        path.write_bytes(data)
        return reading.read(str(path), kind, lambda done, pages: None, lambda: None)

    return read


def text_of(parsed: reading.Parsed) -> str:
    return "\n".join(block.text for block in parsed.blocks)


def object_streams_in_each_other(depth: int = 10_000) -> bytes:
    """Return a PDF whose catalogue is in a stream of objects that is in another, and so on."""
    head = b"1 0 2 30 "
    content = head + b"<</Type/Catalog/Pages 2 0 R>>".ljust(30) + b"<</Type/Pages/Count 0/Kids[]>>"
    last = 2 + depth
    form = b"%d 0 obj\n<</Type/ObjStm/N 2/First %d/Length %d>>stream\n%b\nendstream\nendobj\n"
    start = b"%PDF-1.5\n"
    body = start + form % (last, len(head), len(content), content)
    rows = [(0, 0, 65535), (2, 3, 0), (2, 3, 1), *((2, n + 1, 0) for n in range(3, last))]
    rows += [(1, len(start), 0), (1, len(body), 0)]
    table = b"".join(struct.pack(">BIH", *row) for row in rows)
    form = b"%d 0 obj\n<</Type/XRef/Size %d/W[1 4 2]/Root 1 0 R/Length %d>>stream\n%b\nendstream\nendobj\n"
    return body + form % (last + 1, last + 2, len(table), table) + b"startxref\n%d\n%%%%EOF" % len(body)


def dictionaries_in_each_other() -> bytes:
    inner = b"<</Type/Catalog/Pages 2 0 R>>"
    for n in range(10_000):
        inner = b"<</X %b/N %d>>" % (inner, n)
    return raw_pdf([inner, b"<</Type/Pages/Count 0/Kids[]>>"])


def too_many_pages() -> bytes:
    kids = b" ".join(b"3 0 R" for _ in range(100_001))
    return raw_pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 100001/Kids[%b]>>" % kids,
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        ]
    )


def looping_pages() -> bytes:
    return raw_pdf([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[2 0 R]/Parent 2 0 R>>"])


REFUSED = {
    "UP39 cut off": (lambda: pdf([GOOD])[:300], "pdf_damaged"),
    "UP41 a password": (lambda: locked(pdf([GOOD])), "pdf_encrypted"),
    "UP43 a picture with a stamp": (lambda: picture_pdf("Received 12 May"), "pdf_no_text"),
    "UP44 flate bomb": (lambda: pdf([b"\0" * (100 * MEGABYTE)]), "pdf_limits"),
    "UP45 too many pages": (too_many_pages, "pdf_too_many_pages"),
    "UP46 a tree that holds itself": (looping_pages, "pdf_damaged"),
    "UP47 nested streams of objects": (object_streams_in_each_other, "pdf_limits"),
    "nested dictionaries": (dictionaries_in_each_other, "pdf_damaged"),
    "UP50 a form of XML": (lambda: pdf([b""], b"/AcroForm<</XFA[(a)(b)]>>"), "pdf_no_text"),
}


@pytest.mark.seed("SEC51")
@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_pdf_is_refused_in_words(name: str, read: Any) -> None:
    make, code = REFUSED[name]
    with pytest.raises(SourceError) as found:
        read(make(), "pdf")
    assert found.value.code == code and found.value.message.startswith(("This PDF", "No text"))
    assert found.value.message.count(". ") >= 1  # what is wrong, and what to do


@pytest.mark.seed("SEC51")
@pytest.mark.parametrize("where", ["FontFile2", "ToUnicode"])
def test_a_pdf_with_a_huge_font_is_read_or_refused_within_limits(where: str, read: Any) -> None:
    """UP52: its outlines are not looked at; a map of its letters is, up to a size."""
    font = stream(b"\0" * (50 * MEGABYTE)) if where == "FontFile2" else stream(mapping())
    entry = b"/FontDescriptor<</FontFile2 3 0 R>>" if where == "FontFile2" else b"/ToUnicode 3 0 R"
    data = raw_pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[4 0 R]>>",
            font,
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 5 0 R/Resources<</Font<</F1"
            b"<</Type/Font/Subtype/TrueType/BaseFont/A%b>>>>>>>>" % entry,
            stream(b"BT /F1 12 Tf (%b) Tj ET" % GOOD.encode()),
        ]
    )
    if where == "FontFile2":
        assert text_of(read(data, "pdf")) == GOOD
        return
    with pytest.raises(SourceError) as found:
        read(data, "pdf")
    assert found.value.code == "pdf_limits"


def mapping() -> bytes:
    """Return 50 MB of what a font says of its letters."""
    row = b"<0041> <0041>\n"
    return b"100 beginbfchar\n" + row * (50 * MEGABYTE // len(row)) + b"endbfchar\n"


@pytest.mark.seed("SEC51")
def test_a_pdf_that_spins_is_ended_by_its_limit_on_time(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """UP56. The limit is 30 s; here two, to see the same end sooner."""
    monkeypatch.setattr(reading, "PIECE_SECONDS", 2)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(SourceError) as found:
        read(pdf([b"BT /F1 1 Tf (a) Tj ET\n" * 300_000]), "pdf")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert found.value.code == "pdf_limits"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 8


def test_pdfs_that_are_odd_and_no_harm_are_read(read: Any) -> None:
    good = pdf([GOOD])
    assert GOOD in text_of(read(good.replace(b"startxref\n", b"startxref\n9"), "pdf"))  # UP40
    assert GOOD in text_of(read(pdf([GOOD], page=b"/MediaBox[0 0 1000000000 1000000000]"), "pdf"))  # UP48
    assert GOOD in text_of(read(b"\n" * 900 + good, "pdf"))


@pytest.mark.seed("SEC51")
def test_what_a_pdf_would_do_is_not_done_and_said(read: Any, tmp_path: Path) -> None:
    """UP49."""
    catalogue = (
        b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>"
        b"/Names<</EmbeddedFiles<</Names[(evil.exe)<</Type/Filespec/F(evil.exe)>>]>>>>"
    )
    parsed = read(pdf([GOOD], catalogue), "pdf")
    assert GOOD in text_of(parsed) and "alert" not in text_of(parsed)
    assert parsed.notes == [
        "It carries attached files, which were not read.",
        "It carries actions or scripts, which were not run.",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_title_of_a_pdf_is_a_line_of_200_characters(read: Any) -> None:
    """UP51."""
    title = b"/Title(%b %b)" % (XSS.encode(), b"long " * 20_000)
    parsed = read(pdf([GOOD], info=title), "pdf")
    assert parsed.title.startswith(XSS) and len(parsed.title) <= 200
    turned = "\ufeff\u202egnp.\0\u2067exe".encode("utf-16-be").hex().encode()
    assert read(pdf([GOOD], info=b"/Title<%b>" % turned), "pdf").title == "gnp.exe"


@pytest.mark.seed("SEC50")
@pytest.mark.parametrize(
    "entities",
    [
        '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:9/">]>',
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/">%p;]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
    ],
    ids=["laughs", "file", "http", "parameter", "dtd"],
)
def test_entities_in_a_word_document_are_refused(entities: str, read: Any) -> None:
    with pytest.raises(SourceError) as found:
        read(docx(paragraphs("&a;"), before=entities), "docx")
    assert found.value.code == "document_damaged" and "not allowed" in found.value.message


def test_a_word_document_that_unpacks_to_too_much_is_ended(read: Any) -> None:
    began = time.monotonic()
    for data in (
        docx(paragraphs(GOOD), {"word/footnotes.xml": b" " * (201 * MEGABYTE)}),
        docx(paragraphs(GOOD), {f"word/media/{n}.xml": "" for n in range(5001)}),
        lying(docx(paragraphs("x" * (210 * MEGABYTE)))),
    ):
        with pytest.raises(SourceError) as found:
            read(data, "docx")
        assert found.value.code in ("document_limits", "document_damaged")
    assert time.monotonic() - began < 60


def test_a_word_document_nested_without_end_is_refused(read: Any) -> None:
    for kind in ("w:tbl", "w:p"):
        with pytest.raises(SourceError) as found:
            read(docx(f"<{kind}>" * 300_000 + f"</{kind}>" * 300_000), "docx")
        assert found.value.code == "document_limits"


def test_a_word_document_has_its_time_for_all_of_it(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sections it has; each page of a PDF has as much for itself."""
    monkeypatch.setattr(reading, "PIECE_SECONDS", 2)
    many = '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Cobalt</w:t></w:r></w:p>' * 400_000
    with pytest.raises(SourceError) as found:
        read(docx(many), "docx")
    assert found.value.code == "document_limits"


def lying(data: bytes) -> bytes:
    """Have an archive say of its first part that it unpacks to a hundred bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = archive.infolist()[0].file_size
    return data.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little"))


def test_names_in_a_word_document_lead_nowhere(read: Any, tmp_path: Path) -> None:
    parts: dict[str, str | bytes] = {
        "../../outside.txt": "x",
        "/etc/outside": "x",
        "word/../../up.xml": "<a/>",
    }
    assert text_of(read(docx(paragraphs(GOOD), parts), "docx")) == GOOD
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and not Path("/etc/outside").exists()


def test_a_page_nested_without_end_is_read(read: Any) -> None:
    assert GOOD in text_of(read(b"<html>" + b"<div>" * 100_000 + GOOD.encode(), "html"))


@pytest.mark.django_db
@pytest.mark.seed("SEC46")
@pytest.mark.parametrize(
    ("name", "data", "code", "told"),
    [
        ("a.pdf", b"", "file_empty", "The file is empty."),  # UP36
        ("a.pdf", b"not a pdf", "file_type", "This is not a PDF file."),  # UP37
        ("a.pdf", b" " * 2000 + pdf([GOOD]), "file_type", "This is not a PDF file."),  # UP38
        ("a.pdf", b"<!doctype html><p>Hello", "file_type", "This is not a PDF file."),
        ("a.pdf", b"GIF89a" + pdf([GOOD]), "file_type", "This is not a PDF file."),
        ("a.txt", b"\x7fELF" + bytes(200), "file_type", "This is not a text file."),
        ("a.docx", pdf([GOOD]), "file_type", "This is not a Word file."),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "file_type", "recognition (OCR)"),
        ("a.png", b"\x89PNG" + bytes(100), "file_type", "recognition (OCR)"),
        ("a", b"PK\x03\x04" + bytes(100), "file_type", "Unpack it"),
        ("a.doc", b"\xd0\xcf\x11\xe0" + bytes(600), "file_type", "Save it as .docx or PDF"),
        ("a.rtf", b"{\\rtf1 hello}", "file_type", "Save it as .docx or PDF"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 7 else "",
)
def test_what_is_no_document_is_not_kept(name: str, data: bytes, code: str, told: str, alice: User) -> None:
    with pytest.raises(Problem) as found:
        uploads.store(alice, name, io.BytesIO(data), source=get("documents"))
    assert found.value.code == code and told in found.value.detail
    assert not Upload.objects.exists()


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "koi8-r"]
)
def test_text_in_any_usual_encoding_is_read(encoding: str, read: Any) -> None:
    words = (
        "Поставщики кобальта проверяются каждые два года. "
        if encoding == "koi8-r"
        else "Zulieferer prüfen wir. "
    )
    assert words.strip() in text_of(read((words * 20).encode(encoding), "text"))


def test_bytes_of_no_encoding_are_refused_in_words(read: Any) -> None:
    mixed = "Größe\n".encode() * 200 + "Größe\n".encode("cp1252") * 200 + bytes([0x81, 0x8D, 0x90]) * 50
    with pytest.raises(SourceError) as found:
        read(mixed, "text")
    assert found.value.code == "document_encoding" and "Save it as UTF-8" in found.value.message
