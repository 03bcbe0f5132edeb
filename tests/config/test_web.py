"""What holds for every answer: headers, limits on bodies, error pages, proxies, health."""

import asyncio
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.test import Client, RequestFactory
from django.urls import get_resolver, path

from config import asgi, errors, health, rates
from config.bodies import UPLOAD_PATHS, BodyLimit
from config.proxies import Proxies
from config.urls import urlpatterns as ours
from ingestion import tokens

ROOT = Path(__file__).resolve().parents[2]

KB = 1024


def broken(request: Any) -> Any:
    raise RuntimeError("SELECT secret FROM /srv/headway/settings.py")


def without_database(request: Any) -> Any:
    raise OperationalError("connection to server at 10.1.2.3 failed")


def denied(request: Any) -> Any:
    raise PermissionDenied


urlpatterns = [*ours, path("broken/", broken), path("away/", without_database), path("denied/", denied)]
handler400, handler403, handler404, handler500 = (
    errors.bad_request, errors.forbidden, errors.not_found, errors.server_error,
)  # fmt: skip


async def ask(
    app: Any,
    url: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: Any = (b"",),
    client: str = "127.0.0.1",
) -> tuple[int, dict[str, str], bytes, int]:
    """Send a request through an ASGI application.

    Return status, headers, body, and how many chunks were read before the answer.
    """
    chunks, sent, read = list(body), [], 0
    scope = {
        "type": "http", "method": method, "path": url, "raw_path": url.encode(), "query_string": b"",
        "headers": [(b"host", b"localhost")]
        + [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "scheme": "http", "client": (client, 1234), "server": ("localhost", 80), "http_version": "1.1",
        "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        nonlocal read
        if not chunks:
            await asyncio.Event().wait()
        read += not sent
        chunk = chunks.pop(0)
        if chunk is None:  # a client that stops sending
            await asyncio.Event().wait()
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await asyncio.wait_for(app(scope, receive, send), 10)
    start = next(message for message in sent if message["type"] == "http.response.start")
    found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    content = b"".join(
        message.get("body", b"") for message in sent if message["type"] == "http.response.body"
    )
    return start["status"], found, content, read


# --- headers ---


@pytest.mark.seed("SEC37", "SEC38")
@pytest.mark.parametrize(
    "url", ["/signin/", "/nowhere/", "/static/headway/headway.css", "/healthz", "/api/jobs", "/static/no.css"]
)
@pytest.mark.django_db(transaction=True)
async def test_every_answer_carries_the_security_headers(url):
    _, headers, _, _ = await ask(asgi.application, url)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers


@pytest.mark.seed("SEC37")
def test_the_policy_allows_no_inline_code(client, db):
    policy = client.get("/signin/")["Content-Security-Policy"]
    assert "unsafe" not in policy
    expected = """default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;
        connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none';
        report-uri /csp-report/"""
    assert {part.strip() for part in expected.split(";")} == {part.strip() for part in policy.split(";")}


@pytest.mark.seed("SEC38")
def test_private_answers_are_not_stored(client, alice):
    assert "no-store" not in client.get("/healthz").headers.get("Cache-Control", "")
    program = f"Bearer {tokens.create(alice, 't')[1]}"
    assert "no-store" in Client(headers={"authorization": program}).get("/api/jobs")["Cache-Control"]
    client.force_login(alice)
    for url in ("/jobs/", "/api/jobs", "/api/notifications/unread-count"):
        assert "no-store" in client.get(url)["Cache-Control"], url


def test_a_csp_report_is_taken_without_a_session(client):
    assert client.post("/csp-report/", b"{}", content_type="application/csp-report").status_code == 204


# --- bodies ---


def limited(signed_in: bool = True, seconds: float = 5.0, **limits: int) -> BodyLimit:
    async def read_all(scope: Any, receive: Any, send: Any) -> None:
        """Read the body as Django does, then answer with its length."""
        length = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length += len(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(length).encode()})

    async def answer(scope: Any) -> str | None:
        return "1" if signed_in else None

    sizes = {"small": 100 * KB, "large": 1000 * KB} | limits
    return BodyLimit(read_all, **sizes, seconds=seconds, signed_in=answer, page=lambda status, text: text)


async def test_a_body_up_to_the_limit_arrives():
    status, _, body, _ = await ask(limited(), "/x/", method="POST", body=[b"a" * KB] * 100)
    assert (status, body) == (200, str(100 * KB).encode())


async def test_an_announced_large_body_is_refused_unread():
    status, headers, _, read = await ask(
        limited(), "/x/", method="POST", headers={"Content-Length": str(200 * KB)}, body=[b"a" * KB] * 200
    )
    assert (status, read, headers["connection"]) == (413, 0, "close")


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}, {"Content-Length": "5"}])
async def test_an_unannounced_large_body_is_cut_at_the_limit(headers):
    status, _, _, read = await ask(limited(), "/x/", method="POST", headers=headers, body=[b"a" * KB] * 300)
    assert status == 413 and read <= 101


