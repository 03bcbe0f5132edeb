"""Every real document goes through the reader and ends as written here (DATA B2)."""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingestion import file_types, uploads
from ingestion.source import SourceError
from ingestion.sources.documents import chunks, reading
from ingestion.sources.documents.parsing import child
from tests.faults.conftest import FULL

pytestmark = pytest.mark.realdata

# file -> (pages, passages of 1,000 characters, letters and digits)
READ = {
    "html/example-steelJIS-datasheet-utf-16.html": (None, 4, 1632),
    "html/fake-html-cp1252.html": (None, 1, 602),
    "html/fake-html-pre.htm": (None, 537, 298_663),
    "html/ideas-page.html": (None, 1, 620),
    "markdown/README.md": (None, 2, 642),
    "markdown/codeblock.md": (None, 2, 362),
    "office/docx-hdrftr.docx": (None, 2, 102),  # all of it in headers and footers
    "office/fake.docx": (None, 1, 22),
    "office/handbook-872p.docx": (None, 1270, 653_759),
    "office/page-breaks.docx": (None, 1, 386),
    "office/simple.docx": (None, 1, 133),
    "pdf/ArabicCIDTrueType.pdf": (1, 1, 68),
    "pdf/copy-protected.pdf": (2, 7, 4584),  # encrypted with an empty password; NUL in its text
    "pdf/encrypted_r6_empty_user_password.pdf": (1, 1, 33),
    "pdf/failure-after-repair.pdf": (76, 155, 83_912),
    "pdf/geobase_data_model.pdf": (19, 35, 15_537),
    "pdf/invalid-pdf-structure-pdfminer-one-page.pdf": (2, 14, 8895),
    "pdf/issue-297.pdf": (1, 1, 11),
    "pdf/korean-text-with-tables.pdf": (1, 2, 849),
    "pdf/missing_info.pdf": (1, 1, 70),
    "pdf/multi-column-2p.pdf": (2, 11, 7099),
    "pdf/multilang.pdf": (1, 1, 102),
    "pdf/pdfjsbad1586.pdf": (1, 1, 9),
    "pdf/poppler-67295-0.pdf": (1, 1, 13),
    "pdf/poppler-91414-0-53.pdf": (1, 1, 6),
    "pdf/reliance.pdf": (3, 11, 6725),
    "pdf/scanned_with_ocr_layer.pdf": (6, 18, 9603),
    "pdf/tracemonkey_annotation_on_page_8.pdf": (14, 111, 65_852),
    "text/UDHR_first_article_all.txt": (None, 133, 73_326),
    "text/book-war-and-peace-1225p.txt": (None, 4660, 2_513_982),
    "text/fake-text-utf-16-be.txt": (None, 1, 122),
    "text/fake-text-utf-16.txt": (None, 1, 122),
    "text/hebrew-text-base64-iso88598i.txt": (None, 1, 52),  # base64, which is text
    "text/norwich-city.txt": (None, 63, 36_882),
}

# file -> (code of its error, what the user is told to do)
REFUSED = {
    "office/doc-no-coreprops.docx": ("document_no_text", "nothing to search"),  # empty paragraphs
    "office/no-styles-part.docx": ("document_no_text", "nothing to search"),
    "pdf/Pages-tree-refs.pdf": ("pdf_damaged", "save it in the program that made it"),
    "pdf/REDHAT-1531897-0.pdf": ("pdf_damaged", "save it in the program that made it"),
    "pdf/bug1020226.pdf": ("pdf_damaged", "save it in the program that made it"),
    "pdf/poppler-85140-0.pdf": ("pdf_damaged", "save it in the program that made it"),  # claims 213,804,087
    "pdf/empty.pdf": ("pdf_no_text", "text recognition"),
    "pdf/empty_protected.pdf": ("pdf_no_text", "text recognition"),  # opens with an empty password
    "pdf/encrypted_no_id.pdf": ("pdf_no_text", "text recognition"),  # opens too: one page of fax
    "pdf/image_only_jpeg.pdf": ("pdf_no_text", "text recognition"),
    "pdf/vertical.pdf": ("pdf_no_text", "text recognition"),
    "pdf/encrypted_aes256_password_is_password.pdf": ("pdf_encrypted", "without a password"),
    "pdf/encrypted_rc4_r3_user_password.pdf": ("pdf_encrypted", "without a password"),
    "pdf/password.pdf": ("pdf_encrypted", "without a password"),
    "text/fake-text-all-whitespace.txt": ("document_no_text", "nothing to search"),
}

