"""What live.js says and does on its socket, against a server that the test plays."""

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.pages import rows
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAINTS = """name => {
  window.paints = [];
  const element = document.querySelector(`#job [data-field="${name}"]`);
  new MutationObserver(() => window.paints.push([performance.now(), element.textContent]))
    .observe(element, {childList: true, characterData: true, subtree: true});
}"""


class Played:
    """A live server of which the test says every word."""

    def __init__(self) -> None:
        self.sockets: list[Any] = []
        self.said: list[dict[str, Any]] = []  # frames of the client, of all sockets
        self.polls: list[str] = []
        self.answers = True
        self.beat_ms = 20_000
        self.job: Any = None  # whose page is opened

    def connected(self, ws: Any) -> None:
        self.sockets.append(ws)
        ws.on_message(lambda message: self.heard(ws, json.loads(message)))

    def heard(self, ws: Any, frame: dict[str, Any]) -> None:
        self.said.append(frame)
        if frame["type"] == "hello" and self.answers:
            self.say({"type": "welcome", "v": 1, "time": 0, "beat_ms": self.beat_ms, "build": "x"})
        if frame["type"] == "ack" and "id" in frame and self.answers:
            self.say({"type": "beat", "time": 0, "stale": False, "versions": {}, "id": frame["id"]})

    def say(self, *frames: dict[str, Any]) -> None:
        self.sockets[-1].send(json.dumps(frames if len(frames) > 1 else frames[0]))

    def asked(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.said if frame["type"] == kind]


@pytest.fixture
def played(page, signed_in, alice):
    """A page of a running job whose socket the test answers, and the job's stream as the page holds it."""
    server = Played()
    server.job = rows.job(alice, "running", message="as painted", progress=0.1)
    page.route_web_socket("**/ws/live/", server.connected)
    page.route("**/api/live*", lambda route: (server.polls.append(route.request.url), route.abort()))
    page.route(
        "**/jobs/**",
        lambda route: (
            route.fulfill(status=304) if "hx-request" in route.request.headers else route.fallback()
        ),
    )
    return server


def told(server, version, kind="state", **more):
    data = {"state": "running", "display": "running", "items": {}, "version": version}
    frame = {"type": kind, "stream": server.job.stream, "epoch": "e", "version": version}
    return {**frame, "data": data, "events": [], "why": "new", **more}


def changed(server, version, message, **more):
    data = {"message": message, "version": version}
    return told(server, version, "change", data=data, **{"from": version - 1}, **more)


def subscribed(page, server, path=None):
    """Open the page and answer its subscribe; return when it shows what it was told."""
    server.open(path or server.job.get_absolute_url())
    asked = until(lambda: page.wait_for_timeout(20) or server.asked("subscribe"), what="a subscribe")[-1]
    server.say(told(server, 10, data=told(server, 10)["data"] | {"message": "ten"}, id=asked["id"]))
    expect(page.locator("#job [data-field=message]").first).to_have_text("ten")


@pytest.fixture
def opened(request, page, played, signed_in, alice):
    played.beat_ms = getattr(request, "param", played.beat_ms)
    page.clock.install()  # before the page makes its first timer
    played.open = lambda path: signed_in(alice, path)
    subscribed(page, played)
    return played


def message_of(page):
    return page.locator("#job [data-field=message]").first


def test_hello_comes_first_and_says_that_it_acknowledges(opened):
    hello = opened.said[0]
    assert hello["type"] == "hello"
    assert hello["v"] == 1 and hello["ack"] is True and hello["csrf"]
    assert opened.job.stream in opened.asked("subscribe")[0]["streams"]


def test_a_hundred_changes_in_a_second_are_painted_four_times_and_the_last_one_stands(page, opened):
    """UX 2."""
    page.evaluate(PAINTS, "message")
    for version in range(11, 111):
        opened.say(changed(opened, version, f"change {version}"))
        page.wait_for_timeout(8)
    expect(message_of(page)).to_have_text("change 110")
    times = [at for at, _ in page.evaluate("window.paints")]
    assert 2 <= len(times) <= 1 + 4.1 * (times[-1] - times[0]) / 1000


