"""The custom elements, in a page that knows nothing of Headway's own looks and markup."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from playwright.sync_api import expect

import realtime
from config.staticfiles import lean
from ingestion import lifecycle, stability
from ingestion.models import Job, Process
from realtime import publish
from tests.pages import rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = """<!doctype html><html lang="en"><head><title>Somebody's page</title>
<meta name="csrf" content="{csrf}">{live}
<script type="module" src="/static/realtime/elements.js"></script></head>
<body><main><h1>Somebody's page</h1>{body}</main></body></html>"""
LIVE = '<script type="module" src="/static/realtime/live.js"></script>'


def change(job: Job, **values: Any) -> None:
    with transaction.atomic():
        Job.objects.filter(pk=job.pk).update(version=F("version") + 1, **values)
        version = Job.objects.values_list("version", flat=True).get(pk=job.pk)
    publish.publish(job.stream, version)


@pytest.fixture
def somewhere(page, signed_in, alice, site):
    """Return a function that opens a page of the site with this body, under the site's own CSP."""

    def show(body: str, live: str = LIVE) -> Any:
        signed_in(alice, "/")
        page.wait_for_load_state("load")
        csrf = page.locator("meta[name=csrf]").get_attribute("content")
        policy = page.request.get(site + "/").headers["content-security-policy"]
        page.route(
            "**/somewhere/",
            lambda route: route.fulfill(
                body=PAGE.format(csrf=csrf, live=live, body=body),
                headers={"content-type": "text/html", "content-security-policy": policy},
            ),
        )
        page.goto("about:blank")
        sockets: list[Any] = []
        page.on("websocket", lambda socket: sockets.append(socket))
        page.goto(site + "/somewhere/")
        page.sockets = sockets
        return page

    return show


@pytest.fixture
def as_collected(page):
    """Let the page load our scripts as production serves them."""
    for path in (Path(realtime.__file__).parent / "static/realtime").glob("*.js"):
        page.route(
            f"**/static/realtime/{path.name}",
            lambda route, _, path=path: route.fulfill(
                body=lean(path.read_text()), content_type="text/javascript"
            ),
        )


@pytest.mark.parametrize("live", ["", LIVE], ids=["alone", "beside live.js"])
def test_a_job_is_followed_to_its_end(somewhere, as_collected, page, alice, violations, live):
    job = rows.job(alice, "running", title="Ingest", subject="MSFT", progress=0.25)
    rows.items(job, {"done": 10, "pending": 30})
    somewhere(f'<job-progress job="{job.pk}"></job-progress>', live)
    element = page.locator("job-progress")
    bar = element.get_by_role("progressbar", name="Ingest MSFT")
    expect(bar).to_have_attribute("aria-valuenow", "25", timeout=10_000)
    expect(bar).to_have_attribute("aria-valuetext", "Running, 25%, 10 of 40")
    said = element.get_by_role("status")
    expect(said).to_have_text("")  # it stood there when the page was opened
    change(job, progress=0.996, items_done=39, items_failed=1)
    expect(bar).to_have_attribute("aria-valuenow", "99")  # 100 only when it is
    expect(element).to_contain_text("40 of 40, 1 failed")
    expect(said).to_have_text(re.compile("99%"))
    assert violations(page) == []
    change(job, state="cancelled", finished_at=F("started_at"), lease_token=None, lease_until=None)
    expect(said).to_have_text(re.compile("^Cancelled"))
    assert len(page.sockets) == 1
    assert page.watched.wrong == []


def test_without_a_total_there_is_no_share(somewhere, page, alice):
    """UX 15."""
    job = rows.job(alice, "running", title="Ingest", progress=0)
    somewhere(f'<job-progress job="{job.pk}" label="My job"></job-progress>')
    bar = page.get_by_role("progressbar", name="My job")
    expect(bar).to_have_attribute("aria-valuetext", "Running", timeout=10_000)
    assert bar.get_attribute("aria-valuenow") is None


