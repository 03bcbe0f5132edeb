"""Check keywords: look again in which articles of a topic each of its keywords stands. (S2.19)

After keywords were changed, or the rule by which they are found. Articles are not fetched or judged anew.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

from django.db.models import QuerySet
from django.db.models.functions import Now
from pydantic import Field

from ingestion.models import Job
from ingestion.run import Run
from ingestion.source import Outcome, SourceParams, Step, register
from ingestion.sources.articles import analysis, members
from ingestion.sources.articles.models import Analysis, Keyword, Match, Role, Topic
from ingestion.sources.articles.of_topic import OfTopic


class Params(SourceParams):
    """Whose articles."""

    topic: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Number of a topic; none: all that you may edit"
    )


class Looked(NamedTuple):
    """An article of a topic that is looked through."""

    analysis: int
    topic: int
    title: str


@register
class KeywordCheck(OfTopic):
    """Matches follow the keywords of their topic."""

    kind, label, params = "keyword_check", "Keyword check", Params
    description = "Look for the keywords of your topics in the articles that are there."
    steps: ClassVar[list[Step]] = [Step("articles", "Articles", 1)]
    item_noun = "articles"
    offered = False  # a topic's page has its button
    unique = "{topic}"

    def run(self, job: Run, p: Params) -> Outcome:
        """Go through the articles; what is found replaces what was found before."""
        rows = topics_of(job.owner, p.topic)
        words = _keywords(rows)
        with job.step("articles") as step:
            values = [Looked(*one) for one in _articles(rows)]
            for item in step.items(values, key=_key, label=_title, fetch=partial(found_in, words), threads=2):
                with item:
                    Topic.objects.select_for_update().filter(pk=item.value.topic).first()  # see topics.lock
                    new = replace(item.value.analysis, item.fetched)
                    if new is None:
                        item.skip("It is no longer in the topic.")
                    else:
                        item.result = {"matches": len(item.fetched), "new": new}
        rows.update(checked_at=Now())
        Keyword.objects.filter(pk__in=[pk for one in words.values() for pk, _ in one]).update(
            checked_at=Now()
        )
        for topic in rows:
            job.changed(topic)
        return self.outcome(job, rows[0] if p.topic and rows else None)

    def outcome(self, job: Run, topic: Topic | None) -> Outcome:
        """Say what was found, counted over all attempts."""
        results = Job.objects.get(pk=job.id).items.values_list("result", flat=True)
        new = sum((one or {}).get("new", 0) for one in results)
        found = f"{new:,} new match{'es' * (new != 1)}" if new else "No new matches"
        articles = f"{len(results):,} article{'s' * (len(results) != 1)}"
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


def replace(pk: int, found: Mapping[int, int]) -> int | None:
    """Make these the matches of an article in a topic; return how many are new, None when it is gone.

    found: how often, by keyword.
    """
    if not Analysis.objects.select_for_update().filter(pk=pk).exists():
        return None
    before = set(Match.objects.filter(analysis=pk).values_list("keyword", flat=True))
    there = set(Keyword.objects.filter(pk__in=found).values_list("pk", flat=True))  # some may be removed
    Match.objects.filter(analysis=pk).exclude(keyword__in=there).delete()
    Match.objects.bulk_create(
        [Match(analysis_id=pk, keyword_id=one, count=found[one]) for one in sorted(there)],
        update_conflicts=True,
        update_fields=["count"],
        unique_fields=["analysis", "keyword"],
    )
    return len(there - before)


def found_in(words: Mapping[int, tuple[tuple[int, str], ...]], one: Looked) -> dict[int, int]:
    """Return how often each keyword of the topic stands in an article, by its number."""
    row = Analysis.objects.filter(pk=one.analysis).values_list("article__title", "article__text").first()
    return analysis.find(words.get(one.topic, ()), "\n".join(row)) if row else {}


def _keywords(rows: QuerySet[Topic]) -> dict[int, tuple[tuple[int, str], ...]]:
    return {topic.pk: analysis.wanted(topic).keywords for topic in rows}


def _articles(rows: QuerySet[Topic]) -> QuerySet[Analysis, tuple[int, int, str]]:
    return Analysis.objects.filter(topic__in=rows).order_by("pk").values_list("pk", "topic", "article__title")


def _key(one: Looked) -> str:
    return str(one.analysis)


def _title(one: Looked) -> str:
    return one.title
