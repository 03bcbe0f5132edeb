"""Bulk analysis: pages in, judgements out, and what fails is told of that page alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from ingestion import admission, lifecycle
from ingestion.models import Job, JobItem, State
from ingestion.sources.articles import members, source, topics
from ingestion.sources.articles.models import Address, Analysis, Article, Match, Role, Topic
from ingestion.sources.articles.sample import standin
from ingestion.sources.articles.source import MOST_URLS, SAMPLE
from ingestion.sources.articles.tasks import KINDS
from ingestion.testing import resume_inline, run_inline
from tests.articles.web import Site, article

pytestmark = pytest.mark.django_db(transaction=True)


def analysed(owner: User, topic: Topic, *urls: str) -> Job:
    return run_inline("bulk_analysis", owner, topic=topic.pk, urls=list(urls))


def codes(job: Job) -> dict[str, str]:
    return dict(job.items.exclude(error_code="").values_list("label", "error_code"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_topics_page_draws_a_job_that_begins_and_one_that_ends(alice: User, topic: Topic, kind: str):
    more = {"urls": ["https://news.example.com/a"]} if kind.startswith("bulk_") else {}
    before = Topic.objects.get(pk=topic.pk).version
    job = lifecycle.create(kind, {"topic": topic.pk, **more}, owner=alice).job
    begun = Topic.objects.get(pk=topic.pk).version
    lifecycle.cancel(job, alice)
    assert before < begun < Topic.objects.get(pk=topic.pk).version


@pytest.mark.seed("S2.7", "S2.16", "S2.72")
def test_the_sample_is_read_judged_and_kept(alice: User):
    job = run_inline("bulk_analysis", alice)
    assert job.state == State.COMPLETED
    assert job.title == "Bulk Analysis: Sample: river ferries"
    topic = Topic.objects.get(created_by=alice)
    assert job.object == topic.stream and job.result_url == topic.get_absolute_url()
    rows = {one.article.url.rpartition("/")[2]: one for one in Analysis.objects.select_related("article")}
    assert set(rows) == {url.rpartition("/")[2] for url in standin.URLS}
    ferry, harvest = rows["new-electric-ferry"], rows["harvest-festival"]
    assert ferry.kept_at is not None and harvest.kept_at is None
    assert ferry.relevance > topic.threshold > harvest.relevance
    assert ferry.article.title == "New electric ferry joins the Lenne crossing"
    assert (ferry.article.author, ferry.article.site) == ("Mara Holt", "The Lenne Courier")
    assert str(ferry.article.published_at.date()) == "2026-03-02"
    assert "Made up" not in ferry.article.text and "Home" not in ferry.article.text
    assert ferry.sentiment > 0 > rows["low-water-stops-ferry"].sentiment
    assert ferry.summary and all(one in ferry.article.text for one in ferry.summary.rstrip(".").split(". "))
    assert "ferry" in ferry.article.terms.values_list("text", flat=True)
    assert Match.objects.get(analysis=ferry, keyword__folded="ferry").count == 6
    german = rows["faehre-im-winter"]
    assert (german.article.language, german.sentiment) == ("de", None)
    assert german.notes == ["The tone is judged in English texts only."]
    result = JobItem.objects.get(job=job, label__endswith="new-electric-ferry").result
    assert (result["saved"], result["new"], result["title"]) == (True, True, ferry.article.title)
    assert job.result["analysed"] == 5 and job.result["errors"] == 0


def test_jobs_of_one_topic_at_the_same_time_share_no_results(alice: User, topic: Topic, site: Site):
    """DATA A3.5: elsewhere one run got the other's articles."""
    texts = ("The ferry crossed the river.", "Harvest was late this year.")
    urls = [site.put(f"/{n}", article(f"Report {n}", text, *texts)) for n, text in enumerate(texts)]
    jobs = [
        lifecycle.create("bulk_analysis", {"topic": topic.pk, "urls": [url]}, owner=alice).job for url in urls
    ]
    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(_apart, jobs))
    for job, url in zip(ended, urls, strict=True):
        assert (job.state, job.items_total, job.items_done) == (State.COMPLETED, 1, 1)
        assert [one["url"] for one in job.items.values_list("result", flat=True)] == [url]


def _apart(job: Job) -> Job:
    try:
        return resume_inline(job)
    finally:
        connection.close()


def test_twice_the_same_is_found_and_articles_are_there_once(alice: User):
    run_inline("bulk_analysis", alice)
    before = list(Analysis.objects.order_by("article").values("article", "relevance", "sentiment", "summary"))
    kept = dict(Analysis.objects.values_list("article", "kept_at"))
    again = run_inline("bulk_analysis", alice)
    assert Analysis.objects.count() == Article.objects.count() == 5
    after = Analysis.objects.order_by("article").values("article", "relevance", "sentiment", "summary")
    assert list(after) == before
    assert dict(Analysis.objects.values_list("article", "kept_at")) == kept
    assert {one["new"] for one in again.items.values_list("result", flat=True)} == {False}


def test_what_is_wrong_with_an_address_is_told_of_it_alone(alice: User, topic: Topic):
    good = standin.URLS[0]
    job = analysed(alice, topic, good, "ftp://x.example/", "http://127.0.0.1/x", f"{standin.ADDRESS}/nothing",
                   f"{standin.ADDRESS}/private/x", f"{good}?utm_source=mail#top")  # fmt: skip
    assert job.state == State.PARTIAL
    assert codes(job) == {
        "ftp://x.example/": "url_scheme",
        "http://127.0.0.1/x": "url_private",
        f"{standin.ADDRESS}/nothing": "url_status",
        f"{standin.ADDRESS}/private/x": "robots_disallow",
    }
    assert (job.items_total, job.items_done, job.items_failed) == (5, 1, 4)
    assert job.message == "1 of 5 articles analysed, 1 kept"


