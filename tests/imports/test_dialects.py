"""Whatever the csv module writes, in any usual dialect and encoding, is read back the same."""

import csv
import gzip
import io

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.sources.imports import dialect, files, records
from ingestion.sources.imports.default import DEFAULT

RUSSIAN = "Общество с ограниченной ответственностью Хлебозавод номер один"  # noqa: RUF001

# What no text file can hold, and what would begin another kind of file or be a comment.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\ufeff", exclude_categories=["Cs", "Cc"])
    | st.sampled_from("\n\",;|\t '"),
    max_size=20,
)


def read(data: bytes, name: str = "register.csv") -> tuple[list[str], list[list[str] | records.Bad]]:
    """Read a file the way the source does: header and all records after it."""
    with files.opened(io.BytesIO(data), name) as (text, found):
        size = text.seek(0, 2)
        text.seek(found.skip)
        head = text.read(files.HEAD)
        whole = found.skip + len(head) >= size
        known = dialect.recognise(head.decode(errors="ignore"), whole, DEFAULT)
        spans = records.plan(text, found.skip, size, known.layout, known.header_row, lambda: None)
        rows = [row for span in spans for _, row in records.read(text, span, known.layout)]
        numbers = [number for span in spans for number, _ in records.read(text, span, known.layout)]
        assert numbers == list(range(known.header_row + 1, known.header_row + 1 + len(rows)))
        return known.header, rows


@given(
    rows=st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=1, max_size=12),
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    packed=st.booleans(),
)
def test_what_is_written_is_read_back(
    rows: list[list[str]], separator: str, quoting: int, ends: str, encoding: str, packed: bool
) -> None:
    """UP17, UP23."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=ends)
    header = ["tax_ident", "name", "note"]
    rows = [[f"1{first}", *others] for first, *others in rows]  # a blank row is no row
    writer.writerows([header, *rows])
    data = out.getvalue().encode(encoding)
    found = read(gzip.compress(data) if packed else data, "register.csv.gz" if packed else "register.csv")
    assert found[0] == header
    assert (
        found[1]
        == [list(row) for row in csv.reader(io.StringIO(out.getvalue(), newline=""), delimiter=separator)][1:]
    )


@given(
    rows=st.lists(st.lists(TEXT, min_size=2, max_size=2), min_size=50, max_size=200),
    block=st.integers(20, 300),
)
def test_a_file_cut_anywhere_gives_the_same_records(rows: list[list[str]], block: int) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["tax_ident", "name"], *rows])
    data = out.getvalue().encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "SMALLEST", block)
        patch.setattr(records, "LARGEST", block)
        spans = records.plan(io.BytesIO(data), 0, len(data), records.Layout(","), 1, lambda: None)
        found = [
            row for span in spans for _, row in records.read(io.BytesIO(data), span, records.Layout(","))
        ]
    assert found == [list(row) for row in csv.reader(io.StringIO(out.getvalue(), newline=""))][1:]
    assert [span.start for span in spans[1:]] == [span.end for span in spans[:-1]]
    assert spans[-1].end == len(data)


@pytest.mark.parametrize(
    ("encoding", "text", "said"),
    [
        ("cp1252", "Müller & Söhne Bäckerei, Grüße aus Köln am schönen Rhein; Übergröße", "cp1252"),
        ("iso8859_15", "Société générale de l'été, déjà créée à Besançon; où êtes-vous", "cp1252"),
        (
            "cp1250",
            "Pekařství Novák, Plzeň; Příkladová společnost s ručením omezeným, Brno; Železářství",
            "cp1250",
        ),
        ("cp1250", "Spółka z ograniczoną odpowiedzialnością Łódź; Usługi Żeglarskie Gdańsk", "cp1250"),
        ("cp1252", "Sørensen Rørleggerbedrift, Åsane; Bjørnafjorden Bakeri, Tromsø", "cp1252"),
        (
            "mac_roman",
            "Boulangerie Chez Françoise, 12 rue de l'Église, Orléans; Hôtel de la Forêt",
            "mac_roman",
        ),
        ("cp1251", RUSSIAN, "cp1251"),
        ("shift_jis", "株式会社日本製作所と有限会社東京食品の登録簿です。これは見本です。", "shift_jis"),
    ],
)
def test_old_encodings_are_recognised(encoding: str, text: str, said: str) -> None:
    lines = "".join(f"{n}\t{text}\n" for n in range(5))
    data = ("tax_ident\tname\n" + lines).encode(encoding)
    with files.opened(io.BytesIO(data), "register.tsv") as (plain, found):
        plain.seek(found.skip)
        assert (found.encoding, plain.read().decode()) == (said, "tax_ident\tname\n" + lines)


def test_utf_16_without_a_mark_is_recognised() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        header, rows = read("tax_ident;name\n01;Ålesund Fisk\n".encode(encoding))
        assert (header, rows) == (["tax_ident", "name"], [["01", "Ålesund Fisk"]])


def test_the_header_is_found_below_blank_lines_comments_and_a_title() -> None:
    for above in ("\n\n", "# made by hand\n", "Register of units 2026\n\n", "sep=;\n", "Register;;\n"):
        header, rows = read((above + "tax_ident;name;town\n1;a;b\n").encode())
        assert (header, rows) == (["tax_ident", "name", "town"], [["1", "a", "b"]])


def test_padded_headers_and_blanks_after_separators_are_trimmed() -> None:
    header, rows = read(b'tax_ident, name , town\n1, "a, b", c\n')
    assert (header, rows) == (["tax_ident", "name", "town"], [["1", "a, b", "c"]])


def test_a_workbook_is_read_by_its_values() -> None:
    import datetime

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["tax_ident", "name", "birth_date", "employees", "turnover"])
    sheet.append(["007", "=1+1", datetime.datetime(2016, 10, 1), 20.0, 1.5])
    sheet.append([])
    sheet.append([8, 'He said "hi", twice', None, None, True])
    data = io.BytesIO()
    book.save(data)
    header, rows = read(data.getvalue(), "register.xlsx")
    assert header == ["tax_ident", "name", "birth_date", "employees", "turnover"]
    assert rows == [
        ["007", "", "2016-10-01", "20", "1.5"],  # a formula has no value before a spreadsheet made one
        [],
        ["8", 'He said "hi", twice', "", "", "TRUE"],
    ]
