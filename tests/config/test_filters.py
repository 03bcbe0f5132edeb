"""Filters of a list in its address."""

from dataclasses import dataclass

import pytest

from config.filters import UrlFilters
from config.problems import Problem


@dataclass(frozen=True)
class Shown(UrlFilters):
    known = {"view": ("new", "old")}

    view: str = "new"
    q: str = ""
    before: str = ""


def test_what_is_no_choice_is_as_if_nothing_was_said() -> None:
    assert Shown.from_query({"view": "none", "q": "fog", "other": "x"}) == Shown(q="fog")
    assert Shown.from_query({"view": "old"}) == Shown(view="old")


def test_an_address_tells_what_differs_and_a_change_starts_at_the_first_page() -> None:
    shown = Shown(q="fog & ice", before="7")
    assert shown.query() == "q=fog+%26+ice"
    assert shown.query(view="old", q="") == "view=old"
    assert shown.query(before="5") == "q=fog+%26+ice&before=5"


def test_the_place_is_no_filter() -> None:
    assert not Shown(before="7").narrowed
    assert Shown(view="old", before="7").chosen == [("view", "old")]


@pytest.mark.parametrize(
    "unseen", ["\u202e\u202d", "\u200b", " \u2066 \ufeff", "\x00\x01", "\u200b" * 300 + "fog"]
)
def test_a_filter_of_which_nothing_shows_is_refused(unseen: str) -> None:
    for query in ({"q": unseen}, {"view": "old", "q": unseen}):
        with pytest.raises(Problem) as refused:
            Shown.from_query(query)
        assert (refused.value.code, refused.value.detail) == (
            "bad_parameter",
            '"q" is not valid: nothing of it can be seen.',
        )
    # A choice that is none, or a place that is nowhere, is as if nothing was said.
    assert Shown.from_query({"view": unseen, "before": "\x00"}) == Shown()


@pytest.mark.parametrize("typed", ["", " ", "\t\n \u3000"])
def test_a_filter_of_spaces_is_none(typed: str) -> None:
    assert Shown.from_query({"q": typed}) == Shown()
    assert Shown.from_query({"q": f"{typed}\u202efog{typed}"}) == Shown(q="fog")
