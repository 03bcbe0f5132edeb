"""Analyse articles in bulk: fetch each page, read it, judge it for a topic, keep what is relevant."""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ingestion.admission import invalid
from ingestion.errors import NotPossible
from ingestion.models import Job
from ingestion.run import Run
from ingestion.source import Outcome, SourceError, SourceParams, Step, register
from ingestion.sources.articles import addresses, analysis, keeping, lists, members, reading, topics
from ingestion.sources.articles.fetching import Fetcher
from ingestion.sources.articles.models import LONGEST_URL, Topic
from ingestion.sources.articles.of_topic import OfTopic
from ingestion.sources.articles.sample import standin
from ingestion.sources.articles.service import Judge

MOST_URLS = 10_000
LONGEST_KEY = 300  # of an item
THREADS = 3  # pages that one job fetches at once (S2.90)
BATCH = 5  # articles that are told of together (S2.63, S2.69)
FRESH = timedelta(hours=1)  # how long a page that was read is not fetched again
_CREDENTIALS = re.compile(r":[/\\]+[^/\\?#]*@|^(?!\s*mailto:)[^/\\?#:]*:[^/\\?#]*@", re.IGNORECASE)
RESULT_COLUMNS = {"title": "Title", "relevance": "Relevance", "sentiment": "Tone", "saved": "Kept"}
SAMPLE = {
    "name": "Sample: river ferries",
    "description": "Ferries that cross the river, their timetables and what becomes of them",
    "keywords": ["ferry", "river crossing", "Fähre"],
    "feeds": [standin.FEED],
    "threshold": 0.3,
}


class Params(SourceParams):
    """Which pages, for which topic."""

    topic: int | None = Field(
        None, ge=1, le=2**63 - 1, description="Number of a topic; none: the sample, with pages that we wrote"
    )
    urls: list[str] = Field([], description=f"Addresses of pages, {MOST_URLS:,} at most")
    feed: str = Field("", description="Address of a feed whose entries are read, too")

    @field_validator("urls")
    @classmethod
    def _hold_no_passwords(cls, given: list[str]) -> list[str]:
        """Refuse passwords at once: what is wrong otherwise is told of each address when its turn comes."""
        if len(given) > MOST_URLS:
            raise PydanticCustomError("too_many", f"At most {MOST_URLS:,} addresses.")
        kept: dict[str, None] = {}
        for text in given:
            try:
                kept[addresses.canonical(text)] = None
            except SourceError as error:
                # Also where something else is wrong with it first: what is kept is shown as the item's name.
                if error.code == "url_credentials" or _CREDENTIALS.search(text):
                    raise PydanticCustomError("url_credentials", addresses.NO_CREDENTIALS) from error
                if error.code != "url_empty":
                    kept[text.strip()[: LONGEST_URL + 1]] = None
        return list(kept)

    @field_validator("feed")
    @classmethod
    def _is_an_address(cls, given: str) -> str:
        try:
            return addresses.canonical(given) if given else ""
        except SourceError as error:
            raise PydanticCustomError(error.code, "{text}", {"text": error.message}) from error

    @model_validator(mode="after")
    def _says_what(self) -> "Params":
        if self.topic is None and (self.urls or self.feed):
            raise PydanticCustomError("topic_missing", "Say for which topic.")
        if self.topic is not None and not (self.urls or self.feed):
            raise PydanticCustomError("urls_missing", "Give at least one address.")
        return self


@dataclass(frozen=True)
class Read:
    """A page as it was read, and what it says of the topic."""

    page: reading.Page
    told: analysis.Judgement


