"""What is read of feeds, and what is refused: from bytes alone."""

import socket
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.source import SourceError
from ingestion.sources.articles import feed_parser, feed_text, feeds

AT = "https://news.test/feeds/all.xml"
GOOGLE = "https://www.google.com/url"


def rss(*items: str, before: str = "", head: str = "<title>News</title>") -> bytes:
    inside = "".join(f"<item>{one}</item>" for one in items)
    return f'{before}<rss version="2.0"><channel>{head}{inside}</channel></rss>'.encode()


def typed(said: str) -> bytes:
    return rss("<link>/1</link><title>&a;</title>", before=f"<!DOCTYPE rss {said}>")


def only(*parts: str) -> feed_parser.Entry:
    (entry,) = feed_parser.read(rss("".join(parts)), AT).entries
    return entry


def code_of(data: bytes) -> str:
    with pytest.raises(SourceError) as refused:
        feeds.parse(data, AT)
    assert not refused.value.retryable
    return refused.value.code


def test_a_feed_is_read() -> None:
    item = (
        "<guid isPermaLink='false'>7</guid><link>/a?x=1&amp;y=2</link><title>A &amp;amp; B</title>"
        "<author>Ann</author><pubDate>Wed, 18 Nov 2026 09:30:00 +0200</pubDate><description>"
        "&lt;p>Long&lt;br>text&lt;/p></description>"
    )
    found = feeds.parse(rss(item, head="<title>News</title><link>/</link><language>en</language>"), AT)

    assert (found.title, found.url, found.language, found.warnings) == (
        "News",
        "https://news.test/",
        "en",
        (),
    )
    assert found.entries == (
        feed_parser.Entry(
            id="7",
            url="https://news.test/a?x=1&y=2",
            title="A & B",
            text="Long text",
            author="Ann",
            published=datetime(2026, 11, 18, 7, 30, tzinfo=UTC),
        ),
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "feed_empty", id="UP57 nothing"),
        pytest.param(b"\xef\xbb\xbf \r\n", "feed_empty", id="blank"),
        pytest.param(b"<!DOCTYPE html><html><body>Hello</body></html>", "rss_not_feed", id="UP58 a page"),
        pytest.param(b'{"version": "https://jsonfeed.org/version/1"}', "rss_not_feed", id="UP59 JSON"),
        pytest.param(b"<rss/>", "rss_not_feed", id="UP60 no channel"),
        pytest.param(b"just words", "rss_not_feed", id="text"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "rss_not_feed", id="a picture"),
        pytest.param(b"<rss version='2.0'><channel>", "rss_damaged", id="cut before the first entry"),
        pytest.param(
            b"<!DOCTYPE r [<!ENTITY a 'b'>]>" + rss("<title>&a;</title>"), "rss_entities", id="UP64"
        ),
        pytest.param(
            b"<!DOCTYPE r [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + rss("<title>&a;</title>"),
            "rss_entities",
            id="UP65",
        ),
        pytest.param(b"<!DOCTYPE r SYSTEM 'http://127.0.0.1/x.dtd'>" + rss(), "rss_entities", id="UP66"),
        pytest.param(
            b"<!DOCTYPE r PUBLIC 'p' 'http://127.0.0.1/x.dtd'>" + rss(), "rss_entities", id="public"
        ),
        pytest.param(
            b"<!DOCTYPE r [<!ENTITY % p SYSTEM 'file:///x'> %p;]>" + rss(), "rss_entities", id="UP67"
        ),
        pytest.param(
            rss("<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='file:///etc/passwd'/>"),
            "rss_entities",
            id="XInclude",
        ),
        pytest.param(
            "<!DOCTYPE r [<!ENTITY a 'b'>]><rss/>".encode("utf-16"), "rss_entities", id="entities in UTF-16"
        ),
        pytest.param(b" " * (feeds.MAX_BYTES + 1), "rss_too_large", id="too large"),
    ],
)
@pytest.mark.seed("SEC50")
def test_what_is_no_feed_is_refused_in_words(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_a_page_says_where_its_feed_is() -> None:
    page = b"<html><head><link rel=alternate type='application/rss+xml' href='/rss.xml'></head></html>"

    with pytest.raises(SourceError, match=r"a web page.* Its feed is /rss\.xml"):
        feeds.parse(page, AT)
    with pytest.raises(SourceError, match="a site map"):
        feeds.parse(b"<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'/>", AT)


@pytest.mark.seed("SEC50")
def test_nothing_is_opened_or_fetched_to_read_a_feed(tmp_path: Path) -> None:
    """UP78. The parser opens what it takes for a name, and a feed may name more: none of it is asked for."""
    secret = tmp_path / "feed.xml"
    secret.write_bytes(rss("<title>secret</title>"))
    asked: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as canary:

        def listen() -> None:
            try:
                while True:
                    asked.append(canary.accept())
            except OSError:
                pass

        thread = threading.Thread(target=listen)
        thread.start()
        url = f"http://127.0.0.1:{canary.getsockname()[1]}/feed.xml"
        for data in (str(secret).encode(), url.encode(), b"file://" + str(secret).encode()):
            assert code_of(data) == "rss_not_feed"
            assert feed_parser.read(data, AT).entries == ()
        hostile = f"<!DOCTYPE rss [<!ENTITY % x SYSTEM '{url}'>%x;<!ENTITY y SYSTEM '{url}'>]>"
        # Past our own refusal the parser is still one that fetches nothing.
        feed_parser.read(rss("<title>&y;</title>", before=hostile), AT)
        pointing = f"<?xml-stylesheet href='{url}'?>"
        feeds.parse(rss(f"<link>{url}</link><enclosure url='{url}'/>", before=pointing), AT)
        canary.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert not asked


def test_entities_are_spoken_of_freely_where_they_are_text() -> None:
    said = (
        "<![CDATA[<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
        " <b xmlns:xi='http://www.w3.org/2001/XInclude'>]]>"
    )
    found = feeds.parse(rss(f"<link>/a</link><title>On XXE</title><description>{said}</description>"), AT)

    assert [one.title for one in found.entries] == ["On XXE"]
    known = typed('PUBLIC "-//Netscape//DTD RSS 0.91//EN" "http://my.netscape.com/publish/rss-0.91.dtd"')
    assert feeds.parse(known, AT).entries[0].url == "https://news.test/1"


def test_what_is_left_of_a_damaged_feed_is_read_and_said() -> None:
    """UP62, UP63."""
    whole = rss("<link>/1</link><title>One</title>", "<link>/2</link><title>R&D & more</title>")

    cut = feeds.parse(whole[: whole.index(b"R&D") + 3], AT)
    assert [one.url for one in cut.entries] == ["https://news.test/1", "https://news.test/2"]
    assert cut.warnings == ("rss_damaged",)
    lenient = feeds.parse(whole, AT)
    assert (lenient.entries[1].title, lenient.warnings) == ("R&D & more", ("rss_damaged",))
    after = feeds.parse(b"Warning: mysql is away\n" + rss("<link>/1</link>"), AT)
    assert (len(after.entries), after.warnings) == (1, ("rss_damaged",))


def test_a_feed_without_articles_is_a_feed() -> None:
    """UP61."""
    found = feeds.parse(rss(), AT)
    assert (found.title, found.entries, found.warnings) == ("News", (), ())


def test_of_a_very_long_feed_the_first_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """UP70."""
    monkeypatch.setattr(feed_text, "MAX_ENTRIES", 3)
    atom = "".join(f"<entry><id>urn:{n}</id></entry>" for n in range(5))
    for whole in (
        rss(*(f"<link>/{n}</link>" for n in range(5))),
        f"<feed xmlns='http://www.w3.org/2005/Atom'><title>t</title>{atom}</feed>".encode(),
    ):
        found = feeds.parse(whole, AT)
        assert (len(found.entries), found.warnings) == (3, ("rss_too_many_items",))


@pytest.mark.parametrize(
    ("parts", "url", "problem"),
    [
        ("<guid>https://a.test/1</guid>", "https://a.test/1", ""),
        ("<guid isPermaLink='false'>https://a.test/1</guid>", "", "rss_no_link"),
        ("<link>https://a.test/2</link><guid>https://a.test/1</guid>", "https://a.test/2", ""),
        ("<title>x</title>", "", "rss_no_id"),
        ("<guid>urn:1</guid><link>javascript:alert(1)</link>", "", "rss_no_link"),
        ("<guid>urn:1</guid><link>file:///etc/passwd</link>", "", "rss_no_link"),
        ("<guid>urn:1</guid><link>http://[::1</link>", "", "rss_no_link"),
        ("<link>../b</link>", "https://news.test/b", ""),
        (f"<link>https://a.test/{'x' * 3000}</link>", "", "rss_no_link"),
        (
            "<link>https://www.google.com/url?rct=j&amp;url=https://a.test/3%3Fq%3D1&amp;ct=ga</link>",
            "https://a.test/3?q=1",
            "",
        ),
        (
            "<link>https://www.google.com/url?url=javascript:1</link>",
            "https://www.google.com/url?url=javascript:1",
            "",
        ),
    ],
)
def test_where_an_entry_leads(parts: str, url: str, problem: str) -> None:
    """UP71."""
    entry = only(parts)
    assert (entry.url, entry.problem) == (url, problem)
    assert entry.id


def test_entries_without_ids_are_known_again_and_twins_are_one() -> None:
    assert only("<title>x</title>").id == only("<title>x</title>").id != only("<title>y</title>").id
    twice = feed_parser.read(
        rss("<link>/1</link><guid>urn:a</guid>", "<link>/1</link><guid>urn:b</guid>"), AT
    )
    assert [one.id for one in twice.entries] == ["urn:a"]


@pytest.mark.parametrize("date", ["yesterday", "Wed, 18 Nov 30000 09:30:00 GMT", "0000-00-00", "", "9" * 400])
def test_a_date_that_cannot_be_one_costs_the_date_alone(date: str) -> None:
    """UP75."""
    entry = only(f"<link>/1</link><pubDate>{date}</pubDate>")
    assert (entry.url, entry.published) == ("https://news.test/1", None)


def test_a_date_in_seconds_is_one() -> None:
    for date in ("1518478934", "1518478934000"):
        published = only(f"<link>/1</link><pubDate>{date}</pubDate>").published
        assert published == datetime(2018, 2, 12, 23, 42, 14, tzinfo=UTC)


def test_texts_are_texts_whatever_stands_in_them() -> None:
    """UP76, UP77."""
    script = "<title><![CDATA[<script>alert(1)</script> & <b>bold</b> \x00\x08]]></title>"
    page = (
        "&lt;style>p{}&lt;/style>&lt;p onload='x'>Seen&lt;/p>"
        "&lt;iframe src='//e.test'>in&lt;/iframe>&lt;script>1&lt;/script>"
    )
    entry = feeds.parse(rss(f"<link>/1</link>{script}<description>{page}</description>"), AT).entries[0]

    assert entry.title == "<script>alert(1)</script> & bold"
    assert entry.text == "Seen"
    long = only(f"<title>{'x' * 1_000_000}</title><description>{'y ' * 50_000}</description>")
    assert (len(long.title), len(long.text)) == (feed_parser.MAX_TITLE, feed_parser.MAX_TEXT)


@pytest.mark.parametrize(
    ("encoding", "declared", "title"),
    [
        ("utf-8", "", "Übergröße"),
        ("utf-8", "iso-8859-1", "Übergröße"),  # named wrongly
        ("iso-8859-1", "iso-8859-1", "Übergröße"),
        ("cp1252", "iso-8859-1", "“Übergröße”: 5 €"),
        ("shift_jis", "shift_jis", "日本語の記事です"),
        ("gb2312", "", "不归移民漫画系列：专业工作"),  # noqa: RUF001
        ("gb2312", "iso-8859-1", "不归移民漫画系列：专业工作"),  # noqa: RUF001
        ("koi8-r", "koi8-r", "Новости дня и погода"),
        ("utf-16", "", "Übergröße"),
        ("utf-16-be", "utf-16", "Übergröße"),
        ("utf-32", "", "Übergröße"),
        ("iso-2022-jp", "iso-2022-jp", "日本語の記事です"),
        ("utf-8", "zip", "Übergröße"),
        ("utf-8", "no-such-thing", "Übergröße"),
    ],
)
def test_letters_are_read_in_the_encoding_they_are_in(encoding: str, declared: str, title: str) -> None:
    before = f"<?xml version='1.0' encoding='{declared}'?>" if declared else "<?xml version='1.0'?>"
    data = (before + rss(f"<link>/1</link><title>{title}</title>").decode()).encode(encoding)
    found = feeds.parse(data, AT)
    assert (found.entries[0].title, found.warnings) == (title, ())


def test_broken_letters_are_said_and_cost_nothing_else() -> None:
    data = rss("<link>/1</link><title>Größe Maß Süß</title>").replace("ß".encode(), b"\xff", 1)
    found = feeds.parse(data, AT)
    assert (found.entries[0].title, found.warnings) == ("Gr\u00f6\ufffde Maß Süß", ("rss_encoding",))
    assert (
        feeds.parse(rss("<link>/1</link><title>Gr\xf6\xdfe</title>").decode().encode("latin-1"), AT).warnings
        == ()
    )


@pytest.mark.seed("SEC50")
def test_a_feed_that_costs_its_reader_time_is_ended() -> None:
    """One field of a few hundred kilobytes: the parser looks for addresses of mail in it for minutes."""
    assert code_of(rss(f"<link>/1</link><author>{'a' * 800_000}</author>")) == "rss_damaged"
