"""The client's rules: never backwards, never wrong, right at the end; and each rule is needed."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings

from realtime.reducer import Held, Reducer
from tests.realtime.world import STEPS, STREAM, WILD, Broken, play, replay, steps_of

FULL = os.environ.get("HEADWAY_FAULTS") == "full"  # `./run test --faults`
HISTORIES = 5000 if FULL else 300
CONTROL = 5000  # the rarest fault shows in one history of two hundred
RECORDED = sorted((Path(__file__).parent / "histories").glob("*.json"))

CALM = settings(max_examples=HISTORIES, database=None)


class NoRule1(Reducer):
    """The answer to a subscribe is not waited for."""

    def ask(self, names):
        asked = super().ask(names)
        self.lost()
        return asked


class NoRule2(Reducer):
    """An answer over HTTP is taken however old its question is."""

    def answer(self, generation, frames):
        return super().answer(self.generation, frames)


class FromBelow(Reducer):
    """`from <= yours` instead of `from = yours`."""

    def _change(self, held, frame):
        if held.data is not None and held.epoch == frame["epoch"] and frame["from"] < (held.version or 0):
            frame = frame | {"from": held.version}
        return super()._change(held, frame)


class AnyEpoch(Reducer):
    """A change of another epoch is applied."""

    def _change(self, held, frame):
        return super()._change(held, frame | {"epoch": held.epoch})


# What is left out -> (the client, whether frames of older connections reach it).
CONTROLS = {
    "rule 1, the answer first": (NoRule1, False),
    "rule 1, the newest connection": (Reducer, True),
    "rule 2": (NoRule2, False),
    "from is yours": (FromBelow, False),
}


@CALM
@given(steps_of(STEPS))
def test_the_rules_hold_in_every_history(steps):
    replay(play(steps), Reducer())


@CALM
@given(steps_of({name: weight for name, weight in (STEPS | WILD).items() if name != "restore"}))
def test_without_a_restore_even_doubled_and_swapped_frames_of_any_connection_do_no_harm(steps):
    replay(play(steps), Reducer(), strict=False, old_frames=True)


@pytest.mark.parametrize("left_out", CONTROLS)
def test_without_a_rule_a_history_breaks(left_out):
    """The negative control: these tests would see it."""
    client, old_frames = CONTROLS[left_out]

    @settings(CALM, max_examples=CONTROL, phases=[Phase.generate])
    @given(steps_of(STEPS))
    def broken(steps):
        replay(play(steps), client(), strict=False, old_frames=old_frames)

    with pytest.raises(Broken):
        broken()


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_history_is_lived_through_again(path):
    history = json.loads(path.read_text())

    replay(history, Reducer())

    for left_out, (client, old_frames) in CONTROLS.items():
        if left_out == history["breaks_without"]:
            with pytest.raises(Broken):
                replay(history, client(), strict=False, old_frames=old_frames)


def test_every_rule_has_a_recorded_history():
    assert {json.loads(path.read_text())["breaks_without"] for path in RECORDED} >= set(CONTROLS)


@pytest.mark.parametrize(("rules", "right"), [(Reducer, True), (FromBelow, False)])
def test_a_change_from_below_would_lose_there_and_back(rules, right):
    """x, y, x again: what differs between the first and the third is nothing, and we stand at the second."""
    reducer = rules()
    reducer.streams[STREAM] = Held(epoch="e", version=2, data={"a": "y"})
    change = {
        "type": "change",
        "stream": STREAM,
        "epoch": "e",
        "from": 1,
        "version": 3,
        "data": {},
        "events": [],
    }

    asked = reducer.take(change)

    held = reducer.streams[STREAM]
    assert ((held.version, held.data["a"]) != (3, "y")) is right
    assert (asked == [STREAM]) is right


@pytest.mark.parametrize(("rules", "right"), [(Reducer, True), (AnyEpoch, False)])
def test_a_change_of_another_epoch_would_mix_two_pasts(rules, right):
    reducer = rules()
    reducer.streams[STREAM] = Held(epoch="e", version=1, data={"a": "x"})
    change = {"type": "change", "stream": STREAM, "epoch": "f", "from": 1, "version": 2}

    asked = reducer.take(change | {"data": {"b": 1}, "events": []})

    assert (reducer.streams[STREAM].data == {"a": "x"}) is right
    assert (asked == [STREAM]) is right


def test_events_are_appended_after_a_cursor_and_replaced_by_a_state():
    reducer = Reducer()
    reducer.streams[STREAM] = Held(epoch="e", version=2, data={}, events=[{"version": 1}, {"version": 2}])
    frame = {"type": "state", "stream": STREAM, "epoch": "e", "data": {}}

    reducer.take(frame | {"version": 4, "why": "behind", "events": [{"version": 4}]})
    assert [event["version"] for event in reducer.streams[STREAM].events] == [1, 2, 4]

    reducer.take(frame | {"version": 5, "why": "too_old", "events": [{"version": 5}]})
    assert [event["version"] for event in reducer.streams[STREAM].events] == [5]


def test_the_end_is_kept_and_nothing_after_it_counts():
    reducer = Reducer()
    reducer.streams[STREAM] = Held(epoch="e", version=2, data={"a": 1})
    reducer.take({"type": "end", "stream": STREAM, "epoch": "e", "version": 2, "data": {"a": 1}})

    assert reducer.streams[STREAM].over
    assert reducer.take({"type": "change", "stream": STREAM, "epoch": "e", "from": 2, "version": 3}) == []
