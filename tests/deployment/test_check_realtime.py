"""`check_realtime` finds what is wrong between a browser and the live wire, and nothing where nothing is."""

import json
import socket
import threading
from contextlib import contextmanager

import pytest

from ingestion import tokens
from realtime.models import Session
from tests.behind import NGINX, block, nginx, replaced
from tests.commands.conftest import run
from tests.servers import free_port, serving

pytestmark = pytest.mark.django_db(transaction=True)
needs_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine")


def checked(url, *options):
    """Return the exit code, and what was found by name (CMD63: the same code, and valid JSON)."""
    said = run("check_realtime", url, "--json", *options)
    report = json.loads(said.out)
    assert report["ok"] is (said.code == 0)
    return said.code, {one["name"]: one for one in report["found"]}


def problems(found):
    return {name for name, one in found.items() if one["status"] in ("problem", "warning")}


@pytest.fixture
def behind(folder, upstreams, monkeypatch):
    """Return a context manager: our documented nginx with parts replaced; yields its address."""

    @contextmanager
    def run_nginx(*pairs, text=None):
        with nginx(folder, replaced(text or block("nginx"), *pairs), free_port(), upstreams) as url:
            monkeypatch.setenv("SSL_CERT_FILE", str(folder / "site.pem"))
            yield url

    return run_nginx


def test_without_a_proxy_all_is_well(alice, upstreams):
    options = ("--user", "alice", "--upload-mb", "1024", "--quick")
    code, found = checked(f"http://127.0.0.1:{upstreams[0]}", *options)
    assert (code, problems(found)) == (0, set()), json.dumps(found, indent=1)
    assert set(found) == {
        "reach", "upgrade", "own origin", "foreign origin", "body limit", "uploads", "polling", "messages",
        "events",
    }  # fmt: skip
    assert 0 < found["messages"]["figures"]["round_trip_ms"] < 5000
    assert not Session.objects.exists()  # the session it made for itself is gone


def test_a_token_without_a_cookie_does_too(alice, upstreams):
    token = tokens.create(alice, "check", scopes=["read"])[1]
    options = ("--token", token, "--stream", f"user:{alice.pk}", "--quick")
    code, found = checked(f"http://127.0.0.1:{upstreams[0]}", *options)
    assert (code, problems(found)) == (0, set()), json.dumps(found, indent=1)


def test_without_anybody_it_checks_what_needs_nobody(upstreams, db):
    code, found = checked(f"http://127.0.0.1:{upstreams[0]}")
    assert code == 0 and found["signed in"]["status"] == "skipped"
    assert {name for name, one in found.items() if one["status"] == "ok"} == {
        "reach", "upgrade", "own origin", "foreign origin", "body limit", "uploads",
    }  # fmt: skip


def test_text_says_what_to_fix(upstreams, alice):
    """CMD62."""
    said = run("check_realtime", f"http://127.0.0.1:{upstreams[0]}", "--token", "hw_no", "--stream", "user:1")
    assert said.code == 1
    assert "problem  polling" in said.out and "let the proxy pass Cookie and Authorization on" in said.out
    assert said.err == "To be fixed: polling."


@needs_nginx
@pytest.mark.seed("S1.96")
def test_the_documented_nginx_carries_everything(alice, behind):
    with behind() as url:
        code, found = checked(url, "--user", "alice", "--upload-mb", "1024")
    assert (code, problems(found)) == (0, set()), json.dumps(found, indent=1)


UPGRADE = (
    "    proxy_set_header Upgrade $http_upgrade;\n    proxy_set_header Connection $connection_upgrade;\n"
)
LIVE = "        proxy_buffering off;\n        gzip off;\n"
BUFFERING = "        proxy_buffering on;\n        proxy_ignore_headers X-Accel-Buffering;\n"
# What is wrong in nginx, and what is found then.
WRONG = {
    "no upgrade": ([(UPGRADE, "")], {"upgrade", "own origin", "messages"}),
    "buffered": ([(LIVE, BUFFERING)], {"events"}),
    "compressed": (
        [(LIVE, "        proxy_buffering off;\n        gzip on;\n        gzip_types text/event-stream;\n")],
        {"events"},
    ),
    "no host": ([("Host $http_host", "Host localhost")], {"own origin", "messages"}),
    "no scheme": (
        [("    proxy_set_header X-Forwarded-Proto $scheme;\n", "")],
        {"own origin", "messages"},
    ),
    "origin thrown away": (
        [(UPGRADE, UPGRADE + "    proxy_set_header Origin $scheme://$http_host;\n")],
        {"foreign origin"},
    ),
    "small uploads": ([("client_max_body_size 1025m", "client_max_body_size 1m")], {"uploads"}),
    "collected uploads": ([("        proxy_request_buffering off;\n", "")], {"uploads"}),
    "no credentials": (
        [(UPGRADE, UPGRADE + '    proxy_set_header Cookie "";\n')],
        {"foreign origin", "polling"},
    ),
}


@needs_nginx
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_nginx_is_found(alice, behind, wrong):
    pairs, expected = WRONG[wrong]
    with behind(*pairs) as url:
        _, found = checked(url, "--user", "alice", "--upload-mb", "1024", "--quick")
    assert problems(found) == expected, found
    assert all(found[name]["fix"] for name in expected)


@needs_nginx
@pytest.mark.seed("S1.98")
def test_a_proxy_that_does_not_wait_is_found(alice, behind):
    with behind(("proxy_read_timeout 60s", "proxy_read_timeout 2s")) as url:
        code, found = checked(url, "--user", "alice", "--upload-mb", "1024")
    assert (code, problems(found)) == (1, {"messages", "events", "long poll"}), found


def test_nobody_there_is_one_line():
    code, found = checked(f"http://127.0.0.1:{free_port()}")
    assert code == 1 and problems(found) == {"reach"} == set(found)


def test_something_else_there_is_not_taken_for_headway():
    async def other(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"<h1>Other</h1>"})

    with serving(other) as port:
        code, found = checked(f"http://127.0.0.1:{port}")
    assert code == 1 and found["reach"]["text"] == "/healthz answers with 404."


def test_an_address_that_answers_junk_is_a_finding():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def junk():
            link, _ = server.accept()
            with link:
                link.recv(1000)
                link.sendall(b"\0\xff junk\r\n\r\n")

        thread = threading.Thread(target=junk)
        thread.start()
        code, found = checked(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert code == 1 and problems(found) == {"reach"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["ftp://headway.example"],
        ["headway.example"],
        ["http://headway.example/path"],
        ["http://me@headway.example"],
        ["http://[::1"],
        ["http://headway.example:99999"],
        ["http://headway.example", "--token", "x"],
    ],
)
def test_called_wrongly(arguments):
    said = run("check_realtime", *arguments)
    assert (said.code, said.out) == (2, "")


def test_an_unknown_user_is_refused(upstreams, db):
    said = run("check_realtime", f"http://127.0.0.1:{upstreams[0]}", "--user", "nobody")
    assert (said.code, said.err) == (1, "There is no active user nobody.")
