"""The search of the top bar: of every kind what its reader may see, and nothing of anybody else's."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ingestion import search
from ingestion.sources.articles import topics
from ingestion.sources.articles.models import Analysis, Article, Topic
from ingestion.sources.companies.models import Company, FormerName, Ticker
from ingestion.sources.documents import workspaces
from ingestion.sources.documents.models import Document
from ingestion.sources.imports.models import Unit
from ingestion.sources.lifelogs.models import Account, DataItem, Day
from tests.pages import rows

pytestmark = pytest.mark.django_db
PAGE = "/search/"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def kept(topic: Topic, number: int, title: str, *, is_kept: bool = True) -> Analysis:
    """Put an article into a topic."""
    article = Article.objects.create(
        url=f"https://news.example/{number}", title=title, text=title, characters=5, text_hash=str(number)
    )
    at = timezone.now() if is_kept else None
    return Analysis.objects.create(topic=topic, article=article, relevance=0.5, model="test", kept_at=at)


@pytest.fixture
def things(alice: User) -> Topic:
    """One of every kind that otters occur in, alice's where it can be somebody's."""
    rows.job(alice, "completed", subject="otters")
    Company.objects.create(cik=7, name="Otters Holdings")
    Unit.objects.create(tax_ident="912345678", name="Otters Bakery")
    topic: Topic = topics.make(alice, {"name": "About otters", "description": "", "keywords": []})
    kept(topic, 1, "Otters hold hands")
    kept(topic, 2, "Otters of no interest", is_kept=False)
    shelf = workspaces.make(alice, "Shelf", "")
    Document.objects.create(workspace=shelf, name="otters.txt", size=1, type="text/plain", sha256="0" * 64)
    account = Account.objects.create(
        owner=alice, service="limitless", label="Pendant", zone="UTC", sealed_key="x"
    )
    day = Day.objects.create(account=account, date=AT.date())
    DataItem.objects.create(
        account=account, day=day, key="limitless:1", title="A walk", markdown="we saw otters", contents=[],
        started_at=AT, ended_at=AT + timedelta(minutes=1), digest="", day_version=1, first_version=1,
    )  # fmt: skip
    return topic


def found(user: User, query: str) -> dict[str, list[str]]:
    """Return the titles that are found, by kind."""
    return {group.kind.label: [hit.title for hit in group.hits] for group in search.search(user, query)}


def test_of_every_kind_what_the_reader_may_see(things: Topic, alice: User, bob: User) -> None:
    everybodys = {"Companies": ["CIK7 Otters Holdings"]}
    assert found(bob, "otters") == everybodys
    assert found(alice, "otters") == everybodys | {
        "Articles": ["Otters hold hands"],
        "Days": ["A walk"],
        "Documents": ["otters.txt"],
        "Jobs": ["Shelves"],
        "Topics": ["About otters"],
    }
    assert found(bob, "912345678") == {"Units of the register": ["Otters Bakery"]}


def test_every_hit_leads_to_a_page_that_shows_it(things: Topic, alice: User, client: Client) -> None:
    client.force_login(alice)
    page = client.get(PAGE, {"q": "otters"}).content.decode()
    links = re.findall(r'<li class="row start">.*?<a href="([^"]+)"', page)
    assert len(links) == 6
    for link in links:
        answer = client.get(link.replace("&amp;", "&"))
        assert answer.status_code == 200 and "otters" in answer.content.decode().lower(), link
    for link in re.findall(r'class="btn sm" href="([^"]+\?q=otters)"', page):
        assert client.get(link).status_code == 200, link


def test_programs_find_the_same(things: Topic, alice: User, client: Client) -> None:
    assert client.get("/api/search?q=otters").status_code == 401
    client.force_login(alice)
    told = client.get("/api/search", {"q": " otters "}).json()
    assert told["query"] == "otters"
    assert {one["label"]: [hit["title"] for hit in one["hits"]] for one in told["groups"]} == found(
        alice, "otters"
    )
    jobs = next(one for one in told["groups"] if one["kind"] == "jobs")
    assert jobs["more"] == "/jobs/?q=otters" and client.get(jobs["hits"][0]["url"]).status_code == 200
    assert client.get("/api/search").json() == {"query": "", "groups": []}
    assert client.get("/api/search", {"q": "x" * 201}).status_code == 400


def test_words_may_stand_anywhere_and_all_are_meant(things: Topic, alice: User) -> None:
    assert found(alice, "hands otters") == {"Articles": ["Otters hold hands"]}
    assert found(alice, "otters gold") == {}


@pytest.mark.parametrize("query", ["oters", "Otter", "ottters"])
def test_what_nothing_is_called_finds_what_looks_like_it(
    things: Topic, alice: User, bob: User, client: Client, query: str
) -> None:
    everybodys = {"Companies": ["CIK7 Otters Holdings"]}
    assert found(bob, query) == everybodys
    topics.make(alice, {"name": "Ducks", "description": "", "keywords": []})
    rows.job(alice, "completed", subject="ducks")
    looks_like = found(alice, query)
    assert looks_like["Companies"] == everybodys["Companies"]
    assert (looks_like["Jobs"], looks_like["Topics"]) == (["Shelves"], ["About otters"])
    assert (looks_like["Documents"], looks_like["Articles"]) == (["otters.txt"], ["Otters hold hands"])

    client.force_login(alice)
    told = {one["kind"]: one for one in client.get("/api/search", {"q": query}).json()["groups"]}
    listed = {"jobs", "companies", "topics"} & {kind for kind, one in told.items() if one["alike"]}
    assert listed == (set() if query == "Otter" else {"jobs", "companies", "topics"})
    assert all(one["more"] is None for one in told.values() if one["alike"])
    said = client.get(PAGE, {"q": query}).content.decode().count("Not these words")
    assert said == sum(one["alike"] for one in told.values())


def test_a_company_of_the_list_and_a_former_name_are_found_by_their_look(things: Topic, alice: User) -> None:
    Ticker.objects.create(symbol="LHF", cik=8, name="Lantern Hill Ferries, Inc.")
    known = Company.objects.create(cik=9, name="ABC")
    FormerName.objects.create(company=known, name="Ferrys of old")
    assert found(alice, "ferry") == {"Companies": ["CIK9 ABC"]}
    known.delete()
    assert (
        found(alice, "ferry")
        == found(alice, "lanterns ferry")
        == {"Companies": ["LHF Lantern Hill Ferries, Inc."]}
    )


@pytest.mark.parametrize("query", ["", "  ", "%", "_", "\0", "'", '"', "\\", "a" * 5000, "&!:*", "😀"])
def test_odd_queries_find_nothing_and_break_nothing(
    things: Topic, alice: User, client: Client, query: str
) -> None:
    client.force_login(alice)
    page = client.get(PAGE, {"q": query})
    assert page.status_code == 200
    assert ("Find anything" if not query.strip(" \0") else "Nothing found") in page.content.decode()


def test_its_questions_do_not_grow_with_what_is_found(things: Topic, alice: User, client: Client) -> None:
    client.force_login(alice)
    client.get(PAGE, {"q": "otters"})
    with CaptureQueriesContext(connection) as few:
        client.get(PAGE, {"q": "otters"})
    for number in range(3, 20):
        kept(things, number, f"Otters {number}")
        rows.job(alice, "completed", subject="otters")
        Company.objects.create(cik=number * 10, name=f"Otters {number}")
    with CaptureQueriesContext(connection) as many:
        page = client.get(PAGE, {"q": "otters"}).content.decode()
    assert page.count('<li class="row start">') == 3 * search.MOST + 3
    assert len(many) == len(few)


def test_strangers_are_asked_to_sign_in(client: Client) -> None:
    assert client.get(PAGE, {"q": "x"}).status_code == 302
