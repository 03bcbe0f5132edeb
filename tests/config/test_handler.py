"""How requests cross between the event loop and threads."""

import asyncio
from typing import Any

import pytest
from django.test import RequestFactory

from config.asgi import application
from config.handler import _waits
from tests.config.test_web import ask

pytestmark = pytest.mark.django_db(transaction=True)


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