def test_what_is_older_changes_nothing(page, opened):
    """UX 3."""
    opened.say(changed(opened, 11, "eleven"))
    expect(message_of(page)).to_have_text("eleven")
    page.evaluate(PAINTS, "message")
    old = told(opened, 9, data={"message": "nine", "version": 9})
    opened.say(old, changed(opened, 10, "ten again"), changed(opened, 11, "eleven again"))
    opened.say(changed(opened, 12, "twelve"))
    expect(message_of(page)).to_have_text("twelve")
    assert [text for _, text in page.evaluate("window.paints")] == ["twelve"]


def test_a_gap_is_asked_for_with_the_cursor_and_shown_only_when_it_is_closed(page, opened):
    asked = len(opened.asked("subscribe"))
    opened.say(changed(opened, 14, "fourteen"))
    until(lambda: page.wait_for_timeout(20) or len(opened.asked("subscribe")) > asked, what="a new subscribe")
    again = opened.asked("subscribe")[-1]
    assert again["streams"] == [{"stream": opened.job.stream, "epoch": "e", "version": 10}]
    opened.say(changed(opened, 15, "fifteen"))  # meant for the cursor before
    expect(message_of(page)).to_have_text("ten")
    data = told(opened, 15)["data"] | {"message": "fifteen, all of it"}
    opened.say(told(opened, 15, data=data, why="behind", id=again["id"]))
    expect(message_of(page)).to_have_text("fifteen, all of it")


def test_what_came_is_acknowledged_within_a_second_and_sooner_when_much_came(page, opened):
    opened.say(changed(opened, 11, "eleven"))
    until(lambda: page.wait_for_timeout(20) or opened.asked("ack"), what="an acknowledgement")
    until(
        lambda: page.wait_for_timeout(20) or opened.asked("ack")[-1]["versions"].get(opened.job.stream) == 11,
        what="the version that came last",
    )
    before = len(opened.asked("ack"))
    opened.say(*(changed(opened, version, f"{version}") for version in range(12, 30)))
    until(
        lambda: page.wait_for_timeout(20) or opened.asked("ack")[-1]["versions"].get(opened.job.stream) == 29,
        what="the acknowledgement of a burst",
    )
    for version in range(30, 60):
        opened.say(changed(opened, version, f"{version}"))
        page.wait_for_timeout(30)
    assert (
        len(opened.asked("ack")) - before <= 6
    )  # a second's worth at four a second, and one before and after


def test_drain_brings_the_page_back_when_it_was_told_to(page, opened):
    opened.say({"type": "drain", "after_ms": 300})
    until(lambda: page.wait_for_timeout(20) or len(opened.sockets) == 2, what="the socket after the drain")
    asked = until(
        lambda: (
            page.wait_for_timeout(20)
            or [frame for frame in opened.asked("subscribe")[1:] if opened.job.stream in str(frame)]
        ),
        what="a subscribe with the cursor",
    )[-1]
    assert {"stream": opened.job.stream, "epoch": "e", "version": 10} in asked["streams"]
    expect(page.locator("#conn")).to_have_attribute("data-status", "live")


@pytest.mark.parametrize(
    ("code", "status", "way_on"),
    [
        (4400, "stopped", "Reload"),
        (4401, "signed-out", "Sign in"),
        (4403, "stopped", "Reload"),
        (4404, "stopped", None),
        (4409, "stopped", "Reload"),
        (4426, "stopped", "Reload"),
    ],
)
def test_after_a_44xx_there_is_no_other_try(page, opened, code, status, way_on):
    opened.sockets[-1].close(code=code, reason="test")
    expect(page.locator("#conn")).to_have_attribute("data-status", status)
    banner = page.locator("#conn-banner")
    expect(banner).to_be_visible()
    expect(banner.locator("button:visible, a:visible")).to_have_text([way_on] if way_on else [])
    page.clock.fast_forward(120_000)
    page.wait_for_timeout(300)
    assert len(opened.sockets) == 1 and opened.polls == []


