"""Which pages may open a socket (SEC1 to SEC4)."""

import pytest

from config import log_floods
from realtime import origin
from tests.realtime.client import connect, in_database, session

FOREIGN = [
    "https://evil.test",
    "null",
    "",
    "http://testserver:9999",
    "https://testserver",
    "ftp://testserver",
    "http://evil@testserver",
    "http://testserver@evil.test",
    "http://testserver:abc",
    "http://testserver:0",
    "http://testserver:80:80",
    "http://testserver:99999",
    "http://[::1",
    "http://testserver.",
    "http://testserver.evil.test",
    "http://testserver/",
    "http://testserver ",
    "http://testserver\x00",
    "testserver",
    "//testserver",
    "http://testserver, http://testserver",
]


def scope(*origins, host="testserver", scheme="ws"):
    headers = [(b"host", host.encode()), *((b"origin", o.encode("latin-1")) for o in origins)]
    return {"type": "websocket", "scheme": scheme, "headers": headers, "path": "/ws/live/"}


@pytest.mark.seed("SEC1", "SEC2", "SEC3", "SEC4")
@pytest.mark.parametrize("foreign", FOREIGN)
def test_another_origin_is_not_ours(foreign):
    assert origin.is_ours(scope(foreign)) is False


@pytest.mark.seed("SEC2", "SEC4")
def test_no_origin_and_two_origins_are_not_ours():
    assert origin.is_ours(scope()) is False
    assert origin.is_ours(scope("http://testserver", "http://testserver")) is False


@pytest.mark.parametrize("own", ["http://testserver", "HTTP://TestServer", "http://testserver:80"])
def test_our_own_origin_in_any_spelling_is_ours(own):
    assert origin.is_ours(scope(own)) is True


def test_the_port_and_scheme_of_the_page_count():
    assert origin.is_ours(scope("http://testserver:8000", host="testserver:8000")) is True
    assert origin.is_ours(scope("https://testserver", scheme="wss")) is True


def test_a_host_that_is_not_allowed_is_not_ours_even_if_it_is_the_pages():
    assert origin.is_ours(scope("http://evil.test", host="evil.test")) is False


def test_the_setting_replaces_the_pages_own_origin(settings):
    settings.WS_ORIGINS = ["https://headway.example"]

    assert origin.is_ours(scope("https://headway.example")) is True
    assert origin.is_ours(scope("https://headway.example:443")) is True
    assert origin.is_ours(scope("http://testserver")) is False


@pytest.mark.django_db(transaction=True)
@pytest.mark.seed("SEC1")
@pytest.mark.parametrize("foreign", ["https://evil.test", "null", "http://[::1", None])
async def test_a_foreign_page_with_a_cookie_is_refused_before_the_upgrade(alice, foreign):
    cookie, csrf = await in_database(session, alice)
    wire = await connect(cookie, csrf, origin=foreign)

    assert wire.close_code == 403
    assert wire.frames == []


@pytest.mark.seed("SEC70")
async def test_a_refusal_is_a_line_that_says_from_where(caplog):
    asked = scope("https://evil.test") | {"client": ("192.0.2.7", 4711)}
    asked["headers"].append((b"cookie", b"sessionid=a"))
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    await origin.OriginCheck(None)(asked, receive, send)
    (line,) = [one for one in caplog.records if one.name == origin.__name__]
    assert (line.msg, line.address) == ("ws_origin_refused", "192.0.2.7")
    assert log_floods.address_of(line) == "192.0.2.7"
    assert sent == ["websocket.close"]