@pytest.mark.seed("SEC25")
def test_no_way_of_writing_an_address_inside_leads_there(alice: User, topic: Topic, canary: Site):
    hosts = [
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "0.0.0.0", "localhost", "LOCALHOST.",
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]", "①②⑦.⓪.⓪.①",
    ]  # fmt: skip
    job = analysed(alice, topic, *(f"http://{one}:{canary.port}/" for one in hosts))
    assert job.state == State.FAILED
    failed = set(job.items.values_list("error_code", "error"))
    assert (job.items.count(), failed) == (len(hosts), {("url_private", "This address is not allowed.")})
    assert canary.connections == 0


@pytest.mark.seed("SEC29")
def test_a_password_in_an_address_is_refused_and_not_repeated(web: Client, topic: Topic):
    body = {"topic": topic.pk, "urls": ["http://ann:secret@news.example.com/"]}
    answer = web.post("/api/background-tasks/bulk-analysis", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "url_credentials"
    assert "secret" not in answer.content.decode()
    page = web.post(f"/topics/{topic.pk}/analyse/", {"urls": body["urls"][0]})
    assert page.status_code == 400 and "password" in page.content.decode()
    assert not Job.objects.exists()


def test_the_form_starts_the_job_and_leads_to_it(web: Client, topic: Topic):
    sent = web.post(f"/topics/{topic.pk}/analyse/", {"urls": "\n".join(standin.URLS)})
    job = Job.objects.get()
    assert sent.headers["Location"] == job.get_absolute_url()
    assert job.title in web.get(topic.get_absolute_url()).content.decode()
    assert resume_inline(job).state == State.COMPLETED
    page = web.get(topic.get_absolute_url()).content.decode()
    assert "New electric ferry joins the Lenne crossing" in page
    article = Article.objects.get(url=standin.URLS[0])
    read = web.get(f"/topics/{topic.pk}/articles/{article.pk}/").content.decode()
    assert "batteries are charged at night" in read
    assert web.post(f"/topics/{topic.pk}/analyse/", {"urls": " \n"}).status_code == 400


@pytest.mark.parametrize("kind", KINDS)
def test_only_editors_start_and_retry(alice: User, bob: User, topic: Topic, kind: str):
    params = {"topic": topic.pk} | ({"urls": ["http://127.0.0.1/x"]} if kind.startswith("bulk_") else {})
    with pytest.raises(admission.Refused, match="Not found"):
        lifecycle.create(kind, params, owner=bob)
    members.add(topic, bob, Role.VIEWER)
    with pytest.raises(admission.Refused, match="not add") as refused:
        lifecycle.create(kind, params, owner=bob)
    assert refused.value.code == "permission_denied"
    members.add(topic, bob, Role.EDITOR)
    job = lifecycle.cancel(lifecycle.create(kind, params, owner=bob).job, bob)
    members.add(topic, bob, Role.VIEWER)
    with pytest.raises(admission.Refused, match="not add"):
        lifecycle.retry(job, bob)


def test_too_many_addresses_are_refused(alice: User, topic: Topic):
    urls = [f"https://news.example.com/{n}" for n in range(MOST_URLS + 1)]
    with pytest.raises(admission.Refused) as refused:
        lifecycle.create("bulk_analysis", {"topic": topic.pk, "urls": urls}, owner=alice)
    assert refused.value.errors[0]["message"] == "At most 10,000 addresses."


def test_a_topic_that_goes_ends_its_job(alice: User, topic: Topic):
    job = lifecycle.create("bulk_analysis", {"topic": topic.pk, "urls": standin.URLS}, owner=alice).job
    topic.delete()
    assert resume_inline(job).error["code"] == "topic_gone"


def test_the_same_page_at_another_address_is_the_same_article(alice: User, topic: Topic, monkeypatch):
    from ingestion.sources.articles.sample import pages

    monkeypatch.setitem(pages.PAGES, "copy", pages.PAGES["bridge-or-ferry"])
    analysed(alice, topic, f"{standin.ADDRESS}/bridge-or-ferry", f"{standin.ADDRESS}/copy")
    assert Article.objects.count() == Analysis.objects.count() == 1
    assert Address.objects.count() == 2


@pytest.mark.parametrize("kind", ["bulk_analysis", "bulk_save"])
def test_a_sample_that_has_no_room_is_refused(alice: User, monkeypatch, kind: str):
    monkeypatch.setattr(topics, "MOST_TOPICS", 0)
    with pytest.raises(admission.Refused) as refused:
        lifecycle.create(kind, {}, owner=alice)
    assert refused.value.errors[0]["message"] == "You already have 0 topics, which is the limit."
    assert not Job.objects.exists()


def test_a_sample_that_is_made_at_the_same_moment_is_the_one(alice: User, monkeypatch):
    make = topics.make

    def second(user: User, values: dict) -> Topic:
        make(user, values)  # somebody else was first
        return make(user, values)

    monkeypatch.setattr(topics, "make", second)
    assert source.sample_topic(alice) == Topic.objects.get(name=SAMPLE["name"])
