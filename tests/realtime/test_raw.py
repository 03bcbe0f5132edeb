"""The live wire against raw bytes, on a real web process: what libraries hide (SEC1-6, SEC44, SEC64, WS)."""

import contextlib
import re
import socket
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from realtime.limits import Close
from tests.engine import Engine
from tests.realtime import raw
from tests.realtime.client import session
from tests.realtime.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Raw, frame
from tests.site import resident

pytestmark = pytest.mark.django_db(transaction=True)

MB = 1024**2


class Web:
    """A web process."""

    def __init__(self, engine):
        self.engine = engine
        self.process, self.port = engine.web(HEADWAY_WS_CONNECTS_PER_SESSION="10000")

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    def lives(self):
        assert self.process.poll() is None, self.engine.log.read_text()
        try:
            return Raw(self.port, "/healthz", dict.fromkeys(raw.UPGRADE)).status == 200
        except OSError:
            return False

    def upgrade(self, path="/ws/live/", **headers):
        return Raw(self.port, path, {name.replace("_", "-"): value for name, value in headers.items()})

    def page(self, user):
        """Open the socket of a signed-in page and say hello."""
        cookie, csrf = session(user)
        opened = self.upgrade(Cookie=cookie, Origin=self.origin)
        assert opened.status == 101
        opened.say({"type": "hello", "csrf": csrf, "streams": []})
        opened.hear("welcome")
        return opened


@pytest.fixture(scope="module")
def web(django_db_setup, django_db_blocker):
    engine = Engine()
    with django_db_blocker.unblock():
        found = Web(engine)
    yield found
    log = engine.log.read_text()
    engine.stop()
    assert "Traceback" not in log and " 1011" not in log, log


@pytest.fixture
def tab(web, alice):
    opened = web.page(alice)
    yield opened
    opened.leave()


@pytest.fixture
def other(web, bob):
    """Somebody else's socket, which must not notice anything."""
    opened = web.page(bob)
    yield opened
    assert raw.answered_within(opened, 8)
    opened.leave()


# --- the way in


FOREIGN = [
    "https://evil.test",
    None,
    "null",
    "http://127.0.0.1:9999",
    "https://127.0.0.1:{port}",
    "ftp://127.0.0.1:{port}",
    "http://evil@127.0.0.1:{port}",
    "http://127.0.0.1:abc",
    "http://[::1",
    "http://127.0.0.1.:{port}",
    "http://127.0.0.1.evil.test:{port}",
    ["http://127.0.0.1:{port}", "https://evil.test"],
    ["http://127.0.0.1:{port}", "http://127.0.0.1:{port}"],
    "\xff\xfe",
    "http://127.0.0.1:" + "9" * 5000,
]


def origins(origin, port):
    """Return the Origin headers of one of these."""
    many = origin if isinstance(origin, list) else [] if origin is None else [origin]
    return [one.replace("{port}", str(port)) for one in many]


@pytest.mark.seed("SEC1", "SEC2", "SEC3", "SEC4")
@pytest.mark.parametrize("origin", FOREIGN, ids=lambda value: ascii(value)[:40])
def test_a_foreign_page_gets_403_and_no_socket(web, alice, origin):
    cookie, _ = session(alice)
    before = web.engine.log.read_text().count("ws_origin_refused")
    opened = web.upgrade(Cookie=cookie, Origin=origins(origin, web.port))
    assert opened.status == 403
    assert "sec-websocket-accept" not in opened.headers
    assert web.engine.log.read_text().count("ws_origin_refused") == before + 1


@pytest.mark.seed("SEC4")
def test_our_origin_in_capitals_is_ours(web, alice):
    cookie, _ = session(alice)
    for origin in (web.origin, web.origin.replace("http", "HTTP")):
        assert web.upgrade(Cookie=cookie, Origin=origin).status == 101


@pytest.mark.seed("SEC5")
def test_without_a_session_the_close_comes_within_a_second_and_nothing_else(web):
    began = time.monotonic()
    opened = web.upgrade(Origin=web.origin)
    assert opened.status == 101
    assert opened.closed() == (Close.SIGNED_OUT, [])
    assert time.monotonic() - began < 4  # 4 x the figure: a hang guard


@pytest.mark.seed("SEC6")
@pytest.mark.parametrize("csrf", [{}, {"csrf": "x" * 10_000}, {"csrf": 7}, {"csrf": None}], ids=str)
def test_a_wrong_csrf_token_is_4403(web, alice, csrf):
    """WS42."""
    cookie, _ = session(alice)
    opened = web.upgrade(Cookie=cookie, Origin=web.origin)
    opened.say({"type": "hello", "streams": []} | csrf)
    assert opened.closed() == (Close.FORBIDDEN, [])


