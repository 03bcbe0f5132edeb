"""PROTOCOL.md says what is so."""

import gzip
import re
from pathlib import Path

import pytest

import realtime
from config.problems import PROBLEMS
from config.staticfiles import lean
from realtime import frames, limits, live_protocol
from tests.realtime.client import fresh_hub, wire_of
from tests.realtime.noise import noise

HTTP = ("http.py", "asking.py", "events.py", "seats.py", "rates.py")
TEXT = (Path(realtime.__file__).parent / "PROTOCOL.md").read_text()


def table(heading):
    """Return the first columns of the table under a heading, without its head."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `?(\w+)`? \|", section, re.M)[1:]


def test_every_message_of_a_client_is_documented_with_its_fields():
    assert set(table("Client to server")) == set(frames._PARSERS)
    section = TEXT.split("## Client to server")[1].split("\n## ")[0]
    for kind, (_, keys) in frames._PARSERS.items():
        row = next(line for line in section.splitlines() if line.startswith(f"| `{kind}`"))
        assert keys - {"type"} <= set(re.findall(r"`(\w+)\??`", row)), kind


def test_every_close_code_is_documented_and_no_other():
    assert {int(code) for code in table("Close codes")} == {int(code) for code in limits.Close}


def test_every_error_is_documented_with_its_strike():
    sources = (Path(realtime.__file__).parent / name for name in ("frames.py", "consumers.py"))
    code = "".join(path.read_text() for path in sources)
    used = set(re.findall(r'_Refused\(\s*"(\w+)"', code)) | set(re.findall(r'Wrong\(\s*code="(\w+)"', code))
    assert used == set(table("Errors"))


# What a client cannot see or need not know: how the server goes about it.
INTERNAL = {
    "TICK": "part of the latency",
    "CHECK_SECONDS": "half of the two seconds that are promised",
    "RETRY_SECONDS": "how often we try again ourselves",
    "RECHECK_SECONDS": "part of the second that is promised",
    "RENEWAL_SECONDS": "part of the second that is promised",
    "STALE_SECONDS": "when `stale` is said",
    "FULL_MS": "said in the error, as `retry_after_ms`",
    "SPEAK_UP_SECONDS": "how processes tell each other which sockets are open",
    "READERS": "a bound on database connections",
    "PENDING_BYTES": "when a slow client is told states instead of changes",
    "ENDED": "never sent",
}


def test_every_limit_is_documented(settings):
    section = " ".join(TEXT.split("## Limits")[1].split("\n## ")[0].split())
    for said in (
        f"{limits.MAX_FRAME // 1024} KB a client frame",
        f"{limits.MAX_DEPTH} levels deep",
        f"{limits.STREAMS_A_FRAME} streams a frame",
        f"{limits.STREAMS_A_SOCKET} a socket",
        f"names of {limits.STREAM_NAME} characters",
        f"{limits.FRAMES} frames in {limits.FRAMES_SECONDS:.0f} s",
        f"{settings.WS_MAX_SOCKETS_PER_USER} sockets a user",
        f"{settings.WS_CONNECTS_PER_SESSION} connects in {limits.CONNECTS_SECONDS:.0f} s a session",
        f"{limits.CONNECTIONS:,} connections a process",
        f"{live_protocol.USELESS:,} pings, pongs and empty fragments in"
        f" {live_protocol.USELESS_SECONDS:.0f} s",
        f"within {limits.HELLO_SECONDS:.0f} s",
        f"every {limits.STREAM_SECONDS * 1000:.0f} ms",
        f"at most {1 / limits.SOCKET_SECONDS:.0f} messages a second",
        f"{limits.MESSAGE_BYTES // 1024} KB of frames a message",
        f"last {limits.LAST_EVENTS} events",
        f"spread over {limits.DRAIN_MS / 1000:.0f} s",
    ):
        assert said in section, said
    assert f"`v` ({limits.PROTOCOL}; missing = {limits.PROTOCOL})" in TEXT
    assert f"an integer from 0 to {limits.MAX_ID};" in TEXT
    assert f"{limits.STRIKES} strikes within {limits.STRIKES_SECONDS:.0f} s close with 4400" in TEXT


def test_no_limit_is_left_out():
    constants = {name for name in vars(limits) if name.isupper()}
    asserted = set(re.findall(r"limits\.([A-Z_]+)\b", Path(__file__).read_text()))
    assert constants - asserted == set(INTERNAL)


def test_the_credit_is_documented():
    section = " ".join(TEXT.split("## Server to client")[1].split("\n## ")[0].split())
    for said in (
        f"{limits.CREDIT_FRAMES} frames or {limits.CREDIT_BYTES // 1024} KB",
        f"Parked for {limits.PARKED_SECONDS:.0f} s",
        f"within {limits.SEND_SECONDS:.0f} s for any client",
    ):
        assert said in section, said


def test_how_long_a_right_lasts_is_documented(settings):
    section = " ".join(TEXT.split("## As long as it lasts")[1].split("\n## ")[0].split())
    assert f"a sweep every {settings.SESSION_SWEEP_SECONDS} s" in section
    assert f"connection of {limits.LIFETIME_SECONDS / 3600:.0f} hours" in section


def test_the_limits_of_http_are_documented():
    section = " ".join(TEXT.split("## The same over HTTP")[1].split("\n## ")[0].split())
    for said in (
        f"1 to {limits.STREAMS_A_FRAME} times",
        f"at most {limits.WAIT_SECONDS})",
        f"within {limits.SEAT_SECONDS:.0f} s",
        f"{limits.POLL_MS} without `wait`",
        f"{limits.STALE_POLL_MS} while the database is away",
        f"within {limits.ANSWER_SECONDS:.0f} s is 503",
        f"at most {limits.CURSOR // 1024} KB",
        f"after {limits.TURN_SECONDS / 60:.0f} minutes",
        f"`retry` ({limits.RETRY_MS / 1000:.0f} s)",
        f"more than {limits.REQUESTS_A_USER} event streams and long polls of a user",
        f"more than {limits.CONNECTIONS} connections",
    ):
        assert said in section, said


def test_every_problem_of_http_is_documented():
    section = TEXT.split("## The same over HTTP")[1].split("\n## ")[0]
    code = "".join((Path(realtime.__file__).parent / name).read_text() for name in HTTP)
    used = set(re.findall(r'Problem\(\s*"(\w+)"', code))
    assert used == {word for word in re.findall(r"`(\w+)`", section) if word in PROBLEMS}


@pytest.mark.seed("SEC35")
def test_the_pages_script_builds_no_html():
    """SEC35: what arrives is written as text."""
    script = (Path(realtime.__file__).parent / "static/realtime/live.js").read_text()

    for forbidden in (
        "innerHTML",
        "outerHTML =",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "createElement",
    ):
        found = [line for line in script.splitlines() if forbidden in line]
        assert found == [], forbidden
    assert not re.search(
        r"</?[a-z]+[ >]", "\n".join(line for line in script.splitlines() if not line.strip().startswith("//"))
    )


def test_the_scripts_are_small():
    """Both together, as browsers load them in production."""
    folder = Path(realtime.__file__).parent / "static/realtime"
    sent = [lean((folder / name).read_text()).encode() for name in ("live.js", "elements.js")]
    assert sum(len(gzip.compress(script, 9)) for script in sent) <= 12_000


@pytest.mark.parametrize("name", ["live.js", "elements.js"])
def test_the_scripts_depend_on_nothing_but_each_other(name):
    script = (Path(realtime.__file__).parent / "static/realtime" / name).read_text()
    assert re.findall(r"^import .*|https?://", script, re.M) == []
    assert len(re.findall(r"await import\(", script)) == (name == "elements.js")


@pytest.mark.django_db(transaction=True)
async def test_every_message_of_the_server_has_the_documented_fields(alice):
    with noise() as streams:
        name = streams.make("a", n=1)
        async with fresh_hub() as hub, wire_of(alice) as wire:
            await wire.hello(name, "job:x", id=1)
            await wire.next("state")
            streams.move(hub, "a", n=2)
            await wire.next("change")
            await wire.say({"type": "ack", "id": 2})
            await wire.next("beat")
            await wire.say({"type": "nonsense", "id": 3})
            await wire.next("error")
            streams.move(hub, "a", n=3, final=True)
            await wire.next("end")
            await hub.drain()
            await wire.closed()
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \|", TEXT.split("## Server to client")[1].split("\n## ")[0], re.M
    )
    documented = {
        kind: set(re.findall(r"`(\w+)`", fields)) | {"type"}
        for kind, fields in ((kind, re.sub(r"`\w+\?`", "", fields)) for kind, fields in rows)
    }
    optional = {kind: set(re.findall(r"`(\w+)\?`", fields)) for kind, fields in rows}
    assert {frame["type"] for frame in wire.frames} == set(documented)
    for frame in wire.frames:
        said = set(frame) - optional[frame["type"]]
        assert said == documented[frame["type"]] - {"not_found"}, frame
        assert set(frame) - said <= optional[frame["type"]]
    welcome = wire.frames[0]
    section = " ".join(TEXT.split("## Server to client")[1].split())
    for limit in welcome["limits"]:
        assert f"`{limit}`" in section, limit
