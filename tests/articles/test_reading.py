"""The article in a page, and what is found out about it: the same each time, honest about what is not."""

import gzip

import pytest

from ingestion.source import SourceError
from ingestion.sources.articles import analysis, page_parser, reading
from ingestion.sources.articles.analysis import Wanted
from ingestion.sources.articles.fetching import Fetched
from ingestion.sources.articles.reading import Page
from ingestion.sources.articles.sentiments import sentiment
from tests.articles.web import article

URL = "https://news.example.com/river/ferries-are-back"
TEXT = "The ferry crosses the river every twenty minutes, and the passengers of the morning are glad of it."


def read(body: str | bytes, kind: str = "text/html", url: str = URL) -> Page:
    return reading.read(Fetched(url, body.encode() if isinstance(body, str) else body, kind, (url,)))


def page(text: str, language: str = "en", title: str = "Ferries") -> Page:
    return Page(URL, title, text, language=language)


def test_text_title_author_date_and_site_are_read():
    head = (
        '<meta name="author" content="Mara Holt">'
        '<meta property="article:published_time" content="2026-03-02">'
        '<meta property="og:site_name" content="The Courier"><meta name="description" content="In short.">'
    )
    found = read(article("Ferries are back", TEXT, TEXT.replace("morning", "evening"), head=head))
    assert found.title == "Ferries are back" and found.text.splitlines()[-2:] == [
        TEXT,
        TEXT.replace("morning", "evening"),
    ]
    assert (found.author, found.site, found.description) == ("Mara Holt", "The Courier", "In short.")
    assert str(found.published_at) == "2026-03-02 00:00:00+00:00"
    assert (found.language, found.notes) == ("en", [])


def test_scripts_hidden_parts_and_menus_are_no_text():
    body = article("Ferries", TEXT, TEXT).replace(
        "<body>", "<body><nav><a href='/'>Home</a></nav><script>alert('x')</script><style>p{}</style>"
    )
    found = read(body)
    assert "alert" not in found.text and "p{}" not in found.text and "Home" not in found.text


@pytest.mark.parametrize(
    ("link", "own"),
    [
        ("/river/ferries", "https://news.example.com/river/ferries"),
        ("https://news.example.com/a?utm_source=x", "https://news.example.com/a"),
        ("https://other.example.com/a", URL),
        ("http://127.0.0.1/", URL),
        ("javascript:alert(1)", URL),
        ("", URL),
    ],
)
def test_a_page_names_its_own_address_on_its_own_host_only(link, own):
    assert read(article("Ferries", TEXT, head=f'<link rel="canonical" href="{link}">')).url == own


@pytest.mark.parametrize(
    ("claimed", "codec"),
    [("gb2312", "utf-8"), ("gb2312", "gb18030"), ("iso-8859-1", "cp1252"), ("koi8-r", "koi8-r"),
     ("utf-8", "utf-16"), ("shift_jis", "cp932"), ("nonsense", "utf-8")],
)  # fmt: skip
def test_bytes_are_read_as_they_are_not_as_they_claim(claimed, codec):
    """URL78."""
    text = {"gb18030": "渡轮回来了", "koi8-r": "Паром вернулся", "cp932": "フェリー"}.get(codec, "Fähre")
    body = f'<html><head><meta charset="{claimed}"></head><body>{text}</body></html>'
    assert page_parser.decoded(body.encode(codec)) == (body, [])


@pytest.mark.parametrize(
    ("headers", "claimed", "codec"),
    [("koi8-r", "utf-8", "koi8-r"), ("ISO-8859-1", "koi8-r", "cp1252"), ("nonsense", "koi8-r", "koi8-r"),
     ("koi8-r", "koi8-r", "utf-8"), ("", "koi8-r", "koi8-r"), ("idna", "koi8-r", "koi8-r")],
)  # fmt: skip
def test_what_the_headers_say_of_the_bytes_is_believed_before_the_page(headers, claimed, codec):
    text = "Fähre" if codec == "cp1252" else "Паром вернулся"
    body = f'<html><head><meta charset="{claimed}"></head><body>{text}</body></html>'
    assert page_parser.decoded(body.encode(codec), headers) == (body, [])


def test_what_cannot_be_read_is_counted():
    text, notes = page_parser.decoded("a \ufffd b".encode())
    assert text == "a \ufffd b" and notes == ["1 character of the page could not be read."]
    assert page_parser.decoded(b"a\x00b")[0] == "ab"


def test_a_packed_file_is_unpacked_within_limits():
    assert read(gzip.compress(article("Ferries", TEXT).encode())).text.endswith(TEXT)
    with pytest.raises(SourceError) as bomb:
        read(gzip.compress(b"0" * (reading.MOST_BYTES + 1)))
    assert bomb.value.code == "url_too_large"
    with pytest.raises(SourceError) as broken:
        read(gzip.compress(TEXT.encode())[:-9])
    assert broken.value.code == "url_bad_answer"