async def test_an_upload_may_be_larger():
    status, _, body, _ = await ask(
        limited(),
        "/api/uploads",
        method="POST",
        headers={"Content-Length": str(900 * KB)},
        body=[b"a" * KB] * 900,
    )
    assert (status, body) == (200, str(900 * KB).encode())


def views_of(patterns: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every address of ours, with something for its parts, and its view."""
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from views_of(pattern.url_patterns, path)
        else:
            path = re.sub(r"<(?:(\w+):)?\w+>", lambda part: PARTS[part[1] or "str"], path)
            yield f"/{path}", inspect.unwrap(pattern.callback)


PARTS = {"int": "7", "uuid": str(UUID(int=7)), "str": "imports", "slug": "imports", "path": "x"}


def test_every_page_that_takes_a_file_takes_a_large_one():
    takes_files = {
        path
        for path, view in views_of(get_resolver().url_patterns)
        if view.__module__.startswith("ingestion.") and "request.FILES" in inspect.getsource(view)
    }
    assert {"/imports/new/", "/workspaces/7/upload/"} <= takes_files
    assert [path for path in takes_files if not UPLOAD_PATHS.fullmatch(path)] == []
    proxies = (ROOT / "deploy" / "nginx.conf").read_text() + (ROOT / "docs" / "proxy.md").read_text()
    told = re.findall(r"(?:location ~|path_regexp) (\^/\(api/uploads\S+)", proxies)
    assert len(told) == 4
    for pattern in told:
        assert [path for path in takes_files if not re.search(pattern, path)] == [], pattern


async def test_an_upload_of_nobody_is_refused_unread():
    status, headers, body, read = await ask(
        limited(signed_in=False),
        "/api/uploads",
        method="POST",
        headers={"Content-Length": "10"},
        body=[b"a" * 10],
    )
    assert (status, read, headers["content-type"]) == (401, 0, "application/problem+json")
    assert json.loads(body)["code"] == "auth_required"


async def test_a_large_form_of_nobody_is_refused_unread():
    status, _, _, read = await ask(
        limited(signed_in=False), "/start/imports/", method="POST", headers={"Content-Length": str(200 * KB)}
    )
    assert (status, read) == (401, 0)


async def test_a_user_sends_five_files_at_once_and_no_sixth():
    """UP82."""

    async def named(scope: Any) -> str | None:
        return dict(scope["headers"])[b"x-user"].decode()

    app = limited()
    app.signed_in = named

    async def upload(user: str, *body: bytes | None) -> Any:
        headers = {"Content-Length": "2", "X-User": user}
        return await ask(app, "/api/uploads", method="POST", headers=headers, body=body)

    held = [asyncio.create_task(upload("alice", b"a", None)) for _ in range(5)]
    while app.uploading["alice"] < 5:
        await asyncio.sleep(0)
    status, headers, body, read = await upload("alice", b"ab")
    assert (status, json.loads(body)["code"], headers["retry-after"], read) == (429, "quota_exceeded", "5", 0)
    assert (await upload("bob", b"ab"))[0] == 200

    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert (await upload("alice", b"ab"))[0] == 200
    assert not app.uploading


@pytest.mark.seed("SEC45")
async def test_a_body_that_stops_ends_in_408_under_api():
    status, _, body, _ = await ask(
        limited(seconds=0.2), "/api/jobs", method="POST", headers={"Content-Length": "10"}, body=[b"a", None]
    )
    assert (status, json.loads(body)["code"]) == (408, "timeout")


@pytest.mark.django_db(transaction=True)
async def test_who_may_upload_is_judged_as_on_the_live_wire(alice):
    from asgiref.sync import sync_to_async

    client = Client()
    await sync_to_async(client.force_login)(alice)
    cookie = f"sessionid={client.cookies['sessionid'].value}".encode()
    assert await asgi.signed_in({"headers": [(b"cookie", cookie)]})
    assert not await asgi.signed_in({"headers": [(b"cookie", b"sessionid=forged")]})
    assert not await asgi.signed_in({"headers": [(b"authorization", b"Bearer forged")]})
    assert not await asgi.signed_in({"headers": []})
    assert not await asgi.signed_in({"headers": [(b"cookie", cookie + b"; " + cookie)]})  # which one counts?
    await sync_to_async(alice.set_password)("another")
    await alice.asave()
    assert not await asgi.signed_in({"headers": [(b"cookie", cookie)]})


# --- error pages ---


@pytest.mark.seed("SEC71")
@pytest.mark.urls("tests.config.test_web")
@pytest.mark.parametrize(
    ("url", "status"), [("/broken/", 500), ("/away/", 503), ("/denied/", 403), ("/no/", 404)]
)
def test_an_error_page_tells_nothing_of_the_inside(db, url, status):
    answer = Client(raise_request_exception=False).get(url)
    text = answer.content.decode()
    assert answer.status_code == status
    for inside in ("Traceback", "SELECT", "/srv", "10.1.2.3", "Django", "RuntimeError"):
        assert inside not in text
    assert answer["X-Request-Id"]


@pytest.mark.urls("tests.config.test_web")
def test_the_page_of_an_unexpected_error_names_the_request(db, caplog):
    answer = Client(raise_request_exception=False).get("/broken/")
    assert answer["X-Request-Id"] in answer.content.decode()
    (line,) = [dict(one.msg) for one in caplog.records if one.name == errors.__name__]
    assert (line["event"], line["path"]) == ("request_failed", "/broken/")


@pytest.mark.seed("SEC42")
def test_a_foreign_host_is_refused(client):
    answer = client.get("/signin/", headers={"host": "evil.test"})
    assert answer.status_code == 400 and "evil" not in answer.content.decode()


@pytest.mark.seed("SEC42")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("second", ["evil.test", "localhost"])
async def test_two_hosts_are_refused(second):
    status, _, body, _ = await ask(asgi.application, "/signin/", headers={"Host": second})
    assert status == 400 and b"evil" not in body


@pytest.mark.seed("SEC42")
def test_the_host_that_a_proxy_or_a_client_claims_besides_is_not_believed(client, db):
    answer = client.get("/signin/", headers={"X-Forwarded-Host": "evil.test", "Forwarded": "host=evil.test"})
    assert answer.status_code == 200 and "evil" not in answer.text + str(answer.headers)


# --- static files ---


async def test_a_static_file_is_served_once_and_then_known():
    status, headers, body, _ = await ask(asgi.application, "/static/headway/headway.css")
    assert status == 200 and headers["content-type"].startswith("text/css") and len(body) > 1000
    again = {"If-Modified-Since": headers["last-modified"]}
    assert (await ask(asgi.application, "/static/headway/headway.css", headers=again))[0] == 304


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "url", ["/static/../manage.py", "/static/%2e%2e/manage.py", "/static//etc/passwd", "/static/"]
)
async def test_nothing_outside_is_served(url):
    assert (await ask(asgi.application, url))[0] in (400, 404)


# --- proxies ---


async def seen(client: str, headers: dict[str, str]) -> tuple[str, str]:
    found = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.update(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    await ask(Proxies(app, ["10.0.0.0/8"]), "/", headers=headers, client=client)
    return found["client"][0], found["scheme"]


@pytest.mark.seed("SEC43")
@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),  # no proxy of ours: what it says is ignored
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),  # the left part was written by the client
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
    ],
)
async def test_a_forwarded_address_counts_from_trusted_proxies_only(client, forwarded, expected):
    assert (await seen(client, {"X-Forwarded-For": forwarded}))[0] == expected


@pytest.mark.seed("SEC43")
@pytest.mark.django_db(transaction=True)
async def test_a_claimed_address_gives_nobody_another_limit(monkeypatch):
    rates.forget()
    monkeypatch.setattr(rates, "UNSIGNED", type(rates.UNSIGNED)(3, namespace="unsigned-claimed"))

    async def status(number: int, client: str) -> int:
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        return (await ask(asgi.application, "/api/jobs", headers=headers, client=client))[0]

    assert [await status(n, "203.0.113.5") for n in range(4)] == [401, 401, 401, 429]
    assert await status(9, "203.0.113.6") == 401


async def test_the_scheme_comes_from_a_trusted_proxy():
    assert (await seen("10.0.0.1", {"X-Forwarded-Proto": "https"}))[1] == "https"
    assert (await seen("203.0.113.5", {"X-Forwarded-Proto": "https"}))[1] == "http"


# --- health ---


def test_not_ready_without_keeper_and_workers(client, db):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["database"] == checks["redis"] == "ok"
    assert checks["keeper"] == "No keeper is alive."


def test_ready_says_that_the_database_is_away(monkeypatch):
    def away() -> dict[str, str]:
        raise OperationalError

    monkeypatch.setattr(health, "_processes", away)
    answer = health.readyz(RequestFactory().get("/readyz"))
    assert answer.status_code == 503 and b"Cannot reach the database." in answer.content


def test_ready_says_that_redis_is_away(client, db, settings):
    settings.REDIS_URL = "unix:///nowhere.sock"
    assert client.get("/readyz").json()["checks"]["redis"] == "Cannot reach Redis."
