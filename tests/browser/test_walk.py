"""Pages that links lead to, in a real browser: accessible, within the CSP, without an error, on a phone.

`HEADWAY_FAULTS=full ./run test tests/browser/test_walk.py` looks at every page that a user or an admin comes
to, in each look; else one of each shape of the admin's pages is, as all others have tests of theirs.
"""

import os
import re
from urllib.parse import urlsplit

import pytest

from ingestion.sources.companies.models import Company
from ingestion.sources.imports.models import ImportDefinition
from tests.crawling import Page, kind
from tests.pages.things import make_one_of_each

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FULL = os.environ.get("HEADWAY_FAULTS") == "full"
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
NO_PAGE = re.compile(r"/api/|/signout/|/file/|\.(csv|txt|json|ndjson|xml)\b|/static/")


@pytest.fixture
def things(alice, bob, settings):
    """One of everything that has a page."""
    make_one_of_each(alice, bob, settings)


def shape(path):
    """Return what admin pages of one shape have in common: how their address ends."""
    return re.sub(r"^/admin/(\w+/(\w+/)?)?(\*/)?", lambda one: "/" * one[0].count("/"), kind(path))


def walked(page, site, start):
    """Yield the path of each page that links lead to from a start, while it is open."""
    seen, waiting = {kind(site + start)}, [start]
    while waiting:
        path = waiting.pop(0)
        page.goto(site + path, wait_until="load")
        yield path
        for link in Page(page.url, page.content()).links:
            parts = urlsplit(link.partition("#")[0])
            inside = f"{parts.scheme}://{parts.netloc}" == site and parts.path.startswith(start)
            of_kind = kind(link.partition("#")[0])
            if not FULL:
                of_kind = shape(parts.path)
            if inside and of_kind not in seen and not NO_PAGE.search(parts.path):
                seen.add(of_kind)
                waiting.append(parts.path + (f"?{parts.query}" if parts.query and FULL else ""))


def faults(page, path, violations, turn):
    """Return what is wrong with the open page, in the look whose turn it is; with FULL in each."""
    wrong = []
    for theme, width in LOOKS if FULL else [LOOKS[turn % len(LOOKS)]]:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        wrong += [(path, theme, width, one) for one in violations(page)]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wrong.append((path, theme, width, "scrolls sideways"))
    wrong += [(path, one) for one in page.watched.wrong]
    page.watched.wrong.clear()
    return wrong


@pytest.mark.usefixtures("things")
def test_pages_of_the_admin_with_fields_of_their_own_are_in_order(
    page, signed_in, site, admin_user, violations
):
    signed_in(admin_user, "/admin/")
    definition = ImportDefinition.objects.first().pk
    wrong = []
    for turn, path in enumerate(
        [
            "imports/importdefinition/add/",  # rows to write in, wider than any screen
            f"imports/importdefinition/{definition}/delete/",  # links among text
            f"auth/user/{admin_user.pk}/change/",  # a date and a time
            "ingestion/job/",  # a search that is explained
            f"companies/company/{Company.objects.first().pk}/change/",  # rows to read
        ]
    ):
        page.goto(f"{site}/admin/{path}", wait_until="load")
        wrong += faults(page, path, violations, turn)
    assert wrong == []


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize("start", ["/admin/", *(["/"] if FULL else [])])
def test_every_page_that_a_link_leads_to_is_in_order(
    start, page, signed_in, site, admin_user, alice, violations
):
    signed_in(admin_user if start == "/admin/" else alice, start)
    paths, wrong = [], []
    for turn, path in enumerate(walked(page, site, start)):
        paths.append(path)
        wrong += faults(page, path, violations, turn)
    assert wrong == []
    assert len(paths) > (40 if FULL else 5), paths
