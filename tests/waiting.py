"""Wait for a condition, with an end. Tests never sleep for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.measured import Promised, measured

T = TypeVar("T")
PAUSE = 0.02  # seconds between two looks
LONGEST_PAUSE = 0.1
SHARE = 0.02  # of the time waited so far, between those: looking costs what is waited for its processor time


def _pause(waited: float) -> float:
    return min(LONGEST_PAUSE, max(PAUSE, waited * SHARE))


def until(condition: Callable[[], T], seconds: float = 20, what: str = "the condition") -> T:
    """Return the first true value of `condition`; fail after `seconds`."""
    began = time.monotonic()
    while not (value := condition()):
        if time.monotonic() > began + float(seconds):
            raise AssertionError(f"{what} did not come true within {seconds} s; last value {value!r}")
        time.sleep(_pause(time.monotonic() - began))
    if isinstance(seconds, Promised):
        measured.took(time.monotonic() - began, seconds)
    return value


async def until_async(
    condition: Callable[[], Awaitable[T]], seconds: float = 20, what: str = "the condition"
) -> T:
    """Return the first true value of the coroutine `condition`; fail after `seconds`."""
    began = time.monotonic()
    while not (value := await condition()):
        if time.monotonic() > began + seconds:
            raise AssertionError(f"{what} did not come true within {seconds} s; last value {value!r}")
        await asyncio.sleep(_pause(time.monotonic() - began))
    return value