@pytest.mark.parametrize(
    "path", ["/ws/", "/ws/v9/", "/ws/live", "/ws/live/extra", "/", "/ws/%00", "/ws/live/%2e%2e/"]
)
def test_any_other_path_is_4404(web, path):
    """WS70."""
    opened = web.upgrade(path, Origin=web.origin)
    assert (opened.status, opened.closed()) == (101, (Close.NO_SUCH_PATH, []))


def test_a_plain_get_of_the_path_is_no_socket(web):
    """WS71."""
    plain = Raw(web.port, "/ws/live/", dict.fromkeys(raw.UPGRADE))
    assert plain.status in (404, 426)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Version": None}, 400),
        ({"Sec_WebSocket_Key": None}, 400),
        ({"Sec_WebSocket_Key": "not base64!"}, 400),
        ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
    ],
    ids=str,
)
def test_a_damaged_upgrade_is_refused_by_the_server(web, headers, status):
    """WS72, WS73."""
    assert web.upgrade(Origin=web.origin, **headers).status == status
    assert web.lives()


@pytest.mark.seed("SEC65")
def test_neither_subprotocol_nor_compression_is_taken(web, alice):
    """WS74."""
    cookie, _ = session(alice)
    offers = {
        "Sec_WebSocket_Protocol": "evil",
        "Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits",
    }
    opened = web.upgrade(Cookie=cookie, Origin=web.origin, **offers)
    assert opened.status == 101
    assert not {"sec-websocket-protocol", "sec-websocket-extensions"} & opened.headers.keys()


@pytest.mark.parametrize(
    "cookie",
    [
        "sessionid=" + "x" * 10_000,
        "sessionid=" + quote("' OR 1=1; DROP TABLE realtime_session --"),
        "sessionid={key}; sessionid=" + "a" * 32,
        "sessionid=" + "a" * 32 + "; sessionid={key}",
        "sessionid={key}; sessionid={key}",
    ],
    ids=lambda value: value[:40],
)
def test_an_odd_cookie_is_4401(web, alice, cookie):
    """WS75."""
    good, _ = session(alice)
    key = re.search(r"sessionid=(\w+)", good)[1]
    opened = web.upgrade(Cookie=cookie.replace("{key}", key), Origin=web.origin)
    assert opened.closed() == (Close.SIGNED_OUT, [])


# --- frames


BAD = {
    "WS19: binary": (frame(BINARY, b"x"), Close.BINARY),
    "WS23: 64 KB and 1": (frame(TEXT, b"x" * (64 * 1024 + 1)), 1009),
    "WS28: a reserved opcode": (frame(0x3, b"x"), 1002),
    "WS28: RSV1 without an extension": (frame(TEXT, b"x", rsv=4), 1002),
    "WS29: not masked": (frame(TEXT, b"x", masked=False), 1002),
    "WS31: close with 1005": (frame(CLOSE, b"\x03\xed"), 1002),
    "WS31: close with 999": (frame(CLOSE, b"\x03\xe7"), 1002),
    "WS31: close with 5000": (frame(CLOSE, b"\x13\x88"), 1002),
    "WS32: close with a reason of 124 bytes": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "SEC64: continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "SEC64: a text within a text": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002),
    "SEC64: a ping in fragments": (frame(PING, b"x", fin=False), 1002),
    "SEC64: a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "not UTF-8": (frame(TEXT, b"\xff"), 1007),
}


@pytest.mark.seed("SEC64")
@pytest.mark.parametrize("what", BAD)
def test_a_bad_frame_closes_its_own_socket_alone(tab, other, what):
    sent, code = BAD[what]
    tab.send(sent)
    assert tab.closed()[0] == code


@pytest.mark.seed("SEC64")
def test_20_mb_in_one_frame_are_never_held(web, tab, other):
    """WS24."""
    before = resident(web.process.pid)
    data = frame(TEXT, b"x" * (20 * MB))
    with pytest.raises(ConnectionError):
        for start in range(0, len(data), 65536):
            tab.send(data[start : start + 65536])
        while True:
            tab.next()
    assert resident(web.process.pid) - before <= MB
    assert web.lives()


@pytest.mark.seed("SEC64")
def test_a_message_in_a_million_fragments_is_cut_at_the_limit(web, tab, other):
    """WS25."""
    before = resident(web.process.pid)
    tab.send(frame(TEXT, b"x", fin=False))
    piece = b"".join(frame(CONTINUATION, b"x", fin=False) for _ in range(1000))
    try:
        for _ in range(1000):
            tab.send(piece)
    except ConnectionError:
        pass  # the server left long before the end
    try:
        assert tab.closed()[0] == 1009
    except ConnectionError:
        pass
    assert resident(web.process.pid) - before <= 12 * MB
    assert web.lives()


