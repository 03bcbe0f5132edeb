"""Every real feed goes through the reader and ends as written here (DATA B3)."""

import zlib
from collections import Counter
from pathlib import Path

import pytest

from ingestion.source import SourceError
from ingestion.sources.articles import feeds

pytestmark = pytest.mark.realdata
AT = "https://feeds.test/here/feed.xml"

# file -> (entries, of these without a link, with a date, warnings, CRC-32 of their titles)
READ: dict[str, tuple[int, int, int, tuple[str, ...], int]] = {
    "bad/feedparser_bozo_linenoise.xml": (1, 1, 0, ("rss_encoding",), 0x00000000),
    "bad/feedparser_double-encoded-html.xml": (1, 1, 0, (), 0x00000000),
    "bad/feedparser_gb2312.xml": (1, 1, 0, (), 0x333C76B7),
    "bad/feedparser_http_high_bit_date.xml": (0, 0, 0, (), 0x00000000),
    "bad/feedparser_rss_incomplete_cdata.xml": (1, 1, 0, ("rss_damaged",), 0x00000000),
    "bad/feedparser_rss_item_link_corrupted_ampersands.xml": (1, 0, 0, ("rss_damaged",), 0x00000000),
    "bad/rssparser_incomplete-fields.atom": (1, 1, 0, (), 0x00000000),
    "real/feedjira_AmazonWebServicesBlog.xml": (10, 0, 10, (), 0x0E86A698),
    "real/feedjira_DuplicateContentAtomFeed.xml": (10, 0, 10, ("rss_damaged",), 0x1F5EEB9A),
    "real/feedjira_FeedBurnerUrlNoAlternate.xml": (1, 0, 1, (), 0x8047FE2B),
    "real/feedjira_GoogleDocsList.xml": (2, 0, 2, (), 0x9D3F3905),
    "real/feedjira_HuffPostCanada.xml": (2, 0, 2, (), 0xA7E9B7A3),
    "real/feedjira_InvalidDateFormat.xml": (2, 0, 2, ("rss_damaged",), 0x2A789A8E),
    "real/feedjira_Permalinks.xml": (4, 1, 0, (), 0xEBF2D895),
    "real/feedjira_TechCrunch.xml": (20, 0, 20, (), 0xDE6473CD),
    "real/feedjira_google_alerts_atom.xml": (20, 0, 20, (), 0xE8CA219A),
    "real/feedrs_atom_scattered.xml": (1, 0, 1, (), 0x193C3730),
    "real/feedrs_rss_0.91_missing_id.xml": (1, 1, 0, (), 0xCE89F9C5),
    "real/feedrs_rss_1.0_iso8859.xml": (1, 0, 1, (), 0x0CFF39D9),
    "real/feedrs_rss_2.0_bbc.xml": (1, 0, 1, (), 0x84872D5E),
    "real/feedrs_rss_2.0_cloudflare.xml": (1, 0, 1, (), 0xFD382AAB),
    "real/feedrs_rss_2.0_ilmessaggero.xml": (1, 0, 0, (), 0xFD291EED),
    "real/feedrs_rss_2.0_nbcny.xml": (1, 0, 1, (), 0xB2B2E64B),
    "real/feedrs_rss_2.0_relurl_1.xml": (2, 0, 2, (), 0xC2B26ABC),
    "real/feedrs_rss_2.0_spiegel.xml": (1, 0, 1, (), 0xEBDE578C),
    "real/rssparser_craigslist.rss": (25, 0, 25, (), 0xD5D20335),
    "real/rssparser_encoding.rss": (40, 0, 40, (), 0x853F4BB9),
    "real/rssparser_guardian.rss": (55, 0, 55, (), 0x572AF6BA),
    "real/rssparser_heise.atom": (15, 0, 15, (), 0xAF0994C6),
    "real/rssparser_many-links.rss": (25, 0, 25, (), 0xE144C453),
    "real/rssparser_pagination-links.rss": (1, 0, 1, (), 0xCE9E7C72),
    "real/rssparser_reddit-atom.rss": (24, 0, 24, (), 0xECC97494),
    "real/rssparser_rss-1.rss": (69, 0, 69, (), 0x8B25B99D),
    "real/rssparser_uolNoticias.rss": (15, 0, 0, (), 0x7696AF82),
}

# file -> (code, words of the refusal)
REFUSED: dict[str, tuple[str, str]] = {
    "bad/feedparser_aaa_illformed.xml": ("rss_damaged", "This feed is damaged: nothing could be read of it."),
    "bad/feedparser_bozo_invalid-bytes-with-bom.xml": (
        "rss_damaged",
        "This feed is damaged: nothing could be read of it.",
    ),
    "bad/feedparser_undeclared_namespace.xml": (
        "rss_damaged",
        "This feed is damaged: nothing could be read of it.",
    ),
    "bad/feedparser_utf-16be-autodetect.xml": ("rss_not_feed", "This is not an RSS or Atom feed."),
    "bad/feedparser_utf-32le-bom.xml": ("rss_not_feed", "This is not an RSS or Atom feed."),
    "bad/feedrs_rss_2.0_invalid_1.xml": ("rss_damaged", "This feed is damaged: nothing could be read of it."),
    "real/feedjira_json_feed.json": ("rss_not_feed", "This is JSON, not an RSS or Atom feed."),
    "real/trafilatura_sitemap.xml": ("rss_not_feed", "This is a site map, not an RSS or Atom feed."),
}


def test_every_file_has_its_outcome_here(real_data: Path) -> None:
    there = {str(path.relative_to(real_data / "feeds")) for path in (real_data / "feeds").glob("*/*")}
    assert there == set(READ) | set(REFUSED)


@pytest.mark.parametrize("name", READ)
def test_what_is_read_of_a_real_feed(name: str, real_data: Path) -> None:
    found = feeds.parse((real_data / "feeds" / name).read_bytes(), AT)

    entries = found.entries
    counted = (
        len(entries),
        sum(not one.url for one in entries),
        sum(one.published is not None for one in entries),
        found.warnings,
    )
    assert counted == READ[name][:4]
    assert zlib.crc32("\n".join(one.title for one in entries).encode()) == READ[name][4]
    twice = [key for key, times in Counter(one.id for one in entries).items() if times > 1]
    assert not [one.id for one in entries if one.id in twice and not one.url], "told apart by nothing"
    for one in entries:
        assert one.id and (one.url.startswith("http") if one.url else one.problem in feeds.PROBLEMS)
        assert "\0" not in one.title + one.text + one.author


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_said_of_a_file_that_is_no_feed(name: str, real_data: Path) -> None:
    with pytest.raises(SourceError) as refused:
        feeds.parse((real_data / "feeds" / name).read_bytes(), AT)
    assert (refused.value.code, refused.value.message) == REFUSED[name]
