"""The wire through real processes: uvicorn, PostgreSQL, and a Valkey that is killed."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

import pytest
from django.db import connection
from django.db.models import F
from redis import Redis, RedisError
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from config import embedded
from ingestion.models import Job
from realtime import publish as door
from realtime.limits import Close
from tests.engine import Engine
from tests.realtime.client import session
from tests.realtime.rows import make_job
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


class Valkey:
    """A Valkey of this test alone."""

    def __init__(self, folder):
        self.socket = Path(folder) / "v.sock"
        self.process = None

    def start(self):
        command = [embedded.valkey_binary(), "--port", "0", "--unixsocket", self.socket, "--save", ""]
        self.process = subprocess.Popen(
            [*map(str, command)], stdout=subprocess.DEVNULL, cwd=self.socket.parent
        )
        until(self.answers, what="Valkey")

    def answers(self):
        try:
            with Redis(unix_socket_path=str(self.socket), socket_timeout=1) as client:
                return client.ping()
        except RedisError:
            return False

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def valkey(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="hw-", dir="/tmp") as folder:
        server = Valkey(folder)
        server.start()
        client = Redis(unix_socket_path=str(server.socket), socket_timeout=0.3)
        monkeypatch.setattr(door, "_redis", lambda: client)
        monkeypatch.setattr(door, "PAUSE", 0.2)
        yield server
        server.kill()


@pytest.fixture
def web(valkey):
    """The address and the process of a web process on the test's database and that Valkey."""
    engine = Engine()
    process, port = engine.web(
        REDIS_URL=f"unix://{valkey.socket}?db=0",
        HEADWAY_WS_HEARTBEAT_SECONDS="5",
        HEADWAY_METRICS_NETWORKS="127.0.0.1",
    )
    yield f"127.0.0.1:{port}", process
    engine.stop()


@pytest.fixture
def open_page(web, alice):
    """Return a function that opens a page of alice's which watches these streams."""
    with ExitStack() as pages:
        yield lambda *streams: pages.enter_context(page_of(alice, web[0], *streams))


class Page:
    """A signed-in page: a real WebSocket over TCP."""

    def __init__(self, link, csrf, streams):
        self.link = link
        self.waiting = deque()
        self.say({"type": "hello", "csrf": csrf, "streams": list(streams)})
        self.next("welcome")

    def say(self, frame):
        self.link.send(json.dumps(frame))

    def next(self, *types, seconds=20):
        end = time.monotonic() + seconds
        while True:
            while self.waiting:
                frame = self.waiting.popleft()
                if frame["type"] in types:
                    return frame
            content = json.loads(self.link.recv(timeout=max(0.01, end - time.monotonic())))
            self.waiting.extend(content if isinstance(content, list) else [content])


@contextmanager
def page_of(user, address, *streams):
    cookie, csrf = session(user)
    origin, headers = f"http://{address}", {"Cookie": cookie}
    with connect(f"ws://{address}/ws/live/", origin=origin, additional_headers=headers) as link:
        yield Page(link, csrf, streams)


def move(job, **values):
    Job.objects.filter(pk=job.pk).update(version=F("version") + 1, **values)
    version = Job.objects.values_list("version", flat=True).get(pk=job.pk)
    door.publish(job.stream, version, urgent=True)
    return version


def heard_soon(page, job):
    """Move the job; say whether a hint brought it, sooner than a position check would on average."""
    version = move(job)
    start = time.monotonic()
    while page.next("change", "state")["version"] < version:
        pass
    return time.monotonic() - start < 0.4


@pytest.mark.faults
def test_redis_is_killed_and_comes_back_and_no_socket_notices(alice, open_page, valkey):
    job = make_job(alice)
    page = open_page(job.stream)
    page.next("state")
    until(lambda: heard_soon(page, job), what="a hint to be heard")

    valkey.kill()
    version = move(job, message="Without Redis")
    assert page.next("change")["version"] == version
    newcomer = open_page(job.stream)
    assert newcomer.next("state")["version"] == version

    valkey.start()
    # Three in a row: a position check can be quick by chance.
    until(lambda: all(heard_soon(page, job) for _ in range(3)), 40, "hints again")


@pytest.mark.faults
def test_the_database_is_away_and_pages_stay_and_are_told(alice, open_page):
    job = make_job(alice)
    page = open_page(job.stream)
    page.next("state")
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (own,) = cursor.fetchone()
    with connection._nodb_cursor() as outside:  # a database cannot shut out its own session
        try:
            outside.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            sessions = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
            )
            outside.execute(sessions, [name, own])
            assert page.next("beat", seconds=30)["stale"] is True
            version = move(job, message="Unseen")
        finally:
            outside.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    frames = [page.next("beat", "change", seconds=30) for _ in range(2)]
    told = {frame["type"]: frame for frame in frames}
    assert told["change"]["version"] == version
    assert told["beat"]["stale"] is False


@pytest.mark.seed("S0.8", "S0.11")
def test_a_server_that_stops_says_so_first(web, open_page):
    """The hub is there once the server is, and is ended with it."""
    _, process = web
    page = open_page()
    os.kill(process.pid, signal.SIGTERM)
    assert page.next("drain")["after_ms"] < 5000
    with pytest.raises(ConnectionClosed) as closed:
        page.next("nothing")
    assert closed.value.rcvd.code == Close.DRAINING


def test_a_server_that_stops_ends_event_streams_and_long_polls_first(web, alice):
    address, process = web
    job = make_job(alice)
    cookie, _ = session(alice)
    stream, poll = HTTPConnection(address, timeout=20), HTTPConnection(address, timeout=20)
    path = f"/api/live?stream={job.stream}"
    poll.request("GET", path, headers={"Cookie": cookie})
    cursor = json.loads(poll.getresponse().read())["cursor"]
    stream.request("GET", path, headers={"Cookie": cookie, "Accept": "text/event-stream"})
    told = stream.getresponse()
    while told.readline() != b"event: state\n":
        pass
    poll.request("GET", f"{path}&wait=25&cursor={cursor}", headers={"Cookie": cookie})
    until(lambda: b"live_polls_open 1" in urlopen(f"http://{address}/metrics").read(), what="the long poll")

    os.kill(process.pid, signal.SIGTERM)
    (frame,) = json.loads(poll.getresponse().read())["frames"]
    assert frame["type"] == "drain"
    assert b"event: drain\n" in told.read()
    process.wait(10)


@pytest.mark.seed("SEC64", "SEC65")
def test_huge_frames_are_closed_by_the_server_and_nothing_is_compressed(open_page):
    page = open_page()
    assert page.link.response.headers.get("Sec-WebSocket-Extensions") is None
    page.link.send("x" * (64 * 1024 + 1))
    with pytest.raises(ConnectionClosed) as closed:
        page.next("nothing")
    assert closed.value.rcvd.code == 1009
