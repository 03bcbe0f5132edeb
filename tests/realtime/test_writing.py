"""How frames leave: at once where the client takes them, awaited where it does not."""

import asyncio
import json
import sys
from collections import Counter

import pytest

from realtime import limits
from realtime.credit import Credit
from realtime.frames import Ready, encode
from realtime.sockets import Socket
from realtime.tasks import Tasks
from realtime.writing import Writing
from tests.waiting import until_async


class Transport:
    """A server's end of one connection, as uvicorn has it."""

    def __init__(self):
        self.reads = True
        self.frames, self.sent = [], []
        self.free = asyncio.Event()

    def takes_frame(self):
        return self.reads

    def write_frame(self, frame):
        self.frames.append(frame)

    async def send(self, text):
        await self.free.wait()
        self.sent.append(text)

    async def close(self, code):
        self.sent.append(code)


def viewers(number):
    transports = [Transport() for _ in range(number)]
    sockets = [Socket(None, one.send, one.close, one) for one in transports]
    for socket in sockets:
        socket.sent_at = float("-inf")
    return transports, sockets


def a_frame(version, stream="job:1"):
    text = encode({"type": "change", "stream": stream, "version": version})
    return Ready(text, "change", stream, "E", version, {})


def writing():
    counts = Counter()
    return Writing(Tasks(), counts, lambda viewer: None), counts


async def test_one_message_is_made_once_for_everybody():
    transports, sockets = viewers(3)
    out, counts = writing()
    for socket in sockets:
        out.say(socket, a_frame(2))
    out.flush()
    (first,), (second,), (third,) = (one.frames for one in transports)
    assert first is second is third
    assert json.loads(first[2:]) == {"type": "change", "stream": "job:1", "version": 2}
    assert counts["messages"] == 3


async def test_several_frames_leave_as_one_array():
    (transport,), (socket,) = viewers(1)
    out, _ = writing()
    out.say(socket, a_frame(2))
    out.say(socket, a_frame(5, "job:2"))
    out.flush()
    (message,) = transport.frames
    assert [frame["version"] for frame in json.loads(message[message.index(b"[") :])] == [2, 5]


async def test_who_does_not_read_is_awaited_and_holds_nobody_back():
    (slow, quick), (waits, reads) = viewers(2)
    slow.reads = False
    out, _ = writing()
    for socket in (waits, reads):
        out.say(socket, a_frame(2))
    out.flush()
    assert len(quick.frames) == 1 and slow.frames == []

    async def is_busy():
        return waits.busy

    await until_async(is_busy)
    slow.free.set()

    async def sent():
        return slow.sent

    assert [json.loads(text)["version"] for text in await until_async(sent)] == [2]
    assert slow.frames == []


async def test_messages_of_one_socket_keep_their_distance():
    (transport,), (socket,) = viewers(1)
    out, _ = writing()
    out.say(socket, a_frame(2))
    out.flush()
    out.say(socket, a_frame(3))
    out.flush()
    assert len(transport.frames) == 1
    began = asyncio.get_running_loop().time()

    async def second():
        return len(transport.frames) == 2

    await until_async(second)
    assert asyncio.get_running_loop().time() - began > limits.SOCKET_SECONDS / 2


@pytest.mark.seed("S2.96")
def test_a_page_of_busy_jobs_gets_fewer_than_ten_messages_a_second_throughout():
    (transport,), (socket,) = viewers(1)
    left = []
    for hundredth in range(1000):  # ten seconds, by a clock of ours
        now = hundredth / 100
        for job in range(3):
            socket.put(a_frame(hundredth + 2, f"job:{job}"))
        assert not (left and socket.may_send(left[-1] + limits.SOCKET_SECONDS * 0.99))
        before = len(transport.frames)
        socket.write(now, {})
        left += [now] * (len(transport.frames) - before)
    assert max(sum(one <= other < one + 1 for other in left) for one in left) < 10
    assert len(left) > 60  # nor is what moves held back


async def test_a_frame_that_left_at_once_costs_credit():
    (transport,), (socket,) = viewers(1)
    socket.credit = Credit(Counter())
    out, _ = writing()
    for version in range(limits.CREDIT_FRAMES + 3):
        out.say(socket, a_frame(version))
    out.flush()
    (message,) = transport.frames
    assert len(json.loads(message[message.index(b"[") :])) == limits.CREDIT_FRAMES
    assert socket.parked_at is not None and list(socket.missed) == ["job:1"]


async def test_a_delivery_is_few_calls():
    """What each of 500 viewers adds to a message: no more calls of Python than these."""
    transports, sockets = viewers(100)
    out, _ = writing()
    out.tell(sockets, a_frame(2))
    calls = 0

    def called(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(called)
    out.flush()
    sys.setprofile(None)
    assert all(len(one.frames) == 1 for one in transports)
    assert calls <= 11 * 100


async def test_a_frame_for_one_is_no_look_at_everybody():
    transports, sockets = viewers(3)
    out, _ = writing()
    for socket in sockets[:2]:
        out.say(socket, a_frame(2))  # they wait for the flush of those who move together
    out.say_now(sockets[2], a_frame(2))
    assert [len(one.frames) for one in transports] == [0, 0, 1]
    out.flush()
    assert [len(one.frames) for one in transports] == [1, 1, 1]
