"""Filters of a list in its address."""

from dataclasses import dataclass

from config.filters import UrlFilters


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
