"""The pill, the details dialog, the status page and the element, in a real browser."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db.models.functions import Now
from django.utils import timezone
from playwright.sync_api import expect

from ingestion import stability
from ingestion.models import Job, JobAttempt, Pause, Process, Sighting
from tests.pages import rows

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "phone": ("light", 390)}
PILL = "button[data-open-details]"


@pytest.fixture(autouse=True)
def keeper(transactional_db: Any) -> Process:
    """A keeper that has just beaten, and what it would have found."""
    cache.clear()
    made = Process.objects.create(name="keeper-1", role="keeper", host="here", pid=1)
    stability.look()
    return made


def busy(owner: Any, name: str, **values: Any) -> Job:
    job = rows.job(owner, "running", title=name, **values)
    Job.objects.filter(pk=job.pk).update(source="imports")
    return job


def full(alice: Any, bob: Any) -> None:
    """Everything that the page can show."""
    busy(alice, "legal_units_with_a_very_long_name_" * 4 + ".csv", progress=0.41)
    task = rows.job(alice, "running", title="Derive units")
    Job.objects.filter(pk=task.pk).update(queue="analytics", source="derive_units")
    rows.job(bob, "running")
    for state in ("completed", "failed", "partial"):
        rows.job(alice, state)
    lost = rows.job(alice, "completed")
    JobAttempt.objects.create(
        job=lost, number=1, worker="default-here-7-ab", outcome="lost", ended_at=Now() - timedelta(hours=2)
    )
    for n, (queue, ago) in enumerate([("default", 1), ("default", 20), ("light", 90)]):
        Process.objects.create(
            name=f"w{n}",
            role="worker",
            host="here",
            pid=n,
            queue=queue,
            beat_at=Now() - timedelta(seconds=ago),
        )
    Pause.objects.create(
        scope="host:sec.gov", reason="It asked us to stop.", until=Now() + timedelta(hours=1)
    )
    Pause.objects.create(scope="queue:light", reason="We look at something.")
    now = timezone.now().replace(second=0, microsecond=0)
    answered = {"keeper": (90, 1300), "web": (150, 1300), "database": (2, 1300), "redis": (2, 400)}
    for part, minutes in answered.items():
        begun = [now - timedelta(minutes=n) for n in range(*minutes)]
        Sighting.objects.bulk_create(Sighting(at=at, component=part, answered=True) for at in begun)
    Sighting.objects.create(at=now - timedelta(minutes=200), component="redis", answered=False)
    stability.look()


@pytest.mark.seed("S4.37", "S4.38", "S4.39", "S4.63", "S4.64")
def test_the_pill_follows_the_answer(page: Any, signed_in: Any, alice: Any) -> None:
    signed_in(alice)
    pill, element = page.locator(PILL), page.locator(f"{PILL} system-stability")
    expect(pill).to_have_text("System Stable")
    expect(element).to_have_attribute("title", "All data processing is complete")
    expect(element).to_have_attribute("data-status", "stable")
    job = rows.job(alice, "running")
    stability.look()
    expect(pill).to_have_text("Processing Data")
    expect(element).to_have_attribute("title", "Data is currently being processed")
    expect(element).to_have_attribute("data-status", "busy")
    Job.objects.filter(pk=job.pk).delete()
    stability.look()
    expect(pill).to_have_text("System Stable")
    assert page.watched.wrong == []


@pytest.mark.seed("S4.29", "S4.32", "S4.33", "S4.34", "S4.40", "S4.63", "S4.72")
def test_what_cannot_be_known_is_shown_as_unknown(
    page: Any, context: Any, signed_in: Any, alice: Any, keeper: Process
) -> None:
    signed_in(alice)
    element = page.locator(f"{PILL} system-stability")
    expect(element).to_have_attribute("data-status", "stable")
    context.set_offline(True)
    expect(element).to_have_attribute("title", "Connection error. Status updates may be unavailable.")
    expect(page.locator(PILL)).to_have_text("Status unknown")
    assert element.evaluate("element => element.stable") is None
    context.set_offline(False)
    expect(page.locator(PILL)).to_have_text("System Stable", timeout=15000)
    assert element.evaluate("element => element.stable") is True
    keeper.delete()
    expect(page.locator(PILL)).to_have_text("Status unknown")
    assert element.evaluate("element => element.stable") is None


@pytest.mark.seed("S4.41", "S4.42", "S4.47", "S4.49", "S4.50", "S4.51", "S4.54", "S4.65", "S4.73")
def test_the_dialog_asks_when_it_is_opened_and_forgets(
    page: Any, signed_in: Any, alice: Any, bob: Any
) -> None:
    """UX 43."""
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.url) if "/status/details/" in request.url else None
    )
    signed_in(alice)
    expect(page.locator(PILL)).to_have_text("System Stable")
    assert asked == []
    page.click(PILL)
    dialog = page.locator("#details")
    expect(dialog.locator("#details-foot")).to_have_text("System Stable: All data processing complete.")
    expect(dialog).to_contain_text("No active import jobs.")
    expect(dialog).to_contain_text("No active analytics tasks.")
    assert [dialog.locator(tag).all_inner_texts() for tag in ("h2", "h3")] == [
        ["System Status Details"],
        ["Import Jobs In Progress", "Analytics Tasks In Progress"],
    ]
    assert dialog.bounding_box()["width"] <= 600
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    for place in ("#details-body", "#details-foot"):
        expect(page.locator(place)).to_have_text("")  # once it has heard that it was closed
        expect(page.locator(f"{place} *")).to_have_count(0)
    assert page.evaluate("document.activeElement.matches('button[data-open-details]')")
    rows.job(bob, "running")
    stability.look()
    page.click(PILL)
    expect(dialog.locator("#details-foot")).to_have_text("System may still be processing background tasks.")
    expect(dialog).to_contain_text("1 other job")
    expect(dialog).not_to_contain_text("Shelves")
    assert len(asked) == 2
    assert page.watched.wrong == []


@pytest.mark.seed("S4.45", "S4.54")
def test_many_jobs_scroll_within_the_dialog_and_long_names_are_cut(
    page: Any, signed_in: Any, alice: Any
) -> None:
    for n in range(20):
        busy(alice, f"{n}_of_legal_units_with_a_very_long_name_" * 4 + ".csv")
    stability.look()
    signed_in(alice)
    page.click(PILL)
    body = page.locator("#details-body")
    expect(body.get_by_role("progressbar")).to_have_count(20)
    shown, whole = body.evaluate("body => [body.clientHeight, body.scrollHeight]")
    assert shown < whole and shown <= 0.6 * page.viewport_size["height"]
    name = body.locator("a.cut").first
    assert name.evaluate("name => name.scrollWidth > name.clientWidth && name.title.length > 100")
    expect(page.locator("#details-foot")).to_be_in_viewport()


@pytest.mark.seed("S4.53", "S4.65")
def test_the_dialog_stays_true_while_jobs_finish(page: Any, signed_in: Any, alice: Any) -> None:
    job = busy(alice, "units.csv", progress=0.41)
    stability.look()
    signed_in(alice)
    page.click(PILL)
    dialog = page.locator("#details")
    expect(dialog.get_by_role("progressbar", name="units.csv")).to_have_attribute("aria-valuenow", "41")
    expect(dialog).to_contain_text("Preparing data")
    Job.objects.filter(pk=job.pk).delete()
    stability.look()
    expect(dialog.locator("#details-foot")).to_have_text(
        "System Stable: All data processing complete.", timeout=20_000
    )
    expect(dialog).to_contain_text("No active import jobs.")


def test_the_dialog_asks_again_where_its_answer_was_old_when_it_came(
    page: Any, signed_in: Any, alice: Any, bob: Any
) -> None:
    """What moved between the answer and the first word of the stream is not missed."""
    job = rows.job(bob, "running")  # which no stream of the dialog tells of
    stability.look()
    signed_in(alice)
    expect(page.locator(PILL)).to_have_text("Processing Data")
    held: list[Any] = []
    page.route("**/status/details/", lambda route: held.append((route, route.fetch())), times=1)
    page.click(PILL)
    _until(lambda: held, page)
    Job.objects.filter(pk=job.pk).delete()
    stability.look()
    expect(page.locator(PILL)).to_have_text("System Stable")
    route, answer = held.pop()
    assert "System may still be processing background tasks." in answer.text()
    route.fulfill(response=answer)
    foot = page.locator("#details-foot")
    expect(foot).to_have_text("System Stable: All data processing complete.", timeout=20_000)
    expect(page.locator("#details-body")).not_to_contain_text("1 other job")


@pytest.mark.seed("S4.43", "S4.44", "S4.52", "S4.65", "S4.74")
def test_the_dialog_says_what_went_wrong_and_tries_again(page: Any, signed_in: Any, alice: Any) -> None:
    """UX 43."""
    signed_in(alice)
    expect(page.locator(PILL)).to_have_text("System Stable")
    waiting: list[Any] = []
    page.route("**/status/details/", lambda route: waiting.append(route))
    page.click(PILL)
    dialog = page.locator("#details")
    expect(dialog).to_contain_text("Loading details...")
    waiting.pop().fulfill(status=500, body="no")
    expect(dialog.get_by_role("alert")).to_contain_text("Failed to load details: HTTP 500")
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    _until(lambda: waiting, page)
    waiting.pop().fulfill(status=200, body="<p>something else</p>", content_type="text/html")
    expect(dialog.get_by_role("alert")).to_contain_text("Could not load status details.")
    page.unroute("**/status/details/")
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog.locator("#details-foot")).to_have_text("System Stable: All data processing complete.")


def _until(condition: Any, page: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        page.wait_for_timeout(20)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ["status", "details", "dialog", "empty"])
def test_the_status_is_accessible(
    name: str,
    look: str,
    page: Any,
    signed_in: Any,
    staff: Any,
    alice: Any,
    bob: Any,
    violations: Any,
    picture: Any,
) -> None:
    """UX 44."""
    scheme, width = LOOKS[look]
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    if name != "empty":
        full(alice, bob)
    signed_in(staff, {"details": "/status/details/", "dialog": "/"}.get(name, "/status/"))
    if name == "dialog":
        expect(page.locator(PILL)).to_have_text("Processing Data")
        page.click(PILL)
        expect(page.locator("#details-foot")).not_to_be_empty()
    picture(page, f"{name}-{look}")
    assert violations(page) == []
    assert page.watched.wrong == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_status_page_is_asked_again(page: Any, signed_in: Any, alice: Any) -> None:
    signed_in(alice, "/status/")
    expect(page.locator("#status")).to_contain_text("No worker is alive.")
    Process.objects.create(name="w", role="worker", host="here", pid=7, queue="default")
    expect(page.locator("#status")).to_contain_text("default 7", timeout=12000)
    expect(page.locator("#status")).to_contain_text("1 of 1 answering")
    assert page.watched.wrong == []


def test_a_banner_stands_while_no_worker_is_alive(page: Any, signed_in: Any, alice: Any) -> None:
    signed_in(alice)
    banner = page.locator("[data-when=no_workers]")
    expect(banner).to_be_visible()
    expect(banner).to_contain_text("No worker is alive. Jobs wait, nothing is lost")
    Process.objects.create(name="w", role="worker", host="here", pid=7, queue="default")
    stability.look()
    expect(banner).to_be_hidden()
    Process.objects.filter(role="worker").delete()
    stability.look()
    expect(banner).to_be_visible()


def test_the_status_page_opens_the_dialog_over_itself(page: Any, signed_in: Any, alice: Any) -> None:
    signed_in(alice, "/status/")
    expect(page.locator(PILL)).to_be_visible()  # the script has begun
    link = page.get_by_role("link", name="What is being processed")
    link.click()
    dialog = page.locator("#details")
    expect(dialog.locator("#details-foot")).to_have_text("System Stable: All data processing complete.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(link).to_be_focused()
    assert page.watched.wrong == []


@pytest.mark.seed("S4.31")
def test_an_answer_that_means_nothing_is_an_error(page: Any, signed_in: Any, alice: Any) -> None:
    signed_in(alice)
    element = page.locator(f"{PILL} system-stability")
    expect(element).to_have_attribute("data-status", "stable")
    shown = element.evaluate(
        "element => { element.show({ data: { state: 'odd' } }); return [element.stable, element.title] }"
    )
    assert json.dumps(shown) == json.dumps([None, "Error processing status update."])
