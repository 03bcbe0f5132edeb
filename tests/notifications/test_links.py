"""Links in notifications: what may be stored, what is drawn, and the page before another site."""

import re

import pytest
from django.test import Client

from notifications import links

# The forms of F21 that must lead nowhere, and the schemes of SEC31.
BAD = [
    "//evil.test", "/\\evil.test", "/\t/evil.test", "https:evil.test", "http:///evil.test", "\\\\evil.test",
    "http://testserver@evil.test", "https://other.test@evil.test/", "https://other.test:8443/",
    "https://other.test.evil.test/", "https://evil.test/", "///evil.test", "/\n/evil.test", " /jobs/",
    "javascript:alert(1)", "data:text/html,<b>", "vbscript:msgbox(1)", "\x01javascript:alert(1)",
    "java\nscript:alert(1)", "JaVaScRiPt:alert(1)", "ftp://other.test/", "//other.test/", "http:other.test",
    "jobs/1", "?a=1", "#top", "/jobs/ 1", "/jobs/\x7f", "/" + "a" * 1000,
]  # fmt: skip


@pytest.fixture(autouse=True)
def hosts(settings):
    settings.LINK_HOSTS = ["other.test"]
    settings.SITE_URL = "https://headway.test"


@pytest.mark.seed("S2.105", "SEC31", "SEC32")
@pytest.mark.parametrize("url", BAD)
def test_a_bad_link_is_refused_when_written_and_no_link_when_drawn(url):
    """SEC31, SEC32, UX 32: F21's forms."""
    with pytest.raises(ValueError, match="path of this site"):
        links.check(url)
    assert links.href(url) == "" and links.absolute(url) == ""


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("", ""),
        ("/", "/"),
        ("/jobs/1/?a=b&c=%20#x", "/jobs/1/?a=b&c=%20#x"),
        ("https://headway.test", "/"),
        ("https://headway.test/jobs/", "/jobs/"),
        ("https://headway.test?a=1", "/?a=1"),
        ("https://other.test/a?b=c", "https://other.test/a?b=c"),
        ("HTTP://other.test/", "HTTP://other.test/"),
    ],
)
def test_a_good_link_is_stored(url, stored):
    assert links.check(url) == stored


def test_no_trick_makes_another_site_out_of_our_own_address():
    for url in (
        "https://headway.test//evil.test",
        "https://headway.test@evil.test",
        "https://headway.test\\evil.test",
    ):
        with pytest.raises(ValueError, match="path of this site"):
            links.check(url)


def test_a_path_is_drawn_as_itself_and_in_mail_with_the_site():
    assert links.href("/jobs/1/") == "/jobs/1/"
    assert links.absolute("/jobs/1/") == "https://headway.test/jobs/1/"


@pytest.mark.seed("S2.105", "SEC33")
@pytest.mark.django_db
def test_another_site_is_named_before_it_is_shown(client: Client):
    """SEC33."""
    address = links.href("https://other.test/a?b=<i>&c=d")
    assert address.startswith("/inbox/leave/?to=https%3A%2F%2Fother.test")

    page = client.get(address).content.decode()

    link = re.search(r'<a [^>]*href="https://other.test/a\?b=&lt;i&gt;&amp;c=d"[^>]*>', page)
    assert link and 'rel="noopener noreferrer nofollow"' in link[0]
    assert "<strong>other.test</strong>" in page


@pytest.mark.seed("SEC32")
@pytest.mark.django_db
@pytest.mark.parametrize("url", ["", *BAD])
def test_the_page_leads_nowhere_else(client: Client, url):
    """SEC32."""
    assert client.get("/inbox/leave/", {"to": url}).status_code == 404


def test_a_host_that_is_allowed_no_longer_is_text(settings):
    settings.LINK_HOSTS = []
    assert links.href("https://other.test/") == ""
