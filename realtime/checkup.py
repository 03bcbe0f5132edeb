"""What can be wrong between a browser and the live wire, checked from outside and said with its remedy."""

import http.client
import json
import ssl
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection

from realtime import limits
from realtime.deployment import (
    ANSWER_SECONDS,
    TIMED_OUT,
    Credentials,
    Deployment,
    Found,
    code_of,
    milliseconds,
)

SLOW_MS = 250.0  # a round trip above it is felt
AT_ONCE_SECONDS = 4.0  # in which a frame that was sent at once must be here
LONGEST_BEAT = 45  # seconds; what HEADWAY_WS_HEARTBEAT_SECONDS takes at most
BEAT_GRACE = 5
PINGS = 10
TOO_LARGE = 64 * 1024**2  # bytes that no address but an upload's takes
BEGINNING = [b"name\n" * 3_000] * 20  # what is sent of a body: a proxy may answer only while bytes come
# Any session cookie makes the server look at the origin, whichever name it has there.
ANY_SESSION = {"Cookie": "sessionid=0000000000000000; __Host-sessionid=0000000000000000"}

UPGRADE = (
    "Let the proxy pass the upgrade on: HTTP/1.1 towards Headway, and the headers Upgrade and Connection "
    "(docs/proxy.md)."
)
FORWARD = (
    "Let the proxy pass Host and X-Forwarded-Proto on, name its address in HEADWAY_TRUSTED_PROXIES, and the "
    "site in HEADWAY_SITE_URL or HEADWAY_WS_ORIGINS."
)
UNBUFFERED = (
    "Let the proxy neither buffer nor compress /api/live: proxy_buffering off, gzip off (docs/proxy.md)."
)
TIMEOUTS = "Let the proxy wait for at least 60 s for the next byte: proxy_read_timeout 60s (docs/proxy.md)."
UPLOADS = "Let the proxy take {n} MB for /api/uploads and hand them on as they come: client_max_body_size {n}m, proxy_request_buffering off (docs/proxy.md)."  # noqa: E501
APPLICATION = (
    "Serve config.asgi:application itself, with `serve`; a plain Django application has no live wire."
)

Check = Callable[[], Found]


def check(site: Deployment, who: Credentials, *, upload_mb: int, quick: bool) -> Iterator[Found]:
    """Check everything, what takes long at the same time.

    upload_mb: megabytes of the largest upload. quick: wait for no heartbeats.
    """
    first = reach(site)
    yield first
    if first.status == "problem":
        return
    for one in (upgrade, own_origin, foreign_origin):
        yield one(site)
    yield body_limit(site)
    yield uploads(site, upload_mb)
    if not who:
        yield Found("signed in", "skipped", "Nobody asks: name --user or --token for the rest.")
        return
    signed_in = polling(site, who)
    yield signed_in
    if signed_in.status == "problem":
        return
    slow: list[Check] = [lambda: messages(site, who, quick), lambda: events(site, who, quick)]
    if not quick:
        slow.append(lambda: waiting(site, who))
    with ThreadPoolExecutor(len(slow)) as threads:
        yield from threads.map(lambda one: one(), slow)


def reach(site: Deployment) -> Found:
    """Ask whether anybody answers, and how fast."""
    took = []
    try:
        for _ in range(PINGS):
            began = time.monotonic()
            with site.ask("/healthz", {}) as answer:
                answer.read(100)
                took.append(milliseconds(began))
                if answer.status != 200:
                    return _not_well(site, answer)
    except ssl.SSLError as error:
        return Found("reach", "problem", f"No TLS connection: {error}.", "Renew or complete the certificate.")
    except (OSError, http.client.HTTPException) as error:
        text = f"{site.origin} does not answer: {error or type(error).__name__}."
        return Found("reach", "problem", text, "Is it running, and is the address right?")
    middle = statistics.median(took)
    text = f"{site.origin} answers in {middle:.0f} ms."
    return Found("reach", "ok" if middle < SLOW_MS else "warning", text, figures={"healthz_ms": middle})


def _not_well(site: Deployment, answer: http.client.HTTPResponse) -> Found:
    text = f"/healthz answers with {answer.status}."
    if answer.status in (301, 302, 307, 308):
        return Found(
            "reach", "problem", text, f"Ask at {answer.getheader('location', 'https://...')} instead."
        )
    if answer.status == 400:
        fix = f"Name {site.host} in HEADWAY_ALLOWED_HOSTS, and let the proxy pass the Host header on."
        return Found("reach", "problem", text, fix)
    return Found("reach", "problem", text, "Is this Headway, and is it running behind the proxy?")


