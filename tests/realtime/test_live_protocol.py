"""Our WebSockets keep RFC 6455, and a ready frame respects a client that does not read."""

import asyncio
import gc
import http.client
import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from weakref import WeakSet

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from config.heads import BoundedHead
from realtime.frame_writer import EXTENSION
from realtime.frames import text_frame
from tests.servers import MAX_BYTES, serving
from tests.waiting import until

CASES = 301  # 247, and the 54 of group 9: messages up to 16 MB, whole and in small fragments


async def echo(scope, receive, send):
    """Say what is said: text through ready frames while they can be taken, everything else as usual."""
    await receive()
    await send({"type": "websocket.accept"})
    wire = scope["extensions"][EXTENSION]
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is None:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
        elif wire.takes_frame():
            wire.write_frame(text_frame(text))
        else:
            await send({"type": "websocket.send", "text": text})


def test_our_websockets_keep_rfc_6455():
    """The Autobahn cases without compression, as kosoku drives them (RFC 6455)."""
    with serving(echo) as port:
        command = [sys.executable, "-m", "tests.kosoku_cases", f"ws://127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one for one in results if not one["passed"]] == [], done.stderr
    assert len(results) == CASES


class Writer:
    """An application that hands frames over until the transport takes no more."""

    def __init__(self, size):
        self.frame = text_frame("x" * size)
        self.taken = 0
        self.refused = asyncio.Event()
        self.sent = self.gone = self.closed = None

    async def __call__(self, scope, receive, send):
        await receive()
        wire = scope["extensions"][EXTENSION]
        assert not wire.takes_frame()  # not accepted yet
        await send({"type": "websocket.accept"})
        while wire.takes_frame():
            wire.write_frame(self.frame)
            self.taken += 1
            await asyncio.sleep(0)
        self.sent = False
        await send({"type": "websocket.send", "text": "behind"})
        self.sent = True
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self.gone = not wire.takes_frame()


@contextmanager
def flooded(writer):
    with (
        serving(writer) as port,
        connect(f"ws://127.0.0.1:{port}", max_size=MAX_BYTES, max_queue=1) as link,
    ):
        until(lambda: writer.sent is False, what="a frame that is not taken")
        yield link


def test_a_client_that_does_not_read_gets_no_more_frames():
    writer = Writer(64 * 1024)
    with flooded(writer) as link:
        # What the kernel holds for both ends, and one high-water mark: not 100 MB.
        assert writer.taken * 64 * 1024 < 16 * 1024**2
        assert writer.sent is False
        for _ in range(writer.taken):
            assert len(link.recv(timeout=20)) == 64 * 1024
        assert link.recv(timeout=20) == "behind"
        until(lambda: writer.sent, what="the frame that waited")


def hang_up(link):
    link.socket.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("leave", [lambda link: link.close(), hang_up], ids=["says goodbye", "hangs up"])
def test_a_client_that_left_takes_nothing(leave):
    writer = Writer(64 * 1024)
    with flooded(writer) as link:
        for _ in range(writer.taken + 1):
            link.recv(timeout=20)
        leave(link)
        until(lambda: writer.gone is not None, what="the disconnect")
    assert writer.gone


def test_after_our_own_close_no_frame_follows():
    took = []

    async def closing(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4401})
        took.append(scope["extensions"][EXTENSION].takes_frame())

    with serving(closing) as port, connect(f"ws://127.0.0.1:{port}") as link:
        until(lambda: took, what="the late frame")
        with pytest.raises(ConnectionClosed) as closed:
            link.recv(timeout=20)
    assert closed.value.rcvd.code == 4401
    assert took == [False]


def test_what_read_the_request_is_gone_with_it(monkeypatch):
    """Whoever only listens for a day holds nothing of the way in, however seldom the collector looks."""
    made, there = [], WeakSet()
    init = BoundedHead.__init__

    def remember(self, *args, **more):
        init(self, *args, **more)
        made.append(there.add(self))

    monkeypatch.setattr(BoundedHead, "__init__", remember)
    gc.disable()
    try:
        with serving(echo) as port, connect(f"ws://127.0.0.1:{port}/") as link:
            link.send("here")
            assert link.recv() == "here"
            until(lambda: not there, what="the end of what read the request")
            assert len(made) == 1
    finally:
        gc.enable()


def test_a_request_that_is_no_upgrade_is_refused():
    """A key that is missing: 400 from the library, and no application is asked."""
    asked = []

    async def app(scope, receive, send):
        asked.append(scope)

    with serving(app) as port:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        link.request("GET", "/", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        assert link.getresponse().status == 400
    assert asked == []


def test_ready_frames_of_every_length_are_read_by_a_client_of_another_hand():
    sizes = [0, 1, 125, 126, 65535, 65536, 100_000]

    async def all_sizes(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for size in sizes:
            scope["extensions"][EXTENSION].write_frame(text_frame("é" * (size // 2) + "e" * (size % 2)))
        await send({"type": "websocket.close"})

    with serving(all_sizes) as port, connect(f"ws://127.0.0.1:{port}") as link:
        assert [len(message.encode()) for message in link] == sizes
