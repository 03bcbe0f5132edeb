"""The log: one line an event, whatever is in it, with the request or the job that it belongs to."""

import io
import json
import logging
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from structlog.contextvars import get_contextvars

from config import log_floods, logs, security_log
from config.middleware import ProblemMiddleware
from config.problems import Problem, problem_response
from ingestion import in_hand
from tests.engine import ROOT
from tests.waiting import until

HOSTILE = 'a\r\n{"event": "signed_in", "user": 1}\n2026-01-01 [info] signed_in user=1'
LINES = f"""
import logging, structlog
HOSTILE = {HOSTILE!r}
structlog.get_logger("ours").warning("ws_origin_refused", origin=[HOSTILE], path=HOSTILE)
logging.getLogger("theirs").warning("Forbidden: %s", HOSTILE, extra={{"origin": HOSTILE}})
logs.tell("job", lambda: "01-job")
structlog.get_logger("ours").info("fetched", url="x")
logging.getLogger("theirs").info("asked")
structlog.get_logger("ours").info("job_ended", job="02-other")
"""


def written(form: str, code: str) -> list[str]:
    """Return the lines that a process of its own writes to its log."""
    begin = f"from config import logs; logs.configure('INFO', {form!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr.split("\n")[:-1]


@pytest.mark.seed("SEC70")
def test_an_event_is_one_line_of_json_whatever_it_holds() -> None:
    broken = 'try:\n    1 / 0\nexcept ZeroDivisionError:\n    structlog.get_logger("a").exception("broke")\n'
    told = [json.loads(line) for line in written("json", LINES + broken)]
    assert [(one["event"].partition("\r")[0], one["level"]) for one in told] == [
        ("ws_origin_refused", "warning"),
        ("Forbidden: a", "warning"),
        ("fetched", "info"),
        ("asked", "info"),
        ("job_ended", "info"),
        ("broke", "error"),
    ]
    assert told[0]["origin"] == [HOSTILE] and told[1]["origin"] == HOSTILE
    assert "ZeroDivisionError" in told[-1]["exception"]
    assert all(one["timestamp"].endswith("Z") and one["logger"] for one in told)


@pytest.mark.seed("SEC70")
def test_for_eyes_too_nobody_can_write_a_line_of_their_own() -> None:
    told = written("console", LINES)
    assert len(told) == 5
    assert [line[:2] for line in told] == ["20"] * 5  # each begins with its time


REDIS_AWAY = """
import logging
from redis.exceptions import ConnectionError
def receive(error):
    try:
        raise error
    except Exception:
        logging.getLogger("channels_redis.pubsub").exception("Unexpected exception in receive task")
receive(ConnectionError("Connection refused."))
receive(RuntimeError("the handler is closed"))
receive(RuntimeError("a fault"))
"""


def test_a_redis_that_is_away_is_a_line_and_no_traceback() -> None:
    away, closed, fault = (json.loads(line) for line in written("json", REDIS_AWAY))
    assert (away["level"], away["error"]) == ("warning", "ConnectionError: Connection refused.")
    assert (closed["level"], closed["error"]) == ("warning", "RuntimeError: the handler is closed")
    assert not {"exception", "exc_info"} & (away.keys() | closed.keys())
    assert fault["level"] == "error" and "RuntimeError: a fault" in fault["exception"]


OPENING = """
import logging, structlog
class Request:
    def __repr__(self):
        return "<ASGIRequest: GET '/api/jobs?token=hw_canary'>"
django = logging.getLogger("django.request")
django.warning("%s: %s", "Bad Request", "/api/jobs", extra={"request": Request(), "status_code": 400})
django.warning("%s: %s", "Forbidden", "/signin/link/canary:abc/")
django.warning("%s: %s", "Gone", "/inbox/unsubscribe/canary/ and on")
structlog.get_logger("ours").warning("request_forbidden", path="/signin/password/MQ/canary-1/")
structlog.get_logger("ours").warning("asked", url="https://x.test/?a=1&token=hw_canary&b=2")
"""


@pytest.mark.seed("SEC60", "SEC70", "SEC74")
@pytest.mark.parametrize("form", ["json", "console"])
def test_what_stands_in_an_address_and_opens_something_is_not_logged(form: str) -> None:
    told = written(form, OPENING)
    assert len(told) == 5 and "canary" not in "\n".join(told)
    for line, kept in zip(
        told, ["/api/jobs", "/link/...", "... and on", "/password/...", "&b=2"], strict=True
    ):
        assert kept in line


