"""A crawl of the whole site with hostile input: as nobody, as a user, as who may do everything."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from tests.crawling import HEADERS, MARK, SITE, attack, holes, kind, walk
from tests.pages.things import make_one_of_each

pytestmark = pytest.mark.django_db


@pytest.fixture
def things(alice: User, bob: User, settings: Any) -> None:
    """One of everything that has a page."""
    make_one_of_each(alice, bob, settings)


def crawl(client: Client, start: str) -> tuple[list[str], list[Any]]:
    """Return a page of each kind that there is, and what is wrong with them."""
    client.raise_request_exception = False  # a fault is a finding beside others, not the end
    urls: list[str] = []
    tried: set[str] = set()
    wrong: list[Any] = []
    for url, answer, page in list(walk(client, SITE + start, start)):
        wrong += [(url, one) for one in holes(answer)]
        if answer.status_code == 200:
            urls.append(url.removeprefix(SITE))
            found = attack(client, url, page, tried)
            wrong += [(what, one) for what, given in found for one in holes(given)]
    return urls, wrong


def closed(answer: Any) -> bool:
    """Say whether an answer gives a stranger nothing."""
    return answer.get("Location", "").startswith("/signin/") or answer.status_code in (401, 403, 404)


def test_a_crawl_as_a_user_finds_nothing(things: None, client: Client, alice: User) -> None:
    client.force_login(alice)
    urls, wrong = crawl(client, "/")
    assert wrong == []
    assert len(urls) > 40, urls
    # Mails lead through the one that is open: it names where one goes, and goes nowhere by itself.
    is_open = [url for url in urls if not closed(Client().get(url))]
    assert [kind(url) for url in is_open] == ["/inbox/leave/?to"]
    assert client.get("/").status_code == 200  # as the user, to the end


def test_a_crawl_of_the_admin_finds_nothing(things: None, admin_client: Client) -> None:
    urls, wrong = crawl(admin_client, "/admin/")
    assert wrong == []
    assert len(urls) > 40, urls
    assert admin_client.get("/admin/").status_code == 200  # as the admin, to the end


def test_a_crawl_as_a_stranger_finds_the_sign_in(things: None, client: Client) -> None:
    urls, wrong = crawl(client, "/")
    assert wrong == []
    assert urls and all(url.startswith("/signin/") for url in urls), urls


def fails(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("no such luck")


urlpatterns = [path("", fails), path("", include("config.urls"))]


@pytest.mark.urls(__name__)
def test_a_crawl_names_a_fault_and_goes_on(client: Client, alice: User) -> None:
    client.force_login(alice)
    urls, wrong = crawl(client, "/")
    assert urls == []
    assert wrong == [(SITE + "/", "status 500: RuntimeError('no such luck')")]


SAFE = {**HEADERS, "Content-Security-Policy": "script-src 'self'"}


@pytest.mark.parametrize(
    ("text", "status", "headers"),
    [
        (MARK, 200, {}),
        ("hw1234321hw", 200, {}),
        ("root:x:0:0", 200, {}),
        ("Traceback (most recent call last)", 200, {}),
        ("", 500, {}),
        ("", 302, {"Location": "https://evil.example/"}),
        ("", 302, {"Location": "//evil.example/"}),
        ("", 302, {"Location": "/\\evil.example/"}),
        ("", 200, {"X-Injected": "hw"}),
        ("", 200, {"X-Content-Type-Options": ""}),
        ("", 200, {"Content-Security-Policy": "default-src 'self'"}),
    ],
)
def test_the_search_for_holes_finds_one(text: str, status: int, headers: dict[str, str]) -> None:
    assert holes(HttpResponse("well", headers=SAFE)) == []
    assert len(holes(HttpResponse(text, status=status, headers=SAFE | headers))) == 1
