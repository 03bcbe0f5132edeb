"""The core of the live wire on both servers: ours, and daphne, which `runserver` is in development.

In the large round more of tests/faults runs on both: the modules with `EVERY_SERVER`.
"""

import http.client
import json
import socket
from contextlib import ExitStack

import pytest
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from realtime import limits, paths
from realtime.limits import Close
from tests.engine import Engine
from tests.realtime.client import session
from tests.realtime.raw import Raw
from tests.realtime.rows import finish, make_job, move
from tests.realtime.test_processes import Page, page_of
from tests.realtime.test_raw import FOREIGN, origins
from tests.servers import free_port

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def server(request):
    """Return the name of the server."""
    return request.param


@pytest.fixture(scope="module")
def address(server, django_db_setup, django_db_blocker):
    """Serve the application with each server for this whole file; return its address."""
    engine, port = Engine(), free_port()
    with django_db_blocker.unblock():
        (engine.web if server == "uvicorn" else engine.daphne)(port=port)
    yield f"127.0.0.1:{port}"
    engine.stop()


@pytest.fixture
def open_page(address, alice):
    """Return a function that opens a page of alice's which watches these streams."""
    with ExitStack() as pages:
        yield lambda *streams: pages.enter_context(page_of(alice, address, *streams))


def closed_with(link, message=None):
    with pytest.raises(ConnectionClosed) as closed:
        if message is not None:
            link.send(message)
        while True:
            link.recv(timeout=20)
    return closed.value.rcvd.code


def test_a_page_follows_a_job_to_its_end(alice, open_page):
    job = make_job(alice)
    page = open_page(job.stream)
    assert page.next("state")["version"] == 1
    version = move(job, message="Half way", urgent=True)
    change = page.next("change")
    assert (change["from"], change["version"]) == (1, version)
    assert change["data"]["message"] == "Half way"
    finish(job)
    assert page.next("end")["data"]["state"] == "completed"


def test_a_page_that_comes_back_is_told_what_it_missed_and_no_more(alice, open_page):
    job = make_job(alice)
    first = open_page(job.stream).next("state")
    where = {"stream": job.stream, "epoch": first["epoch"], "version": first["version"]}
    current = open_page(where).next("change", "state")
    assert (current["type"], current["from"], current["version"]) == ("change", 1, 1)
    version = move(job, message="Meanwhile")
    behind = open_page(where).next("change", "state")
    assert (behind["version"], behind["data"]["message"]) == (version, "Meanwhile")


def test_what_is_not_theirs_is_gone(alice, bob, open_page):
    foreign = make_job(bob)
    assert open_page(foreign.stream).next("gone", "state")["code"] == "not_found"


def test_the_codes_arrive(alice, server, address, open_page):
    with connect(f"ws://{address}/ws/live/") as link:
        assert closed_with(link) == Close.SIGNED_OUT
    with connect(f"ws://{address}/ws/elsewhere/") as link:
        assert closed_with(link) == Close.NO_SUCH_PATH
    # daphne's library lets an application send 1000 and 3000 to 4999 alone, and else says 1011.
    binary = Close.BINARY if server == "uvicorn" else 1011
    assert closed_with(open_page().link, b"binary") == binary
    page = open_page()
    for _ in range(limits.STRIKES):
        page.link.send("no json")
    assert closed_with(page.link) == Close.BAD_FRAMES


def test_another_sites_page_is_refused_before_the_upgrade(alice, address):
    headers = {"Cookie": session(alice)[0]}
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://{address}/ws/live/", origin="http://elsewhere.invalid", additional_headers=headers),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_no_page_of_another_origin_gets_a_socket(alice, server, address):
    """What is no origin at all daphne's library refuses itself, with 400."""
    port = int(address.split(":")[1])
    cookie = session(alice)[0]
    refused = {403} if server == "uvicorn" else {400, 403}
    for origin in FOREIGN:
        assert (
            Raw(port, paths.SOCKET, {"Cookie": cookie, "Origin": origins(origin, port)}).status in refused
        ), origin
    assert Raw(port, paths.SOCKET, {"Cookie": cookie, "Origin": f"http://{address}"}).status == 101


