"""The keyword check: matches follow the keywords of a topic, and nobody else's."""

import hashlib

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from ingestion import lifecycle
from ingestion.models import State
from ingestion.sources.articles import checking, members, topics
from ingestion.sources.articles.models import Analysis, Article, Match, Topic
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


def hits(analysis: Analysis) -> dict[str, int]:
    return dict(Match.objects.filter(analysis=analysis).values_list("keyword__text", "count"))


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
        assert checking.replace(pk, {}) is None
        assert checking.replace(kept.pk, {2**40: 3}) == 0  # a keyword that was removed
