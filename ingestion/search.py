"""The search of the top bar: what a person may see, of every kind, in one place.

Each room finds its own and says where the whole list is; here they stand beside each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.urls import reverse

from config import texts
from ingestion.access import visible_jobs
from ingestion.models import Job
from ingestion.serializers import display
from ingestion.words import word

MAX_QUERY = 200  # characters
MAX_WORDS = 6
MOST = 6  # of a kind
NEWEST = 5000  # of what has no index of its words: so many are looked at, the newest first


@dataclass(frozen=True)
class Hit:
    """One thing that was found. url: its page. sub: a line that tells it from its like."""

    url: str
    title: str
    sub: str = ""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a room finds.

    label: of many, for people. icon: by its name. find: (user, query, most) -> the best this user may see.
    more: the page that lists all of the kind, with the query as `q`; empty where there is none.
    """

    label: str
    icon: str
    find: Callable[[Any, str, int], Sequence[Hit]]
    more: str = ""


@dataclass(frozen=True)
class Group:
    """What was found of a kind. name: as it is registered. more: where all of it is listed."""

    name: str
    kind: Kind
    hits: Sequence[Hit]
    more: str


_kinds: dict[str, Kind] = {}


def register(name: str, kind: Kind) -> None:
    """Let a kind of thing be found. Called from `AppConfig.ready`."""
    _kinds[name] = kind


def plain(query: str) -> str:
    """Return a query with one space between its words, cut to MAX_QUERY."""
    return " ".join(texts.plain(query, len(query)).split())[:MAX_QUERY].rstrip()


def search(user: Any, query: str) -> list[Group]:
    """Return what was found, kind by kind; a kind of which there is nothing is left out.

    query: as `plain` gives it.
    """
    if not query:
        return []
    found = [(name, kind, kind.find(user, query, MOST)) for name, kind in sorted(_kinds.items())]
    return [Group(name, kind, hits, _more(kind, query)) for name, kind, hits in found if hits]


def having(query: str, *fields: str) -> Q:
    """Return the condition that each word of a query stands somewhere in these fields."""
    wanted = Q()
    for said in query.split()[:MAX_WORDS]:
        of_word = Q()
        for field in fields:
            of_word |= Q(**{f"{field}__icontains": said})
        wanted &= of_word
    return wanted


def _more(kind: Kind, query: str) -> str:
    return f"{reverse(kind.more)}?{urlencode({'q': query})}" if kind.more else ""


def _jobs(user: Any, query: str, most: int) -> list[Hit]:
    newest = visible_jobs(user).order_by("-pk").values("pk")[:NEWEST]
    rows = Job.objects.filter(having(query, "title", "subject"), pk__in=newest).order_by("-pk")
    return [Hit(job.get_absolute_url(), job.title, _sub(job)) for job in rows[:most]]


def _sub(job: Job) -> str:
    return f"{job.detail} · {word(display(job))}" if job.detail else word(display(job))


register("jobs", Kind(label="Jobs", icon="jobs", find=_jobs, more="ingestion:jobs"))
