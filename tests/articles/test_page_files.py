"""Every real page goes through the reader and ends as written here (DATA B3)."""

import json
import re
import zlib
from pathlib import Path

import pytest

from ingestion.source import SourceError
from ingestion.sources.articles import reading
from ingestion.sources.articles.fetching import Fetched

pytestmark = pytest.mark.realdata

# file -> (characters, language, whether it has a date, CRC-32 of its title)
READ: dict[str, tuple[int, str, bool, int]] = {
    "readability_aclu.html": (11320, "en", True, 0xE5ED0137),
    "readability_firefox-nightly-blog.html": (7541, "en", True, 0x3446AA6A),
    "readability_google-sre-book-1.html": (28422, "en", True, 0xA2696905),
    "readability_hidden-nodes.html": (2789, "la", False, 0xBA510C0E),
    "readability_hukumusume.html": (1065, "ja", True, 0xFED13821),
    "readability_invalid-attributes.html": (56, "la", False, 0x358AD45D),
    "readability_js-link-replacement.html": (11, "", False, 0x8BB66E2E),
    "readability_la-nacion.html": (7293, "es", True, 0x54B748BA),
    "readability_lemonde-1.html": (10002, "fr", True, 0xCD9C2C93),
    "readability_lwn-1.html": (22162, "en", True, 0x7C911730),
    "readability_mercurial.html": (25119, "en", True, 0x0800362B),
    "readability_metadata-content-missing.html": (466, "la", False, 0xB3FF2625),
    "readability_mozilla-1.html": (1224, "en", True, 0x3D780AAF),
    "readability_qq.html": (672, "zh", True, 0x74A64E1C),
    "readability_remove-script-tags.html": (830, "la", False, 0x44989B39),
    "readability_rtl-2.html": (854, "la", False, 0x44989B39),
    "readability_title-and-h1-discrepancy.html": (511, "la", False, 0x804CA33A),
    "readability_v8-blog.html": (14208, "en", True, 0x358B1C9D),
    "readability_wikipedia-3.html": (8500, "en", True, 0x5C76B28C),
    "readability_wikipedia.html": (28469, "en", True, 0x066E718E),
    "trafilatura_mozilla.org.firefox.developer.html": (1718, "en", True, 0x3958CBB8),
    "trafilatura_scam.html": (8535, "zxx", False, 0xB9459BE2),
    "trafilatura_webpage.html.gz": (7943, "en", True, 0xA2B10A78),
}
REFUSED = {"trafilatura_utf8.html": "no_text"}  # what it has is broken letters and a few words
# Of what others read in the same pages: the share of their title's words that ours has, and of the words of
# their excerpt that stand in our text or description. Their title of the second begins after our colon, and
# that of the third names the site as well.
SHARES = {
    "readability_mozilla-1": (1.0, 1.0),
    "readability_v8-blog": (0.8, 1.0),
    "readability_wikipedia": (0.5, 1.0),
}


def read(folder: Path, name: str) -> reading.Page:
    content = (folder / "articles" / name).read_bytes()
    return reading.read(Fetched(f"https://pages.test/{name}", content, "text/html"))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def test_every_page_has_its_outcome_here(real_data: Path) -> None:
    names = {one.name for one in (real_data / "articles").iterdir() if one.suffix not in (".json", ".md")}
    assert names == set(READ) | set(REFUSED)


@pytest.mark.parametrize("name", READ)
def test_what_is_read_of_a_real_page(name: str, real_data: Path) -> None:
    page = read(real_data, name)

    title = zlib.crc32(page.title.encode())
    assert (len(page.text), page.language, page.published_at is not None, title) == READ[name]
    assert "\0" not in page.text and "javascript:" not in page.text and "data:image" not in page.text


@pytest.mark.parametrize(("name", "code"), REFUSED.items())
def test_a_page_without_an_article_says_so(name: str, code: str, real_data: Path) -> None:
    with pytest.raises(SourceError) as refused:
        read(real_data, name)
    assert refused.value.code == code


@pytest.mark.parametrize("name", SHARES)
def test_title_and_text_are_those_that_others_read(name: str, real_data: Path) -> None:
    expected = json.loads((real_data / "articles" / f"{name}.metadata.json").read_text())
    page = read(real_data, f"{name}.html")

    ours, body = set(words(page.title)), set(words(f"{page.text} {page.description}"))
    title, excerpt = words(expected["title"]), words(expected["excerpt"])
    assert sum(one in ours for one in title) / len(title) >= SHARES[name][0]
    assert sum(one in body for one in excerpt) / len(excerpt) >= SHARES[name][1]