def test_what_may_not_be_seen_is_not_shown(somewhere, page, bob, alice):
    job = rows.job(bob, "running", title="Secret")
    mine = rows.job(alice, "running", title="Mine")
    somewhere(f'<job-progress job="{job.pk}"></job-progress><job-progress job="{mine.pk}"></job-progress>')
    expect(page.get_by_role("progressbar", name="Mine")).to_be_visible(timeout=10_000)
    expect(page.locator("job-progress").first).to_be_hidden()


@pytest.mark.seed("S1.59", "S1.68", "S3.35")
def test_an_element_can_be_moved_changed_and_removed(somewhere, page, alice):
    one, two = rows.job(alice, "running", title="One"), rows.job(alice, "running", title="Two")
    somewhere(f'<job-progress job="{one.pk}"></job-progress>')
    expect(page.get_by_role("progressbar", name="One")).to_be_visible(timeout=10_000)
    page.evaluate("document.querySelector('job-progress').removeAttribute('job')")
    page.evaluate(f"document.querySelector('job-progress').setAttribute('job', '{two.pk}')")
    expect(page.get_by_role("progressbar", name="Two")).to_be_visible()
    sent: list[str] = []
    page.sockets[0].on("framesent", lambda text: sent.append(str(text)))
    page.evaluate("document.querySelector('job-progress').remove()")
    page.wait_for_timeout(300)
    assert any("unsubscribe" in text and str(two.pk) in text for text in sent)


def test_a_count_is_shown_said_and_put_into_the_title(somewhere, page, alice, violations):
    """UX 12."""
    user = f'user="{alice.pk}"'
    somewhere(
        f'<unread-count {user} field="jobs.active" label="open jobs" titled></unread-count>'
        f"<unread-count {user}></unread-count>"
    )
    count, unread = page.locator("unread-count").first, page.locator("unread-count").last
    expect(count).to_be_hidden()
    job = lifecycle.create("shelves", {}, owner=alice).job
    expect(count).to_be_visible(timeout=10_000)
    expect(count).to_contain_text("1 open jobs")
    assert page.title() == "(1) Somebody's page"
    expect(unread).to_be_hidden()
    rows.note(alice, "News")
    expect(unread).to_contain_text("1 unread", timeout=10_000)
    assert violations(page) == []
    lifecycle.cancel(job, alice)
    expect(count).to_be_hidden()
    assert page.title() == "Somebody's page"


# Shown before anything came: what is placed is looked at in the same turn.
PLACED = """async () => {
    await customElements.whenDefined("system-stability");
    const element = document.createElement("system-stability");
    document.querySelector("main").append(element);
    const { textContent } = element.shadowRoot;
    const dot = getComputedStyle(element.shadowRoot.querySelector(".dot"));
    return [textContent, element.stable, element.dataset.status, dot.animationName];
}"""


@pytest.mark.seed("S4.29", "S4.30", "S4.34", "S4.36")
def test_stability_is_loading_until_it_is_told_and_unwatched_once_it_is_gone(somewhere, page):
    Process.objects.create(name="keeper-1", role="keeper", host="here", pid=1)
    stability.look()
    page.emulate_media(reduced_motion="no-preference")
    somewhere("")
    assert page.evaluate(PLACED) == ["Loading...", None, "loading", "dot"]
    expect(page.locator("system-stability")).to_have_text("System Stable")
    (socket,) = page.sockets
    with socket.expect_event("framesent", lambda text: '"unsubscribe"' in text and '"system"' in text):
        page.evaluate("document.querySelector('system-stability').remove()")


@pytest.mark.seed("S4.29", "S4.35", "S4.37", "S4.38")
def test_stability_is_shown_in_any_page(somewhere, page, alice, violations):
    Process.objects.create(name="keeper-1", role="keeper", host="here", pid=1)
    stability.look()
    somewhere("<system-stability></system-stability>", "")
    element = page.locator("system-stability")
    expect(element).to_have_text("System Stable")
    rows.job(alice, "running")
    stability.look()
    expect(element).to_have_text("Processing Data")
    assert element.evaluate("element => element.stable") is False
    assert len(page.sockets) == 1
    page.evaluate("document.querySelector('system-stability').remove()")
    assert violations(page) == []
