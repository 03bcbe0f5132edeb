"""Every bad address at every place that takes one: refused in words, nothing written (URL1 to URL66)."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from config import rates
from ingestion.models import Job
from ingestion.sources.articles.models import Topic
from ingestion.testing import resume_inline
from tests.api.clients import ApiClient, client_of
from tests.articles.test_addresses import BAD
from tests.pages.things import make_one_of_each
from tests.surfaces.standing import STEP, counts

pytestmark = pytest.mark.django_db

# Without the space around them some are other addresses, or none, which many places allow.
ROWS = [row for row in BAD if row[1] and row[1] == row[1].strip()]


@dataclass(frozen=True)
class Answer:
    """What a place said to a bad address."""

    status: int
    text: str


Place = Callable[[str], Answer]


def answered(response: Any) -> Answer:
    return Answer(response.status_code, response.content.decode(errors="replace"))


def sent(client: ApiClient, method: str, path: str, body: Callable[[Any], Any], url: Any) -> Answer:
    kind = "application/json"
    data = json.dumps(body(url)).encode()
    return answered(client.generic(method, path, data, kind, CONTENT_TYPE=kind))


def typed(client: Client, path: str, form: Callable[[Any], dict[str, Any]], url: Any) -> Answer:
    return answered(client.post(path, form(url)))


def commanded(topic: int, urls: list[str]) -> Answer:
    """Return 422 where the command refuses, with what it says."""
    said = io.StringIO()
    try:
        given = [f"urls={url}" for url in urls]
        call_command("ingest", "bulk_analysis", f"topic={topic}", *given, "--user", "alice", stdout=said)
    except CommandError as error:
        return Answer(422, str(error))
    return Answer(201, said.getvalue())


def starting(api: ApiClient, topic: int, given: Callable[[Any], dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield each address of the API that starts a job with what it is given."""
    for name in ("bulk_analysis", "bulk_save"):
        old = f"/api/background-tasks/{name.replace('_', '-')}"
        yield old, partial(sent, api, "POST", old, lambda one: {"topic": topic, **given(one)})

        def body(one: Any, name: str = name) -> dict[str, Any]:
            return {"source": name, "params": {"topic": topic, **given(one)}}

        yield name, partial(sent, api, "POST", "/api/jobs", body)


def taking_one(api: ApiClient, web: Client, topic: int) -> Iterator[tuple[str, Place]]:
    """Yield each place that takes an address of a feed, of a page to look at or of a webhook."""
    yield from starting(api, topic, lambda url: {"feed": url})
    yield (
        "a new topic",
        partial(sent, api, "POST", "/api/topics", lambda url: {"name": "New", "feeds": [url]}),
    )
    yield "a topic", partial(sent, api, "PATCH", f"/api/topics/{topic}", lambda url: {"feeds": [url]})
    link = {"username": "alice", "type": "system", "title": "Look"}
    create = "/api/notifications/create"
    yield "link of a notification", partial(sent, api, "POST", create, lambda url: {**link, "link": url})
    page, ours = f"/topics/{topic}/", {"name": "ours", "threshold": "0.3"}
    yield "form of a new topic", partial(typed, web, "/topics/", lambda url: {**ours, "feeds": url})
    yield "form of a topic", partial(typed, web, f"{page}settings/", lambda url: {**ours, "feeds": url})
    yield "form of a feed", partial(typed, web, f"{page}analyse/", lambda url: {"feed": url})
    yield "webhook", partial(typed, web, reverse("notifications:set_webhook"), lambda url: {"url": url})


def taking_many(
    api: ApiClient, web: Client, topic: int
) -> Iterator[tuple[str, Callable[[list[str]], Answer]]]:
    """Yield each place that takes addresses of pages, which a job then judges one by one."""
    yield from starting(api, topic, lambda urls: {"urls": urls})
    page = f"/topics/{topic}/analyse/"
    yield "form of pages", partial(typed, web, page, lambda urls: {"urls": "\n".join(urls)})
    yield "file of addresses", partial(typed, web, page, lambda urls: {"file": named("\n".join(urls))})
    yield "command", partial(commanded, topic)


def topic_of(alice: User, bob: User, settings: Any) -> int:
    """Make one of everything, so that there is something to be damaged; return alice's topic."""
    make_one_of_each(alice, bob, settings)
    return Topic.objects.get(name="ours").pk


def visitor(alice: User) -> tuple[ApiClient, Client]:
    """Return a program and a browser of alice, who may tell others what she likes."""
    User.objects.filter(pk=alice.pk).update(is_superuser=True, is_staff=True)
    web = Client(raise_request_exception=False)
    web.force_login(alice)
    return client_of(alice, raise_request_exception=False), web


def named(text: str) -> io.BytesIO:
    file = io.BytesIO(text.encode())
    file.name = "addresses.txt"
    return file


def test_no_place_takes_a_bad_address(alice: User, bob: User, settings: Any) -> None:
    wrong = []
    for n, (name, place) in enumerate(taking_one(*visitor(alice), topic_of(alice, bob, settings))):
        before = counts()
        rates.forget()  # all rows of a few places are more than anybody may send in a minute
        for row, url, _code in ROWS[n % STEP :: STEP]:
            status = place(url).status
            if status not in (400, 422):
                wrong.append(f"{row} at {name}: {status}")
        after = counts()
        wrong += [f"{name} wrote {table}" for table in after if after[table] != before[table]]
    assert not wrong, "\n".join(wrong)


def test_a_job_says_of_each_bad_address_what_is_wrong(alice: User, bob: User, settings: Any) -> None:
    wrong = []
    at_once = [row for row in BAD if row[2] == "url_credentials"]
    rest = [row for row in BAD if row not in at_once and row[1].isprintable() and row[1]]
    for name, place in taking_many(*visitor(alice), topic_of(alice, bob, settings)):
        wrong += [f"{row} at {name}" for row, url, _code in at_once if place([url]).status not in (400, 422)]
        answer = place([url for _row, url, _code in rest])
        if answer.status not in (201, 202, 302):
            wrong.append(f"{name}: {answer.status} {answer.text[:200]}")
            continue
        job = resume_inline(Job.objects.latest("created_at"))
        told = dict(job.items.values_list("ordinal", "error_code"))
        wrong += [f"{row[0]} at {name}: {told.get(n)}" for n, row in enumerate(rest) if told.get(n) != row[2]]
    assert not wrong, "\n".join(wrong)
