"""Collect articles: read feeds, look for keywords in what is new, then read and judge that. (S2.18)"""

import hashlib
from collections import Counter
from functools import partial
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Now
from pydantic import Field

from ingestion.models import ItemState, Job, Level
from ingestion.run import Run
from ingestion.source import Outcome, SourceError, SourceParams, Step, register
from ingestion.sources.articles import addresses, analysis, feed_parser, feeds, keeping, lists, members
from ingestion.sources.articles.analysis import Wanted
from ingestion.sources.articles.checking import topics_of
from ingestion.sources.articles.fetching import Fetched, Fetcher
from ingestion.sources.articles.models import LONGEST_URL, MOST_SIGNS, Entry, Feed, Topic
from ingestion.sources.articles.of_topic import OfTopic
from ingestion.sources.articles.service import LIMIT, Judge
from ingestion.sources.articles.source import RESULT_COLUMNS, THREADS, Read, read, result_of
from ingestion.sources.articles.telling import tell_of_feeds, tell_of_new
from ingestion.sources.articles.topics import lock

MOST_NEW = 500  # articles of one job; what is more waits for the next


class Params(SourceParams):
    """Whose feeds."""

    topic: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Number of a topic; none: all that you may edit"
    )


@register
class AutoCollect(OfTopic):
    """Articles come from feeds by themselves."""

    kind, label, params = "auto_collect", "Auto-collect", Params
    description = "Read the feeds of your topics and keep what is new and relevant."
    steps: ClassVar[list[Step]] = [
        Step("feeds", "Read the feeds", 20),
        Step("articles", "Read and judge new articles", 80),
    ]
    item_noun = "feeds and articles"
    item_columns = RESULT_COLUMNS
    offered = False  # a topic's page has its button
    unique = "{topic}"

    def run(self, job: Run, p: Params) -> Outcome:
        """Read the feeds, then what is new in them."""
        rows = topics_of(job.owner, p.topic)
        topics = {one.pk: one for one in rows}
        wanted = {pk: analysis.wanted(one) for pk, one in topics.items()}
        with Fetcher(job) as fetcher:
            self.read_feeds(job, fetcher, wanted)
            self.read_articles(job, fetcher, topics, wanted)
        rows.update(collected_at=Now())
        for one in rows.all():  # one may be gone by now
            job.changed(one)
        new = _new(job)
        tell_of_new(job, topics, new)
        return _outcome(job, topics, sum(new.values()))

    def read_feeds(self, job: Run, fetcher: Fetcher, wanted: dict[int, Wanted]) -> None:
        """Read each feed and write down what is new in it; one that fails is told of alone."""
        values = list(Feed.objects.filter(topic__in=wanted).order_by("pk"))
        with job.step("feeds") as step:
            for item in step.items(values, key=_key, label=str, fetch=partial(read_feed, fetcher)):
                with item:
                    result = save_feed(item.value, wanted[item.value.topic_id], item.fetched)
                    item.result = result
                    if result is None:
                        item.skip("The feed was removed.")
                        continue
                    for text in result["warnings"]:
                        job.log(f"{item.value}: {text}"[:300], Level.WARNING)
        _note_failures(job)

    def read_articles(
        self, job: Run, fetcher: Fetcher, topics: dict[int, Topic], wanted: dict[int, Wanted]
    ) -> None:
        """Read and judge what matched; it is kept as a bulk analysis keeps it."""
        values, judge = _waiting(job, list(wanted)), Judge(job)

        def fetch(entry: Entry) -> Read:
            found = read(fetcher, entry.url, judge, wanted[entry.feed.topic_id])
            found.page.published_at = found.page.published_at or entry.published_at
            return found

        with job.step("articles") as step:
            for item in step.items(values, key=_key, label=_title, fetch=fetch, threads=THREADS):
                with item:
                    topic = topics[item.value.feed.topic_id]
                    lock(topic.pk)
                    article = keeping.save(item.fetched.page)
                    kept = keeping.judged(topic.pk, article, item.fetched.told, topic.threshold, job.id)
                    outcome = Entry.Outcome.MATCHED if kept.kept else Entry.Outcome.UNMATCHED
                    Entry.objects.filter(pk=item.value.pk).update(outcome=outcome, article=article)
                    item.result = {**result_of(kept), "topic": topic.pk}
                    item.url = kept.analysis.get_absolute_url()
                    job.changed(topic)
        failed = _items(job, "articles").filter(state__in=(ItemState.FAILED, ItemState.QUARANTINED))
        failed = failed.exclude(error_code=LIMIT)  # what nobody could judge today is new tomorrow
        numbers = [int(key) for key in failed.values_list("key", flat=True)]
        Entry.objects.filter(pk__in=numbers).update(outcome=Entry.Outcome.FAILED)

    def can_start(self, user: Any, p: Params) -> None:
        """Leave it to editors. Raises SourceError."""
        members.check_may_edit(user, p.topic)

    def describe(self, p: Params) -> tuple[str, str]:
        """Name the topic."""
        name = Topic.objects.filter(pk=p.topic).values_list("name", flat=True).first() if p.topic else None
        return (f"Auto-Collect: {name}", name) if name else ("Auto-Collect", "")


def read_feed(fetcher: Fetcher, feed: Feed) -> tuple[Fetched, feeds.Feed] | None:
    """Return a feed as it is now, or None when it is as it was. Raises SourceError."""
    fetched = fetcher.get(feed.url, kinds=lists.KINDS, etag=feed.etag, modified=feed.last_modified)
    if fetched is None:
        return None
    return fetched, feeds.parse(fetched.content, fetched.url, fetched.charset)


