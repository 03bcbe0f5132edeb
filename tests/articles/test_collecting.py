"""Auto-collect: feeds, what is new in them, what matches, and what is kept of it."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ingestion import lifecycle
from ingestion.admission import Refused
from ingestion.models import Job, Schedule, State
from ingestion.sources.articles import members, topics
from ingestion.sources.articles.models import Analysis, Entry, Feed, Topic
from ingestion.sources.articles.sample import standin
from ingestion.testing import kill_at, lose_worker, resume_inline, run_inline
from notifications import inbox
from notifications.models import Notification
from tests.sessions import another_session, at_once, in_a_thread, settling, waiting_for_locks
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
AT = standin.ADDRESS
FEED = f"{AT}/feed.xml"
FERRY, WATER, HARVEST = (
    f"{AT}/{name}" for name in ("new-electric-ferry", "low-water-stops-ferry", "harvest-festival")
)


class Site:
    """The site of the sample, with a feed whose entries a test chooses."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.status = "200 OK"

    def show(self, *entries: tuple[str, str]) -> None:
        """Let the feed have these entries: (address, title)."""
        self.items = [f"<item><link>{url}</link><title>{title}</title></item>" for url, title in entries]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/feed.xml":
            return sample(environ, start_response)
        body = f"<rss version='2.0'><channel><title>Courier</title>{''.join(self.items)}</channel></rss>"
        sign = f'"{hash(body)}"'
        known = environ.get("HTTP_IF_NONE_MATCH", "")
        status = "304 Not Modified" if known == sign else self.status
        self.asked.append((known, status))
        start_response(status, [("Content-Type", "application/rss+xml"), ("ETag", sign)])
        return [b"" if known == sign else body.encode()]


sample = standin.application


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The site, which answers in place of the sample's."""
    made = Site()
    monkeypatch.setattr(standin, "application", made)
    yield made


@pytest.fixture
def fed(topic: Topic, site: Site) -> Topic:
    """The topic with the site's feed."""
    site.show((FERRY, "A new ferry"), (WATER, "The ferry must wait"), (HARVEST, "Harvest festival"))
    topics.change(topic, {"feeds": [FEED]})
    return topic


def collected(owner: User, topic: Topic) -> Job:
    return run_inline("auto_collect", owner, topic=topic.pk)


def outcomes(topic: Topic) -> dict[str, str]:
    return dict(Entry.objects.filter(feed__topic=topic).values_list("url", "outcome"))


@pytest.mark.seed("S2.6", "S2.18")
def test_what_is_new_and_matches_is_read_judged_and_kept(fed: Topic, alice: User) -> None:
    job = collected(alice, fed)

    assert (job.state, job.message) == (State.COMPLETED, "2 new articles kept, of 3 new in 1 feed")
    assert (job.title, job.object, job.items_total) == ("Auto-Collect: River ferries", fed.stream, 3)
    assert outcomes(fed) == {FERRY: "matched", WATER: "matched", HARVEST: "unmatched"}
    kept = Analysis.objects.filter(topic=fed, kept_at__isnull=False)
    assert {one.article.url for one in kept} == {FERRY, WATER}
    feed = Feed.objects.get()
    assert feed.title == "Courier" and feed.etag and feed.fetched_at and not feed.error
    assert Topic.objects.get(pk=fed.pk).collected_at is not None


def test_the_sample_has_a_feed_of_its_own(alice: User) -> None:
    run_inline("bulk_analysis", alice)  # makes the topic
    job = run_inline("auto_collect", alice)

    assert (job.state, job.items_failed) == (State.COMPLETED, 0)
    entries = Entry.objects.order_by("pk")
    assert [one.url for one in entries] == standin.URLS
    assert {one.outcome for one in entries} == {"matched", "unmatched"}
    assert str(entries[0].published_at.date() if entries[0].published_at else "") == "2026-03-02"
    assert Feed.objects.get().title == "The Lenne Courier"


