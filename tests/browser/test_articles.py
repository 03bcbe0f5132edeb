"""Addresses pasted, watched, left alone and come back to; and topics that are nobody else's."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from ingestion import lifecycle
from ingestion.models import Job, State
from ingestion.sources.articles import topics
from ingestion.sources.articles.models import Article, Topic
from ingestion.testing import run_inline
from tests.articles.web import Site, article
from tests.browser.conftest import sign_in
from tests.browser.test_looks import LOOKS
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LIVE = "#conn[data-status=live]"
PAGES, BEFORE = 50, 10


class Held(Site):
    """A site that gives its first pages at once, and the others when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        super().__init__()

    def hold(self, path: str, body: str) -> str:
        """Put a page that waits; return its address."""
        url = self.put(path, body)
        status, headers, content = self.pages[path]  # type: ignore[misc]

        def later(handler: Any) -> None:
            self.go.wait(120)
            handler.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(content)

        self.pages[path] = later
        return url


@pytest.fixture
def news() -> Iterator[Held]:
    one = Held()
    yield one
    one.go.set()
    one.stop()


def report(n: int) -> str:
    text = f"Ferry number {n} crosses the river again, and the passengers of the morning are glad of it."
    return article(f"Ferry report {n}", text, f"It carries {n + 10} cars at a time, every day of the week.")


@pytest.mark.seed("S2.16")
def test_fifty_addresses_are_pasted_watched_left_and_their_results_opened(
    page, signed_in, site, alice, engine, news, violations, picture
):
    engine.keeper()
    # A page that takes its time is the point here: the host's turns are not.
    engine.worker(HEADWAY_FETCH_ALLOW="127.0.0.1", HEADWAY_ARTICLES_PER_SECOND="100")
    topic = topics.make(alice, {"name": "Ferries", "keywords": ["ferry"], "threshold": 0.2})
    urls = [news.put(f"/{n}", report(n)) for n in range(BEFORE)]
    urls += [news.hold(f"/{n}", report(n)) for n in range(BEFORE, PAGES)]
    page.emulate_media(reduced_motion="reduce")
    signed_in(alice, topic.get_absolute_url())
    page.get_by_role("link", name="Analyse articles").click()
    page.locator("[name=urls]").fill("\n".join(urls))
    page.get_by_role("button", name="Analyse", exact=True).click()
    page.wait_for_url("**/jobs/*/")
    job = Job.objects.get()
    expect(page.locator(LIVE)).to_be_visible(timeout=20_000)
    shown = page.locator("[data-field='items.processed']").first
    expect(shown).to_have_text(str(BEFORE), timeout=60_000)
    expect(page.locator("h1")).to_contain_text("Bulk Analysis: Ferries")
    assert violations(page) == []
    picture(page, "bulk-job-running")

    # Whoever leaves finds it in the inbox; the topic's page knew of it all the time.
    page.goto(site + topic.get_absolute_url())
    expect(page.locator("#topic")).to_contain_text("Bulk Analysis: Ferries")
    expect(page.locator("#topic [data-field='items.processed']")).to_have_text(str(BEFORE))
    page.goto("about:blank")
    news.go.set()
    until(lambda: Job.objects.get().state == State.COMPLETED, 120, "the end of the job")
    assert (job.items.count(), Article.objects.count()) == (PAGES, PAGES)
    signed_in(alice, "/inbox/")
    row = page.locator("main li, main tr", has_text="Bulk Analysis: Ferries").first
    expect(row).to_contain_text("50 of 50 articles analysed")
    assert violations(page) == []
    picture(page, "bulk-inbox")
    row.get_by_role("link").first.click()
    page.get_by_role("link", name="See the result").click()
    results = page.get_by_role("region", name="Articles, table").locator("tbody tr")
    expect(results).to_have_count(25)
    page.get_by_role("link", name="Next").click()
    expect(results).to_have_count(25)
    results.get_by_role("link", name="Ferry report 0", exact=True).click()
    expect(page.get_by_role("heading", name="Ferry report 0", exact=True)).to_be_visible()
    expect(page.locator("main")).to_contain_text("It carries 10 cars at a time")
    assert page.watched.wrong == []


def test_two_users_see_only_their_own(page, browser, signed_in, site, alice, bob):
    job = run_inline("bulk_analysis", alice)
    theirs = topics.make(bob, {"name": "Otters", "keywords": ["otter"]})
    topic = Topic.objects.get(created_by=alice)
    signed_in(alice, "/topics/")
    table = page.get_by_role("region", name="Topics, table").locator("tbody tr")
    expect(table).to_have_count(1)
    expect(table).to_contain_text(topic.name)
    context = browser.new_context()
    sign_in(context, bob, site.removeprefix("http://"))
    other = context.new_page()
    other.goto(f"{site}/topics/")
    rows = other.get_by_role("region", name="Topics, table").locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(theirs.name)
    own = Article.objects.earliest("pk")
    base = topic.get_absolute_url()
    inside = [base + rest for rest in ("", "analyse/", "settings/", f"articles/{own.pk}/")]
    for path in (*inside, job.get_absolute_url()):
        answer = other.goto(site + path)
        assert answer is not None and answer.status == 404, path
        assert topic.name not in other.content() and own.title not in other.content()
    other.goto(f"{site}/inbox/")
    expect(other.locator("main")).not_to_contain_text(topic.name)
    context.close()


@pytest.mark.parametrize("look", LOOKS)
def test_pages_of_topics_are_accessible_in_all_looks(look, page, signed_in, alice, violations, picture):
    """UX 44, 45, 48."""
    run_inline("bulk_analysis", alice)
    topic = Topic.objects.get(created_by=alice)
    own = Article.objects.earliest("pk")
    base = topic.get_absolute_url()
    page.set_viewport_size({"width": LOOKS[look]["width"], "height": 900})
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"], reduced_motion="reduce")
    for name, path in {
        "topics": "/topics/",
        "topic": base,
        "analyse": f"{base}analyse/",
        "article": f"{base}articles/{own.pk}/",
        "settings": f"{base}settings/",
    }.items():
        signed_in(alice, path)
        picture(page, f"articles-{name}-{look}")
        assert violations(page) == [], name
        for width in (LOOKS[look]["width"], 320):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        page.set_viewport_size({"width": LOOKS[look]["width"], "height": 900})
    assert page.watched.wrong == []


@pytest.mark.seed("S2.92")
def test_the_socket_of_a_task_is_tried_from_the_console_of_a_browser(page, signed_in, alice):
    topic = topics.make(alice, {"name": "Ferries"})
    params = {"topic": topic.pk, "urls": ["https://news.example.com/a"]}
    job = lifecycle.create("bulk_analysis", params, owner=alice).job
    signed_in(alice, topic.get_absolute_url())
    told = page.evaluate(
        """path => new Promise((done, failed) => {
            const socket = new WebSocket(`ws://${location.host}${path}`)
            socket.onmessage = message => { done(message.data); socket.close() }
            socket.onclose = closed => failed(new Error(`closed: ${closed.code}`))
        })""",
        f"/ws/bulk-process/{job.pk}",
    )
    said = json.loads(told)
    assert (said["type"], said["job_id"], said["status"]) == ("job_update", str(job.pk), "progress")
