"""What docs/proxy.md promises of a proxy holds with the configuration it shows."""

import http.client
import json
import socket
import ssl
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest
from django.db.models.functions import Now
from websockets.sync.client import connect

from config.proxies import Proxies
from ingestion import stability
from ingestion.models import Process
from realtime import epoch
from tests.behind import CADDY, NGINX, block, caddy, nginx, replaced
from tests.deployment.conftest import BEAT_SECONDS
from tests.deployment.test_check_realtime import checked, problems
from tests.realtime.client import session
from tests.realtime.rows import make_job
from tests.servers import free_port, serving
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
needs_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine")
needs_caddy = pytest.mark.skipif(CADDY is None, reason="no Caddy on this machine")


@pytest.fixture
def site(folder, upstreams):
    port = free_port()
    with nginx(folder, block("nginx"), port, upstreams):
        yield port, ssl.create_default_context(cafile=str(folder / "site.pem"))


def ask(site, path, headers):
    """Ask behind nginx, or a process itself by its port."""
    if isinstance(site, int):
        link = http.client.HTTPConnection("127.0.0.1", site, timeout=20)
    else:
        link = http.client.HTTPSConnection("localhost", site[0], timeout=20, context=site[1])
    link.request("GET", path, headers=headers)
    answer = link.getresponse()
    return answer.status, json.loads(answer.read())


@needs_nginx
def test_sticky_sessions_are_not_needed(alice, site, upstreams):
    """Polls take turns between two processes, and a cursor of one is good at the other."""
    job = make_job(alice)
    cookie, _ = session(alice)
    headers = {"Cookie": cookie, "Accept": "application/json"}

    def epochs():
        answers = [ask(port, f"/api/live?stream={job.stream}", headers)[1] for port in upstreams]
        return {frame["epoch"] for answer in answers for frame in answer["frames"]}

    # The test before took the epoch with it; both processes learn that within a second.
    until(lambda: epochs() == {epoch.current()}, what="the epoch in both processes")
    status, first = ask(site, f"/api/live?stream={job.stream}", headers)
    assert (status, first["frames"][0]["type"]) == (200, "state")
    for _ in range(4):
        status, later = ask(site, f"/api/live?stream={job.stream}&cursor={first['cursor']}", headers)
        assert (status, later["frames"]) == (200, [])


@needs_nginx
def test_a_page_may_open_its_socket_behind_tls(alice, site):
    port, context = site
    cookie, csrf = session(alice)
    url, origin = f"wss://localhost:{port}/ws/live/", f"https://localhost:{port}"
    with connect(url, origin=origin, additional_headers={"Cookie": cookie}, ssl=context) as link:
        link.send(json.dumps({"type": "hello", "csrf": csrf, "streams": [f"user:{alice.pk}"]}))
        assert json.loads(link.recv(timeout=20))


UPGRADES = (
    "    proxy_set_header Upgrade $http_upgrade;\n    proxy_set_header Connection $connection_upgrade;\n"
)
PATIENCE = "proxy_read_timeout 60s", f"proxy_read_timeout {BEAT_SECONDS + 3}s"


@contextmanager
def behind(kind, folder, upstreams):
    """Run a proxy: as documented but for its patience, and one that knows nothing of WebSockets."""
    port = free_port()
    if kind == "caddy":
        with caddy(folder, block("caddy"), port, upstreams):
            yield port
        return
    text = replaced(block("nginx"), PATIENCE, *([(UPGRADES, "")] if kind == "nginx without upgrades" else []))
    with nginx(folder, text, port, upstreams):
        yield port


@pytest.mark.seed("S4.70", "S4.71")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("nginx", marks=needs_nginx),
        pytest.param("nginx without upgrades", marks=needs_nginx),
        pytest.param("caddy", marks=needs_caddy),
    ],
)
def test_an_event_stream_outlives_the_proxys_patience_and_needs_no_upgrade(kind, alice, folder, upstreams):
    Process.objects.create(name="k", role="keeper", host="h", pid=1)
    stability.look()
    cookie, _ = session(alice)
    with behind(kind, folder, upstreams) as port:
        context = ssl.create_default_context(cafile=str(folder / "site.pem"))
        link = http.client.HTTPSConnection("localhost", port, timeout=BEAT_SECONDS + 5, context=context)
        link.request(
            "GET", "/api/system-status/live", headers={"Cookie": cookie, "Accept": "text/event-stream"}
        )
        answer = link.getresponse()
        assert (answer.status, answer.getheader("content-encoding")) == (200, None)
        lines = iter(answer.readline, b"")
        assert next(line for line in lines if line.startswith(b"data: ")) == b'data: {"stable": true}\n'
        for _ in range(2):  # silent but for its beats, for longer than the proxy waits
            assert next(line for line in lines if line.startswith(b":"))
        make_job(alice)
        Process.objects.update(beat_at=Now())
        stability.look()
        began = time.monotonic()
        assert next(line for line in lines if line.startswith(b"data: ")) == b'data: {"stable": false}\n'
        assert time.monotonic() - began < 3
        link.close()


async def who_asks(scope, receive, send):
    """Answer with what the application believes of the client."""
    host = dict(scope["headers"])[b"host"].decode()
    body = json.dumps([scope["client"][0], scope["scheme"], host]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@needs_nginx
@pytest.mark.parametrize("sets_it", [True, False], ids=["as documented", "without the line"])
def test_an_address_that_a_client_claims_is_not_believed(folder, sets_it):
    line = "    proxy_set_header X-Forwarded-For $remote_addr;\n"
    text = block("nginx") if sets_it else replaced(block("nginx"), (line, ""))
    port = free_port()
    with serving(Proxies(who_asks, ["127.0.0.1"])) as upstream, nginx(folder, text, port, [upstream]):
        site = port, ssl.create_default_context(cafile=str(folder / "site.pem"))
        headers = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"}
        seen = ask(site, "/", headers)[1]
    assert seen == ["127.0.0.1" if sets_it else "203.0.113.7", "https", f"localhost:{port}"]


@needs_nginx
@pytest.mark.seed("SEC45")
def test_headers_that_do_not_come_hold_nobody_up_and_end_their_connection(folder):
    text = replaced(block("nginx"), ("client_header_timeout 30s", "client_header_timeout 5s"))
    port = free_port()
    with serving(who_asks) as upstream, nginx(folder, text, port, [upstream]), ExitStack() as slow:
        context = ssl.create_default_context(cafile=str(folder / "site.pem"))
        links = []
        for _ in range(50):
            plain = slow.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            with suppress(ConnectionError, ssl.SSLError):  # a test that is held up may be too late itself
                link = slow.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
                link.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: a")
                links.append(link)
        assert ask((port, context), "/", {})[0] == 200
        assert links
        for link in links:
            told = b""
            with suppress(ConnectionError, ssl.SSLError):
                told = link.recv(65536)  # until nginx ends it; nothing else does
            assert not told or b" 408 " in told


@needs_caddy
def test_the_documented_caddy_carries_everything(alice, folder, upstreams, monkeypatch):
    with caddy(folder, block("caddy"), free_port(), upstreams) as url:
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "site.pem"))
        code, found = checked(url, "--user", "alice", "--upload-mb", "1024", "--quick")
    assert (code, problems(found)) == (0, set()), json.dumps(found, indent=1)