@register
class BulkAnalysis(OfTopic):
    """Pages are read and judged for a topic."""

    kind, label, params = "bulk_analysis", "Bulk analysis", Params
    description = "Read pages, judge them for a topic and keep the relevant ones."
    steps: ClassVar[list[Step]] = [Step("articles", "Read and judge articles", 1)]
    item_noun = "articles"
    item_columns = RESULT_COLUMNS
    limit = 3  # at once; the fourth waits for a slot and is told so (S2.87)
    offered = False
    page, page_label, page_icon = "articles:topics", "Topics", "read"
    example: ClassVar[dict[str, Any]] = {}

    def run(self, job: Run, p: Params) -> Outcome:
        """Read and judge each page; what fails is told of that page alone."""
        topic = topic_of(job, p)
        with Fetcher(job) as fetcher, job.step("articles") as step:
            entries = lists.in_feed(job, fetcher, p.feed) if p.feed else []
            urls = list(dict.fromkeys([*p.urls, *entries])) if p.topic else standin.URLS
            fetch = partial(self.look, fetcher, Judge(job), topic, analysis.wanted(topic))
            batches = -(-len(urls) // BATCH)
            before = step.count()
            for n, item in enumerate(
                step.items(urls, key=key_of, label=addresses.label, fetch=fetch, threads=THREADS)
            ):
                step.message(f"Processing batch {min((before + n) // BATCH + 1, batches)}/{batches}")
                with item:
                    topics.lock(topic.pk)
                    kept = self.keep(job, topic, item.fetched)
                    item.result = result_of(kept)
                    item.url = kept.analysis.get_absolute_url()
                    job.changed(topic)
                if isinstance(item.error, SourceError) and item.error.code == "topic_gone":
                    raise item.error  # what is left need not be fetched
        return self.outcome(job, topic)

    def look(self, fetcher: Fetcher, judge: Judge, topic: Topic, wanted: analysis.Wanted, url: str) -> Any:
        """Return what is found out before anything is written. Raises SourceError."""
        return read(fetcher, url, judge, wanted)

    def keep(self, job: Run, topic: Topic, found: Any) -> keeping.Kept:
        """Write down what `look` found."""
        article = keeping.save(found.page)
        return keeping.judged(topic.pk, article, found.told, topic.threshold, job.id)

    def outcome(self, job: Run, topic: Topic) -> Outcome:
        """Say what came of it, counted over all attempts."""
        items = Job.objects.get(pk=job.id).items
        total = items.count()
        done = [one or {} for one in items.filter(state="done").values_list("result", flat=True)]
        saved = sum(bool(one.get("saved")) for one in done)
        data = {
            "topic": topic.pk,
            "processed": total,
            "analysed": len(done),
            "saved": saved,
            "errors": total - len(done),
        }
        return Outcome(text=self.told(len(done), total, saved), url=topic.get_absolute_url(), data=data)

    def told(self, done: int, total: int, saved: int) -> str:
        """Return what came of it in words."""
        return f"{done:,} of {total:,} articles analysed, {saved:,} kept"

    def can_start(self, user: Any, p: Params) -> None:
        """Leave it to editors; a topic that they cannot see is not there. Raises SourceError."""
        members.check_may_edit(user, p.topic)

    def describe(self, p: Params) -> tuple[str, str]:
        """Call the job after its topic. (S2.72)"""
        topic = Topic.objects.filter(pk=p.topic).first() if p.topic else None
        name = topic.name if topic else str(SAMPLE["name"])
        return f"{self.label.title()}: {name}", name

    def topic_for(self, job: Job, p: Params) -> int | None:
        """Return the topic that was named while it is there, else the sample's, made with its first use."""
        topic = Topic.objects.filter(pk=p.topic).first() if p.topic else sample_topic(job.owner)
        return topic.pk if topic is not None else None


def read(fetcher: Fetcher, url: str, judge: Judge, wanted: analysis.Wanted) -> Read:
    """Return the article at an address, fetched unless it was just now, judged. Raises SourceError."""
    judge.check()
    url = addresses.canonical(url)
    known = keeping.fresh(url, FRESH)
    if known is not None:
        page = keeping.as_page(known)
        return Read(page, judge.judge(page, wanted))
    fetched = fetcher.get(url)
    assert fetched is not None  # nothing was named that it could equal
    return Read(*judge.read(fetched, wanted))


def topic_of(job: Run, p: Params) -> Topic:
    """Return the topic of a job. Raises SourceError when it is gone."""
    name = Job.objects.values_list("object", flat=True).get(pk=job.id) or ""
    topic = Topic.objects.filter(pk=p.topic or int(name.partition(":")[2] or 0)).first()
    if topic is None:
        raise SourceError("topic_gone", "The topic was removed.")
    return topic


def sample_topic(user: Any) -> Topic:
    """Return a user's topic of the sample, made with its first use. Raises Refused when there is no room."""
    mine = Topic.objects.filter(created_by=user, name=SAMPLE["name"])
    found = mine.first()
    if found is not None:
        return found
    try:
        return topics.make(user, SAMPLE)
    except NotPossible as error:
        found = mine.first()  # made at the same moment
        if found is None:
            raise invalid("topic", error.message) from error
        return found


def key_of(url: str) -> str:
    """Return what makes an address the same in every attempt."""
    return url if len(url) <= LONGEST_KEY else hashlib.sha256(url.encode()).hexdigest()


def result_of(kept: keeping.Kept) -> dict[str, Any]:
    """Return what is told of an article that was judged."""
    row = kept.analysis
    return {
        "article": row.article_id,
        "url": row.article.url,
        "title": row.article.title[:200],
        "language": row.article.language,
        "relevance": row.relevance,
        "sentiment": row.sentiment,
        "summary": row.summary,
        "model": row.model,
        "saved": kept.kept,
        "new": kept.new,
    }
