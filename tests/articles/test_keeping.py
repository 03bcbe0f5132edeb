"""Articles as rows: one an address and a text, and nobody writes at the address of another."""

from datetime import timedelta
from threading import Thread
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ingestion import retention
from ingestion.sources.articles import collecting, keeping, members, topics
from ingestion.sources.articles.analysis import Judgement, wanted
from ingestion.sources.articles.feeds import parse
from ingestion.sources.articles.fetching import Fetched
from ingestion.sources.articles.models import Address, Analysis, Article, Feed, Robots, Role, Topic
from ingestion.sources.articles.reading import Page
from tests.sessions import waiting_for_locks
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
OURS, THEIRS, PRINT = (f"https://shared.example.com/{name}" for name in ("maya/a", "eve/a", "maya/a-print"))


def page(text: str, at: str, own: str = "", *before: str) -> Page:
    """Return a page that was fetched at an address, and the address that it gives as its own."""
    return Page(own or at, text, text, passed=(*before, at))


def saved(read: Page) -> Article:
    with transaction.atomic():
        return keeping.save(read)


def text_at(url: str) -> str:
    found = keeping.known(url)
    return found.text if found is not None else ""


def test_a_page_is_at_the_address_that_it_gives_as_its_own():
    first = saved(page("one", PRINT, OURS))
    assert (first.url, text_at(PRINT)) == (OURS, "one")
    assert saved(page("one", OURS)).pk == first.pk
    assert Article.objects.count() == 1


def test_a_page_that_changed_where_it_was_read_is_still_that_article():
    first = saved(page("one", PRINT, OURS))
    assert saved(page("two", PRINT, OURS)).pk == first.pk
    assert Article.objects.get().text == "two"


def test_no_page_writes_over_another_by_naming_its_address():
    ours = saved(page("ours", OURS))
    theirs = saved(page("theirs", THEIRS, OURS))
    assert (theirs.url, theirs.text) == (THEIRS, "theirs")
    assert Article.objects.get(pk=ours.pk).text == "ours"
    assert (text_at(OURS), text_at(THEIRS)) == ("ours", "theirs")


def test_nothing_is_known_of_an_address_where_nobody_was():
    saved(page("theirs", THEIRS, OURS))
    assert keeping.known(OURS) is None
    assert saved(page("ours", OURS)).text == "ours"
    saved(page("theirs, again", THEIRS, OURS))
    assert (text_at(OURS), text_at(THEIRS)) == ("ours", "theirs, again")


def test_whoever_waits_for_one_article_holds_no_later_one():
    first, second = saved(page("ours", OURS)), saved(page("theirs", THEIRS))
    assert first.pk < second.pk
    ended: list[BaseException | Article] = []

    def save() -> None:
        try:
            ended.append(saved(page("ours, again", OURS, THEIRS)))  # it calls itself by the other's address
        except Exception as error:
            ended.append(error)
        finally:
            connection.close()

    other = Thread(target=save)
    with transaction.atomic():
        Article.objects.select_for_update().get(pk=first.pk)
        other.start()
        until(lambda: waiting_for_locks() == 1, what="the other's wait")
        # Who locks the other's first, and ours then, would wait for it while it waits for us.
        assert Article.objects.select_for_update(nowait=True).get(pk=second.pk) == second
    other.join()
    assert ended == [first] and text_at(OURS) == "ours, again"


def test_two_that_name_one_address_are_two():
    saved(page("one", PRINT, OURS))
    saved(page("two", THEIRS, OURS))
    assert (text_at(PRINT), text_at(THEIRS)) == ("one", "two")


def test_an_address_that_leads_elsewhere_by_now_is_followed():
    saved(page("old", OURS, "", PRINT))
    saved(page("new", THEIRS, "", PRINT))
    assert (text_at(PRINT), text_at(OURS)) == ("new", "old")


def test_the_same_text_elsewhere_is_the_same_article():
    first = saved(page("one", OURS))
    assert saved(page("one", THEIRS, PRINT)).pk == first.pk
    assert Address.objects.count() == 2 and keeping.known(PRINT) is None


# ---- feeds, topics, hosts ---------------------------------------------------------------------------------


def told(topic: Topic, relevance: float, matches: dict[str, int], *terms: str) -> Judgement:
    """Return a judgement for which all keywords of a topic were looked for."""
    keywords = {text: pk for pk, text in wanted(topic).keywords}
    found = {keywords[text]: count for text, count in matches.items()}
    return Judgement(relevance, None, "", list(terms), found, tuple(keywords.values()))