def test_a_sign_out_closes_the_page_and_ends_the_events(alice, address, open_page):
    cookie, csrf = session(alice)
    client = Client(headers={"Cookie": cookie})
    headers = {"Cookie": cookie, "Accept": "text/event-stream"}
    job = make_job(alice)
    other = open_page(job.stream)
    link = http.client.HTTPConnection(*address.split(":"), timeout=20)
    link.request("GET", f"/api/live?stream={job.stream}", headers=headers)
    events = link.getresponse()
    while events.readline() != b"event: state\n":
        pass
    at = {"origin": f"http://{address}", "additional_headers": {"Cookie": cookie}}
    with connect(f"ws://{address}{paths.SOCKET}", **at) as page:
        Page(page, csrf, [job.stream]).next("state")
        assert client.post("/signout/").status_code == 200
        assert closed_with(page) == Close.SIGNED_OUT
    assert b'event: bye\ndata: {"type":"bye","code":"signed_out"}' in events.read()
    link.request("GET", f"/api/live?stream={job.stream}", headers=headers)
    assert link.getresponse().status == 401
    other.say({"type": "ack", "id": 1})
    assert other.next("beat")["id"] == 1


def test_a_long_poll_is_answered_by_what_moves(alice, address):
    job = make_job(alice)
    headers = {"Cookie": session(alice)[0]}
    link = http.client.HTTPConnection(*address.split(":"), timeout=20)

    def asked(path):
        link.request("GET", path, headers=headers)

    path = f"/api/live?stream={job.stream}"
    asked(path)
    cursor = json.loads(link.getresponse().read())["cursor"]
    asked(f"{path}&wait=20&cursor={cursor}")
    with pytest.raises(TimeoutError):
        link.sock.settimeout(0.5)
        link.sock.recv(1, socket.MSG_PEEK)
    link.sock.settimeout(20)
    version = move(job, message="News", urgent=True)
    (frame,) = json.loads(link.getresponse().read())["frames"]
    assert (frame["type"], frame["version"], frame["data"]["message"]) == ("change", version, "News")
    link.close()


def test_who_does_not_acknowledge_is_parked_and_caught_up(alice, address):
    """The credit is ours and not the transport's: daphne would keep every byte in memory."""
    job = make_job(alice)
    cookie, csrf = session(alice)
    headers = {"Cookie": cookie}
    with connect(f"ws://{address}/ws/live/", origin=f"http://{address}", additional_headers=headers) as link:
        link.send(json.dumps({"type": "hello", "csrf": csrf, "ack": True, "streams": [job.stream]}))
        held, version = 0, 0

        def read():
            nonlocal held
            content = json.loads(link.recv(timeout=5))
            for frame in content if isinstance(content, list) else [content]:
                if frame["type"] == "change" and frame["version"] != frame["from"]:
                    assert frame["from"] == held
                held = frame.get("version", held)

        while not held:
            read()
        text = "x" * 280
        for _ in range(limits.CREDIT_FRAMES + 5):
            version = move(job, message=f"{text}{version}", urgent=True)
            try:
                while held < version:
                    read()
            except TimeoutError:
                break  # parked: nothing comes any more
        assert 1 < held < version
        link.send(json.dumps({"type": "ack", "versions": {job.stream: held}}))
        version = move(job, message="Caught up", urgent=True)
        while held < version:
            content = json.loads(link.recv(timeout=20))
            for frame in content if isinstance(content, list) else [content]:
                held = frame.get("version", held)
                kind = frame["type"]
        assert kind in ("state", "change")


def test_events_and_polls_say_the_same(alice, address):
    job = make_job(alice)
    headers = {"Cookie": session(alice)[0]}
    link = http.client.HTTPConnection(*address.split(":"), timeout=20)
    link.request("GET", f"/api/live?stream={job.stream}", headers={**headers, "Accept": "application/json"})
    polled = json.loads(link.getresponse().read())
    assert polled["frames"][0]["version"] == 1
    link.request("GET", f"/api/live?stream={job.stream}", headers={**headers, "Accept": "text/event-stream"})
    answer = link.getresponse()
    assert answer.headers.get_content_type() == "text/event-stream"
    seen = []
    version = move(job, message="By event", urgent=True)
    while version not in seen:
        line = answer.readline()
        assert line
        if line.startswith(b"data:"):
            seen.append(json.loads(line[5:]).get("version"))
    link.close()
