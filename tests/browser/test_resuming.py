"""What a page is sent, and what it is not: after a cut, over a poor link, and of other people's streams."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from playwright.sync_api import expect

import realtime
from ingestion.models import Job, JobEvent
from tests.faults.movement import moving
from tests.pages import rows
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PROTOCOL = Path(realtime.__file__).parent / "PROTOCOL.md"
LIVE = "#conn[data-status=live]"
MESSAGE = "#job [data-field=message]"
# Every number that the job's message showed, frame by frame of the screen.
PAINTED = """selector => {
  window.painted = [];
  const note = () => {
    const number = Number(document.querySelector(selector)?.textContent.match(/^No\\. (\\d+)$/)?.[1]);
    if (number && number !== window.painted.at(-1)) window.painted.push(number);
    requestAnimationFrame(note);
  };
  note();
}"""


@pytest.fixture
def received(page) -> list[dict[str, Any]]:
    """Every frame that the page's sockets were sent."""
    frames: list[dict[str, Any]] = []

    def keep(text: str | bytes) -> None:
        told = json.loads(text)
        frames.extend(told if isinstance(told, list) else [told])

    page.on("websocket", lambda socket: socket.on("framereceived", keep))
    return frames


def states(frames: list[dict[str, Any]], stream: str) -> list[dict[str, Any]]:
    return [frame for frame in list(frames) if frame["type"] == "state" and frame["stream"] == stream]


def resumed(page: Any, frames: list[dict[str, Any]], job: Job) -> list[dict[str, Any]]:
    """Return the states of the job that were sent, of which we hear after they are painted."""
    return until(lambda: page.wait_for_timeout(20) or states(frames, job.stream), what="the job's state")


def cut_off(page: Any, line: Any, frames: list[dict[str, Any]], job: Job) -> None:
    """Cut the page off once it is current, and let it come back by socket; forget what it was sent so far."""
    page.route("**/api/live*", lambda route: route.abort())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    resumed(page, frames, job)
    line.refuse()
    expect(page.locator(LIVE)).to_be_hidden(timeout=10_000)
    frames.clear()


def test_after_a_cut_a_page_is_sent_what_it_missed_and_nothing_else(page, received, through, line, alice):
    """UX 8."""
    job = rows.job(alice, "running", message="before")
    for n in range(5):
        rows.event(job, f"Known {n}")
    through(line.address, job.get_absolute_url())
    cut_off(page, line, received, job)
    for n in range(3):
        rows.event(job, f"Missed {n}")
    Job.objects.filter(pk=job.pk).update(message="meanwhile")
    line.allow()
    expect(page.locator(MESSAGE).first).to_have_text("meanwhile", timeout=15_000)
    expect(page.locator("#feed li", has_text="Missed 2")).to_be_visible()
    (told,) = resumed(page, received, job)
    assert told["why"] == "behind"
    assert [event["message"] for event in told["events"]] == ["Missed 0", "Missed 1", "Missed 2"]
    for text in [*(f"Known {n}" for n in range(5)), *(f"Missed {n}" for n in range(3))]:
        expect(page.locator("#feed li", has_text=text)).to_have_count(1)
    assert page.evaluate("window.same") is True


def test_who_missed_too_much_is_told_the_present_and_the_last_fifty(page, received, through, line, alice):
    """UX 8: a cursor that is too old."""
    job = rows.job(alice, "running", message="before")
    rows.event(job, "Known")
    through(line.address, job.get_absolute_url())
    cut_off(page, line, received, job)
    JobEvent.objects.bulk_create(
        JobEvent(job=job, version=job.version + n, kind="log", level="info", message=f"Missed {n}")
        for n in range(1, 502)
    )
    Job.objects.filter(pk=job.pk).update(message="at last", version=F("version") + 501)
    line.allow()
    expect(page.locator(MESSAGE).first).to_have_text("at last", timeout=15_000)
    expect(page.locator("#feed li").last).to_contain_text("Missed 501")
    (told,) = resumed(page, received, job)
    assert told["why"] == "too_old"
    assert [event["message"] for event in told["events"]] == [f"Missed {n}" for n in range(452, 502)]
    assert page.evaluate("window.same") is True


# What a listener is told, as PROTOCOL.md says.
FOLLOWED = re.findall(r"calls the listener with\s+`\{([^}]*)\}`", PROTOCOL.read_text())[0]
FOLLOW = """streams => new Promise(async (done) => {
  const live = await import(document.querySelector('script[type="module"][src*="/realtime/live."]').src);
  const heard = {};
  for (const stream of streams) live.follow(stream, (told) => {
    heard[stream] = told;
    if (Object.keys(heard).length === streams.length) done(heard);
  });
})"""


def test_a_page_hears_nothing_of_other_peoples_streams_and_stays_connected(
    page, received, signed_in, alice, bob
):
    """UX 9: theirs are as absent as those that never were."""
    theirs = rows.job(bob, "running", message="secret")
    rows.note(bob, "Secret")
    names = [theirs.stream, f"user:{bob.pk}", "job:00000000-0000-4000-8000-000000000000", "user:999999999"]
    signed_in(alice)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    heard = page.evaluate(FOLLOW, names)
    assert {name: (told.get("gone"), told.get("data")) for name, told in heard.items()} == dict.fromkeys(
        names, (True, None)
    )
    frames = [frame for frame in received if frame.get("stream") in names]
    assert {frame["stream"] for frame in frames} == set(names)
    assert {(frame["type"], frame["code"], *sorted(frame)) for frame in frames} == {
        ("gone", "not_found", *sorted(frames[0]))
    }
    (own,) = page.evaluate(FOLLOW, [f"user:{alice.pk}"]).values()
    assert {*own, "gone"} - {"waiting"} == set(FOLLOWED.split(", "))
    own = rows.note(alice, "Her own")
    expect(page.locator(".toast", has_text=own.title)).to_be_visible()
    expect(page.locator(LIVE)).to_be_visible()
    assert "ecret" not in json.dumps(received)


def test_who_is_signed_out_is_told_so_and_nothing_else(page, received, site):
    """UX 9: 4401."""
    page.goto(f"{site}/signin/")
    code = page.evaluate(
        """() => new Promise((done) => {
             const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws/live/`);
             socket.onopen = () => socket.send(JSON.stringify({type: "hello", streams: ["broadcast"]}));
             socket.onclose = (event) => done(event.code);
           })"""
    )
    assert code == 4401
    assert received == []


def test_over_a_slow_link_that_breaks_a_page_never_goes_back_and_ends_right(page, through, line, alice):
    """X32: 300 ms each way, 64 kbit/s, cut again and again."""
    job = rows.job(alice, "running", message="No. 0", items_total=1_000_000)
    through(line.address, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.evaluate(PAINTED, MESSAGE)
    line.latency, line.rate = 0.3, 8_000
    with moving(job, pause=0.2):
        for _ in range(3):
            seen = len(page.evaluate("window.painted"))
            until(
                lambda seen=seen: (
                    page.wait_for_timeout(50) or len(page.evaluate("window.painted")) > seen + 3
                ),
                40,
                "figures to move",
            )
            line.cut()
    final = Job.objects.get(pk=job.pk).message
    expect(page.locator(MESSAGE).first).to_have_text(final, timeout=40_000)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    expect(page.locator("#conn-banner")).to_be_hidden()
    painted = page.evaluate("window.painted")
    assert painted == sorted(painted) and f"No. {painted[-1]}" == final
    assert page.evaluate("window.same") is True
