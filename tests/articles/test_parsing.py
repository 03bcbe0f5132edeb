"""The processes that parse and judge pages: within limits, each page for itself, without our secrets."""

import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from ingestion import encoders
from ingestion.source import SourceError
from ingestion.sources.articles import analysis, frames, page_parser, parsing, reading
from ingestion.sources.articles.analysis import Wanted
from ingestion.sources.articles.fetching import Fetched
from ingestion.sources.articles.parsing import Parser
from tests.articles.web import article
from tests.encoding import KERNELS, vectors_elsewhere
from tests.site import resident
from tests.waiting import until

URL = "https://news.example.com/river/ferries-are-back"
TEXT = "The ferry crosses the river every twenty minutes, and the passengers of the morning are glad of it."
SAME = f"<p>{TEXT}</p>"
RIVERS = Wanted("River ferries. Ferries that cross rivers", ((1, "ferry"), (2, "bridge")))


@pytest.fixture(scope="module")
def shared():
    """What loads once for most of these tests."""
    one = Parser()
    yield one
    one.end()


@pytest.fixture
def parser(shared, monkeypatch):
    """A parser with nothing to do, which `reading` asks too."""
    monkeypatch.setattr(reading, "parser", shared)
    for child in shared._free:
        child.ended()
    shared._free.clear()
    return shared


@pytest.fixture
def own(monkeypatch):
    """A parser of the test's own, which loads its program anew."""
    one = Parser()
    monkeypatch.setattr(reading, "parser", one)
    yield one
    one.end()


def page(title: str = "Ferries", body: str = "", kind: str = "text/html") -> Fetched:
    return Fetched(URL, (body or article(title, TEXT)).encode(), kind, (URL,))


def asked(parser: Parser, given: Fetched, **more: Any) -> dict[str, Any]:
    question = {"url": given.url, "type": given.content_type, "charset": "", **more}
    return parser.ask(question, given.content)


def pids(parser: Parser) -> set[int]:
    return {child.pid for child in parser._free}