def test_a_page_whose_connection_went_to_a_newer_tab_gets_it_back_with_one_press(page, opened):
    opened.sockets[-1].close(code=4409, reason="test")
    banner = page.locator("#conn-banner")
    expect(banner).to_contain_text("Live updates moved to a newer tab.")
    banner.get_by_role("button", name="Reload").press("Enter")
    until(lambda: page.wait_for_timeout(20) or len(opened.asked("hello")) == 2, what="another hello")
    expect(page.locator("#conn")).to_have_attribute("data-status", "live")
    expect(banner).to_be_hidden()


def polled(page, server, code, reason):
    """Let the server turn the page's socket away while it answers polls; return when the page polls."""
    empty = {"frames": [], "cursor": "", "poll_after_ms": 1000}
    page.route(
        "**/api/live*", lambda route: (server.polls.append(route.request.url), route.fulfill(json=empty))
    )
    server.sockets[-1].close(code=code, reason=reason)
    expect(page.locator("#conn")).to_have_attribute("data-status", "polling")


def runs(page, seconds):
    """Let the page's clock run in small steps, in which answers arrive."""
    for _ in range(round(4 * seconds)):
        page.clock.run_for(250)


@pytest.mark.parametrize("code", [4508, 4529])
def test_who_was_too_slow_or_too_loud_polls_for_a_minute_before_the_next_socket(page, opened, code):
    polled(page, opened, code, "")
    runs(page, 50)
    assert len(opened.sockets) == 1
    assert len(opened.polls) > 2
    until(lambda: page.clock.run_for(250) or len(opened.sockets) == 2, what="the next socket")
    expect(page.locator("#conn")).to_have_attribute("data-status", "live")


def test_who_is_told_when_to_come_again_comes_then(page, opened):
    polled(page, opened, 4529, '{"retry_after_ms":8000}')
    runs(page, 5)
    assert len(opened.sockets) == 1
    runs(page, 5)
    until(lambda: page.wait_for_timeout(20) or len(opened.sockets) == 2, what="the next socket")


def test_whose_hello_came_too_late_says_it_again(page, opened):
    opened.sockets[-1].close(code=4408, reason="test")
    until(lambda: page.clock.run_for(100) or len(opened.asked("hello")) == 2, what="another hello")
    expect(page.locator("#conn")).to_have_attribute("data-status", "live")


# How long the page waited before each new socket, on its own clock: ours also moves by itself.
WAITS = """() => {
  window.waits = [];
  window.closedAt = performance.now();
  window.WebSocket = class extends WebSocket {
    constructor(...all) {
      super(...all);
      window.waits.push(performance.now() - window.closedAt);
      this.addEventListener("close", () => (window.closedAt = performance.now()));
    }
  };
}"""


@pytest.mark.seed("S1.57")
def test_after_a_45xx_the_page_comes_back_for_ever_later_and_later(page, opened):
    opened.answers = False
    page.evaluate("Math.random = () => 0.999")
    page.evaluate(WAITS)
    for number in range(1, 19):
        opened.sockets[-1].close(code=4503, reason="test")
        waited = 0
        while len(opened.sockets) == number:
            page.clock.run_for(250)
            waited += 250
            assert waited < 40_000
    waits = [round(wait, -2) for wait in page.evaluate("window.waits")]
    assert waits[0] <= 600 and waits[1] == 1000 and waits[4] == 5000
    gone = [sum(waits[:number]) for number in range(len(waits))]
    first_minute = [wait for wait, away in zip(waits, gone, strict=True) if away < 55_000]
    assert first_minute == sorted(first_minute) and first_minute[-1] == 5000
    assert waits[-1] == 30_000


