"""The search of the top bar: what a person may see, of every kind, in one place.

Each room finds its own and says where the whole list is; here they stand beside each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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


Find = Callable[[Any, str, int], Sequence[Hit]]
Words = Callable[..., Q]  # `having` or `resembling`: (query, *fields)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a room finds.

    label: of many, for people. icon: by its name. find: (user, query, most) -> the best this user may see.
    alike: the same of what looks like the query, for when nothing has its words: misspelt, or another form.
    more: the page that lists all of the kind, with the query as `q`; empty where there is none.
    """

    label: str
    icon: str
    find: Find
    alike: Find | None = None
    more: str = ""


@dataclass(frozen=True)
class Group:
    """What was found of a kind. name: as it is registered. more: where all of it is listed.

    alike: nothing has the words of the query, these only look like it.
    """

    name: str
    kind: Kind
    hits: Sequence[Hit]
    alike: bool
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
    found = [_group(name, kind, user, query) for name, kind in sorted(_kinds.items())]
    return [group for group in found if group.hits]


def _group(name: str, kind: Kind, user: Any, query: str) -> Group:
    hits = kind.find(user, query, MOST)
    if hits or kind.alike is None:
        return Group(name, kind, hits, alike=False, more=_more(kind, query))
    return Group(name, kind, kind.alike(user, query, MOST), alike=True, more="")  # its list knows words alone


def having(query: str, *fields: str) -> Q:
    """Return the condition that each word of a query stands somewhere in these fields."""
    return _each_word(query, "icontains", fields)


def resembling(query: str, *fields: str) -> Q:
    """Return the condition that each word of a query looks like one of these fields, by their trigrams."""
    return _each_word(query, "trigram_word_similar", fields)


def _each_word(query: str, lookup: str, fields: Sequence[str]) -> Q:
    wanted = Q()
    for said in query.split()[:MAX_WORDS]:
        of_word = Q()
        for field in fields:
            of_word |= Q(**{f"{field}__{lookup}": said})
        wanted &= of_word
    return wanted


def _more(kind: Kind, query: str) -> str:
    return f"{reverse(kind.more)}?{urlencode({'q': query})}" if kind.more else ""


def _jobs(words: Words, user: Any, query: str, most: int) -> list[Hit]:
    newest = visible_jobs(user).order_by("-pk").values("pk")[:NEWEST]
    rows = Job.objects.filter(words(query, "title", "subject"), pk__in=newest).order_by("-pk")
    return [Hit(job.get_absolute_url(), job.title, _sub(job)) for job in rows[:most]]


def _sub(job: Job) -> str:
    return f"{job.detail} · {word(display(job))}" if job.detail else word(display(job))


register(
    "jobs",
    Kind(
        label="Jobs",
        icon="jobs",
        find=partial(_jobs, having),
        alike=partial(_jobs, resembling),
        more="ingestion:jobs",
    ),
)
