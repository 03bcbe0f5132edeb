"""Addresses that people give: the one form of each, and what is refused and why."""

import pytest

from ingestion.source import SourceError
from ingestion.sources.articles import addresses

GOOD = [
    ("URL17", "HTTP://NEWS.EXAMPLE.COM", "http://news.example.com/"),
    ("default port", "https://news.example.com:443/a", "https://news.example.com/a"),
    ("other port", "http://news.example.com:8080/a", "http://news.example.com:8080/a"),
    ("fragment", "https://news.example.com/a#part-2", "https://news.example.com/a"),
    ("spaces around", "  https://news.example.com/a \n", "https://news.example.com/a"),
    ("tracking", "https://news.example.com/a?utm_source=x&id=7&fbclid=y", "https://news.example.com/a?id=7"),
    ("only tracking", "https://news.example.com/a?utm_source=x", "https://news.example.com/a"),
    ("query kept", "https://news.example.com/a?b=2&a=1", "https://news.example.com/a?b=2&a=1"),
    ("escapes", "https://news.example.com/%7eann/%e4%20b", "https://news.example.com/~ann/%E4%20b"),
    ("letters", "https://news.example.com/straße", "https://news.example.com/stra%C3%9Fe"),
    ("a lone %", "https://news.example.com/100%", "https://news.example.com/100%25"),
    ("URL63", "https://bücher.example.com/", "https://xn--bcher-kva.example.com/"),
    ("a dot at the end", "https://news.example.com./a", "https://news.example.com/a"),
    ("a public number", "http://93.184.216.34/", "http://93.184.216.34/"),
]
BAD = [
    ("URL1", "", "url_empty"),
    ("URL2", "  \n", "url_empty"),
    ("URL3", "example", "url_scheme"),
    ("URL4", "example.com/x", "url_scheme"),
    ("URL6", "http://", "url_no_host"),
    ("URL7", "http:///x", "url_no_host"),
    ("URL8", "https:example.com", "url_no_host"),
    ("URL9", "http:/example.com", "url_no_host"),
    ("URL10", "http:\\\\example.com", "url_no_host"),
    ("URL11", "ftp://example.com/x", "url_scheme"),
    ("URL12", "file:///etc/passwd", "url_scheme"),
    ("URL13", "gopher://127.0.0.1:6379/_FLUSHALL", "url_scheme"),
    ("URL14", "javascript:alert(1)", "url_scheme"),
    ("URL18", "http://user:pw@example.com/", "url_credentials"),
    ("URL20", "http://good.test:80@127.0.0.1/", "url_credentials"),
    ("URL21", "http://evil.test\\@127.0.0.1/", "bad_character"),
    ("URL22", "http://127.0.0.1#@good.test/", "url_private"),
    ("URL23", "http://exa mple.com/", "bad_character"),
    ("URL24", "http://exam\tple.com/", "bad_character"),
    ("URL25", "ht\ntp://example.com", "bad_character"),
    ("URL26", "http://example.com/\r\nX: y", "bad_character"),
    ("URL27", "http://example.com/\0", "bad_character"),
    ("URL28", "\u00a0http://example.com/", "bad_character"),
    ("URL29", "http://example.com:0/", "url_port"),
    ("URL30", "http://example.com:99999/", "url_port"),
    ("URL31", "http://example.com:abc/", "url_port"),
    ("URL32", "http://example.com:6379/", "url_port"),
    ("URL32 mail", "http://example.com:25/", "url_port"),
    ("URL32 shell", "http://example.com:22/", "url_port"),
    ("URL33", "http://[::1/", "url_no_host"),
    ("URL34", "http://[::1]/", "url_private"),
    ("URL35", "http://[fe80::1%25eth0]/", "url_private"),
    ("URL36", "http://[::ffff:127.0.0.1]/", "url_private"),
    ("URL37", "http://[64:ff9b::7f00:1]/", "url_private"),
    ("URL38", "http://[2002:7f00:1::]/", "url_private"),
    ("URL39", "http://[::127.0.0.1]/", "url_private"),
    ("URL40", "http://[fec0::1]/", "url_private"),
    ("URL40 unique local", "http://[fd00::1]/", "url_private"),
    ("URL41", "http://127.0.0.1/", "url_private"),
    ("URL42", "http://127.1/", "url_private"),
    ("URL43", "http://2130706433/", "url_private"),
    ("URL44", "http://0x7f.1/", "url_private"),
    ("URL45", "http://0177.0.0.1/", "url_private"),
    ("URL46", "http://0/", "url_private"),
    ("URL46 whole", "http://0.0.0.0/", "url_private"),
    ("URL47", "http://①②⑦.⓪.⓪.①/", "url_private"),
    ("URL49", "http://printer/", "url_private"),
    ("URL51", "http://169.254.169.254/latest/meta-data", "url_private"),
    ("URL52", "http://metadata.google.internal/", "url_private"),
    ("URL53", "http://10.0.0.5/", "url_private"),
    ("URL53 172", "http://172.16.0.1/", "url_private"),
    ("URL53 192", "http://192.168.1.1/", "url_private"),
    ("URL53 100", "http://100.64.0.1/", "url_private"),
    ("URL60 name", f"http://{'.'.join(['a' * 49] * 5)}.info/", "url_no_host"),
    ("URL60", f"http://{'a' * 64}.com/", "url_no_host"),
    ("URL62", "http://xn--/", "url_idna"),
    ("URL62 punycode", "http://xn--a-0.com/", "url_idna"),
    ("URL64", "https://example.com/" + "a" * 2049, "url_too_long"),
    ("long once written", "https://example.com/" + "ß" * 1000, "url_too_long"),
    ("URL66", "http://a.example.com/ http://b.example.com/", "bad_character"),
    ("URL66 comma", "http://a.example.com/,http://b.example.com/", "bad_character"),
]


@pytest.mark.parametrize(("given", "form"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_an_address_has_one_form_and_keeps_it(given, form):
    assert addresses.canonical(given) == form
    assert addresses.canonical(form) == form


@pytest.mark.seed("SEC25", "SEC29")
@pytest.mark.parametrize(("given", "code"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_no_address_of_a_page_is_refused_with_its_reason(given, code):
    with pytest.raises(SourceError) as refused:
        addresses.canonical(given)
    assert refused.value.code == code
    assert "pw" not in refused.value.message


def test_hints_say_what_to_write_instead():
    with pytest.raises(SourceError, match="Start with https://"):
        addresses.canonical("example.com")
    with pytest.raises(SourceError, match="one address a line"):
        addresses.canonical("http://a.example.com/ http://b.example.com/")


def test_a_list_shows_no_query():
    """URL81."""
    assert addresses.canonical("https://example.com/a?token=SECRET") == "https://example.com/a?token=SECRET"
    assert addresses.shown("https://example.com/a?token=SECRET") == "https://example.com/a?..."
