"""The reducer of live.js in a real browser: it does what the Python one does, in every history."""

import json
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings

import realtime
from tests.realtime.test_reducer import CALM, CONTROLS, FULL, RECORDED
from tests.realtime.world import STEPS, WILD, play, steps_of

pytestmark = pytest.mark.browser

SCRIPTS = {
    "/live.js": Path(realtime.__file__).parent / "static/realtime/live.js",
    "/replay.js": Path(__file__).parent / "replay.js",
}
BATCH = 250  # histories a call
CONTROL = 5000 if FULL else 1500


@pytest.fixture
def replayed(page):
    """Return a function that gives histories to the browser's reducer and returns those that break."""

    def serve(route):
        path = "/" + route.request.url.rsplit("/", 1)[1]
        if path in SCRIPTS:
            route.fulfill(body=SCRIPTS[path].read_text(), content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html><title>x</title>", content_type="text/html")

    page.route("**/*", serve)
    page.goto("http://reducer.test/")
    page.evaluate("import('/replay.js').then(() => true)")

    def call(histories, left_out="", strict=True):
        found = []
        for start in range(0, len(histories), BATCH):
            batch = histories[start : start + BATCH]
            broken = page.evaluate(
                "([text, leftOut, strict]) => replayed(JSON.parse(text), leftOut, strict)",
                [json.dumps(batch), left_out, strict],
            )
            found += [(batch[index], wrong) for index, wrong in broken]
        return found

    return call


def histories(weights, calm):
    """Return as many histories as asked for, each lived through by the Python reducer."""
    found = []

    @calm
    @given(steps_of(weights))
    def collect(steps):
        found.append(play(steps))

    collect()
    return found


def shortest(broken):
    """Return what to look at: the shortest history that breaks."""
    return min(broken, key=lambda one: len(one[0]["ops"]), default=None)


def test_both_reducers_live_alike_in_every_history(replayed):
    lived = histories(STEPS, CALM)
    assert len(lived) >= (5000 if FULL else 300)
    assert shortest(replayed(lived)) is None


def test_without_a_restore_doubled_and_swapped_frames_do_no_harm(replayed):
    lived = histories({name: n for name, n in (STEPS | WILD).items() if name != "restore"}, CALM)
    assert shortest(replayed(lived)) is None


def test_without_a_rule_histories_break(replayed):
    """The negative control: this test would see it."""
    lived = histories(STEPS, settings(CALM, max_examples=CONTROL, phases=[Phase.generate]))
    for left_out in CONTROLS:
        assert replayed(lived, left_out, strict=False), left_out


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_history_is_lived_through_again(path, replayed):
    history = json.loads(path.read_text())

    assert replayed([history]) == []

    if history["breaks_without"]:
        assert replayed([history], history["breaks_without"], strict=False)
