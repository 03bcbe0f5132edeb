"""What a call costs: memory at its peak and CPU, in a process of its own."""

import ctypes
import gc
import multiprocessing
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from django.db import connections


class Cost(NamedTuple):
    """What a call took: MB by which its process grew at its peak, CPU seconds of it and of its children."""

    megabytes: float
    seconds: float
    of_children: float


def cost_of(call: Callable[[], object]) -> Cost:
    """Return what a call costs, whatever this process has had and has spent."""
    connections.close_all()
    given, taken = multiprocessing.Pipe(duplex=False)

    def measure() -> None:
        gc.freeze()  # what the tests hold is not for the call to collect
        before, began = memory("VmRSS"), time.process_time()
        call()
        spent, children = time.process_time() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        grown = (memory("VmHWM") - before) / 1024
        taken.send(Cost(grown, spent, children.ru_utime + children.ru_stime))
        connections.close_all()

    ctypes.CDLL(None).malloc_trim(0)  # what is free here would hide what the call takes
    # Forked: its peak begins at what it has then (fork(2): resource usage is not inherited).
    process = multiprocessing.get_context("fork").Process(target=measure)
    process.start()
    process.join()
    assert process.exitcode == 0
    found: Cost = given.recv()
    return found


def memory(name: str) -> int:
    """Return a figure of /proc/self/status in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
