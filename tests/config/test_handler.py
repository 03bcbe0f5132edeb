"""How requests cross between the event loop and threads."""

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest
import structlog
from django.contrib.auth.models import User
from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path

from config import errors
from config.asgi import application
from config.handler import _waits
from config.urls import urlpatterns as ours
from tests.config.test_web import ask
from tests.waiting import until_async

pytestmark = pytest.mark.django_db(transaction=True)

HANG = 20  # seconds
of_the_caller: ContextVar[str] = ContextVar("of_the_caller", default="nobody's")


class Meeting:
    """Where views and their test wait for each other."""

    def __init__(self) -> None:
        self.entered, self.may_go, self.left = threading.Event(), threading.Event(), threading.Event()
        self.ids: dict[str, str] = {}


meeting = Meeting()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    global meeting
    meeting = Meeting()


def broken(request: HttpRequest) -> HttpResponse:
    User.objects.create_user("half")
    raise RuntimeError("SELECT secret FROM /srv/headway/settings.py")


def names(request: HttpRequest, name: str) -> HttpResponse:
    """Say under which id the logs know this request."""
    meeting.ids[name] = structlog.contextvars.get_contextvars()["request_id"]
    return HttpResponse(of_the_caller.get())


def slow(request: HttpRequest) -> HttpResponse:
    meeting.entered.set()
    assert meeting.may_go.wait(HANG)
    User.objects.create_user("made-by-a-view")
    meeting.left.set()
    return HttpResponse("too late")


urlpatterns = [
    *ours, path("broken/", broken), path("names/<name>/", names), path("slow/", slow),
]  # fmt: skip
handler500 = errors.server_error


@pytest.mark.parametrize(
    ("path", "status"), [("/signin/", 200), ("/", 302), ("/api/jobs", 401), ("/nowhere/", 404)]
)
async def test_a_request_goes_over_into_a_thread_once(
    path: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    crossings: list[Any] = []
    run = loop.run_in_executor

    def crossing(*args: Any) -> Any:
        crossings.append(args)
        return run(*args)

    monkeypatch.setattr(loop, "run_in_executor", crossing)
    assert (await ask(application, path))[0] == status
    # Django's signals of begin and end are two more; its own handler needs twenty of them.
    assert len(crossings) <= 4


@pytest.mark.parametrize(
    ("path", "waits"),
    [
        ("/healthz", True),
        ("/metrics", True),
        ("/api/ready", True),
        ("/api/jobs/00000000-0000-0000-0000-000000000000/wait", True),
        ("/api/jobs", False),
        ("/signin/", False),
        ("/nowhere/", False),
    ],
)
def test_a_view_that_sleeps_is_told_from_one_that_does_not(path: str, waits: bool) -> None:
    assert _waits(RequestFactory().get(path)) is waits


@pytest.mark.parametrize("kind", ["multipart/form-data", "application/json", "text/plain"])
async def test_a_parameter_of_a_body_in_no_known_charset_is_not_read(kind: str) -> None:
    headers = {"Content-Type": f"{kind}; boundary*=nosuch''b"}
    assert (await ask(application, "/healthz", headers=headers))[0] == 200
    status, _, body, _ = await ask(application, "/api/jobs", method="POST", headers=headers, body=(b"{}",))
    assert status == 401 and b"auth_required" in body


@pytest.mark.urls(__name__)
async def test_a_view_that_raises_is_answered_500_without_a_word_of_why() -> None:
    status, headers, body, _ = await ask(application, "/broken/")
    assert status == 500 and headers["content-type"].startswith("text/html")
    assert b"secret" not in body and b"Traceback" not in body
    assert (await ask(application, "/signin/"))[0] == 200  # the thread and the handler live on


@pytest.mark.urls(__name__)
async def test_what_a_context_holds_goes_along_into_the_thread() -> None:
    of_the_caller.set("the caller's")
    for name in ("one", "other"):
        assert (await ask(application, f"/names/{name}/"))[2] == b"the caller's"
    assert meeting.ids["one"] != meeting.ids["other"]  # each request has an id of its own in the logs


@pytest.mark.urls(__name__)
async def test_a_client_that_leaves_breaks_no_view_off_and_hears_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone, sent, finished = asyncio.Event(), [], []
    body = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if body:
            return body.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    def finish(**signal: Any) -> None:
        finished.append(signal)

    request_finished.connect(finish)
    scope = {
        "type": "http", "method": "GET", "path": "/slow/", "raw_path": b"/slow/", "query_string": b"",
        "headers": [(b"host", b"localhost")], "scheme": "http", "client": ("127.0.0.1", 1234),
        "server": ("localhost", 80), "http_version": "1.1", "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    try:
        served = asyncio.ensure_future(application(scope, receive, send))
        await asyncio.to_thread(meeting.entered.wait, HANG)
        gone.set()
        for _ in range(5):  # the handler hears of it
            await asyncio.sleep(0)
        meeting.may_go.set()
        async with asyncio.timeout(HANG):
            await served
    finally:
        meeting.may_go.set()
        request_finished.disconnect(finish)

    async def made() -> bool:
        return meeting.left.is_set() and await User.objects.filter(username="made-by-a-view").aexists()

    await until_async(made, what="the view to end")
    assert sent == [] and len(finished) == 1  # its connection went back to the pool
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert (await ask(application, "/signin/"))[0] == 200
