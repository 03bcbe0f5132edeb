"""A real browser against a real web process on the test's database."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import expect

if TYPE_CHECKING:  # models cannot be imported before the settings are read, see tests/conftest.py
    from tests.engine import Engine
    from tests.proxy import Proxy

# Playwright's sync API keeps an event loop in this thread, and Django would refuse the database beside one.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-features=LocalNetworkAccessChecks",  # a page that a test serves itself has no address
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
]  # fmt: skip
expect.set_options(timeout=20_000)  # two cores may have two tests at a time
LINK_HOST = "news.example.org"  # links in notifications may lead there
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# When the pill and the banner changed, on the page's own clock.
WATCH = """() => {
  window.seen = [];
  const pill = document.getElementById("conn"), banner = document.getElementById("conn-banner");
  const note = () => window.seen.push([performance.now(), pill.dataset.status, pill.textContent.trim(),
                                       !banner.hidden]);
  const all = {attributes: true, childList: true, characterData: true, subtree: true};
  for (const element of [pill, banner]) new MutationObserver(note).observe(element, all);
}"""


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Use the system's Chromium."""
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine")
    return {"executable_path": CHROMIUM, "args": FLAGS}


@pytest.fixture(scope="session")
def site(django_db_setup: Any, django_db_blocker: Any) -> Iterator[str]:
    """Serve the site for the whole run; return its address."""
    from tests.engine import Engine

    engine = Engine()
    with django_db_blocker.unblock():
        _, port = engine.web(HEADWAY_LINK_HOSTS=LINK_HOST)
    yield f"http://127.0.0.1:{port}"
    engine.stop()


@pytest.fixture
def engine() -> "Iterator[Engine]":
    """Workers and keepers of this test."""
    from tests.engine import Engine

    started = Engine()
    yield started
    started.stop()


class Watched:
    """What went wrong in a page while a test looked at it."""

    def __init__(self, page: Any) -> None:
        self.wrong: list[str] = []
        self.outside: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("console", self._said)
        page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def _said(self, message: Any) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            self.wrong.append(f"console: {message.text}")


@pytest.fixture
def signed_in(page: Any, context: Any, site: str, transactional_db: None) -> Callable[..., Any]:
    """Return a function that opens a page as a user, with everything wrong in it noted at `page.watched`."""
    from django.test import Client

    page.watched = Watched(page)

    def open_as(user: Any, path: str = "/") -> Any:
        client = Client()
        client.force_login(user)
        key = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": site}])
        page.goto(site + path)
        return page

    return open_as


@pytest.fixture
def violations() -> Callable[[Any], list[str]]:
    """Return a function that lists what axe finds wrong in a page."""
    axe = Axe()

    def find(page: Any) -> list[str]:
        page.wait_for_load_state()  # a click returns when the next document begins, not when it is whole
        # It would load the style sheets of style sheets and write them into the page, which our CSP forbids.
        found = axe.run(page, options={"runOnly": RULES, "preload": False}).response["violations"]
        return [
            f"{one['id']}: {node['target']} {node['html'][:120]}" for one in found for node in one["nodes"]
        ]

    return find


@pytest.fixture
def picture() -> Callable[[Any, str], None]:
    """Return a function that keeps a picture of a page, where PICTURES names a folder."""

    def keep(page: Any, name: str) -> None:
        if folder := os.environ.get("PICTURES"):
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    return keep


def target(site: str) -> tuple[str, int]:
    parts = urlsplit(site)
    assert parts.hostname and parts.port
    return parts.hostname, parts.port


@pytest.fixture
def line(site: str) -> "Iterator[Proxy]":
    """What lies between the browser and the server."""
    from tests.proxy import Proxy

    proxy = Proxy(target(site))
    yield proxy
    proxy.close()


def sign_in(context: Any, user: Any, address: str) -> None:
    from django.test import Client

    client = Client()
    client.force_login(user)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": f"http://{address}"}])


@pytest.fixture
def through(context: Any, page: Any, alice: Any) -> Callable[..., Any]:
    """Return a function that opens a path through a proxy, signed in as alice, in this or another page."""

    def go(address: str, path: str, where: Any = None) -> Any:
        where = where or page
        if not context.cookies():  # one session for all tabs
            sign_in(context, alice, address)
        where.goto(f"http://{address}{path}")
        where.evaluate("window.same = true")
        where.evaluate(WATCH)
        return where

    return go
