"""The processes that parse and judge pages for this one: they die of a bad page, and we do not.

One loads what that takes, with the first page, and forks the others; see page_process.py.
"""

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

from django.conf import settings

from ingestion.source import SourceError
from ingestion.sources.articles import frames

PROGRAM = "ingestion.sources.articles.page_process"
PROCESSES = min(2, os.cpu_count() or 1)  # that parse at once, for all threads of this one
CPU_SECONDS = 10  # for a page
MEMORY_BYTES = 1 << 30  # of address space, beside what they share
KERNEL_PREFIXES = ("OPENBLAS_", "NPY_")  # of variables by which a machine is told which to take
WALL_SECONDS = 120.0  # its limit is on CPU; a machine with much to do lets it wait
MOST_PAGES = 500  # of one process: what parsers keep would grow for ever
_ENDED_BY_LIMIT = (1, -signal.SIGXCPU)  # out of memory, and out of time


class Parser:
    """Processes that parse: begun as they are needed, and anew after many pages or a bad one.

    seconds: of CPU for a page. memory: bytes of address space for it.
    """

    def __init__(self, seconds: int = CPU_SECONDS, memory: int = MEMORY_BYTES) -> None:
        self._limits = [str(seconds), str(memory)]
        self._slots = threading.BoundedSemaphore(PROCESSES)
        self._lock = threading.Lock()
        self._forker: _Forker | None = None
        self._free: list[_Child] = []
        atexit.register(self.end)

    def ask(self, question: dict[str, Any], content: bytes = b"") -> dict[str, Any]:
        """Return what is said to a question, see `page_process`. Raises SourceError."""
        with self._slots:
            said, code = None, None
            child = self._child()
            try:
                said = child.asked(question, content)
            finally:
                # What one that was interrupted would say yet were taken for an answer to the next page.
                if said is None or said.get("last") or child.left == 0:
                    code = child.ended()
                else:
                    with self._lock:
                        self._free.append(child)
        if said is None:
            raise _too_much(retryable=code not in _ENDED_BY_LIMIT)
        if "error" in said:
            raise SourceError(*said["error"])
        if "fault" in said:
            raise RuntimeError(said["fault"])
        return said

    def end(self) -> None:
        """End the processes, if there are any."""
        with self._lock:
            children, self._free = self._free, []
            forker, self._forker = self._forker, None
        for child in children:
            child.ended()
        if forker is not None:
            forker.end()

    def _child(self) -> "_Child":
        """Return a process that has nothing to do."""
        with self._lock:
            while self._free:
                child = self._free.pop()
                if child.lives():
                    return child
                child.ended()
            if self._forker is not None and not self._forker.usable():
                self._forker.end()
                self._forker = None
            if self._forker is None:
                self._forker = _Forker(self._limits)
            forker = self._forker
        try:
            return forker.fork()
        except (OSError, EOFError) as error:
            raise _too_much(retryable=True) from error


class _Forker:
    """The process that loads and forks."""

    def __init__(self, limits: list[str]) -> None:
        self._lock = threading.Lock()
        self._sound = True
        self._control, other = socket.socketpair()
        self._control.settimeout(WALL_SECONDS)
        # No secrets, no settings: what they read was written by strangers. Each needs one core.
        # The kernels are those of all other processes: vectors are compared with theirs.
        kernels = {name: value for name, value in os.environ.items() if name.startswith(KERNEL_PREFIXES)}
        bare = {"PATH": os.environ.get("PATH", ""), **kernels, "OPENBLAS_NUM_THREADS": "1"}
        encoder = "0" if settings.OPENAI_URL and settings.OPENAI_ANALYSIS else "1"
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, str(other.fileno()), *limits, encoder],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # what a parser prints is no answer
                stderr=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                env=bare,
                cwd=settings.BASE_DIR,
            )

    def usable(self) -> bool:
        """Say whether it can be asked."""
        return self._sound and self._process.poll() is None

    def fork(self) -> "_Child":
        """Return a new process. Raises OSError, EOFError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                return _Child(self, ours, self._asked(frames.FORK, 0, [theirs.fileno()]))
        except BaseException:
            ours.close()
            raise

    def code_of(self, pid: int) -> int:
        """Return the exit code of a process, once it has ended. Raises OSError, EOFError."""
        return self._asked(frames.WAIT, pid, [])

    def end(self) -> None:
        """End the process that forks. Those that it forked end when nobody can ask them."""
        self._process.kill()
        self._process.wait()
        self._control.close()

    def _asked(self, what: bytes, pid: int, given: list[int]) -> int:
        with self._lock:
            if not self.usable():
                raise EOFError
            try:
                socket.send_fds(self._control, [frames.REQUEST.pack(what, pid)], given)
                (number,) = frames.ANSWER.unpack(frames.exactly(self._control, frames.ANSWER.size))
            except BaseException:
                self._sound = False  # an answer that nobody read were taken for one to the next question
                raise
        return int(number)


class _Child:
    """A process that parses one page after the other."""

    def __init__(self, forker: _Forker, connection: socket.socket, pid: int) -> None:
        self._forker, self._connection, self.pid = forker, connection, pid
        self._connection.settimeout(WALL_SECONDS)
        self.left = MOST_PAGES

    def lives(self) -> bool:
        """Say whether it waits for a question: unasked it says nothing, and its end can be read."""
        unread = select.poll()
        unread.register(self._connection, select.POLLIN)
        return not unread.poll(0)

    def asked(self, question: dict[str, Any], content: bytes) -> dict[str, Any] | None:
        """Return what it says, or None when it ended or took too long."""
        self.left -= 1
        try:
            frames.send(self._connection, question, content)
            said: dict[str, Any] = frames.receive(self._connection)[0]
        except (OSError, EOFError):
            return None
        return said

    def ended(self) -> int | None:
        """End it, unless it has ended; return its exit code, None where nobody knows."""
        self._connection.close()
        if not self._forker.usable():  # its number may be another's by now; with nobody to ask it, it ends
            return None
        try:
            # Nobody else's until who forked it was asked for its code. One that ends already keeps its own.
            os.kill(self.pid, signal.SIGKILL)
            return self._forker.code_of(self.pid)
        except (OSError, EOFError):
            return None


def _too_much(*, retryable: bool) -> SourceError:
    text = "This page takes too much time or memory to read."
    return SourceError("page_limits", text, retryable=retryable)


parser = Parser()