ENTITIES = (
    '<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY x SYSTEM '
)
ENTITIES += '"file:///etc/passwd">]><html><body><p>&b;&b;&x;</p></body></html>'


@pytest.mark.parametrize(
    "body", ["<html></html>", "<p></p>", "<html><body><script>x</script></body></html>", "<"]
)
def test_a_page_without_an_article_says_so(body):
    with pytest.raises(SourceError) as caught:
        read(body)
    assert caught.value.code == "no_text"


def test_entities_of_a_page_bring_nothing_in():
    try:
        text = read(ENTITIES).text
    except SourceError as error:
        text = error.message
    assert "root:" not in text and "aaaaaaaaaaaaaaa" not in text


def test_plain_text_is_an_article_too_and_a_long_one_is_cut():
    found = read("Ferries are back\n\n" + TEXT, "text/plain")
    assert (found.title, found.text.splitlines()[-1], found.site) == (
        "Ferries are back",
        TEXT,
        "news.example.com",
    )
    long = read("word " * 20_000, "text/plain")
    assert len(long.text) == page_parser.MOST_TEXT
    assert long.notes == ["Of 99,999 characters the first 65,000 are kept."]


def test_two_pages_with_the_same_words_have_the_same_hash():
    one, other = page("The Ferry\nis back"), page("the ferry is   back")
    assert one.text_hash == other.text_hash != page("the ferry is gone").text_hash


# ---- analysis ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "text", "count"),
    [
        ("ferry", "A ferry, the FERRY; ferryman", 2),
        ("river crossing", "a river-crossing and a river\ncrossing", 2),
        ("fähre", "Die Fähre. Fähren", 1),
        ("straße", "STRASSE", 1),
        ("渡轮", "新渡轮回来了", 1),
        ("c++", "c++ and c", 1),
        ("ferry", "fer ry", 0),
    ],
)
def test_keywords_are_found_as_whole_words(keyword, text, count):
    from ingestion.sources.articles.words import fold

    assert analysis.find(((1, fold(keyword)),), text) == ({1: count} if count else {})


def test_tone_counts_words_and_turns_after_a_negation():
    assert sentiment(["a", "great", "success"]) > 0 > sentiment(["a", "terrible", "failure"])
    assert sentiment(["it", "was", "not", "a", "success"]) < 0
    assert sentiment(["the", "boat", "crosses"]) == 0
    assert sentiment(["great"]) < sentiment(["great"] * 5) < 1


def test_a_summary_is_made_of_sentences_in_their_order():
    text = (
        "The ferry is back on the river after a long winter. It rained. "
        "The new ferry carries forty cars across the river every day of the week. Somebody sold apples. "
        "Passengers of the ferry say that the river crossing is faster than before."
    )
    found = analysis.summary(page(text))
    places = [text.index(one) for one in found.split(". ")]
    assert places == sorted(places) and "apples" not in found
    assert analysis.summary(page("Short.")) == "Short."
    assert len(analysis.summary(page("word " * 500))) <= analysis.SUMMARY


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A ferry is back\nIt crosses the river.", "It crosses the river."),
        ("a FERRY is back. It crosses the river.", "It crosses the river."),
        ("A ferry is back on the river. It crosses.", "A ferry is back on the river. It crosses."),
        ("A ferry is back", ""),
        ("It crosses. A ferry is back.", "It crosses. A ferry is back."),
        ("A ferry is back\n\n" + "It crosses the river every day of the week. " * 3, None),
    ],
)
def test_a_summary_does_not_begin_with_the_title(text, told):
    found = analysis.summary(page(text, title="A ferry is back"))
    assert found == told if told is not None else found.startswith("It crosses")


def test_terms_are_what_it_speaks_of():
    found = analysis.terms(
        page("The ferry and the otter. The ferry of the otter. The ferry, at last.", title="x")
    )
    assert found[:2] == ["ferry", "otter"] and "the" not in found
    assert analysis.terms(page("渡轮回来了", "zh")) == []


def test_a_judgement_is_the_same_each_time_and_says_what_it_leaves_out():
    wanted = Wanted("River ferries. Ferries that cross rivers", ((1, "ferry"), (2, "bridge")))
    one, again = (analysis.judge(page(TEXT), wanted) for _ in range(2))
    assert one == again
    assert one.matches == {1: 1} and 0 < one.relevance <= 1 and one.model == analysis.MODEL
    other = analysis.judge(page("A cake of apples and sugar, baked for an hour."), wanted)
    assert other.relevance < one.relevance
    danish = analysis.judge(page("Færgen sejler igen", "da"), wanted)
    assert (danish.sentiment, danish.relevance) == (None, 0)
    assert danish.notes == [
        "The tone is judged in English texts only.",
        "The meaning of texts in this language is not compared: keywords alone count.",
    ]
