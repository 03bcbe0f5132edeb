"""What a text may hold, where the text is one of a list."""

import pytest
from pydantic_core import PydanticCustomError

from config import texts


def test_nothing_that_steers_stays_around_the_texts_of_a_list() -> None:
    assert texts.judged(["\x1cone\x1f", " two\u2028", 3, None]) == ["one", "two", 3, None]


def test_a_text_of_a_list_is_refused_for_what_stands_within() -> None:
    with pytest.raises(PydanticCustomError) as refused:
        texts.judged(["one", " t\x1cwo"])
    assert refused.value.context == {"n": 3}