def test_a_feed_that_did_not_change_is_not_read_again(fed: Topic, alice: User, site: Site) -> None:
    collected(alice, fed)
    again = collected(alice, fed)

    assert [status for _, status in site.asked] == ["200 OK", "304 Not Modified"]
    assert again.message == "No new articles, of 0 new in 1 feed"
    site.show(
        (HARVEST, "Harvest festival"), (FERRY, "A new ferry"), (f"{AT}/nothing", "A ferry that is gone")
    )
    third = collected(alice, fed)
    assert third.state == State.PARTIAL  # one page is not there
    assert outcomes(fed)[f"{AT}/nothing"] == "failed"
    assert Entry.objects.count() == 4 and Analysis.objects.filter(topic=fed).count() == 2


def test_a_failed_page_is_not_asked_for_by_each_collection_but_by_a_retry(
    fed: Topic, alice: User, site: Site
) -> None:
    site.show((f"{AT}/nothing", "A ferry that is gone"), (FERRY, "A new ferry"))
    job = collected(alice, fed)
    assert (job.items_done, job.items_failed) == (2, 1)
    site.show((WATER, "The ferry must wait"))
    assert collected(alice, fed).items_total == 2  # the feed and the new article

    again = resume_inline(lifecycle.retry(job, alice).job)

    assert {one.label: one.state for one in again.items.all()}["A ferry that is gone"] == "failed"
    assert again.items_failed == 1 and again.items_done == 2  # as the job before: nothing was done twice


@pytest.mark.seed("S2.51")
def test_a_feed_that_fails_costs_nothing_else_and_its_owner_is_told_once(
    fed: Topic, alice: User, bob: User
) -> None:
    members.add(fed, bob, "editor")
    topics.change(fed, {"feeds": [FEED, f"{AT}/no-feed"]})
    for _ in range(2):
        job = collected(bob, fed)
        assert job.state == State.PARTIAL

    bad = Feed.objects.get(url__endswith="no-feed")
    assert (bad.error, bad.error_code) == ("The host answered 404.", "url_status") and bad.failing_since
    row = Notification.objects.get(recipient=alice, type="auto_ingest_error")
    assert row.text.endswith("The host answered 404.")
    assert Analysis.objects.filter(topic=fed, kept_at__isnull=False).count() == 2


@pytest.mark.seed("S2.50")
def test_who_follows_a_topic_is_told_what_came(fed: Topic, alice: User, bob: User) -> None:
    members.add(fed, bob, "viewer")
    inbox.follow(bob, fed.stream)

    collected(alice, fed)
    collected(alice, fed)

    rows = Notification.objects.filter(type="auto_ingest_complete")
    assert [(one.recipient, one.title) for one in rows] == [(bob, "2 new articles in River ferries")]


@pytest.mark.parametrize(
    ("point", "n"), [("item.after_commit", 1), ("item.after_commit", 2), ("item.before_fence", 2)]
)
def test_a_lost_worker_leaves_out_nothing_and_does_nothing_twice(
    fed: Topic, alice: User, point: str, n: int
) -> None:
    job = lifecycle.create("auto_collect", {"topic": fed.pk}, owner=alice).job
    with kill_at(point, n):
        resume_inline(job)
    job = lose_worker(job)
    Job.objects.filter(pk=job.pk).update(run_after=None)  # as time does

    job = resume_inline(job)

    assert (job.state, job.message) == (State.COMPLETED, "2 new articles kept, of 3 new in 1 feed")
    assert (job.items_total, job.items_done) == (3, 3)
    assert outcomes(fed) == {FERRY: "matched", WATER: "matched", HARVEST: "unmatched"}


def test_what_is_amiss_with_a_feed_is_said_of_it(fed: Topic, alice: User, site: Site) -> None:
    site.show((FERRY, "A new ferry & more"), ("", "A ferry without a link"))
    job = collected(alice, fed)

    said = set(job.events.filter(level="warning").values_list("message", flat=True))
    assert said == {
        f"{FEED}: The feed is damaged; what could be read of it was taken.",
        f"{FEED}: The feed gives neither a link nor an id for this article. (1 of 2)",
    }
    assert job.state == State.COMPLETED and outcomes(fed) == {FERRY: "matched", "": "failed"}


def test_two_feeds_with_one_article_bring_it_once(fed: Topic, alice: User, site: Site) -> None:
    site.show((FERRY, "A new ferry"), (f"{FERRY}?utm_source=feed", "The same ferry"))
    job = collected(alice, fed)
    assert job.items_total == 2 and Analysis.objects.filter(topic=fed).count() == 1


