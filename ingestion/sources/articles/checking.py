"""Check keywords: look again in which articles of a topic each of its keywords stands. (S2.19)

After keywords were changed, or the rule by which they are found. Articles are not fetched or judged anew.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

from django.db.models import Count, F, QuerySet
from django.db.models.functions import Now
from pydantic import Field

from ingestion.models import Job
from ingestion.run import Run
from ingestion.settings import MAX_ITEMS
from ingestion.source import Outcome, SourceParams, Step, register
from ingestion.sources.articles import analysis, members
from ingestion.sources.articles.models import Analysis, Keyword, Match, Role, Topic
from ingestion.sources.articles.of_topic import OfTopic

Keywords = tuple[tuple[int, str], ...]  # of a topic: (pk, folded)


class Params(SourceParams):
    """Whose articles."""

    topic: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Number of a topic; none: all that you may edit"
    )


class Looked(NamedTuple):
    """Judgements that are looked through together, of the numbers from the first; see `width_for`."""

    first: int
    title: str


class Found(NamedTuple):
    """What stands in an article of a topic: how often, by keyword."""

    analysis: int
    topic: int
    counts: dict[int, int]


@register
class KeywordCheck(OfTopic):
    """Matches follow the keywords of their topic."""

    kind, label, params = "keyword_check", "Keyword check", Params
    description = "Look for the keywords of your topics in the articles that are there."
    steps: ClassVar[list[Step]] = [Step("articles", "Articles", 1)]
    item_noun = "articles"
    item_columns: ClassVar[dict[str, str]] = {"matches": "Matches", "new": "New"}
    offered = False  # a topic's page has its button
    unique = "{topic}"

    def run(self, job: Run, p: Params) -> Outcome:
        """Go through the articles; what is found replaces what was found before."""
        rows = topics_of(job.owner, p.topic)
        words = _keywords(rows)
        with job.step("articles") as step:
            width = job.once("width", lambda: width_for(rows))
            values, fetch = _looked(rows, width), partial(found_in, words, width)
            for item in step.items(values, key=_key, label=_title, fetch=fetch, threads=2):
                with item:
                    item.result = written(item.fetched, words)
                    if item.result is None:
                        item.skip("It is no longer in the topic.")
        rows.update(checked_at=Now())
        Keyword.objects.filter(pk__in=[pk for one in words.values() for pk, _ in one]).update(
            checked_at=Now()
        )
        for topic in rows:
            job.changed(topic)
        return self.outcome(job, rows[0] if p.topic and rows else None)

    def outcome(self, job: Run, topic: Topic | None) -> Outcome:
        """Say what was found, counted over all attempts."""
        results = [one or {} for one in Job.objects.get(pk=job.id).items.values_list("result", flat=True)]
        new = sum(one.get("new", 0) for one in results)
        found = f"{new:,} new match{'es' * (new != 1)}" if new else "No new matches"
        many = sum(one.get("articles", 1) for one in results)
        articles = f"{many:,} article{'s' * (many != 1)}"
        url = topic.get_absolute_url() if topic is not None else ""
        return Outcome(text=f"{found} in {articles}", url=url, data={"new": new}, quiet=not new)

    def describe(self, p: Params) -> tuple[str, str]:
        """Name the topic."""
        name = Topic.objects.filter(pk=p.topic).values_list("name", flat=True).first() if p.topic else None
        return (f"Keyword Check: {name}", name) if name else ("Keyword Check", "")

    def can_start(self, user: Any, p: Params) -> None:
        """Leave it to who may edit. Raises SourceError."""
        members.check_may_edit(user, p.topic)


def topics_of(user: Any, topic: int | None) -> QuerySet[Topic]:
    """Return the topics a job is for: the one that was named, or those its owner may edit."""
    if topic is not None:
        return Topic.objects.filter(pk=topic)
    edits = (Role.EDITOR, Role.OWNER)
    return Topic.objects.filter(memberships__user=user, memberships__role__in=edits).order_by("pk")


def written(found: list[Found], words: Mapping[int, Keywords]) -> dict[str, Any] | None:
    """Write down what stands in these articles; return what came of it, None when none is there any more."""
    ids = {one.topic for one in found}
    list(Topic.objects.select_for_update().filter(pk__in=ids).order_by("pk"))  # first: see topics.lock
    counts = [replace(one, words[one.topic]) for one in found]
    new = [one for one in counts if one is not None]
    if not new:
        return None
    matches = sum(len(one.counts) for one in found)
    return {"matches": matches, "new": sum(new), "saved": any(new), "articles": len(new)}


def replace(found: Found, looked: Keywords) -> int | None:
    """Make these the matches of an article in a topic; return how many are new, None when it is gone.

    looked: the keywords that were looked for. Matches of one that came meanwhile stay.
    """
    if not Analysis.objects.select_for_update().filter(pk=found.analysis).exists():
        return None
    matches = Match.objects.filter(analysis=found.analysis)
    before = set(matches.values_list("keyword", flat=True))
    there = set(
        Keyword.objects.filter(pk__in=found.counts).values_list("pk", flat=True)
    )  # some may be removed
    matches.filter(keyword__in=[pk for pk, _ in looked]).exclude(keyword__in=there).delete()
    Match.objects.bulk_create(
        [Match(analysis_id=found.analysis, keyword_id=one, count=found.counts[one]) for one in sorted(there)],
        update_conflicts=True,
        update_fields=["count"],
        unique_fields=["analysis", "keyword"],
    )
    return len(there - before)


def found_in(words: Mapping[int, Keywords], width: int, one: Looked) -> list[Found]:
    """Return how often the keywords of its topic stand in each of these articles."""
    rows = Analysis.objects.filter(topic__in=words, pk__gte=one.first, pk__lt=one.first + width).order_by(
        "pk"
    )
    found = []
    for pk, topic, *texts in rows.values_list("pk", "topic", "article__title", "article__text"):
        found.append(Found(pk, topic, analysis.find(words[topic], "\n".join(texts))))
    return found


def width_for(rows: QuerySet[Topic]) -> int:
    """Return how many numbers of judgements make one item: one, unless that were too many items for a job.

    Half of what a job may have: more may come before its last attempt.
    """
    width, judged = 1, Analysis.objects.filter(topic__in=rows)
    while (
        judged.annotate(part=F("pk") / width).aggregate(n=Count("part", distinct=True))["n"] > MAX_ITEMS / 2
    ):
        width *= 2
    return width


def _keywords(rows: QuerySet[Topic]) -> dict[int, Keywords]:
    return {topic.pk: analysis.wanted(topic).keywords for topic in rows}


def _looked(rows: QuerySet[Topic], width: int) -> Iterator[Looked]:
    judged = Analysis.objects.filter(topic__in=rows)
    if width == 1:
        for pk, title in judged.order_by("pk").values_list("pk", "article__title"):
            yield Looked(pk, title)
        return
    parts = judged.annotate(part=F("pk") / width).values("part").annotate(n=Count("pk")).order_by("part")
    for part, many in parts.values_list("part", "n"):
        yield Looked(part * width, f"{many:,} article{'s' * (many != 1)}")


def _key(one: Looked) -> str:
    return str(one.first)


def _title(one: Looked) -> str:
    return one.title