RAISING = """
import logging, structlog
for log in (logging.getLogger("theirs"), structlog.get_logger("ours")):
    try:
        raise OSError("https://x.test/?token=hw_canary did not answer")
    except OSError:
        log.exception("broke")
"""


@pytest.mark.seed("SEC74")
@pytest.mark.parametrize("form", ["json", "console"])
def test_what_is_raised_does_not_tell_it_either(form: str) -> None:
    told = "\n".join(written(form, RAISING))
    assert told.count("?token=... did not answer") == 2 and "hw_canary did" not in told


def test_each_line_names_the_job_in_hand_whoever_writes_it() -> None:
    jobs = [json.loads(line).get("job") for line in written("json", LINES)]
    assert jobs == [None, None, "01-job", "01-job", "02-other"]


def test_the_job_in_hand_is_that_of_the_attempt_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_hand.job_in_hand() is None
    monkeypatch.setattr(in_hand, "run", SimpleNamespace(id="01-job"))
    assert in_hand.job_in_hand() == "01-job"
    assert logs._told["job"] is in_hand.job_in_hand


def asked(answer: Any, caplog: pytest.LogCaptureFixture) -> tuple[HttpResponse, list[dict[str, Any]]]:
    """Return what a request is answered, and what is logged of it."""
    request = RequestFactory().get("/api/jobs", REMOTE_ADDR="192.0.2.7")
    request._cached_user = SimpleNamespace(pk=7)
    with caplog.at_level(logging.INFO, logger=security_log.__name__):
        response = ProblemMiddleware(lambda one: answer(one))(request)
    lines = [one.msg for one in caplog.records if one.name == security_log.__name__]
    assert isinstance(response, HttpResponse)
    return response, [dict(one) for one in lines if isinstance(one, dict)]


