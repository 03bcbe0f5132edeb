"""The log: one line an event, whatever is in it, with the request or the job that it belongs to."""

import json
import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from config import logs, security_log
from config.middleware import ProblemMiddleware
from config.problems import Problem, problem_response
from ingestion import in_hand
from tests.engine import ROOT

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
