"""Under daphne too a frame is made once for everybody: written at once, whole and in order."""

import asyncio
import socket
import subprocess
import sys

import pytest
from websockets.sync.client import connect

from realtime.frame_writer import EXTENSION
from realtime.frames import text_frame
from realtime.live_daphne import DaphneFrames
from tests.servers import free_port
from tests.waiting import until

MANY = 3000
SIZE = 10_000  # thirty megabytes in all: more than the kernel keeps for who does not read
WRITTEN = "written"  # the path that answers once everything is written
everything = asyncio.Event()


async def flood(scope, receive, send):
    """Write many frames to who does not read yet, then say how many left at once."""
    await receive()
    if scope["path"] == f"/{WRITTEN}":
        await send({"type": "websocket.accept"})
        await everything.wait()
        await send({"type": "websocket.send", "text": WRITTEN})
        return
    wire = scope["extensions"][EXTENSION]
    assert not wire.takes_frame()  # not accepted yet
    await send({"type": "websocket.accept"})
    await receive()
    ready = 0
    for number in range(MANY):
        text = f"{number:0{SIZE}d}"
        if wire.takes_frame():
            wire.write_frame(text_frame(text))
            ready += 1
        else:
            await send({"type": "websocket.send", "text": text})
    await send({"type": "websocket.send", "text": f"{ready} ready"})
    everything.set()
    await receive()


application = DaphneFrames(flood)  # daphne finds it by this module's name


@pytest.fixture
def address():
    port = free_port()
    command = [sys.executable, "-m", "daphne", "-v", "0", "-p", str(port), f"{__name__}:application"]
    process = subprocess.Popen(command)

    def listens():
        with socket.socket() as link:
            return link.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens, what="daphne")
        yield f"ws://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()


def test_what_a_slow_reader_did_not_take_comes_whole_and_in_order(address):
    with connect(address, max_queue=1) as link:
        link.send("go")
        with connect(address + WRITTEN) as other:
            assert other.recv(timeout=60) == WRITTEN
        told = [link.recv(timeout=20) for _ in range(MANY + 1)]
    assert [(len(text), int(text[-9:])) for text in told[:-1]] == [(SIZE, n) for n in range(MANY)]
    assert 0 < int(told[-1].split()[0]) < MANY
