"""The text of filings of every age, and the Items in it (DATA B1)."""

from pathlib import Path

import pytest

from ingestion.sources.companies import documents, sections
from ingestion.sources.companies.sample import company

BODY = "We sell lanterns to ferries. " * 80


def items(content: bytes, form: str = "10-K") -> list[str]:
    parts = sections.split(documents.text_of(content, form), form)
    return [part.item for part in parts if part.item]


@pytest.mark.realdata
def test_an_inline_xbrl_report_gives_its_text_without_the_hidden_part(real_data: Path) -> None:
    text = documents.text_of((real_data / "sec/filings/aapl-20240928.htm").read_bytes(), "10-K")
    assert 190_000 < len(text) < 220_000
    assert "iso4217" not in text and "us-gaap" not in text[:50_000]
    parts = sections.split(text, "10-K")
    assert "".join("".join(p.text.split()) for p in parts) == "".join(text.split())  # nothing lost or doubled
    found = {part.item: part for part in parts if part.item}
    assert found["1A"].title == "Risk factors" and len(found["1A"].text) > 60_000
    assert {"1", "1A", "7", "7A", "8", "9A"} <= set(found)


@pytest.mark.realdata
def test_old_reports_are_read_as_well(real_data: Path) -> None:
    folder = real_data / "sec/filings"
    old = documents.text_of((folder / "10-K_0000950153-99-001234.html").read_bytes(), "10-K")
    assert "MEDICIS PHARMACEUTICAL CORPORATION" in old and "<" not in old
    foreign = documents.text_of((folder / "20-F_0000928385-01-500187.html").read_bytes(), "20-F")
    assert foreign.count("\n") > 5000  # plain text within a few tags keeps its lines
    only_pages = (folder / "ge_10k_cross_reference_sample.html").read_bytes()
    assert items(only_pages) == []
    whole = (real_data / "sec/full_text/0000912057-00-023442.txt").read_bytes()
    text = documents.text_of(whole, "10-Q")
    assert "APPLE COMPUTER" in text.upper() and "PRIVACY-ENHANCED" not in text


def test_of_a_whole_submission_the_document_of_the_form_is_read() -> None:
    content = b"""<SEC-DOCUMENT>x
<DOCUMENT><TYPE>EX-21<TEXT>subsidiaries</TEXT></DOCUMENT>
<DOCUMENT>\n<TYPE>10-K405/A\n<SEQUENCE>2\n<TEXT>\n<PAGE>\n the   report\n</TEXT>\n</DOCUMENT>"""
    assert documents.text_of(content, "10-K405/A") == "the report"


def test_what_is_hidden_stays_hidden_and_no_open_tag_hides_the_rest() -> None:
    html = """<html><head><title>t</title></head><body>
    <div style="display:none"><ix:header><p>secret<br></ix:header></div><p>seen&#160;one</p>
    <script>var x</script><span style="DISPLAY : none"><b>gone</span>two\x00</body>"""
    assert documents.text_of(html.encode(), "10-K").split() == ["seen", "one", "two"]


@pytest.mark.parametrize("begins", ["<body>", "", "</head>", "</head><body>", "<script>x</script><BODY>"])
def test_a_head_ends_where_the_text_begins(begins: str) -> None:
    html = f"<html><head><title>t</title><meta charset=utf-8>{begins}<p>seen</p><b>all</b></body></html>"
    assert documents.text_of(html.encode(), "10-K").split() == ["seen", "all"]


def test_what_is_no_utf_8_is_what_writers_used_before() -> None:
    assert documents.text_of(b"<p>\x93caf\xe9\x94</p>", "10-K") == '"caf\u00e9"'


@pytest.mark.parametrize("heading", ["Item&nbsp;1A.", "ITEM 1A -", "item 1a"])
def test_a_section_is_where_its_text_is_not_where_the_contents_name_it(heading: str) -> None:
    contents = f"<p>{heading} Risk</p><p>Item 2. Properties 9</p>"
    html = f"{contents}<p>{heading} Risk</p><p>{BODY}</p><p>Item 2. Places</p>"
    parts = sections.split(documents.text_of(html.encode(), "10-K"), "10-K")
    assert [part.item for part in parts] == ["", "1A", ""]
    assert parts[1].text.endswith("to ferries.") and "Properties 9" in parts[0].text


def test_contents_and_short_references_are_no_sections() -> None:
    pages = "".join(f"Risk {n} page {n}. " for n in range(200))
    short = "The text is in the annual report to shareholders."
    assert items(f"<p>Item 1A. Risk</p><p>{pages}</p><p>Item 7. MD&amp;A</p><p>{short}</p>".encode()) == []


def test_a_part_is_never_too_long_to_be_searched() -> None:
    parts = sections.split("word " * 50_000, "10-K")
    assert [len(part.text) <= sections.LONGEST for part in parts] == [True] * 3


def test_the_sample_has_the_sections_of_a_report() -> None:
    assert items(company.document(company.FILINGS[0]).encode()) == ["1", "1A", "3", "7", "9A"]
