"""The keyword check: matches follow the keywords of a topic, and nobody else's."""

import hashlib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from ingestion import lifecycle
from ingestion.models import State
from ingestion.sources.articles import analysis, checking, members, reading, topics
from ingestion.sources.articles.checking import Found
from ingestion.sources.articles.models import Analysis, Article, Keyword, Match, Topic
from ingestion.sources.articles.sample import standin
from ingestion.testing import kill_at, lose_worker, resume_inline, run_inline
from notifications.models import Notification

pytestmark = pytest.mark.django_db(transaction=True)


def judged(topic: Topic, text: str, number: int = 1) -> Analysis:
    url = f"https://news.test/{number}"
    article, _ = Article.objects.get_or_create(
        url=url,
        defaults={
            "title": f"Article {number}",
            "text": text,
            "characters": len(text),
            "text_hash": hashlib.sha256(text.encode()).hexdigest(),
        },
    )
    return Analysis.objects.create(topic=topic, article=article, relevance=0.5, model="test")


def hits(one: Analysis) -> dict[str, int]:
    return dict(Match.objects.filter(analysis=one).values_list("keyword__text", "count"))


@pytest.mark.seed("S2.19")
def test_matches_are_what_is_found_now(topic: Topic, alice: User) -> None:
    first = judged(topic, "The ferry and two ferries, a river crossing.", 1)
    second = judged(topic, "Nothing of it.", 2)

    job = run_inline("keyword_check", alice, topic=topic.pk)

    assert (job.state, job.message) == (State.COMPLETED, "2 new matches in 2 articles")
    assert (job.title, job.object) == ("Keyword Check: River ferries", topic.stream)
    assert hits(first) == {"ferry": 1, "river crossing": 1} and hits(second) == {}
    topics.change(topic, {"keywords": ["ferry", "nothing"]})
    assert run_inline("keyword_check", alice, topic=topic.pk).message == "1 new match in 2 articles"
    assert hits(first) == {"ferry": 1} and hits(second) == {"nothing": 1}
    assert run_inline("keyword_check", alice, topic=topic.pk).message == "No new matches in 2 articles"
    assert Topic.objects.get(pk=topic.pk).checked_at is not None


@pytest.mark.seed("S2.83")
def test_its_figures_count_articles_and_nothing_else(topic: Topic, alice: User) -> None:
    """The original counted keywords, and then jumped to 100 "items" that were none. (DATA A3, 10)"""
    for number in range(3):
        judged(topic, f"ferry {number}", number)

    job = run_inline("keyword_check", alice, topic=topic.pk)

    assert (job.items_total, job.items_done, job.progress) == (3, 3, 1.0)
    assert set(job.items.values_list("label", flat=True)) == {"Article 0", "Article 1", "Article 2"}


def test_a_lost_worker_costs_nothing_and_finds_nothing_twice(topic: Topic, alice: User) -> None:
    analyses = [judged(topic, f"ferry {number}", number) for number in range(4)]
    job = lifecycle.create("keyword_check", {"topic": topic.pk}, owner=alice).job
    with kill_at("item.after_commit", 2):
        resume_inline(job)
    lose_worker(job)

    job = resume_inline(job)

    assert (job.state, job.items_done, job.message) == (State.COMPLETED, 4, "4 new matches in 4 articles")
    assert [hits(one) for one in analyses] == [{"ferry": 1}] * 4


def test_it_is_for_who_may_edit(topic: Topic, alice: User, bob: User) -> None:
    judged(topic, "ferry")
    members.add(topic, bob, "viewer")
    assert not checking.topics_of(bob, None)
    members.add(topic, bob, "editor")
    assert run_inline("keyword_check", bob).items_done == 1


def test_who_asked_is_told_where_to_look(topic: Topic, alice: User) -> None:
    judged(topic, "ferry")
    run_inline("keyword_check", alice, topic=topic.pk)

    row = Notification.objects.get(recipient=alice)
    assert (row.type, row.text) == ("task_complete", "1 new match in 1 article")


def test_an_article_that_was_removed_meanwhile_is_left_out(topic: Topic) -> None:
    gone = judged(topic, "ferry")
    pk = gone.pk
    gone.delete()
    kept = judged(topic, "another ferry", 2)
    with transaction.atomic():
        assert checking.replace(Found(pk, topic.pk, {}), ()) is None
        assert checking.replace(Found(kept.pk, topic.pk, {2**40: 3}), ()) == 0  # a keyword that was removed


@pytest.mark.parametrize("kind", ["keyword_check", "bulk_analysis"])
def test_a_keyword_that_comes_meanwhile_keeps_its_matches(
    topic: Topic, alice: User, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"urls": [standin.URLS[0]]} if kind == "bulk_analysis" else {}
    run_inline("bulk_analysis", alice, topic=topic.pk, urls=[standin.URLS[0]])
    row = Analysis.objects.get()
    before = hits(row)
    where, name = (analysis, "find") if kind == "keyword_check" else (reading, "judged")
    look = getattr(where, name)

    def then_another(*args: Any, **more: Any) -> Any:
        found = look(*args, **more)
        new = Keyword.objects.get_or_create(topic=topic, text="battery", folded="battery")[0]
        Match.objects.get_or_create(analysis=row, keyword=new, defaults={"count": 7})
        return found

    monkeypatch.setattr(where, name, then_another)
    assert run_inline(kind, alice, topic=topic.pk, **more).state == State.COMPLETED
    assert hits(row) == {**before, "battery": 7} and "ferry" in before


def test_more_articles_than_a_job_may_have_items_are_looked_through_together(
    topic: Topic, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "MAX_ITEMS", 6)
    analyses = [
        judged(topic, f"ferry {number}" if number % 2 else f"Nothing {number}.", number)
        for number in range(9)
    ]

    job = run_inline("keyword_check", alice, topic=topic.pk)

    assert (job.state, job.message) == (State.COMPLETED, "4 new matches in 9 articles")
    assert job.items_total <= 3
    assert [hits(one) for one in analyses] == [{}, {"ferry": 1}] * 4 + [{}]
    assert run_inline("keyword_check", alice, topic=topic.pk).message == "No new matches in 9 articles"