# file -> what it is refused with before anything is kept
NOT_TAKEN = {
    "office/fake-doc.rtf": "Save it as .docx or PDF",
    "office/simple.doc": "Save it as .docx or PDF",
    "text/empty.txt": "The file is empty.",
}
LONG = "pdf/DA-619p.pdf"  # a minute to read: how far one gets is a test of its own

# file -> the script that most of its letters are of
SCRIPTS = {"pdf/ArabicCIDTrueType.pdf": "ARABIC", "pdf/korean-text-with-tables.pdf": "HANGUL"}


@contextmanager
def _there(path: str) -> Iterator[str]:
    yield path


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files where they are; without --faults in this process too, which takes a third of the time."""
    monkeypatch.setattr(reading, "_local", _there)
    if FULL:
        return

    def said(kind: str, path: str, check: Any) -> Iterator[dict[str, Any]]:
        with Path(path).open("rb") as file:
            for one in child.said(child.parser_of(kind), file, 2000):
                check()
                if "end" not in one:
                    yield one

    monkeypatch.setattr(reading, "_said", said)


def read(path: Path) -> reading.Parsed:
    kind = reading.kind_of(path.name, file_types.type_of(path.read_bytes()[: file_types.HEAD]))
    assert kind is not None
    return reading.read(str(path), kind, lambda done, pages: None, lambda: None)


def test_every_file_has_its_outcome(real_data: Path) -> None:
    folder = real_data / "documents"
    every = {str(path.relative_to(folder)) for path in folder.glob("*/*")}
    assert every == {*READ, *REFUSED, *NOT_TAKEN, LONG}


@pytest.mark.parametrize("name", READ)
def test_what_can_be_read_is_read(name: str, real_data: Path) -> None:
    parsed = read(real_data / "documents" / name)
    passages = chunks.cut(parsed.blocks, 1000, 200)
    text = "".join(block.text for block in parsed.blocks)
    assert (parsed.pages, len(passages), sum(map(str.isalnum, text))) == READ[name]
    assert "\0" not in text and max(len(one.text) for one in passages) <= 1000
    if name in SCRIPTS:
        counted = Counter(unicodedata.name(one, "?").split()[0] for one in text if one.isalpha())
        assert counted.most_common(1)[0][0] == SCRIPTS[name]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_says_why_and_what_to_do(name: str, real_data: Path) -> None:
    code, remedy = REFUSED[name]
    with pytest.raises(SourceError) as found:
        read(real_data / "documents" / name)
    assert (found.value.code, remedy in found.value.message) == (code, True), found.value.message
    assert not found.value.retryable


@pytest.mark.django_db
@pytest.mark.parametrize("name", NOT_TAKEN)
def test_what_is_not_taken_says_what_to_do(name: str, real_data: Path, alice: Any) -> None:
    from config.problems import Problem
    from ingestion.models import Upload
    from ingestion.source import get

    path = real_data / "documents" / name
    with path.open("rb") as file, pytest.raises(Problem) as found:
        uploads.store(alice, path.name, file, source=get("documents"))
    assert NOT_TAKEN[name] in found.value.detail and not Upload.objects.exists()


def test_a_long_document_tells_how_far_it_is_and_stops_when_asked(real_data: Path) -> None:
    """Of 619 pages; with --faults to their end."""
    told: list[tuple[int, int | None]] = []
    last = 619 if FULL else 12

    class Stopped(BaseException):
        pass

    def check() -> None:
        if not FULL and told and told[-1][0] >= last:
            raise Stopped

    path = str(real_data / "documents" / LONG)
    if FULL:
        parsed = reading.read(path, "pdf", lambda done, pages: told.append((done, pages)), check)
        assert (parsed.pages, sum(map(str.isalnum, "".join(b.text for b in parsed.blocks)))) == (
            619,
            1_382_329,
        )
    else:
        with pytest.raises(Stopped):
            reading.read(path, "pdf", lambda done, pages: told.append((done, pages)), check)
    assert told == [(n, 619) for n in range(last + 1)]