@pytest.mark.seed("SEC70")
@pytest.mark.parametrize(
    ("code", "event"), [("permission_denied", "request_forbidden"), ("rate_limited", "request_limited")]
)
def test_a_refusal_is_a_line_with_who_and_from_where(
    code: str, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(request: HttpRequest) -> HttpResponse:
        return problem_response(request, Problem(code, n=5, retry_after=5))

    response, lines = asked(refuse, caplog)
    (line,) = lines
    assert (line["event"], line["user"], line["address"]) == (event, 7, "192.0.2.7")
    assert (line["path"], line["request_id"]) == ("/api/jobs", response["X-Request-Id"])
    caplog.clear()
    assert asked(lambda request: HttpResponse("fine"), caplog)[1] == []

    def refuse_a_program(request: Any) -> HttpResponse:
        request.token = SimpleNamespace(user_id=8)
        return refuse(request)

    caplog.clear()
    assert asked(refuse_a_program, caplog)[1][0]["user"] == 8


FLOOD = """
import logging, structlog
for n in range(100):
    structlog.get_logger("ours").warning("request_forbidden", n=n)
    logging.getLogger("django.request").warning("%s: %s", "Forbidden", n)
    logging.getLogger("django.security.DisallowedHost").error("Invalid HTTP_HOST header: %s", n)
    logging.getLogger("theirs").warning("ws_origin_refused", extra={"origin": n})
for n in range(100):
    structlog.get_logger("ours").warning("attempt_failed", n=n)
    logging.getLogger("django.request").error("%s: %s", "Internal Server Error", n)
structlog.get_logger("ours").warning("request_limited")
"""


@pytest.mark.seed("SEC70")
def test_a_flood_of_refusals_is_some_lines_and_one_that_counts_the_others() -> None:
    lines = [json.loads(line) for line in written("json", FLOOD)]
    left_out = [(one["of"], one["count"]) for one in lines if one["event"] == "lines_left_out"]
    most = log_floods.MOST
    flooded = ["request_forbidden", "django.request", "django.security.DisallowedHost", "ws_origin_refused"]
    assert left_out == [(kind, 100 - most) for kind in flooded]
    kinds = Counter((one["logger"], one["level"], one["event"].partition(":")[0]) for one in lines)
    assert kinds["ours", "warning", "request_forbidden"] == most
    assert kinds["django.request", "warning", "Forbidden"] == most
    assert kinds["django.security.DisallowedHost", "error", "Invalid HTTP_HOST header"] == most
    assert kinds["theirs", "warning", "ws_origin_refused"] == most
    # A kind of its own, and what is no refusal, are written whatever else there is.
    assert kinds["ours", "warning", "attempt_failed"] == 100
    assert kinds["django.request", "error", "Internal Server Error"] == 100
    assert kinds["ours", "warning", "request_limited"] == 1


def refusing(handler: log_floods.Bounded, times: int, **more: str) -> None:
    """Give a handler lines about refusals, each of a request."""
    handler.acquire()  # the timer waits until all were given
    said: Any = {"event": "request_limited"} | more
    with structlog.contextvars.bound_contextvars(request_id="of-a-request"):
        for _ in range(times):
            handler.handle(logging.LogRecord("x", logging.WARNING, "", 0, said, (), None))
    handler.release()


@pytest.fixture
def bounded() -> Iterator[tuple[log_floods.Bounded, io.StringIO, list[float]]]:
    """Return a handler of two lines a minute, what it writes, and its clock."""
    stream, now = io.StringIO(), [0.0]
    handler = log_floods.Bounded(stream, most=2, seconds=0.01, clock=lambda: now[0])
    form, unsaid = "%(message)s %(of)s %(count)s %(address)s", {"of": "", "count": "", "address": ""}
    handler.setFormatter(logging.Formatter(form, defaults=unsaid))
    log_floods.log.addHandler(handler)
    yield handler, stream, now
    log_floods.log.removeHandler(handler)


def test_the_count_comes_when_the_minute_is_over_though_nobody_asks_again(
    bounded: tuple[log_floods.Bounded, io.StringIO, list[float]],
) -> None:
    handler, stream, _ = bounded
    refusing(handler, 5)  # the clock stands: the timer alone ends the minute
    until(lambda: "lines_left_out" in stream.getvalue(), what="the line that counts")
    assert "lines_left_out request_limited 3 \n" in stream.getvalue()
    assert handler._minute is None


def test_the_next_minute_has_lines_of_its_own(
    bounded: tuple[log_floods.Bounded, io.StringIO, list[float]],
) -> None:
    handler, stream, now = bounded
    handler._seconds = 60.0
    refusing(handler, 3)
    now[0] = 59.9
    refusing(handler, 1)
    assert stream.getvalue().count("request_limited") == 2
    ended = handler._minute
    assert ended is not None
    now[0] = 60.0
    refusing(handler, 1)
    handler._end(ended)  # its timer comes late
    assert stream.getvalue().count("{'event': 'request_limited'}") == 3
    assert stream.getvalue().count("lines_left_out request_limited 2 \n") == 1
    handler.close()
    assert stream.getvalue().count("lines_left_out") == 1  # nothing was left out of the last one


def test_the_count_belongs_to_no_request(
    bounded: tuple[log_floods.Bounded, io.StringIO, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, _, now = bounded
    handler._seconds = 60.0
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(log_floods.log, "warning", lambda *a, **k: seen.append(get_contextvars()))
    refusing(handler, 3)
    now[0] = 60.0
    refusing(handler, 1)
    assert seen == [{}]


@pytest.mark.seed("SEC70")
def test_who_floods_hides_nobody_elses_lines(
    bounded: tuple[log_floods.Bounded, io.StringIO, list[float]],
) -> None:
    handler, stream, _ = bounded
    handler._seconds = 60.0
    refusing(handler, 100, address="192.0.2.1")
    refusing(handler, 1, address="192.0.2.2")
    assert stream.getvalue().count("192.0.2.1") == 2 and stream.getvalue().count("192.0.2.2") == 1
    handler.close()
    assert stream.getvalue().endswith("lines_left_out request_limited 98 192.0.2.1\n")


def test_addresses_without_end_share_what_is_written_of_them(
    bounded: tuple[log_floods.Bounded, io.StringIO, list[float]],
) -> None:
    handler, stream, _ = bounded
    handler._seconds = 60.0
    for number in range(1000):
        refusing(handler, 1, address=f"192.0.2.{number}")
    refusing(handler, 1, address="192.0.2.0")  # one of the first has its own count still
    assert stream.getvalue().count("\n") == log_floods.ADDRESSES + 2 + 1
    handler.close()
    assert stream.getvalue().endswith(f"lines_left_out request_limited {998 - log_floods.ADDRESSES} \n")


def test_a_flood_is_counted_where_no_thread_is_to_be_had(
    bounded: tuple[log_floods.Bounded, io.StringIO, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(timer: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    handler, stream, _ = bounded
    monkeypatch.setattr(threading.Timer, "start", refuse)
    refusing(handler, 5)
    handler.close()
    assert "lines_left_out request_limited 3 \n" in stream.getvalue()
