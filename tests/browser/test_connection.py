"""Pages whose connection breaks, with real processes: what they say, and that they are right afterwards."""

import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from playwright.sync_api import expect

from ingestion import lifecycle
from ingestion.models import Job
from realtime import publish
from tests.browser.conftest import sign_in, target
from tests.browser.test_wire import hide
from tests.engine import ended
from tests.pages import rows
from tests.proxy import Proxy
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LIVE = "#conn[data-status=live]"
SLOW = 4  # times promised are hang guards here; what they are is measured in the page itself

CUT = "() => { window.cutAt = performance.now() }"


class Upgrades(Proxy):
    """A proxy that knows no WebSocket: it resets the request for one, or lets it wait for ever."""

    blocked = True
    hangs = False

    def _look(self, data: bytes) -> bytes:
        if self.blocked and b"upgrade: websocket" in data.lower():
            if self.hangs:
                return b""
            raise ConnectionResetError
        return super()._look(data)


@pytest.fixture
def no_upgrades(site: str) -> Iterator[Upgrades]:
    proxy = Upgrades(target(site))
    yield proxy
    proxy.close()


@pytest.fixture
def works(engine):
    engine.keeper()
    engine.worker()
    return engine


def say(job: Job, message: str, **values: Any) -> float:
    """Change a job as its worker would; return when that was committed, in seconds."""
    with transaction.atomic():
        Job.objects.filter(pk=job.pk).update(message=message, version=F("version") + 1, **values)
        version = Job.objects.values_list("version", flat=True).get(pk=job.pk)
    committed = time.time()
    publish.publish(job.stream, version)
    return committed


def message_of(page: Any) -> Any:
    return page.locator("#job [data-field=message]").first


def seen(page: Any) -> list[Any]:
    return [[at - page.evaluate("window.cutAt"), *rest] for at, *rest in page.evaluate("window.seen")]


