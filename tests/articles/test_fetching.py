"""Fetching of strangers' pages: never from inside, within limits, politely; each failure by its name."""

import gzip
import socket
import threading
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ingestion import outside_connections
from ingestion.models import Pause
from ingestion.source import SourceError
from ingestion.sources.articles import fetching, robots
from ingestion.sources.articles.fetching import Fetcher
from ingestion.sources.articles.models import Robots
from tests.articles.web import Site, article

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = article("Ferries", "The ferry is back.")


def refused(fetcher: Fetcher, url: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetcher.get(url)
    return caught.value


def test_a_page_comes_with_all_addresses_that_led_to_it(fetcher: Fetcher, site: Site):
    last = site.put("/c", PAGE, ETag='"one"', Last_Modified="Mon, 02 Mar 2026 10:00:00 GMT")
    first = site.moved("/a", "/b?utm_source=x#part")
    site.moved("/b", last, 301)
    found = fetcher.get(first)
    assert found is not None
    assert (found.url, found.content.decode(), found.content_type) == (last, PAGE, "text/html")
    assert found.passed == (first, f"{site.url}/b", last)
    assert (found.etag, found.modified) == ('"one"', "Mon, 02 Mar 2026 10:00:00 GMT")
    assert all("cookie" not in headers for headers in site.headers)
    assert site.headers[-1]["user-agent"].startswith("Headway/")


def test_no_cookie_is_kept_or_sent(fetcher: Fetcher, site: Site):
    """URL70."""
    cookie = {"Set_Cookie": "reader=7; Path=/"}
    again = site.put("/a", b"", 302, Location="/a", **cookie)
    assert refused(fetcher, again).code == "url_too_many_redirects"
    assert fetcher.get(site.put("/b", PAGE, **cookie)) is not None
    assert fetcher.get(f"{site.url}/b") is not None
    assert all("cookie" not in headers for headers in site.headers)


def test_what_has_not_changed_does_not_come_again(fetcher: Fetcher, site: Site):
    url = site.put("/feed", b"", 304)
    assert fetcher.get(url, etag='"one"', modified="Mon, 02 Mar 2026 10:00:00 GMT") is None
    assert site.headers[-1]["if-none-match"] == '"one"'


@pytest.mark.seed("SEC26")
@pytest.mark.parametrize(
    "to",
    ["http://localhost:{port}/", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "gopher://x/",
     "http://[::1]:{port}/", "http://10.0.0.5/", "http://u:p@news.example.com/", "http://0x7f.2/",
     "//inside.test:8080/"],
)  # fmt: skip
def test_a_redirect_inside_is_not_followed(fetcher, site, canary, to, monkeypatch):
    """URL68."""
    lead_inside(monkeypatch, "inside.test")
    url = site.moved("/a", to.format(port=canary.port))
    error = refused(fetcher, url)
    assert error.code == "url_redirect_blocked" and ":p@" not in error.message
    assert canary.connections == 0


@pytest.mark.seed("SEC25", "SEC27")
def test_a_name_that_leads_inside_is_not_asked(fetcher, site, canary, monkeypatch):
    """URL55."""
    lead_inside(monkeypatch, "inside.test")
    assert refused(fetcher, "http://inside.test:8080/").code == "url_private"
    assert canary.connections == 0


@pytest.mark.seed("SEC27")
def test_a_name_that_moves_after_it_was_judged_leads_where_it_was_judged(fetcher, canary, monkeypatch):
    """URL57."""
    answers = [["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1"]]
    tried: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "moves.test":
            return real(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answers.pop(0)]

    def connect(address: tuple[str, int], *args: Any, **kwargs: Any) -> Any:
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    assert refused(fetcher, "http://moves.test:8080/").code == "url_unreachable"
    assert tried == ["93.184.216.34"]
    assert refused(fetcher, "http://moves.test:8080/").code == "url_private"
    assert tried == ["93.184.216.34"] and canary.connections == 0


@pytest.mark.seed("SEC27")
@pytest.mark.parametrize("found", [["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"]])
def test_of_a_name_every_address_must_be_public(fetcher, canary, monkeypatch, found):
    def resolve(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in one], socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert refused(fetcher, f"http://mixed.test:{8080}/").code == "url_private"
    assert canary.connections == 0


@pytest.mark.seed("SEC28")
def test_no_proxy_of_the_environment_is_asked(fetcher, site, canary, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, canary.url)
    with Fetcher(fetcher._job) as fresh:
        assert fresh.get(site.put("/a", PAGE)) is not None
    assert canary.connections == 0


def resolving(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Have names answered so."""
    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.parametrize(
    ("number", "again"), [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True), (None, False)]
)
def test_a_name_that_nobody_knows_says_so(fetcher, canary, monkeypatch, number, again):
    """URL59. Who should know and does not say for now is asked again."""

    def resolve(*args: Any, **kwargs: Any) -> Any:
        raise UnicodeError if number is None else socket.gaierror(number, "no")

    resolving(monkeypatch, resolve)
    error = refused(fetcher, "http://nobody.test:8080/")
    assert (error.code, error.retryable) == ("url_unresolvable", again)


def test_a_name_that_is_not_resolved_in_time_is_left(fetcher, canary, monkeypatch):
    """URL71: getaddrinfo has no time-out of its own."""
    go = threading.Event()
    monkeypatch.setattr(outside_connections, "RESOLVE_SECONDS", 0.1)
    resolving(monkeypatch, lambda *args, **kwargs: go.wait(60) and [])
    error = refused(fetcher, "http://slow.test:8080/")
    go.set()
    assert (error.code, error.retryable) == ("url_timeout", True)
    assert error.message == "Where the host is could not be found out in time."


def test_each_phase_that_takes_too_long_is_named(fetcher, site, monkeypatch):
    """URL71: connecting, the first byte, all of it."""

    def connect(*args: Any, **kwargs: Any) -> Any:
        raise TimeoutError

    gone = threading.Event()
    site.pages["/silent"] = lambda handler: gone.wait(60)
    assert fetcher.get(site.put("/first", PAGE)) is not None  # what the host says to robots is known by now
    monkeypatch.setattr(fetching, "WHOLE_TIME", 2.0)
    assert refused(fetcher, f"{site.url}/silent").message == "The host did not answer in time."
    gone.set()
    monkeypatch.setattr(socket, "create_connection", connect)
    error = refused(fetcher, f"{site.url}/a")
    assert (error.code, error.message) == ("url_timeout", "The host did not connect in time.")


def endless(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while True:
        handler.wfile.write(b"<p>more</p>" * 10_000)


def bomb(handler: Any) -> None:
    body = gzip.compress(b"0" * (fetching.MOST_BYTES + 1))
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    )
    handler.wfile.write(head % len(body) + body)


def long_head(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1024 * 1024 + b"\r\n\r\n")


def claims(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 10737418240\r\n\r\n")
    while True:
        handler.wfile.write(b"<p>more</p>" * 10_000)


def garbage(handler: Any) -> None:
    handler.wfile.write(b"I am no web server\r\n\r\n")


def breaks_off(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nshort")


BAD = [
    (endless, "url_too_large", False),
    (claims, "url_too_large", False),
    (bomb, "url_too_large", False),
    (long_head, "url_bad_answer", False),
    (garbage, "url_bad_answer", False),
    (breaks_off, "url_bad_answer", None),
    ((200, {"Content-Type": "image/png"}, b"x"), "url_content_type", False),
    ((200, {}, b"no mark-up"), "url_content_type", False),
    ((200, {"Content-Type": "text/html"}, b" \n"), "url_no_content", False),
    ((204, {}, b""), "url_no_content", False),
    ((401, {}, b"x"), "url_status", False),
    ((403, {}, b"x"), "url_status", False),
    ((404, {}, b"x"), "url_status", False),
    ((429, {}, b"x"), "url_status", True),
    ((410, {}, b"x"), "url_status", False),
    ((500, {}, b"x"), "url_status", True),
    ((503, {"Retry-After": "7"}, b"x"), "url_status", True),
]


@pytest.mark.seed("SEC30")
@pytest.mark.parametrize(("page", "code", "again"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_each_failure_has_its_name(fetcher, site, page, code, again):
    """URL73 to URL77, URL80."""
    site.pages["/a"] = page
    error = refused(fetcher, f"{site.url}/a")
    assert error.code == code
    assert again is None or error.retryable is again
    if isinstance(page, tuple) and "Retry-After" in page[1]:
        assert error.retry_after == 7


@pytest.mark.seed("SEC30")
@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"])
def test_who_drips_is_left(fetcher, site, monkeypatch, head):
    monkeypatch.setattr(fetching, "WHOLE_TIME", 0.4)
    gone = threading.Event()

    def drips(handler: Any) -> None:
        handler.wfile.write(head)
        try:
            while not gone.wait(0.05):
                handler.wfile.write(b"x")
        finally:
            gone.set()

    site.pages["/a"] = drips
    assert refused(fetcher, f"{site.url}/a").code == "url_timeout"
    gone.set()


@pytest.mark.seed("SEC30")
def test_redirects_end(fetcher, site):
    """URL69."""
    url = site.moved("/a", "/a")
    assert refused(fetcher, url).code == "url_too_many_redirects"
    assert site.asked.count("/a") == fetching.MOST_REDIRECTS + 1


def test_a_host_that_asks_for_a_pause_gets_it_from_all(fetcher, site):
    url = site.put("/a", b"x", 429, Retry_After="60")
    assert refused(fetcher, url).retryable
    assert Pause.objects.get(scope="host:127.0.0.1").reason == "127.0.0.1 asked us to wait for 60 seconds"


def test_an_answer_says_in_which_encoding_it_is(fetcher, site):
    for given, found in (
        ("text/html; charset=KOI8-R", "KOI8-R"),
        ('text/html;boundary=x; CharSet = "utf-8"', "utf-8"),
        ("text/html; charset=", ""),
        ("text/html", ""),
    ):
        url = site.put("/a", PAGE, Content_Type=given)
        page = fetcher.get(url)
        assert page is not None and page.charset == found


def test_robots_are_asked_once_a_day_for_all(fetcher, site):
    site.put("/robots.txt", "User-agent: *\nDisallow: /private", Content_Type="text/plain")
    assert refused(fetcher, site.put("/private/a", PAGE)).code == "robots_disallow"
    assert fetcher.get(site.put("/a", PAGE)) is not None
    with Fetcher(fetcher._job) as other:
        assert other.get(f"{site.url}/a") is not None
    assert site.asked == ["/robots.txt", "/a", "/a"]
    assert Robots.objects.get().origin == site.url


def test_threads_that_learn_of_a_host_together_collide_in_no_statement(fetcher: Fetcher, site: Site):
    site.put("/robots.txt", "User-agent: *\nDisallow:", Content_Type="text/plain")
    with CaptureQueriesContext(connection) as asked:
        assert fetcher.get(site.put("/a", PAGE)) is not None
    written = [one["sql"] for one in asked if 'INTO "articles_robots"' in one["sql"]]
    assert len(written) == 1 and "ON CONFLICT" in written[0]


def test_without_an_answer_on_robots_nothing_is_read(fetcher, site):
    site.put("/robots.txt", b"x", 503)
    error = refused(fetcher, site.put("/a", PAGE))
    assert error.retryable and site.asked == ["/robots.txt"]
    assert not Robots.objects.exists()


def lead_inside(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have a name resolve to 127.0.0.1, as its owner may say."""
    real = socket.getaddrinfo

    def resolve(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1" if host == name else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


# ---- robots.txt -------------------------------------------------------------------------------------------

RULES = [
    ("User-agent: *\nDisallow: /", "/a", False),
    ("User-agent: *\nDisallow:", "/a", True),
    ("", "/a", True),
    ("User-agent: headway\nDisallow: /a\n\nUser-agent: *\nDisallow: /", "/b", True),
    ("User-agent: Headway/1.0\nUser-agent: other\nDisallow: /a", "/a", False),
    ("User-agent: other\nDisallow: /", "/a", True),
    ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True),
    ("User-agent: *\nAllow: /a\nDisallow: /a", "/a", True),
    ("User-agent: *\nDisallow: /*.pdf$", "/x/y.pdf", False),
    ("User-agent: *\nDisallow: /*.pdf$", "/x/y.pdf?a", True),
    ("User-agent: *\nDisallow: /a*b*c", "/a-b-c-d", False),
    ("User-agent: *\nDisallow: /a$", "/ab", True),
    ("User-agent: *\nDisallow: /?q=", "/?q=1", False),
    ("\ufeffUSER-AGENT : * # all\nDISALLOW : /a # this", "/a", False),
    ("Disallow: /a", "/a", True),
    ("User-agent: *\nDisallow: /ä", "/%C3%A4", False),
    ("User-agent: *\nDisallow: /%c3%a4", "/%C3%A4", False),
    ("User-agent: *\nDisallow: /%7eann", "/~ann", False),
    ("User-agent: *\nDisallow: /a?q=ü", "/a?q=%C3%BC", False),
    ("User-agent: *\nDisallow: /[a]*$", "/%5Ba%5D/b", False),
    ("User-agent: *\nDisallow: /" + "*a" * 5_000 + "b", "/" + "a" * 1_900, True),
]


@pytest.mark.parametrize(("text", "path", "may"), RULES, ids=range(len(RULES)))
def test_robots_rules(text, path, may):
    assert robots.parse(text).allow("https://news.example.com" + path) is may


def test_a_delay_is_granted_within_reason():
    assert robots.parse("User-agent: *\nCrawl-delay: 2.5").delay == 2.5
    assert robots.parse("User-agent: *\nCrawl-delay: 9999").delay == robots.MOST_DELAY
    assert robots.parse("User-agent: *\nCrawl-delay: soon").delay == 0