def ended(pid: int) -> bool:
    """Say whether a process ended; who forked it may not have been asked for its code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


SLOW = page(body=f"<html><body><article>{SAME * 80_000}</article></body></html>")
LARGE = page(body=f"<html><body><p>{'<b>x</b>' * 250_000}</p></body></html>")


@pytest.mark.parametrize(
    ("limits", "bad"), [({"seconds": 1}, SLOW), ({"memory": 64 << 20}, LARGE)], ids=["time", "memory"]
)
def test_a_page_that_takes_too_long_or_too_much_ends_alone(limits, bad):
    parser = Parser(**limits)
    asked(parser, page())
    with pytest.raises(SourceError) as caught:
        asked(parser, bad)
    assert (caught.value.code, caught.value.retryable) == ("page_limits", False)
    assert not pids(parser)  # the next page has a process of its own
    # What is loaded is none of a page's: the longest that is kept is read and judged within less.
    long = page(body=article("Ferries", *[f"{n}: {TEXT}" for n in range(page_parser.MOST_TEXT // len(TEXT))]))
    topic = {"text": RIVERS.text, "keywords": RIVERS.keywords, "compare": True}
    said = asked(parser, long, topic=topic)
    assert said["told"]["relevance"] > 0 and len(said["page"]["text"]) > 60_000
    parser.end()


def test_what_is_loaded_takes_nothing_from_a_page():
    parser = Parser(memory=192 << 20)
    asked(parser, page())
    (pid,) = pids(parser)
    [limit] = re.findall(r"Max address space +(\d+)", Path(f"/proc/{pid}/limits").read_text())
    [loaded] = re.findall(
        r"VmSize:\s+(\d+) kB", Path(f"/proc/{parser._forker._process.pid}/status").read_text()
    )
    assert int(limit) > int(loaded) * 1024 > 192 << 20
    parser.end()


def test_who_parses_is_begun_anew_after_many_pages_and_when_it_is_gone(monkeypatch, parser):
    monkeypatch.setattr(parsing, "MOST_PAGES", 2)
    asked(parser, page())
    first = pids(parser)
    asked(parser, page())
    assert first and not pids(parser)
    asked(parser, page())
    (second,) = pids(parser)
    assert {second} != first
    os.kill(second, signal.SIGKILL)
    until(lambda: ended(second), 10, "its end")
    assert asked(parser, page())["page"]["title"] == "Ferries"
    assert second not in pids(parser)


def test_when_who_forks_is_gone_another_is_loaded(parser):
    asked(parser, page())
    (before,) = pids(parser)
    parser._forker._process.kill()
    parser._forker._process.wait()
    parser._free[0]._connection.close()  # whom nobody can ask any more
    parser._free.clear()
    until(lambda: ended(before), 10, "its end")
    assert asked(parser, page())["page"]["title"] == "Ferries"


def test_whoever_is_interrupted_leaves_no_answer_to_the_next_page(monkeypatch, parser):
    asked(parser, page("One"))

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(frames, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            asked(parser, page("One"))
    assert not pids(parser)
    assert asked(parser, page("Two"))["page"]["title"] == "Two"


def test_two_pages_are_parsed_at_once_and_no_more(parser):
    threads = [threading.Thread(target=asked, args=(parser, page(str(n)))) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert 1 <= len(pids(parser)) <= parsing.PROCESSES


def test_who_parses_has_no_secret_of_ours(own, monkeypatch):
    monkeypatch.setenv("HEADWAY_SECRET_KEY", "otters")
    asked(own, page())
    for pid in (own._forker._process.pid, *pids(own)):
        assert "otters" not in Path(f"/proc/{pid}/environ").read_text()


# ---- judging ----------------------------------------------------------------------------------------------

PAGES = {
    "English": page("Ferries", article("Ferries are back", TEXT, TEXT.replace("morning", "evening"))),
    "Danish": page(body=article("Færger", "Færgen sejler igen over floden, og passagererne er glade. " * 3)),
    "German": page(
        body=article("Fähren", "Die Fähre fährt wieder über den Fluss, alle zwanzig Minuten. " * 3)
    ),
    "Chinese": page(body=article("渡轮", "渡轮回来了。每二十分钟过一次河。早上的乘客都很高兴。" * 4)),
    "short": page(body="Ferry.", kind="text/plain"),
    "without a title": page(body=f"<html><body><article>{SAME * 3}</article></body></html>"),
}


@pytest.mark.parametrize("given", PAGES.values(), ids=PAGES)
def test_a_page_is_judged_there_as_it_would_be_here(parser, given):
    found, told = reading.read_for(given, RIVERS)
    assert found == reading.read(given) and found.title
    assert told == analysis.judge(found, RIVERS) == reading.judged(found, RIVERS)


def test_vectors_are_the_same_and_one_that_dies_while_it_encodes_fails_its_page_alone(own, monkeypatch):
    """What is told of a page is a rounded cosine; here vectors are compared to the last bit."""
    monkeypatch.setattr(parsing, "PROGRAM", "tests.articles.odd_process")
    texts = ["Ferries cross rivers.", TEXT * 20, "Die Fähre", ""]
    here = [row.tobytes().hex() for row in encoders.multilingual().encode(texts)]
    assert own.ask({"texts": texts})["vectors"] == here

    told = reading.read_for(page(), RIVERS)[1]
    assert told == analysis.judge(reading.read(page()), RIVERS)
    with pytest.raises(SourceError) as caught:
        reading.read_for(page("Die here"), RIVERS)
    assert (caught.value.code, caught.value.retryable) == ("page_limits", True)
    assert reading.read_for(page(), RIVERS)[1] == told


def test_vectors_are_the_same_where_the_machine_is_told_which_kernels_to_take(own, monkeypatch):
    monkeypatch.setattr(parsing, "PROGRAM", "tests.articles.odd_process")
    for name, value in KERNELS.items():
        monkeypatch.setenv(name, value)
    texts = ["Ferries cross rivers.", TEXT * 20]
    assert own.ask({"texts": texts})["vectors"] == vectors_elsewhere(texts)


def test_what_fails_in_judging_is_no_fault_of_the_page(parser):
    with pytest.raises(RuntimeError, match="KeyError"):
        asked(parser, page(), topic={"text": "", "keywords": []})
    assert asked(parser, page())["page"]["title"] == "Ferries"


def test_where_a_service_judges_nothing_is_encoded(own, settings):
    settings.OPENAI_URL, settings.OPENAI_ANALYSIS = "http://127.0.0.1:9/v1", "judge-1"
    _, told = reading.read_for(page(), RIVERS, compare=False)
    assert (told.relevance, told.matches) == (0.5, {1: 1})  # by keywords alone
    (pid,) = pids(own)
    before = resident(pid)
    reading.read_for(page(), RIVERS)
    assert resident(pid) > before + (50 << 20)  # the encoder came with the first text that was encoded