def test_a_change_is_seen_within_a_second_of_its_commit(page, through, line, alice):
    """UX 1: 95 of 100 on one machine."""
    job = rows.job(alice, "running", message="before")
    through(line.address, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.evaluate(
        """() => {
          window.painted = {};
          new MutationObserver(() => {
            const text = document.querySelector("#job [data-field=message]").textContent;
            window.painted[text] ??= Date.now() / 1000;
          }).observe(document.body, {childList: true, characterData: true, subtree: true});
        }"""
    )
    late = []
    for number in range(20):
        committed = say(job, f"change {number}")
        expect(message_of(page)).to_have_text(f"change {number}", timeout=10_000)
        late.append(page.evaluate(f"window.painted['change {number}']") - committed)
    assert sorted(late)[18] < 1, late


def test_a_cut_connection_is_said_and_the_old_figures_stay(page, through, line, alice):
    """UX 4: pill within 1.5 s, banner within 4 s; a button; then right again without a reload."""
    job = rows.job(alice, "running", message="before the cut", progress=0.3)
    through(line.address, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    page.evaluate(CUT)
    line.refuse()
    expect(page.locator("#conn-banner")).to_be_visible(timeout=4_000 * SLOW)
    expect(page.locator("#conn .spinner")).to_be_visible()
    expect(page.locator(".top [data-conn-retry]")).to_be_visible()
    times = seen(page)
    pill = next(at for at, status, *_ in times if status == "reconnecting")
    banner = next(at for at, *_, shown in times if shown)
    assert pill < 1_500 and banner < 4_000, times
    assert re.fullmatch(r"Reconnecting, \d+ s", page.locator("#conn").inner_text().strip())
    assert message_of(page).inner_text() == "before the cut"
    say(job, "while it was away")
    line.allow()
    page.locator("#conn-banner [data-conn-retry]").click()
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    expect(message_of(page)).to_have_text("while it was away", timeout=2_000 * SLOW)
    expect(page.locator("#conn-banner")).to_be_hidden()
    assert page.evaluate("window.same") is True


@pytest.mark.parametrize("hangs", [False, True], ids=["refused", "never answered"])
@pytest.mark.seed("S1.73", "S1.94", "S1.100")
def test_without_websockets_the_page_polls_and_says_so(page, through, no_upgrades, alice, works, hangs):
    """UX 6: within 15 s, and the job still reaches 100 %; the socket is used again when it gets through."""
    no_upgrades.hangs = hangs
    job = lifecycle.create("shelves", {"n": 30, "wait": 0.5}, owner=alice).job
    page.clock.install()
    through(no_upgrades.address, job.get_absolute_url())
    page.evaluate(CUT)
    expect(page.locator("#conn[data-status=polling]")).to_be_visible(timeout=15_000 * SLOW)
    expect(page.locator("#conn")).to_have_text("Every 5 s")
    expect(page.locator("#conn-banner")).to_be_hidden()
    asked = next(at for at, status, *_ in seen(page) if status == "polling")
    assert asked < 15_000
    expect(page.locator(".badge.lg")).to_have_text("Complete", timeout=90_000)
    expect(page.locator("#items .chip[data-status=complete]")).to_have_count(30, timeout=10_000)
    # the fragment with the chips may be newer than the state that the page holds
    expect(page).to_have_title(re.compile("✓"), timeout=2_000 * SLOW)
    no_upgrades.blocked = False
    for _ in range(3):  # a try that was under way is not answered any more
        page.clock.fast_forward(61_000)
        page.wait_for_timeout(1500)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    assert page.evaluate("window.same") is True


@pytest.mark.seed("S1.74")
def test_a_poll_says_within_two_seconds_what_changed(page, through, no_upgrades, alice):
    job = rows.job(alice, "running", message="before")
    through(no_upgrades.address, job.get_absolute_url())
    expect(page.locator("#conn[data-status=polling]")).to_be_visible(timeout=15_000)
    for number in range(3):
        say(job, f"change {number}")
        expect(message_of(page)).to_have_text(f"change {number}", timeout=2_000 * SLOW)


def test_a_socket_that_only_looks_open_is_replaced_when_the_page_is_shown(page, through, line, alice):
    """UX 7: within 3 s of being shown."""
    job = rows.job(alice, "running", message="before")
    through(line.address, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    hide(page, True)
    line.deafen()
    say(job, "meanwhile")
    page.evaluate(CUT)
    page.evaluate("() => { window.right = 0 }")
    hide(page, False)
    expect(message_of(page)).to_have_text("meanwhile", timeout=3_000 * SLOW)
    expect(page.locator(LIVE)).to_be_visible()


def test_after_the_computer_slept_the_page_is_right_again(page, through, line, alice):
    """The socket says OPEN, nobody is at its other end, and no event tells the page that it slept."""
    job = rows.job(alice, "running", message="before")
    page.clock.install()
    through(line.address, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    line.deafen()
    say(job, "while it slept")
    page.clock.fast_forward(15_000)  # too short for a missing beat to be noticed
    expect(message_of(page)).to_have_text("while it slept", timeout=5_000 * SLOW)
    expect(page.locator(LIVE)).to_be_visible()


def test_a_page_that_rested_is_right_within_two_seconds_of_being_shown(page, through, line, alice):
    job = rows.job(alice, "running", message="before")
    page.clock.install()
    through(line.address, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    hide(page, True)
    page.clock.fast_forward(301_000)
    say(job, "while it rested")
    page.wait_for_timeout(1500)  # longer than the position check: nothing may arrive
    assert message_of(page).inner_text() == "before"
    hide(page, False)
    expect(message_of(page)).to_have_text("while it rested", timeout=2_000 * SLOW)


def test_signing_out_in_another_tab_is_said_and_ends_the_tries(page, context, through, line, alice):
    job = rows.job(alice, "running", message="before")
    path = job.get_absolute_url()
    through(line.address, path)
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    other = through(line.address, "/", context.new_page())
    sockets = []
    page.on("websocket", lambda socket: sockets.append(socket))
    other.click("[popovertarget=account]")
    other.click("#account button[type=submit]")
    expect(page.locator("#conn[data-status=signed-out]")).to_be_visible(timeout=1_000 * SLOW)
    expect(page.locator("#conn-banner")).to_contain_text("You were signed out. Sign in to continue.")
    assert (
        page.locator("[data-conn-signin]").get_attribute("href").endswith(f"?next={path.replace('/', '%2F')}")
    )
    expect(page.locator("[data-conn-retry]").first).to_be_hidden()
    page.wait_for_timeout(1500)
    assert sockets == []


def test_signing_out_ends_polls_as_well(page, context, through, no_upgrades, alice):
    through(no_upgrades.address, rows.job(alice, "running").get_absolute_url())
    expect(page.locator("#conn[data-status=polling]")).to_be_visible(timeout=15_000)
    other = through(no_upgrades.address, "/", context.new_page())
    other.click("[popovertarget=account]")
    other.click("#account button[type=submit]")
    expect(page.locator("#conn[data-status=signed-out]")).to_be_visible(timeout=7_000)


def test_a_tab_whose_connection_is_dead_shows_the_count_of_another(page, context, through, line, alice):
    """UX 10: within 2 s, whatever its own connection does."""
    rows.job(alice, "running")
    through(line.address, "/")
    cut_off = context.new_page()
    deaf = []
    counted = []

    def carry(ws: Any) -> None:
        server = ws.connect_to_server()

        def pass_on(message: str) -> None:
            if not deaf:
                ws.send(message)
                counted.extend(["user:"] if '"state"' in message and '"user:' in message else [])

        server.on_message(pass_on)

    cut_off.route_web_socket("**/ws/live/", carry)
    through(line.address, "/", cut_off)
    count = "#nav [data-field='jobs.active']"
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    until(lambda: page.wait_for_timeout(20) or counted, what="the counts of the tab to be cut off")
    deaf.append(True)
    expect(page.locator(count)).to_have_text("1")
    job = lifecycle.create("shelves", {}, owner=alice).job
    expect(page.locator(count)).to_have_text("2", timeout=5_000)
    expect(cut_off.locator(count)).to_have_text("2", timeout=2_000 * SLOW)
    lifecycle.cancel(job, alice)
    expect(cut_off.locator(count)).to_have_text("1", timeout=2_000 * SLOW)


@pytest.mark.parametrize("sockets", [True, False], ids=["sockets", "polls"])
def test_seven_tabs_at_once_all_reach_the_end(page, context, through, no_upgrades, alice, works, sockets):
    no_upgrades.blocked = not sockets
    job = lifecycle.create("shelves", {"n": 20, "wait": 0.5}, owner=alice).job
    waiting: set[Any] = set()
    most = [0]

    def asked(request: Any) -> None:
        if "/api/live" in request.url and "wait=" in request.url:
            waiting.add(request)
            most[0] = max(most[0], len(waiting))

    context.on("request", asked)
    for event in ("requestfinished", "requestfailed"):
        context.on(event, lambda request: waiting.discard(request))
    pages = [page, *(context.new_page() for _ in range(6))]
    for one in pages:
        through(no_upgrades.address, job.get_absolute_url(), one)
    status = "live" if sockets else "polling"
    for one in pages:
        expect(one.locator("#conn")).to_have_attribute("data-status", status, timeout=20_000)
    for one in pages:
        expect(one.locator(".badge.lg")).to_have_text("Complete", timeout=90_000)
        expect(one.locator("#items .chip[data-status=complete]")).to_have_count(20, timeout=10_000)
        assert one.evaluate("window.same") is True
    # A browser opens six connections to a server: waiting for news must leave some for reading.
    assert most[0] == 0 if sockets else 1 <= most[0] <= 3


def test_a_server_that_stops_and_one_that_is_killed_lose_nothing(
    page, context, through, engine, works, alice
):
    """UX 5: away for 20 s while 30 items finish; afterwards the page shows all, without a reload."""
    server, port = engine.web()
    address = f"127.0.0.1:{port}"
    job = lifecycle.create("shelves", {"n": 40, "wait": 0.5}, owner=alice).job
    through(address, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    chips = page.locator("#items .chip[data-status=complete]")
    expect(chips.first).to_be_visible(timeout=30_000)
    # It only stands still: the socket says OPEN, and a page that is shown does not believe it.
    os.kill(server.pid, signal.SIGSTOP)
    hide(page, True)
    hide(page, False)
    expect(page.locator("#conn[data-status=reconnecting]")).to_be_visible(timeout=5_000 * SLOW)
    os.kill(server.pid, signal.SIGCONT)
    expect(page.locator(LIVE)).to_be_visible(timeout=40_000)

    engine.kill(server)
    killed = time.monotonic()
    before = Job.objects.get(pk=job.pk).items_done
    shown = chips.count()
    expect(page.locator("#conn-banner")).to_be_visible(timeout=20_000)
    until(
        lambda: Job.objects.get(pk=job.pk).items_done >= min(40, before + 30),
        120,
        "30 items without a server",
    )
    until(lambda: time.monotonic() - killed >= 20, 21, "20 s without a server")
    assert chips.count() >= shown  # the old figures stay
    engine.web(port=port)
    expect(page.locator(LIVE)).to_be_visible(timeout=45_000)
    assert ended(job).items_done == 40
    expect(chips).to_have_count(40, timeout=20_000)
    expect(page.locator(".badge.lg")).to_have_text("Complete")
    assert page.evaluate("window.same") is True


def test_the_first_paint_without_script_says_what_the_live_page_says(browser, page, through, line, alice):
    """UX 11."""
    job = rows.job(alice, "running", message="Reading box 17", progress=0.667, rate=3.1, eta_seconds=170)
    rows.items(job, {"done": 1200, "failed": 3, "pending": 600})
    fields = """() => [...document.querySelectorAll("#job [data-field]")].map((element) =>
      [element.dataset.field, element.textContent, element.getAttribute("aria-valuenow"),
       parseFloat(element.getAttribute("width") ?? "0").toFixed(0), element.closest("[hidden]") !== null])"""
    plain = browser.new_context(java_script_enabled=False)
    try:
        sign_in(plain, alice, line.address)
        unscripted = plain.new_page()
        unscripted.goto(f"http://{line.address}{job.get_absolute_url()}")
        first = {
            element.get_attribute("data-field"): element.text_content()
            for element in unscripted.locator("#job [data-field]").all()
        }
    finally:
        plain.close()
    through(line.address, job.get_absolute_url())
    expect(page.locator(LIVE)).to_be_visible(timeout=10_000)
    say(job, "Reading box 18")
    expect(message_of(page)).to_have_text("Reading box 18")
    live = {field: text for field, text, *_ in page.evaluate(fields)}
    assert len(first) >= 5 and live | {"message": "Reading box 17"} == first


LOOKS = {
    "light": {"color_scheme": "light", "width": 1280},
    "dark": {"color_scheme": "dark", "width": 1280},
    "phone": {"color_scheme": "light", "width": 390},
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.seed("S1.62")
def test_every_state_of_the_connection_is_legible(
    page, context, through, no_upgrades, alice, look, violations, picture
):
    """UX 3.1, 44: in both themes and on a phone, without an accessibility fault."""
    page.set_viewport_size({"width": LOOKS[look]["width"], "height": 520})
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"], reduced_motion="reduce")
    no_upgrades.blocked = False
    job = rows.job(alice, "running", message="Reading box 17", progress=0.4)

    def looks(status: str) -> None:
        expect(page.locator(f"#conn[data-status={status}]")).to_be_visible(timeout=20_000)
        if status in ("reconnecting", "offline", "signed-out"):
            expect(page.locator("#conn-banner")).to_be_visible(timeout=20_000)
        picture(page, f"connection-{status}-{look}")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= LOOKS[look]["width"]

    through(no_upgrades.address, job.get_absolute_url())
    looks("live")
    no_upgrades.refuse()
    looks("reconnecting")
    context.set_offline(True)
    looks("offline")
    context.set_offline(False)
    no_upgrades.blocked = True
    no_upgrades.allow()
    looks("polling")
    alice.set_password("another")
    alice.save()
    looks("signed-out")