def test_the_page_starts_it_and_says_how_often(web: Client, fed: Topic, alice: User, bob: User) -> None:
    page = web.get(fed.get_absolute_url()).content.decode()
    assert "Collect now" in page and '<option value="day">' in page

    assert web.post(f"/topics/{fed.pk}/collect/")["Location"] == fed.get_absolute_url()
    assert Job.objects.get().source == "auto_collect"
    web.post(f"/topics/{fed.pk}/every/", {"every": "hour"})
    web.post(f"/topics/{fed.pk}/every/", {"every": "day"})
    row = Schedule.objects.get()
    assert (row.owner, row.params, row.cron) == (alice, {"topic": fed.pk}, f"{fed.pk % 60} 5 * * *")
    assert '<option value="day" selected>' in web.get(fed.get_absolute_url()).content.decode()
    web.post(f"/topics/{fed.pk}/every/", {"every": ""})
    assert not Schedule.objects.exists()
    web.force_login(bob)
    for name in ("collect", "every"):
        assert web.post(f"/topics/{fed.pk}/{name}/").status_code == 404


@pytest.mark.parametrize("edited", [{"cron": "7 7 * * 1"}, {"zone": "Asia/Kathmandu"}, {"paused": True}])
def test_the_page_says_that_its_schedule_was_edited_and_leaves_it_so(
    web: Client, fed: Topic, edited: dict[str, Any]
) -> None:
    web.post(f"/topics/{fed.pk}/every/", {"every": "day"})
    Schedule.objects.update(**edited)
    assert '<option value="own" selected>as its schedule says' in web.get(fed.get_absolute_url()).text
    web.post(f"/topics/{fed.pk}/every/", {"every": "own"})
    assert Schedule.objects.filter(**edited).count() == 1
    web.post(f"/topics/{fed.pk}/every/", {"every": "hour"})
    page = web.get(fed.get_absolute_url()).text
    assert '<option value="hour" selected>' in page and 'value="own"' not in page


def test_clicks_at_once_make_one_schedule(web: Client, fed: Topic) -> None:
    answers = at_once(lambda: web.post(f"/topics/{fed.pk}/every/", {"every": "day"}).status_code, fed.stream)
    assert answers == [302, 302] and Schedule.objects.count() == 1


def test_a_choice_and_the_keeper_do_not_wait_for_each_other(web: Client, fed: Topic) -> None:
    chosen = partial(web.post, f"/topics/{fed.pk}/every/")
    chosen({"every": "day"})
    with ThreadPoolExecutor(1) as pool, another_session() as keeper:
        keeper.execute("SELECT 1 FROM ingestion_schedule FOR UPDATE")
        answer = pool.submit(in_a_thread, lambda: chosen({"every": "hour"}))
        until(lambda: waiting_for_locks() == 1, 20, "the choice at the schedule")
        keeper.execute("SELECT 1 FROM articles_topic WHERE id = %s FOR UPDATE NOWAIT", [fed.pk])
        keeper.commit()
        assert answer.result(20).status_code == 302
    assert Schedule.objects.get().cron.endswith(" * * * *")


def test_who_loses_the_right_meanwhile_makes_no_schedule(web: Client, fed: Topic, alice: User) -> None:
    with ThreadPoolExecutor(1) as pool:
        with settling(fed.stream):
            answer = pool.submit(in_a_thread, lambda: web.post(f"/topics/{fed.pk}/every/", {"every": "day"}))
            until(lambda: waiting_for_locks() == 1, 20, "the choice")
            members.add(fed, alice, "viewer")
        assert answer.result(20).status_code == 404
    assert not Schedule.objects.exists()


def test_it_is_for_who_may_edit(fed: Topic, bob: User) -> None:
    members.add(fed, bob, "viewer")
    with pytest.raises(Refused) as refused:
        lifecycle.create("auto_collect", {"topic": fed.pk}, owner=bob)
    assert refused.value.code == "permission_denied"
    assert run_inline("auto_collect", bob).items_total == 0  # of their own topics, none
