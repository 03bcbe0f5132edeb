"""Named places where a test may end the process, raise or stall. Refused in production by a check.

`HEADWAY_FAILPOINTS="item.before_commit=exit;job.completed.before_commit=raise*1"` with
`HEADWAY_DEBUG_FAILPOINTS=1`. `*n` lets it act n times, `@n` from the n-th passage on.
"""

import os
import re
import time

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

POINTS = (
    "claim.before_commit",
    "claim.after_commit",
    "job.create.before_commit",
    "job.create.after_commit",
    "job.completed.before_commit",
    "job.partial.before_commit",
    "job.failed.before_commit",
    "job.cancelled.before_commit",
    "job.waiting.before_commit",
    "job.released.before_commit",
    "job.retry.before_commit",
    "job.lost.before_commit",
    "job.crashed.before_commit",
    "job.told.before_commit",
    "run.before_outcome",
    "run.after_outcome",
    "item.before_body",
    "item.before_fence",
    "item.before_commit",
    "item.after_commit",
    "item.before_failure",
    "items.registered",
    "once.before_write",
    "once.after_write",
    "step.before_end",
    "reporter.before_write",
    "reporter.after_write",
    "keeper.before_rescue",
    "keeper.after_rescue",
    "token.popped",
    "listener.heard",
    "stability.before_commit",
)
MODES = ("exit", "raise", "sleep")
EXIT_CODE = 137
SLEEP_SECONDS = 15
_ENTRY = re.compile(r"(?P<name>[a-z_.]+)=(?P<mode>[a-z]+)(?:\*(?P<times>\d+))?(?:@(?P<first>\d+))?")


class FailpointHit(RuntimeError):
    """Raised at a failpoint in mode `raise`."""


def parse(text: str) -> dict[str, tuple[str, int, int]]:
    """Return {name: (mode, times, first)}. Raises ValueError naming what is wrong."""
    points = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(f"cannot read {entry!r}")
        if match["name"] not in POINTS:
            raise ValueError(f"no failpoint {match['name']}")
        if match["mode"] not in MODES:
            raise ValueError(f"no mode {match['mode']}")
        points[match["name"]] = (match["mode"], int(match["times"] or 1_000_000), int(match["first"] or 1))
    return points


def _named() -> dict[str, tuple[str, int, int]]:
    if not getattr(settings, "DEBUG_FAILPOINTS", False):
        return {}
    try:
        return parse(getattr(settings, "FAILPOINTS", ""))
    except ValueError as error:
        raise ImproperlyConfigured(f"HEADWAY_FAILPOINTS: {error}") from error


_active = _named()
_passed: dict[str, int] = {}
_raised: type[BaseException] = FailpointHit


def hit(name: str) -> None:
    """Do what the failpoint `name` was told to do; nothing, at no cost, when none is set."""
    if not _active or name not in _active:
        return
    mode, times, first = _active[name]
    _passed[name] = _passed.get(name, 0) + 1
    if not first <= _passed[name] < first + times:
        return
    if _raised is FailpointHit:
        os.write(2, f"failpoint {name}\n".encode())  # unbuffered: a test must know that it got here
    if mode == "exit":
        os._exit(EXIT_CODE)
    if mode == "sleep":
        time.sleep(SLEEP_SECONDS)
        return
    if _raised is not FailpointHit:  # a process that is dead ends no item in any of its threads
        _active.update({one: ("raise", 1_000_000, 1) for one in POINTS if one.startswith("item.")})
    raise _raised(name)


def activate(text: str, raised: type[BaseException] = FailpointHit) -> None:
    """Set failpoints of this process, and what mode `raise` raises (tests)."""
    global _raised
    _raised = raised
    _active.clear()
    _passed.clear()
    _active.update(parse(text))