def test_a_new_article_and_its_judgement_are_four_statements(topic: Topic):
    judgement = told(topic, 0.9, {"ferry": 2}, "ferry", "river")
    with CaptureQueriesContext(connection) as asked, transaction.atomic():
        article = keeping.save(page("The ferry", OURS))
        kept = keeping.judged(topic.pk, article, judgement, 0.5, uuid4())
    statements = [one["sql"] for one in asked.captured_queries]
    assert len([sql for sql in statements if sql not in ("BEGIN", "COMMIT")]) == 4
    assert (kept.new, kept.kept) == (True, True)
    row, there = Analysis.objects.get(), Article.objects.get()
    for field in row._meta.concrete_fields:
        assert getattr(kept.analysis, field.attname) == getattr(row, field.attname)
    assert (there.pk, there.fetched_at, there.url, there.characters) == (
        article.pk,
        article.fetched_at,
        OURS,
        9,
    )


def test_what_is_judged_again_replaces_what_was_found_and_stays_kept(topic: Topic):
    article = saved(page("The ferry", OURS))
    results = []
    for judgement in (
        told(topic, 0.9, {"ferry": 2, "river crossing": 1}, "ferry", "river", "winter"),
        told(topic, 0.1, {"ferry": 3}, "river", "otter"),
        told(topic, 0.2, {}),
    ):
        with transaction.atomic():
            kept = keeping.judged(topic.pk, article, judgement, 0.5, uuid4())
        row = Analysis.objects.get()
        hits = dict(row.matches.order_by("keyword").values_list("keyword__folded", "count"))
        results.append(
            (
                kept.new,
                kept.kept,
                row.relevance,
                hits,
                [one.text for one in article.terms.order_by("ordinal")],
            )
        )
    assert results == [
        (True, True, 0.9, {"ferry": 2, "river crossing": 1}, ["ferry", "river", "winter"]),
        (False, True, 0.1, {"ferry": 3}, ["river", "otter"]),
        (False, True, 0.2, {}, []),
    ]


def test_one_below_the_threshold_is_kept_once_it_is_above(topic: Topic):
    article, results = saved(page("The ferry", OURS)), []
    for relevance, keep in ((0.1, True), (0.9, False), (0.9, True)):
        with transaction.atomic():
            kept = keeping.judged(topic.pk, article, told(topic, relevance, {}), 0.5, uuid4(), keep=keep)
        results.append((kept.new, kept.kept, Analysis.objects.get().kept_at is not None))
    assert results == [(True, False, False), (False, False, False), (False, True, True)]


def test_a_keyword_that_was_taken_away_meanwhile_is_left_out(topic: Topic):
    judgement = told(topic, 0.9, {"ferry": 2, "river crossing": 1})
    topic.keywords.filter(folded="ferry").delete()
    with transaction.atomic():
        kept = keeping.judged(topic.pk, keeping.save(page("The ferry", OURS)), judgement, 0.5, uuid4())
    assert [one.keyword.folded for one in kept.analysis.matches.all()] == ["river crossing"]


def test_a_feed_that_is_removed_while_it_is_read_is_left_out(topic: Topic):
    url = "https://news.example.com/feed"
    topics.change(topic, {"feeds": [url]})
    feed = Feed.objects.get()
    body = b"<rss version='2.0'><channel><title>x</title><item><link>/a</link></item></channel></rss>"
    found = Fetched(url, body, "text/xml"), parse(body, url)
    topics.change(topic, {"feeds": []})
    with transaction.atomic():
        assert collecting.save_feed(feed, wanted(topic), found) is None


def test_what_hosts_said_to_robots_is_forgotten():
    for n, days in enumerate((0, 29, 31, 400)):
        Robots.objects.create(origin=f"https://{n}.example.com", status=200, read_at=Now() - timedelta(days))
    assert retention.prune()["robots"] == 2
    assert set(Robots.objects.values_list("origin", flat=True)) == {
        "https://0.example.com", "https://1.example.com",
    }  # fmt: skip


def test_many_topics_cost_as_many_queries_as_one(
    web: Client, alice: User, bob: User, topic: Topic, django_assert_num_queries
):
    with CaptureQueriesContext(connection) as one:
        assert len(web.get("/api/topics").json()["topics"]) == 1
    for n in range(5):
        made = topics.make(alice, {"name": f"Topic {n}", "keywords": ["b", "a"], "feeds": [OURS, PRINT]})
        members.add(made, bob, Role.VIEWER)
    with django_assert_num_queries(len(one)):
        listed = web.get("/api/topics").json()["topics"]
    assert len(listed) == 6
    assert (listed[0]["keywords"], listed[0]["feeds"]) == (["b", "a"], [OURS, PRINT])
    assert listed[0]["members"] == [
        {"user": alice.username, "role": "owner"}, {"user": bob.username, "role": "viewer"},
    ]  # fmt: skip
    assert (listed[0]["role"], listed[0]["articles"], listed[0]["analysed"]) == ("owner", 0, 0)
