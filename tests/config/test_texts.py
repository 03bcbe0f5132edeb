"""What a text may hold, where the text is one of a list."""

from typing import Literal

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from config import texts
from config.http import StrictModel
from ingestion.source import SourceParams


def test_nothing_that_steers_stays_around_the_texts_of_a_list() -> None:
    assert texts.judged(["\x1cone\x1f", " two\u2028", 3, None]) == ["one", "two", 3, None]


def test_a_text_of_a_list_is_refused_for_what_stands_within() -> None:
    with pytest.raises(PydanticCustomError) as refused:
        texts.judged(["one", " t\x1cwo"])
    assert refused.value.context == {"n": 3, "entry": 2}
    assert refused.value.message() == "Entry 2 contains a character that is not allowed (position 3)."
    with pytest.raises(PydanticCustomError) as refused:
        texts.judged(" t\x1cwo")
    assert refused.value.message() == "Contains a character that is not allowed (position 3)."


def test_marks_of_direction_stand_in_texts_of_several_lines_alone() -> None:
    hebrew = "\u05d0\u200f (1)\nb\u200e \u0627\u061c"
    assert texts.judged(hebrew, lines=True) == hebrew and texts.marked(hebrew) == hebrew
    with pytest.raises(PydanticCustomError):
        texts.judged("\u05d0\u200f (1)")


@pytest.mark.parametrize("turns", [*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"])
def test_what_turns_all_that_follows_stands_in_no_text(turns: str) -> None:
    with pytest.raises(PydanticCustomError):
        texts.judged(f"a{turns}b", lines=True)
    assert texts.marked(f"a{turns}b") == "a\ufffdb"


def test_a_filter_keeps_the_spaces_within() -> None:
    assert texts.plain(" two  spaces\u202e ", 99) == "two  spaces"
    assert texts.plain("four spaces", 5) == "four"


class Asked(StrictModel):
    order: Literal["up", "down"] | None = None
    name: str = ""


class Wanted(SourceParams):
    mode: Literal["all", "new"] = "new"
    name: str = ""


def test_a_word_of_a_list_has_no_space_around_it() -> None:
    """API25."""
    assert Asked.model_validate({"order": "up", "name": " a "}).model_dump() == {"order": "up", "name": "a"}
    assert Wanted.model_validate({"mode": "all", "name": " a "}).model_dump() == {"mode": "all", "name": "a"}
    for model, given in (Asked, {"order": "up "}), (Wanted, {"mode": "\tall"}), (Asked, {"order": "up\x1b"}):
        with pytest.raises(ValidationError, match="Input should be"):
            model.model_validate(given)