def upgrade(site: Deployment) -> Found:
    """Open a WebSocket without anything, which our server accepts and closes with 4401."""
    try:
        with site.socket({}) as link:
            compressed = link.response is not None and "Sec-WebSocket-Extensions" in link.response.headers
            try:
                link.recv(timeout=ANSWER_SECONDS)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                if code != limits.Close.SIGNED_OUT:
                    return Found(
                        "upgrade", "problem", f"The socket was closed with {code}, not 4401.", UPGRADE
                    )
    except InvalidStatus as error:
        status = error.response.status_code
        return Found("upgrade", "problem", f"The upgrade to a WebSocket was answered with {status}.", UPGRADE)
    except (OSError, InvalidHandshake) as error:
        return Found("upgrade", "problem", f"No WebSocket: {error}.", UPGRADE)
    if compressed:
        text = "Something between compresses WebSockets, which costs memory a socket and leaks by length."
        return Found("upgrade", "warning", text, "Switch it off: Headway does not offer it.")
    return Found("upgrade", "ok", "WebSockets pass.")


def own_origin(site: Deployment) -> Found:
    """Ask as a page of this site does, with a session that is none: the origin must be the site's own."""
    status = _status_for(site, site.origin)
    if status == 101:
        return Found("own origin", "ok", "Pages of this site may open a live socket.")
    text = f"A page of {site.origin} was answered with {status}: the server believes to be another site."
    return Found("own origin", "problem", text, FORWARD)


def foreign_origin(site: Deployment) -> Found:
    """Ask as a page of another site would with the user's cookies: it must be refused."""
    status = _status_for(site, "https://elsewhere.invalid")
    if status == 403:
        return Found("foreign origin", "ok", "Pages of other sites may not.")
    if status != 101:
        return Found("foreign origin", "skipped", f"The upgrade was answered with {status}.")
    text = "A page of another site may open a live socket with the user's cookies."
    return Found("foreign origin", "problem", text, "Let the proxy pass the Origin header on as it is.")


def _status_for(site: Deployment, origin: str) -> int:
    try:
        with site.socket(ANY_SESSION, origin=origin):
            return 101
    except InvalidStatus as error:
        return error.response.status_code
    except (OSError, InvalidHandshake):
        return 0


def body_limit(site: Deployment) -> Found:
    """Begin to send a body that no form has; it must be refused before it is there."""
    headers = {"Content-Type": "application/json", "Content-Length": str(TOO_LARGE)}
    try:
        with site.ask("/api/jobs", headers, method="POST", seconds=AT_ONCE_SECONDS, body=BEGINNING) as answer:
            if answer.status == 413:
                return Found("body limit", "ok", "Large bodies are refused before they are read.")
            return Found(
                "body limit", "problem", f"A body of 64 MB was answered with {answer.status}.", APPLICATION
            )
    except TIMED_OUT:
        text = "A body of 64 MB is collected before anybody refuses it."
        return Found("body limit", "warning", text, "Limit bodies in the proxy too: client_max_body_size 1m.")
    except (OSError, http.client.HTTPException) as error:
        return Found("body limit", "ok", f"Large bodies are refused: {error or type(error).__name__}.")


def uploads(site: Deployment, megabytes: int) -> Found:
    """Begin the largest upload without a session: our server must be the one who refuses, and at once."""
    fix = UPLOADS.format(n=megabytes)
    headers = {"Content-Type": "text/csv", "Content-Length": str(megabytes * 1024**2)}
    try:
        with site.ask(
            "/api/uploads?name=check.csv", headers, method="POST", seconds=AT_ONCE_SECONDS, body=BEGINNING
        ) as answer:
            if answer.status == 401 and code_of(answer) == "auth_required":
                return Found("uploads", "ok", f"Uploads of {megabytes} MB reach the server as they come.")
            text = f"An upload of {megabytes} MB is answered with {answer.status} on the way."
            return Found("uploads", "problem", text, fix)
    except TIMED_OUT:
        text = "The proxy collects whole uploads before the server sees that nobody is signed in."
        return Found("uploads", "warning", text, fix)
    except (OSError, http.client.HTTPException) as error:
        return Found("uploads", "problem", f"An upload was cut off: {error or type(error).__name__}.", fix)


def polling(site: Deployment, who: Credentials) -> Found:
    """Ask for a stream once."""
    began = time.monotonic()
    try:
        with site.ask(site.live(who), {"Accept": "application/json", **who.headers}) as answer:
            took = milliseconds(began)
            if answer.status == 401:
                fix = "Is it valid? If so, let the proxy pass Cookie and Authorization on."
                return Found("polling", "problem", "The session or token is not known there.", fix)
            if answer.status != 200 or answer.headers.get_content_type() != "application/json":
                return Found("polling", "problem", f"/api/live answers with {answer.status}.", APPLICATION)
            kept = [name for name in ("age", "x-cache") if answer.getheader(name)]
            frames = json.load(answer)["frames"]
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        return Found(
            "polling", "problem", f"/api/live is cut off: {error or type(error).__name__}.", APPLICATION
        )
    if kept or "no-store" not in answer.getheader("cache-control", ""):
        fix = "Let no cache keep /api/live; its answers say no-store."
        return Found("polling", "problem", "A cache stands between.", fix)
    if any(frame["type"] == "gone" for frame in frames):
        return Found("polling", "problem", f"{who.stream} may not be watched.", "Name another with --stream.")
    return Found("polling", "ok", f"/api/live answers in {took:.0f} ms.", figures={"poll_ms": took})


