"""What the page of a topic shows: its articles, its keywords, and the jobs about it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Exists, OuterRef, Q

from ingestion import job_items
from ingestion.models import FINAL, Job
from ingestion.sources.articles import members, plans
from ingestion.sources.articles.models import Analysis, Role, Topic
from ingestion.sources.articles.service import LIMIT
from ingestion.sources.articles.trend import trend
from notifications.models import Follow

PAGE = 25
JOBS = 5
FILTERS = ("below",)
FAILED_JOBS = 20  # the newest that failed in part are told of
FAILED_ITEMS = 20_000  # whose causes are counted at once; those of one job at least


def context(topic: Topic, user: Any, given: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page shows to a member. given: the query string."""
    chosen = given.get("s", "") if given.get("s", "") in FILTERS else ""
    before = given.get("before", "")
    before = before if before.isascii() and before.isdigit() and len(before) < 19 else ""
    rows = topic.analyses.select_related("article").filter(kept_at__isnull=bool(chosen)).order_by("-pk")
    if before:
        rows = rows.filter(pk__lt=int(before))
    page = list(rows.defer("article__text")[: PAGE + 1])
    role = members.role_of(user, topic.pk)
    jobs = Job.objects.filter(object=topic.stream).order_by("-pk")
    counts = topic.analyses.aggregate(kept=Count("pk", filter=Q(kept_at__isnull=False)), all=Count("pk"))
    return {
        "topic": topic,
        "role": role,
        "edits": members.may_edit(role),
        "owns": role == Role.OWNER,
        "members": topic.memberships.count(),
        "counts": {**counts, "below": counts["all"] - counts["kept"]},
        "chosen": chosen,
        "asked": urlencode({k: v for k, v in (("s", chosen), ("before", before)) if v}),
        "rows": page[:PAGE],
        "models": sorted({row.model for row in page[:PAGE]}),
        "following": page[PAGE - 1].pk if len(page) > PAGE else None,
        "keywords": topic.keywords.annotate(
            hits=Count("matches", filter=Q(matches__analysis__kept_at__isnull=False))
        ).order_by("-hits", "pk"),
        "trend": trend(topic),
        "every": (every := plans.of(topic, user)),
        "choices": plans.choices(every),
        "follows": Follow.objects.filter(user=user, about=topic.stream).exists(),
        "feeds": topic.feeds.order_by("pk"),
        "causes": job_items.causes(failed, but=_ASKED_AGAIN) if (failed := failed_jobs(topic)) else [],
        "open_jobs": list(jobs.exclude(state__in=FINAL)[:JOBS]),
        "ended_jobs": list(jobs.filter(state__in=FINAL)[:JOBS]),
    }


# What a collection could not have judged is new to the next one.
_ASKED_AGAIN = Q(job__source="auto_collect", error_code=LIMIT)


def failed_jobs(topic: Topic) -> list[Job]:
    """Return the topic's ended jobs of which something failed, the newest first; not what was tried again.

    A retry takes over how all items of its parent ended, so it tells of what is left. Of very many failures
    the newest are looked at: the page is drawn anew with each move of the topic.
    """
    rows = Job.objects.filter(object=topic.stream, state__in=FINAL, items_failed__gt=0)
    tried = Exists(Job.objects.filter(retry_of=OuterRef("pk")))
    found: list[Job] = []
    items = 0
    for job in rows.filter(~tried).order_by("-pk")[:FAILED_JOBS]:
        items += job.items_failed
        if found and items > FAILED_ITEMS:
            break
        found.append(job)
    return found


def article(analysis: Analysis) -> dict[str, Any]:
    """Return what the page of an article shows."""
    one = analysis.article
    paragraphs = [text for text in one.text.split("\n") if text.strip()]
    if paragraphs[1:] and paragraphs[0].strip() == one.title:
        del paragraphs[0]  # it is the page's heading already
    return {
        "topic": analysis.topic,
        "analysis": analysis,
        "article": one,
        "paragraphs": paragraphs,
        "terms": one.terms.order_by("ordinal").values_list("text", flat=True),
        "matches": analysis.matches.select_related("keyword").order_by("-count", "pk"),
    }
