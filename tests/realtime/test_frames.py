"""The parser: every WS row of the catalogue of bad input that it decides, and then anything at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import limits
from realtime.frames import Ack, Cursor, Hello, Subscribe, Unsubscribe, Wrong, parse

SUBSCRIBE = {"type": "subscribe", "streams": ["job:x"]}


def text(**frame):
    return json.dumps(SUBSCRIBE | frame)


@pytest.mark.parametrize(
    ("row", "sent", "code"),
    [
        ("WS4", "", "bad_frame"),
        ("WS5", " ", "bad_frame"),
        ("WS6", "{", "bad_frame"),
        ("WS8", "[]", "bad_frame"),
        ("WS8", '"x"', "bad_frame"),
        ("WS8", "1", "bad_frame"),
        ("WS8", "null", "bad_frame"),
        ("WS8", "true", "bad_frame"),
        ("WS10", '{"type":"ack","versions":{"job:x":NaN}}', "bad_frame"),
        ("WS10", '{"type":"ack","versions":{"job:x":-Infinity}}', "bad_frame"),
        ("WS11", '{"type":"ack","versions":{"job:x":' + "9" * 5000 + "}}", "bad_frame"),
        ("WS12", "[" * 100_000, "too_large"),
        ("WS12", "[" * 16_000, "bad_frame"),
        ("WS12", '{"a":' * 3_000, "bad_frame"),
        ("WS13", '{"type":' + "[" * 16 + "]" * 16 + "}", "bad_frame"),
        ("WS14", '{"type":"subscribe","streams":["\\ud800"]}', "bad_cursor"),
        ("WS15", '{"type":"hello","v":1,"v":2}', "bad_frame"),
        ("WS17", text() + "x", "bad_frame"),
        ("WS18", text() + text(), "bad_frame"),
        ("WS22", text() + " " * limits.MAX_FRAME, "too_large"),
        ("WS22", json.dumps({"type": "é" * 9000}, ensure_ascii=False), "too_large"),
        ("WS35", '{"type":"hello","v":"1"}', "bad_frame"),
        ("WS36", "{}", "unknown_type"),
        ("WS36", '{"type":7}', "unknown_type"),
        ("WS36", '{"type":""}', "unknown_type"),
        ("WS37", '{"type":"evil"}', "unknown_type"),
        ("WS38", '{"type":"websocket.close"}', "unknown_type"),
        ("WS38", '{"type":"http.request"}', "unknown_type"),
        ("WS38", '{"type":"_x"}', "unknown_type"),
        ("WS38", '{"type":"__class__"}', "unknown_type"),
        ("WS39", text(admin=True), "bad_frame"),
        ("WS39", text(streams=[{"stream": "job:x", "admin": True}]), "bad_frame"),
        ("WS41", text(id=-1), "bad_frame"),
        ("WS41", text(id=1.5), "bad_frame"),
        ("WS41", text(id="a"), "bad_frame"),
        ("WS41", text(id={}), "bad_frame"),
        ("WS41", text(id=None), "bad_frame"),
        ("WS41", text(id=True), "bad_frame"),
        ("WS41", text(id=2**31), "bad_frame"),
        ("WS46", text(streams=["job:x"] * 51), "too_many_streams"),
        ("WS59", '{"type":"unsubscribe","streams":"job:x"}', "bad_frame"),
        ("WS59", '{"type":"unsubscribe","streams":[7]}', "bad_frame"),
        (
            "WS63",
            json.dumps({"type": "ack", "versions": {f"job:{n}": n for n in range(10_000)}}),
            "too_large",
        ),
    ],
)
def test_a_bad_frame_is_refused_in_the_catalogues_words(row, sent, code):
    wrong = parse(sent)

    assert isinstance(wrong, Wrong), row
    assert wrong.code == code, row
    assert wrong.strike is (code not in ("bad_cursor", "too_many_streams")), row


def test_an_unknown_key_is_named():
    assert "admin" in parse(text(admin=True)).message


def test_a_refusal_carries_a_good_id_and_no_bad_one():
    assert parse('{"type":"evil","id":7}').id == 7
    assert parse('{"type":"evil","id":-1}').id is None


def test_good_frames():
    assert parse('{"type":"hello"}') == Hello()
    assert parse(text(id=0)) == Subscribe(id=0, streams={"job:x": None})
    assert parse(text(id=2**31 - 1)).id == 2**31 - 1
    assert parse('{"type":"unsubscribe","streams":["a"]}') == Unsubscribe(streams=["a"])
    assert parse('{"type":"ack","id":1,"versions":{"a":2}}') == Ack(id=1, versions={"a": 2})
    assert parse('{"type":"hello","csrf":7,"ack":true}').csrf == 7


def test_a_stream_named_twice_is_one_with_the_last_cursor():
    twice = [{"stream": "a", "epoch": "e", "version": 1}, {"stream": "a", "epoch": "e", "version": 2}]

    assert parse(text(streams=twice)).streams == {"a": Cursor("e", 2)}


def test_depth_in_a_text_is_no_depth():
    assert isinstance(parse(text(streams=["[" * 100])), Subscribe)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(
    ["type", "id", "v", "csrf", "ack", "streams", "versions", "stream", "epoch", "version", "x"]
)
kinds = st.sampled_from(["hello", "subscribe", "unsubscribe", "ack"])


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_no_text_raises(sent):
    parse(sent)


@given(st.dictionaries(keys, anything), kinds)
def test_no_object_raises_and_every_name_can_be_written_back(frame, kind):
    parsed = parse(json.dumps(frame | {"type": kind}))

    if isinstance(parsed, Hello | Subscribe | Unsubscribe):
        for name in parsed.streams:
            name.encode()
    if isinstance(parsed, Wrong):
        parsed.message.encode()
