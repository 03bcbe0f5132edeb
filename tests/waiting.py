"""Wait for a condition, with an end. Tests never sleep for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE = 0.02  # seconds between two looks


def until(condition: Callable[[], T], seconds: float = 20, what: str = "the condition") -> T:
    """Return the first true value of `condition`; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s; last value {value!r}")
        time.sleep(PAUSE)
    return value


async def until_async(
    condition: Callable[[], Awaitable[T]], seconds: float = 20, what: str = "the condition"
) -> T:
    """Return the first true value of the coroutine `condition`; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := await condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s; last value {value!r}")
        await asyncio.sleep(PAUSE)
    return value
