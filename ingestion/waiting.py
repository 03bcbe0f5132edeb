"""Requests that wait: how many at once, and asleep on the hub without a thread or a database connection."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.http import HttpRequest

from config.problems import Problem
from realtime import hub as hubs
from realtime.credentials import Credential, Standing
from realtime.frames import Ready
from realtime.seats import sleeper

T = TypeVar("T")

MAX_WAITS_OF_USER = 20
MAX_WAITS = 500  # of this process
ASK_SECONDS = 1.0  # how long a job that appears meanwhile can stay unseen by who waits for an object

_waits: Counter[int] = Counter()


@contextmanager
def place(user: int) -> Iterator[None]:
    """Take one of the user's places. Raises Problem rate_limited, unavailable."""
    if _waits[user] >= MAX_WAITS_OF_USER:
        raise Problem("rate_limited", n=1, retry_after=1)
    if _waits.total() >= MAX_WAITS:
        raise Problem("unavailable", n=5, retry_after=5)
    _waits[user] += 1
    try:
        yield
    finally:
        _waits[user] -= 1
        if not _waits[user]:
            del _waits[user]


async def until_job(
    request: HttpRequest, stream: str, is_so: Callable[[Ready], bool], timeout: float
) -> None:
    """Sleep until a job that the request's user may see is as wanted, gone, or the time is up.

    is_so: judges what its stream says. timeout: seconds. Raises Problem auth_required when the session or
    token of the request ends meanwhile.
    """
    end = _end(timeout)
    async with sleeper(hubs.current(), standing(request), [stream]) as viewer:
        while not viewer.closed and await viewer.sleep(end - _now()):
            frame = viewer.frames.get(stream)
            if frame is not None and (frame.data is None or is_so(frame)):
                return


async def until_none(request: HttpRequest, open_streams: Callable[[], list[str]], timeout: float) -> None:
    """Sleep until nothing works, or the time is up.

    open_streams: asks the database for the streams of those that do; asked when one ends, and every second.
    Raises Problem auth_required when the session or token of the request ends meanwhile.
    """
    end = _end(timeout)
    async with sleeper(hubs.current(), standing(request)) as viewer:
        while not viewer.closed and (streams := await in_thread(open_streams)):
            hubs.current().watch(viewer, streams)
            again = min(end, _now() + ASK_SECONDS)
            watched = set(viewer.streams)
            # What ends is watched no more; everything else that moves wakes us for nothing.
            while watched <= viewer.streams and await viewer.sleep(again - _now()) and not viewer.closed:
                pass
            if _now() >= end:
                return


async def in_thread(function: Callable[[], T]) -> T:
    """Run a function that asks the database, and give its connection back."""
    found: T = await sync_to_async(_without_connection(function))()
    return found


def standing(request: HttpRequest) -> Standing:
    """Return by what right a request of the API is here."""
    token = getattr(request, "token", None)
    if token is not None:
        credential = Credential("token", str(token.pk))
    else:
        credential = Credential("session", request.session.session_key or "")
    return Standing(request.user, credential, request.judged_at)  # type: ignore[attr-defined]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _end(timeout: float) -> float:
    return _now() + min(timeout, settings.MAX_WAIT_SECONDS)


def _without_connection(function: Callable[[], T]) -> Callable[[], T]:
    """Make a function give its database connection back when it is done."""

    def run() -> T:
        try:
            return function()
        finally:
            if not connection.in_atomic_block:
                connection.close()

    return run
