"""XML that costs its reader far more than it is, or asks for other files: refused before a parser sees it."""

import time

import pytest

from ingestion.source import SourceError
from ingestion.sources.articles import feeds
from tests.costs import cost_of

AT = "https://news.test/feeds/all.xml"
SECONDS = 0.1
MEGABYTES = 10

LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))  # 10^9 times "lol"
LONG = "x" * 20_000
HOSTILE = {
    "laughs": (f"<!DOCTYPE rss [<!ENTITY l0 'lol'>{LAUGHS}]>", "&l9;"),
    "quadratic": (f"<!DOCTYPE rss [<!ENTITY a '{LONG}'>]>", "&a;" * 5000),  # 100 MB
    "file": ("<!DOCTYPE rss [<!ENTITY a SYSTEM 'file:///dev/zero'>]>", "&a;"),
    "http": ("<!DOCTYPE rss [<!ENTITY a SYSTEM 'http://127.0.0.1:9/'>]>", "&a;"),
    "parameter": ("<!DOCTYPE rss [<!ENTITY % p SYSTEM 'file:///dev/zero'> %p;]>", "a"),
    "XInclude": ("", "<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='file:///dev/zero'/>"),
}


def feed(kind: str) -> bytes:
    before, title = HOSTILE[kind]
    item = f"<item><link>/1</link><title>{title}</title></item>"
    return f'{before}<rss version="2.0"><channel><title>News</title>{item}</channel></rss>'.encode()


def refuse(data: bytes) -> None:
    with pytest.raises(SourceError) as refused:
        feeds.parse(data, AT)
    assert refused.value.code == "rss_entities"


def work(seconds: float) -> None:
    """Take so much of a processor, however fast it is."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_what_a_feed_costs_can_be_seen() -> None:
    """What grows and works is seen to; a feed that is read has a process of its own."""
    for megabytes in (3 * MEGABYTES, 2 * MEGABYTES):  # the C library then keeps what is let go, for the next
        bytearray(b"x" * (megabytes << 20))
    taken = cost_of(lambda: bytearray(b"x" * (2 * MEGABYTES << 20)))
    assert taken.megabytes > MEGABYTES
    assert cost_of(lambda: work(2 * SECONDS)).seconds > SECONDS
    good = b"<rss version='2.0'><channel><item><link>/1</link></item></channel></rss>"
    assert cost_of(lambda: feeds.parse(good, AT)).of_children > 0


@pytest.mark.seed("SEC50")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_xml_is_refused_at_next_to_no_cost(kind: str) -> None:
    """No parser is begun, and the process that refuses takes 0.1 s of CPU and 10 MB at most."""
    data = feed(kind)
    cost = cost_of(lambda: refuse(data))
    assert cost.of_children == 0
    assert cost.seconds <= SECONDS and cost.megabytes <= MEGABYTES, cost