def save_feed(feed: Feed, wanted: Wanted, found: tuple[Fetched, feeds.Feed] | None) -> dict[str, Any] | None:
    """Write down what is new in a feed and which of it matches, and by what its host knows our copy.

    Both in one transaction: what a later answer "as before" leaves out is here. Returns what was found, or
    None when the feed was removed meanwhile.
    """
    Topic.objects.select_for_update().filter(pk=feed.topic_id).first()  # see topics.lock
    if not Feed.objects.select_for_update().filter(pk=feed.pk).exists():
        return None
    good: dict[str, Any] = {"fetched_at": Now(), "failing_since": None, "error": "", "error_code": ""}
    if found is None:
        Feed.objects.filter(pk=feed.pk).update(**good)
        return {"entries": 0, "new": 0, "matched": 0, "warnings": []}
    fetched, read_now = found
    rows = {row.key: row for row in (_row(feed, wanted, one) for one in read_now.entries)}
    there = set(Entry.objects.filter(feed=feed, key__in=rows).values_list("key", flat=True))
    new = [row for key, row in rows.items() if key not in there]
    Entry.objects.bulk_create(new, ignore_conflicts=True)
    Feed.objects.filter(pk=feed.pk).update(
        **good,
        title=read_now.title[:300],
        etag=fetched.etag[:MOST_SIGNS],
        last_modified=fetched.modified[:MOST_SIGNS],
    )
    warnings = [feeds.WARNINGS[code] for code in read_now.warnings]
    for code, many in Counter(one.problem for one in read_now.entries if one.problem).items():
        warnings.append(f"{feeds.PROBLEMS[code]} ({many:,} of {len(read_now.entries):,})")
    return {
        "entries": len(rows),
        "new": len(new),
        "matched": sum(row.outcome == Entry.Outcome.NEW for row in new),
        "warnings": warnings,
    }


def _row(feed: Feed, wanted: Wanted, one: feed_parser.Entry) -> Entry:
    """Return an entry as it is stored. What matches no keyword, and what leads nowhere, is not fetched."""
    url, outcome = "", Entry.Outcome.FAILED
    if one.url:
        try:
            url = addresses.canonical(one.url)
            outcome = Entry.Outcome.NEW
        except SourceError:
            url = ""
    text = f"{one.title}\n{one.text}"
    if url and wanted.keywords and not analysis.find(wanted.keywords, text):
        outcome = Entry.Outcome.UNMATCHED
    return Entry(
        feed=feed,
        key=hashlib.sha256(one.id.encode("utf-8", "replace")).hexdigest(),
        url=url[:LONGEST_URL],
        title=one.title[:500],
        author=one.author[:300],
        published_at=one.published,
        outcome=outcome,
    )


def _waiting(job: Run, topics: list[int]) -> list[Entry]:
    """Return what this job reads: the same entries in each attempt, and in a retry what failed before.

    Of two entries of a topic with one address only the first is read.
    """
    row = Job.objects.get(pk=job.id)
    name = "entries" if row.retry_of_id is None else f"entries of {job.id}"

    def choose() -> list[int]:
        again = Q(outcome=Entry.Outcome.NEW)
        if row.retry_of is not None:
            left = row.retry_of.items.filter(step="articles").exclude(
                state__in=(ItemState.DONE, ItemState.SKIPPED)
            )
            # What another collection has judged since is not judged once more.
            keys = [int(key) for key in left.values_list("key", flat=True)]
            again |= Q(outcome=Entry.Outcome.FAILED, pk__in=keys)
        rows = Entry.objects.filter(again, feed__topic__in=topics).exclude(url="").order_by("-pk")
        seen: dict[tuple[int, str], int] = {}
        for pk, topic, url in rows.values_list("pk", "feed__topic", "url")[: MOST_NEW * 2]:
            seen[topic, url] = pk
        return sorted(seen.values())[-MOST_NEW:]

    numbers = job.once(name, choose)
    return list(Entry.objects.filter(pk__in=numbers).select_related("feed").order_by("pk"))


def _note_failures(job: Run) -> None:
    """Write with each feed that failed since when and why; who owns its topic is told when it begins."""
    failed = _items(job, "feeds").filter(state__in=(ItemState.FAILED, ItemState.QUARANTINED))
    begun = []
    with transaction.atomic():
        for item in failed:
            rows = Feed.objects.filter(pk=int(item.key))
            if rows.filter(failing_since=None).exists():
                begun.append(int(item.key))
            rows.update(
                failing_since=Coalesce("failing_since", Now()),
                error=item.error[:500] or "It could not be read.",
                error_code=item.error_code[:50],
            )
        tell_of_feeds(job, begun)


def _items(job: Run, step: str) -> QuerySet[Any]:
    return Job.objects.get(pk=job.id).items.filter(step=step)


def _new(job: Run) -> dict[int, int]:
    """Return how many articles were kept anew, by topic, over all attempts."""
    found: dict[int, int] = {}
    for one in _items(job, "articles").filter(state=ItemState.DONE).values_list("result", flat=True):
        if one and one.get("saved") and one.get("new"):
            found[one["topic"]] = found.get(one["topic"], 0) + 1
    return found


def _outcome(job: Run, topics: dict[int, Topic], new: int) -> Outcome:
    results = [one or {} for one in _items(job, "feeds").values_list("result", flat=True)]
    seen = sum(one.get("new", 0) for one in results)
    text = f"{new:,} new article{'s' * (new != 1)} kept" if new else "No new articles"
    text += f", of {seen:,} new in {len(results):,} feed{'s' * (len(results) != 1)}"
    url = next(iter(topics.values())).get_absolute_url() if len(topics) == 1 else ""
    return Outcome(text=text, url=url, data={"new": new, "seen": seen}, quiet=not new)


def _key(value: Feed | Entry) -> str:
    return str(value.pk)


def _title(value: Entry) -> str:
    return value.title or value.url
