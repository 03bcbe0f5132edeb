"""Passages: of the size that was asked for, overlapping, whole words and whole letters, nothing lost."""

from hypothesis import given
from hypothesis import strategies as st

from ingestion.sources.documents.chunks import cut, pieces
from ingestion.sources.documents.parsing.blocks import Block


@given(st.text(max_size=3000), st.integers(200, 600), st.integers(0, 100))
def test_pieces_fit_and_nothing_that_can_be_read_is_lost(text: str, size: int, overlap: int) -> None:
    found = list(pieces(text, size, overlap))
    assert all(0 < len(one) <= size for one in found)
    for letter in {one for one in text if one.isalnum()}:
        assert sum(one.count(letter) for one in found) >= text.count(letter)


def test_pieces_end_with_sentences_and_begin_with_words() -> None:
    text = "A sentence of some words. " * 40
    found = list(pieces(text, 200, 50))
    assert all(one.endswith(".") for one in found)
    assert all(one.split()[0] in ("A", "sentence", "of", "some", "words.") for one in found)


def test_no_passage_crosses_a_page_or_a_heading() -> None:
    blocks = [Block("one " * 10, page=1), Block("two " * 100, page=2), Block("three", heading="Third")]
    found = cut(blocks, 200, 20)
    assert [one.ordinal for one in found] == list(range(len(found)))
    assert all(not ("one" in one.text and "two" in one.text) for one in found)
    assert (found[0].page, found[-1].heading) == (1, "Third")


def test_text_without_blanks_is_cut_by_characters() -> None:
    found = list(pieces("\u6771\u4eac" * 500, 300, 100))
    assert len(found) > 3 and max(map(len, found)) == 300
