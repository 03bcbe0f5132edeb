"""Topics: made, changed, shared and removed, on pages and by API; who is no member sees none of it."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from ingestion.sources.articles import members, topics, views
from ingestion.sources.articles.models import Analysis, Article, Feed, Keyword, Match, Role, Topic
from notifications import inbox
from realtime import streams

pytestmark = pytest.mark.django_db(transaction=True)
XSS = "<img src=x onerror=alert(1)>"


@pytest.fixture
def article(topic: Topic) -> Analysis:
    """An article kept with alice's topic."""
    one = Article.objects.create(
        url="https://news.example.com/a",
        title=XSS,
        text="The ferry is back.\n\nIt crosses the river.",
        characters=40,
        text_hash="0" * 64,
        language="en",
    )
    row = Analysis.objects.create(
        topic=topic,
        article=one,
        relevance=0.8,
        sentiment=0.5,
        summary="Back.",
        model="m",
        kept_at=timezone.now(),
    )
    Match.objects.create(analysis=row, keyword=topic.keywords.get(folded="ferry"), count=2)
    return row


def test_a_topic_is_made_on_the_page_and_listed(web: Client):
    sent = {"name": "Tides", "keywords": "tide\nTide\nhigh water", "feeds": "", "threshold": "0.2"}
    answer = web.post("/topics/", sent)
    made = Topic.objects.get(name="Tides")
    assert answer.headers["Location"] == made.get_absolute_url()
    assert topics.told(made) | {"description": ""} == {
        "name": "Tides",
        "description": "",
        "keywords": ["tide", "high water"],
        "feeds": [],
        "threshold": 0.2,
    }
    assert "Tides" in web.get("/topics/").content.decode()
    page = web.get(made.get_absolute_url()).content.decode()
    assert "high water" in page and f'data-live="{made.stream}"' in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "\x1b[2J"}, "not allowed"),
        ({"feeds": "http://127.0.0.1/feed"}, "This address is not allowed."),
        ({"feeds": "news.example.com"}, "Start with https://"),
        ({"keywords": "x" * 101}, "at most 100 characters"),
        ({"keywords": "\n".join(f"word {n}" for n in range(51))}, "50"),
        ({"name": "River ferries"}, "already"),
        ({"threshold": "2"}, "less than or equal to 1"),
        ({"threshold": "nan"}, "number"),
    ],
)
def test_a_form_says_what_is_wrong_and_makes_nothing(web: Client, topic: Topic, change, said):
    answer = web.post("/topics/", {"name": "Tides", "threshold": "0.2", **change})
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert Topic.objects.count() == 1


def test_settings_change_what_is_given_and_keep_what_is_known(web: Client, topic: Topic, article: Analysis):
    kept = topic.keywords.get(folded="ferry")
    before = topic.version
    sent = {"name": "Ferries", "keywords": "FERRY\nboat", "threshold": "0.5", "description": "d"}
    sent["feeds"] = "https://news.example.com/feed"
    assert web.post(f"/topics/{topic.pk}/settings/", sent).status_code == 302
    topic.refresh_from_db()
    assert (topic.name, topic.threshold, topic.version > before) == ("Ferries", 0.5, True)
    assert topic.keywords.order_by("pk").values_list("pk", "text")[0] == (kept.pk, "FERRY")
    assert Match.objects.filter(keyword=kept).exists()
    assert Feed.objects.get(topic=topic).url == "https://news.example.com/feed"
    assert "FERRY" in web.get(f"/topics/{topic.pk}/settings/").content.decode()


def test_an_article_is_read_as_text(web: Client, article: Analysis):
    page = web.get(article.get_absolute_url()).content.decode()
    assert XSS not in page and "&lt;img" in page
    assert "It crosses the river." in page and "positive" in page and "ferry" in page
    assert 'rel="noopener noreferrer external"' in page
    listed = web.get(article.topic.get_absolute_url()).content.decode()
    assert XSS not in listed and "0.80" in listed
    below = web.get(f"{article.topic.get_absolute_url()}?s=below").content.decode()
    assert "0.80" not in below


def test_a_text_that_begins_with_its_title_says_it_once(web: Client, article: Analysis):
    one = article.article
    one.text = f"{one.title}\nIt crosses the river."
    one.save()
    page = web.get(article.get_absolute_url()).content.decode()
    assert page.count("<p>It crosses the river.</p>") == 1 and f"<p>{escape(one.title)}</p>" not in page


def test_a_stranger_finds_nothing(client: Client, bob: User, topic: Topic, article: Analysis):
    client.force_login(bob)
    for path in ("", "settings/", f"articles/{article.article_id}/"):
        assert client.get(f"/topics/{topic.pk}/{path}").status_code == 404
    for path in ("settings/", "member/", "remove/"):
        assert client.post(f"/topics/{topic.pk}/{path}", {"name": topic.name}).status_code == 404
    assert topic.name not in client.get("/topics/").content.decode()
    for path in ("", "/members/bob"):
        assert client.delete(f"/api/topics/{topic.pk}{path}").status_code == 404
    assert client.get(f"/api/topics/{topic.pk}").json()["code"] == "not_found"
    assert client.get("/api/topics").json() == {"topics": [], "next": None}
    assert streams.visible(bob, [topic.stream]) == set()


