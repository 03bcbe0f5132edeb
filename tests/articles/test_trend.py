"""The trend of a topic: articles and their mood a day, as a drawing and as figures."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion.models import Job
from ingestion.sources.articles import members
from ingestion.sources.articles.models import Analysis, Article, Topic
from ingestion.sources.articles.trend import DAYS, ZERO, days_of, trend

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 22)


def kept(topic: Topic, number: int, day: date, sentiment: float | None, *, here: date | None = None) -> None:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    url = f"https://news.test/{number}"
    article = Article.objects.create(
        url=url, title=url, text=url, characters=9, text_hash=str(number), published_at=at
    )
    since = at if here is None else datetime(here.year, here.month, here.day, 12, tzinfo=UTC)
    Analysis.objects.create(
        topic=topic, article=article, relevance=1, sentiment=sentiment, model="test", kept_at=since
    )


def test_days_count_their_articles_and_the_mean_of_their_mood(topic: Topic) -> None:
    kept(topic, 1, TODAY, 0.5)
    kept(topic, 2, TODAY, -0.1)
    kept(topic, 3, TODAY - timedelta(days=2), None)
    kept(topic, 4, TODAY - timedelta(days=DAYS), 1.0)  # too long ago
    kept(topic, 5, TODAY + timedelta(days=400), 0.3, here=TODAY)  # a mistake of its page

    days = days_of(topic, TODAY)

    assert len(days) == DAYS and days[-1].day == TODAY
    assert (days[-1].articles, days[-2].articles, days[-3].articles) == (3, 0, 1)
    assert days[-1].sentiment == pytest.approx(0.7 / 3)
    assert days[-2].sentiment is days[-3].sentiment is None
    Analysis.objects.update(kept_at=None)
    assert trend(topic, TODAY) is None


def test_it_is_drawn_to_scale_and_said_in_a_sentence(topic: Topic) -> None:
    for number, mood in enumerate((0.5, 0.5, -0.8)):
        kept(topic, number, TODAY - timedelta(days=number // 2), mood)

    drawn = trend(topic, TODAY)

    assert drawn is not None and drawn.most == 2
    assert drawn.text == "3 articles in 30 days, at most 2 a day. Mean sentiment +0.07."
    last, before = drawn.marks[-1], drawn.marks[-2]
    assert last.height == 2 * before.height and not drawn.marks[0].height
    assert (last.mood, before.mood, drawn.marks[0].mood) == ("complete", "failed", "")
    assert last.mood_y + last.mood_height == before.mood_y == ZERO
    assert [one.day for one in drawn.days] == [TODAY, TODAY - timedelta(days=1)]


def test_the_page_shows_it_and_starts_a_keyword_check(web: Client, topic: Topic) -> None:
    assert "The last 30 days" not in web.get(topic.get_absolute_url()).content.decode()
    kept(topic, 1, datetime.now(UTC).date(), 0.5)

    page = web.get(topic.get_absolute_url()).content.decode()

    assert "1 article in 30 days" in page and '<td class="num">0.50</td>' in page
    answer = web.post(f"/topics/{topic.pk}/check/")
    assert (answer.status_code, answer["Location"]) == (302, topic.get_absolute_url())
    assert Job.objects.get().source == "keyword_check"


def test_who_may_not_edit_starts_nothing(client: Client, topic: Topic, bob: User) -> None:
    client.force_login(bob)
    assert client.post(f"/topics/{topic.pk}/check/").status_code == 404
    members.add(topic, bob, "viewer")
    assert client.post(f"/topics/{topic.pk}/check/").status_code == 404
    assert "Check again" not in client.get(topic.get_absolute_url()).content.decode()
    assert not Job.objects.exists()
