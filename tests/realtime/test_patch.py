"""Merge patches: what leads from one state to another, and nothing more."""

from hypothesis import given
from hypothesis import strategies as st

from realtime.patch import apply, difference, without_nulls

values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)

objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4).map(without_nulls)


@given(objects, objects)
def test_the_difference_applied_to_the_old_is_the_new(old, new):
    assert apply(old, difference(old, new)) == new


@given(objects)
def test_nothing_differs_from_itself(data):
    assert difference(data, data) == {}


def test_a_removed_key_is_null_and_a_list_is_replaced_whole():
    old = {"a": 1, "b": {"x": 1, "y": 2}, "c": [1, 2]}
    new = {"b": {"x": 1, "z": 3}, "c": [1]}

    assert difference(old, new) == {"a": None, "b": {"y": None, "z": 3}, "c": [1]}


def test_true_is_not_one():
    assert difference({"a": 1}, {"a": True}) == {"a": True}