def waiting(site: Deployment, who: Credentials) -> Found:
    """Let a long poll wait as long as it may."""
    try:
        with site.ask(site.live(who), {"Accept": "application/json", **who.headers}) as answer:
            cursor = json.load(answer)["cursor"]
        path = site.live(who, cursor=cursor, wait=str(limits.WAIT_SECONDS))
        seconds = limits.WAIT_SECONDS + ANSWER_SECONDS
        with site.ask(path, {"Accept": "application/json", **who.headers}, seconds=seconds) as answer:
            if answer.status == 200:
                return Found("long poll", "ok", f"A request may wait for {limits.WAIT_SECONDS} s.")
            return Found("long poll", "problem", f"A long poll ended with {answer.status}.", TIMEOUTS)
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        return Found(
            "long poll", "problem", f"A long poll was cut off: {error or type(error).__name__}.", TIMEOUTS
        )


def events(site: Deployment, who: Credentials, quick: bool) -> Found:
    """Follow the event stream: each event must arrive when it is sent, and the next beat too."""
    began = time.monotonic()
    headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip", **who.headers}
    try:
        with site.ask(site.live(who), headers, seconds=AT_ONCE_SECONDS) as answer:
            if answer.status != 200:
                return Found(
                    "events", "problem", f"The event stream answers with {answer.status}.", APPLICATION
                )
            if answer.getheader("content-encoding"):
                return Found("events", "problem", "The event stream is compressed on the way.", UNBUFFERED)
            _next_event(answer)
            first = milliseconds(began)
            if not quick:
                answer.fp.raw._sock.settimeout(LONGEST_BEAT + BEAT_GRACE)  # type: ignore[attr-defined]
                _next_event(answer)
    except TIMED_OUT:
        if time.monotonic() - began < 2 * AT_ONCE_SECONDS + 1:
            text = (
                f"The first event was not here within {AT_ONCE_SECONDS:.0f} s: something collects the stream."
            )
            return Found("events", "problem", text, UNBUFFERED)
        return Found("events", "problem", "No heartbeat arrives on the event stream.", UNBUFFERED)
    except (OSError, http.client.HTTPException) as error:
        text = f"The event stream was cut off: {error or type(error).__name__}."
        return Found("events", "problem", text, TIMEOUTS)
    text = f"Events arrive as they are sent, the first after {first:.0f} ms."
    return Found("events", "ok", text, figures={"first_event_ms": first})


def _next_event(answer: http.client.HTTPResponse) -> None:
    while line := answer.readline(1024 * 1024):
        if line.startswith(b"event:"):
            return
    raise http.client.RemoteDisconnected("it ended")


def messages(site: Deployment, who: Credentials, quick: bool) -> Found:
    """Say hello on a WebSocket, measure the way there and back, and wait for a heartbeat."""
    origin = site.origin if who.cookie else None
    try:
        with site.socket(who.headers, origin=origin) as link:
            began = time.monotonic()
            link.send(json.dumps({"type": "hello", "csrf": who.csrf, "streams": [who.stream]}))
            welcome = _frame(link, "welcome", ANSWER_SECONDS)
            hello = milliseconds(began)
            trips = []
            for _ in range(PINGS):
                began = time.monotonic()
                link.ping().wait(ANSWER_SECONDS)
                trips.append(milliseconds(began))
            if not quick:
                _frame(link, "beat", welcome["beat_ms"] / 1000 + BEAT_GRACE)
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 1006
        fix = TIMEOUTS if code == 1006 else "realtime/PROTOCOL.md names the codes."
        return Found("messages", "problem", f"The WebSocket was closed with {code}.", fix)
    except TIMED_OUT:
        return Found("messages", "problem", "An open WebSocket stays silent.", UNBUFFERED)
    except (OSError, InvalidHandshake) as error:
        return Found("messages", "problem", f"No WebSocket: {error}.", UPGRADE)
    figures = {"hello_ms": hello, "round_trip_ms": statistics.median(trips), "round_trip_max_ms": max(trips)}
    text = f"Messages pass, {figures['round_trip_ms']:.0f} ms there and back."
    return Found("messages", "ok" if figures["round_trip_ms"] < SLOW_MS else "warning", text, figures=figures)


def _frame(link: ClientConnection, kind: str, seconds: float) -> dict[str, float]:
    end = time.monotonic() + seconds
    while True:
        content = json.loads(link.recv(timeout=max(0.01, end - time.monotonic())))
        for frame in content if isinstance(content, list) else [content]:
            if frame["type"] == kind:
                return dict(frame)