def test_a_viewer_reads_and_an_owner_shares(web: Client, client: Client, bob: User, topic: Topic):
    url = f"/api/topics/{topic.pk}"
    put = {"data": {"role": "viewer"}, "content_type": "application/json"}
    shared = web.put(f"{url}/members/bob", **put)
    assert shared.json()["members"] == [
        {"user": "alice", "role": "owner"},
        {"user": "bob", "role": "viewer"},
    ]
    other = Client()
    other.force_login(bob)
    assert other.get(url).json()["role"] == "viewer"
    assert other.get(f"/topics/{topic.pk}/settings/").status_code == 404
    assert other.patch(url, {"name": "Mine"}, content_type="application/json").status_code == 403
    assert other.delete(url).status_code == 403
    assert streams.visible(bob, [topic.stream]) == {topic.stream}
    assert web.delete(f"{url}/members/alice").json()["errors"][0]["message"] == "A topic needs an owner."
    assert web.post(f"/topics/{topic.pk}/member/", {"user": "bob", "role": ""}).status_code == 302
    assert members.role_of(bob, topic.pk) == ""


def test_the_api_makes_changes_and_removes(web: Client, article: Analysis):
    body = {"name": "Tides", "keywords": ["tide"], "feeds": ["https://news.example.com/f"], "threshold": 0.4}
    made = web.post("/api/topics", body, content_type="application/json")
    assert made.status_code == 201
    told = made.json()
    assert told | body == told and told["role"] == Role.OWNER
    url = f"/api/topics/{told['id']}"
    again = web.post("/api/topics", body, content_type="application/json").json()
    assert again["errors"][0]["field"] == "name"
    bad = web.patch(url, {"feeds": ["ftp://x.example/"]}, content_type="application/json").json()
    assert bad["errors"][0]["field"] == "feeds"
    changed = web.patch(url, {"threshold": 0.6}, content_type="application/json").json()
    assert (changed["threshold"], changed["keywords"]) == (0.6, ["tide"])
    assert [one["name"] for one in web.get("/api/topics").json()["topics"]] == ["Tides", "River ferries"]
    assert web.delete(url).status_code == 204
    assert web.get(url).status_code == 404
    assert web.delete(f"/api/topics/{article.topic_id}").status_code == 204
    assert not Keyword.objects.exists() and Article.objects.exists()


def test_a_removal_asks_for_the_name(web: Client, topic: Topic):
    web.post(f"/topics/{topic.pk}/remove/", {"name": "another"})
    assert Topic.objects.exists()
    web.post(f"/topics/{topic.pk}/remove/", {"name": topic.name})
    assert not Topic.objects.exists()


def test_the_stream_tells_what_the_page_counts(topic: Topic, article: Analysis, alice: User):
    kind, key = streams.kind_of(topic.stream) or pytest.fail("no such stream")
    data = kind.read({key: None})[key].data
    assert data == {"name": topic.name, "analysed": 1, "kept": 1, "jobs": []}
    before = topic.version
    topics.touch(topic.pk)
    topic.refresh_from_db()
    assert topic.version == before + 1


def test_members_hear_of_new_articles_when_they_wish(web: Client, alice: User, bob: User, topic: Topic):
    url = topic.get_absolute_url()
    assert 'id="follow" name="follow" value="1">' in web.get(url).content.decode()
    web.post(f"{url}follow/", {"follow": "1"})
    assert inbox.followers(topic.stream) == {alice.pk}
    assert 'id="follow" name="follow" value="1" checked>' in web.get(url).content.decode()
    web.post(f"{url}follow/")
    assert inbox.followers(topic.stream) == set()
    other = Client()
    other.force_login(bob)
    assert other.post(f"{url}follow/", {"follow": "1"}).status_code == 404
    members.add(topic, bob, Role.VIEWER)
    other.post(f"{url}follow/", {"follow": "1"})
    assert inbox.followers(topic.stream) == {bob.pk}


def test_more_topics_than_a_page_shows_are_on_the_next(web: Client, alice: User, monkeypatch):
    monkeypatch.setattr(views, "MOST", 2)
    for name in ("Cobalt", "Nickel", "Copper"):
        topics.make(alice, {"name": name})
    first = web.get("/topics/").text
    assert "Copper" in first and "Nickel" in first and "Cobalt" not in first
    following = re.search(r'href="(\?before=\d+)" rel="next"', first)[1]
    second = web.get(f"/topics/{following}").text
    assert "Cobalt" in second and "Nickel" not in second and "First page" in second
    assert web.get("/topics/?before=x").text.count("Cobalt") == 0