@pytest.mark.seed("S1.56")
def test_once_it_is_back_the_waits_begin_anew(page, opened):
    page.evaluate("Math.random = () => 0.999")
    page.evaluate(WAITS)
    for answers in (False, False, False, True, True):
        opened.answers = answers
        number, waited = len(opened.sockets), 0
        opened.sockets[-1].close(code=4503, reason="test")
        while len(opened.sockets) == number:
            page.clock.run_for(250)
            waited += 250
            assert waited < 40_000
        if answers:
            until(lambda: page.wait_for_timeout(20) or is_live(page), what="the page to be live")
    waits = page.evaluate("window.waits")
    assert waits[3] > 3000 and waits[4] <= 600, waits


def is_live(page):
    return page.locator("#conn").get_attribute("data-status") == "live"


def test_waits_are_spread(page, opened):
    """Full jitter: so that a restart does not bring everybody back at once."""
    opened.answers = False
    page.evaluate("Math.random = () => 0.1")
    waited = 0
    for number in range(1, 6):
        opened.sockets[-1].close(code=4503, reason="test")
        while len(opened.sockets) == number:
            page.clock.run_for(50)
            waited += 50
    assert waited < 0.1 * 12_500 + 5 * 100


def test_a_silent_socket_is_asked_and_replaced_when_it_does_not_answer(page, opened):
    """A socket that says OPEN proves nothing."""
    acks = len([frame for frame in opened.asked("ack") if "id" in frame])
    # In small steps: no answer arrives within one, and 2 s without make it doubt its socket.
    until(
        lambda: (
            page.clock.run_for(250) or len([frame for frame in opened.asked("ack") if "id" in frame]) > acks
        ),
        what="a question after two beats",
    )
    for _ in range(12):
        page.clock.run_for(250)
    assert len(opened.sockets) == 1  # it answered
    opened.answers = False
    page.clock.run_for(43_000)
    until(lambda: page.clock.run_for(100) or len(opened.sockets) > 1, what="another socket")


def test_after_sleep_the_socket_is_doubted_at_once(page, opened):
    page.clock.run_for(2000)
    opened.answers = False
    page.clock.fast_forward(15_000)  # timers run once, as after a laptop's sleep
    page.clock.run_for(4000)
    until(lambda: page.wait_for_timeout(20) or len(opened.sockets) > 1, 10, "another socket")


# The page's clock runs in leaps here, in which no answer comes: with short beats it would doubt its socket.
@pytest.mark.parametrize("opened", [1_000_000], indirect=True)
@pytest.mark.seed("S1.60")
def test_a_page_hidden_for_five_minutes_lets_go_and_comes_back_when_shown(page, opened):
    hide(page, True)
    page.clock.run_for(4 * 60_000)
    closed = []
    opened.sockets[-1].on_close(lambda *_: closed.append(True))
    assert not closed
    page.clock.run_for(70_000)
    until(lambda: page.wait_for_timeout(20) or closed, what="the end of the socket")
    page.clock.run_for(120_000)
    assert len(opened.sockets) == 1 and opened.polls == []
    hide(page, False)
    until(lambda: page.wait_for_timeout(20) or len(opened.sockets) == 2, 5, "a socket for the shown page")
    expect(page.locator("#conn")).to_have_attribute("data-status", "live")
    expect(page.locator("#conn-banner")).to_be_hidden()


def test_a_badge_is_painted_with_the_figures_before_the_fragment_is_fetched(page, opened):
    data = told(opened, 11)["data"] | {"display": "cancelling"}
    opened.say(told(opened, 11, data=data))
    badge = page.locator("#job .badge.lg")
    expect(badge).to_have_text("Cancelling")
    expect(badge).to_have_attribute("data-status", "cancelling")
    expect(badge.locator("use")).to_have_attribute("href", "#i-ban")


def hide(page, hidden):
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
          Object.defineProperty(document, "visibilityState",
                                {value: hidden ? "hidden" : "visible", configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