@pytest.mark.seed("SEC64")
def test_empty_fragments_do_not_pile_up(web, tab, other):
    before = resident(web.process.pid)
    tab.send(frame(TEXT, b"", fin=False))
    piece = frame(CONTINUATION, b"", fin=False) * 1000
    try:
        for _ in range(1000):
            tab.send(piece)
    except ConnectionError:
        pass
    assert resident(web.process.pid) - before <= 12 * MB
    assert web.lives()


def test_a_text_that_is_never_finished_is_no_hello(web, alice):
    """WS26: 4408 after 10 s."""
    cookie, _ = session(alice)
    opened = web.upgrade(Cookie=cookie, Origin=web.origin)
    opened.send(frame(TEXT, b'{"type":"hello"', fin=False))
    assert opened.closed() == (Close.HELLO_TIMEOUT, [])


@pytest.mark.seed("SEC64")
def test_ten_thousand_pings_are_answered_or_cut_and_nobody_else_waits(web, tab, other):
    """WS30."""
    flood = b"".join(frame(PING, b"%d" % number) for number in range(10_000))
    tab.send(flood)
    assert raw.answered_within(other, 8)
    opcode, payload = tab.next()
    assert opcode == PONG or payload[:2] == Close.TOO_MANY.to_bytes(2)


@pytest.mark.seed("SEC64")
def test_an_upgrade_that_the_library_cannot_read_is_answered(web):
    """It would wait for more until the client leaves."""
    opened = web.upgrade(Origin=web.origin, X_Odd="a\x01b")
    assert opened.status == 400
    assert web.lives()


# --- bodies


@pytest.mark.seed("SEC44")
@pytest.mark.parametrize("path", ["/no/such/address", "/api/live", "/api/nope", "/jobs/"])
@pytest.mark.parametrize("kind", ["length", "chunked", "lying"])
def test_a_body_of_200_mb_is_neither_read_nor_kept(web, path, kind):
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
    head += {
        "length": f"Content-Length: {200 * MB}\r\n\r\n",
        "chunked": "Transfer-Encoding: chunked\r\n\r\n",
    }.get(kind, f"Content-Length: {200 * MB}\r\nExpect: 100-continue\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n" if kind == "chunked" else b"x" * 65536
    written = wrote(web.process.pid)
    sent, answer = 0, b""
    with socket.create_connection(("127.0.0.1", web.port), timeout=15) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        link.sendall(head.encode())
        try:
            while sent < 200 * MB:
                link.sendall(chunk)
                sent += len(chunk)
        except ConnectionError:
            pass
        try:
            answer = b"".join(iter(lambda: link.recv(65536), b""))
        except ConnectionError:
            pass
    # What the kernels buffer of it on its way does not count, but it is far from all.
    assert sent < 16 * MB
    assert wrote(web.process.pid) - written < 2 * MB
    assert not answer or answer.split(b" ")[1] == b"413"
    assert web.lives()


@pytest.mark.seed("SEC45")
def test_fifty_bodies_that_do_not_come_hold_nobody_up(web):
    head = f"POST /signin/ HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nContent-Length: 100\r\n\r\na"
    with contextlib.ExitStack() as slow:
        links = [
            slow.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=15))
            for _ in range(50)
        ]
        for link in links:
            link.sendall(head.encode())
        for _ in range(5):
            assert asked(web, "GET /signin/ HTTP/1.1", f"Host: 127.0.0.1:{web.port}").split()[1] == b"200"


@pytest.mark.seed("SEC42")
def test_the_host_in_an_absolute_address_is_written_nowhere(web):
    """RFC 9112 3.2.2 lets a proxy send one; ours do not."""
    told = asked(web, "GET http://evil.test/nowhere HTTP/1.1", f"Host: 127.0.0.1:{web.port}")
    assert told.split()[1] in (b"302", b"400", b"404")
    assert b"evil.test" not in told
    refused = asked(web, f"GET http://127.0.0.1:{web.port}/signin/ HTTP/1.1", "Host: evil.test")
    assert refused.split()[1] == b"400" and b"evil.test" not in refused


def asked(web, *lines):
    """Return what is answered to the lines of a request, until the server closes."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=15) as link:
        link.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        return b"".join(iter(lambda: link.recv(65536), b""))


def wrote(pid):
    """Return how many bytes a process has written, to files and sockets."""
    return int(re.search(r"wchar: (\d+)", Path(f"/proc/{pid}/io").read_text())[1])
